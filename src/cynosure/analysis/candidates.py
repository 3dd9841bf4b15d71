"""The structures that a screening is to relax: where they come from, what they are called, and whether they changed."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import gcd
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from ase.formula import Formula
from ase.io.formats import UnknownFileTypeError, filetype, ioformats

from cynosure.deploy import read_structures, require_sound, split_selection

# Last elements of the periods.
_NOBLE = (2, 10, 18, 36, 54, 86, 118)


@dataclass(frozen=True)
class Candidate:
    """One structure to be relaxed, or the reason why there is none.

    Attributes:
        name: what tables call it; no two of a screening have one name.
        source: the file, and the frame in it where it has several; empty for a structure that no file holds.
        atoms: the structure; None if it could not be read.
        problem: why it cannot be relaxed; empty if it can.
    """

    name: str
    source: str = ""
    atoms: Atoms | None = None
    problem: str = ""


def candidates_from(structures: Mapping[str, Atoms] | Iterable[str | Path]) -> list[Candidate]:
    """Candidates from structures by their names, or from files and folders as on the command line.

    Of a file all frames are taken, or those of `FILE@n` or `FILE@start:stop:step`; of a folder all files in it, but not
    in folders in it, whose name tells ASE a format. A frame is called as its `info["name"]` says, or as its file, with
    its number where the file has several. What cannot be read is a candidate with a problem.

    Raises:
        FileNotFoundError: a file or folder is not there.
        ValueError: there is nothing to be relaxed.
    """
    if isinstance(structures, Mapping):
        found = [_checked(Candidate(str(name), atoms=atoms)) for name, atoms in structures.items()]
    else:
        paths = [path for given in structures for path in _files(given)]
        found = _with_names_of_their_own([one for path in paths for one in _read(path)])
    if not found:
        raise ValueError("there is no structure to relax; name files that ASE reads, or folders of them")
    return found


def _files(given: str | Path) -> list[str]:
    """The file that is named, or those in the folder that is."""
    name, _ = split_selection(given)
    path = Path(name)
    if not path.is_dir():
        if not path.exists():
            raise FileNotFoundError(f"there is no file {name} (looked in {path.absolute().parent})")
        return [str(given)]
    return [str(file) for file in sorted(path.iterdir()) if _may_be_structure(file)]


def _may_be_structure(file: Path) -> bool:
    # (ASE takes Markdown for a trajectory of CASTEP.)
    if not file.is_file() or file.name.startswith(".") or file.suffix == ".md":
        return False
    try:
        form = filetype(str(file), read=False)
    except UnknownFileTypeError:
        return False
    return form in ioformats and bool(ioformats[form].can_read)


def _read(path: str) -> list[Candidate]:
    name, chosen = split_selection(path)
    stem = Path(name).stem
    try:
        frames = read_structures(path)
    except ValueError as error:
        return [Candidate(stem, path, problem=str(error))]
    alone = len(frames) == 1 and not isinstance(chosen, int)
    found = []
    for number, atoms in frames.items():
        own = atoms.info.get("name")
        label = stem if alone else f"{stem}@{number}"
        source = name if alone else f"{name}@{number}"
        found.append(_checked(Candidate(own if isinstance(own, str) and own else label, source, atoms)))
    return found


def _checked(candidate: Candidate) -> Candidate:
    """The same, with its problem if it is unsound."""
    try:
        if candidate.atoms is not None:
            require_sound(candidate.atoms, candidate.source or candidate.name)
    except ValueError as error:
        return replace(candidate, problem=str(error))
    return candidate


def _with_names_of_their_own(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Where names are taken twice, the sources stand for them; and where these are, numbers behind them."""
    times = Counter(one.name for one in candidates)
    renamed = [one if times[one.name] == 1 else replace(one, name=one.source) for one in candidates]
    seen: Counter[str] = Counter()
    for i, one in enumerate(renamed):
        seen[one.name] += 1
        if seen[one.name] > 1:
            renamed[i] = replace(one, name=f"{one.name} ({seen[one.name]})")
    return renamed


def formula_of(atoms: Atoms) -> str:
    """The reduced formula, one text for each composition, the more electropositive element first.

    Elements follow one another by their groups, in a group the heavier first, with hydrogen between groups 15 and 16:
    the sequence of IUPAC (*Nomenclature of Inorganic Chemistry*, 2005, table VI), but for the noble gases, which are
    last here.
    """
    numbers, counts = np.unique(atoms.numbers, return_counts=True)
    smallest = gcd(*counts.tolist())
    order = sorted(zip(numbers.tolist(), (counts // smallest).tolist(), strict=True), key=_place)
    return str(Formula.from_dict({chemical_symbols[number]: times for number, times in order}))


def _place(element: tuple[int, int]) -> tuple[float, int]:
    """Where an element (its number, and how often it is there) stands in a formula."""
    number = element[0]
    if number == 1:
        return 15.5, 0
    end = next((last for last in _NOBLE if number <= last), 0)
    before = max((last for last in _NOBLE if last < number), default=0)
    after_noble = number - before
    # Groups are counted from the end of the period, but for its first two elements; f-elements are of group 3.
    group = after_noble if after_noble <= 2 and end != 2 else max(3, 18 - (end - number))
    return float(group), -number


def content_of(atoms: Atoms, columns: Iterable[str] = ()) -> str:
    """SHA-256 (hexadecimal) of what a relaxation depends on: elements, positions, cell, constraints and columns.

    Args:
        atoms: the structure.
        columns: the keys of `atoms.info` that a model is told.
    """
    digest = hashlib.sha256()
    parts = {"cell": atoms.cell.array, "pbc": atoms.pbc, **dict(sorted(atoms.arrays.items()))}
    parts |= {f"info {key}": np.asarray(atoms.info[key]) for key in columns if key in atoms.info}
    for name, array in parts.items():
        digest.update(f"{name} {array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    constraints = [one.todict() for one in atoms.constraints]
    digest.update(json.dumps(constraints, default=lambda value: np.asarray(value).tolist()).encode())
    return digest.hexdigest()
