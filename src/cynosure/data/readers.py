"""Reading frames from any file that ASE reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count, islice
from os import PathLike
from pathlib import Path

import ase.db
from ase import Atoms
from ase.io import iread
from ase.io.formats import filetype

from cynosure.data.frames import IN_MEMORY_LIMIT, Frames
from cynosure.graph import ATOMS, Declared, Points


def read_frames(
    path: str | PathLike[str],
    keys: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    index: str = ":",
    *,
    declared: Sequence[Declared] = (),
    points: Points = ATOMS,
    in_memory_limit: int = IN_MEMORY_LIMIT,
    cache_dir: str | PathLike[str] | None = None,
) -> Frames:
    """All frames of a file, with the labels that are in it, in eV, Å, eV/Å and eV/Å³.

    Any file that ASE reads will do: extended and plain xyz, ASE database (a row's own key-value pairs and data
    are columns like any other), trajectory, VASP's vasprun.xml and OUTCAR, and so on. Frames are read one at a
    time; more than `in_memory_limit` bytes of them are kept in memory-mapped files instead of memory.

    Labels are searched in the calculator's results first, then under well-known names (`REF_energy`,
    `dft_forces`, `virial`, …). Forces are never zeroed by constraints. Stress is positive under tension, as
    in ASE; a virial becomes stress = −virial / volume. `Frames.summary` says what was found where.

    Args:
        path: the file.
        keys: label (`energy`, `forces`, `stress`, or `virial` in place of `stress`) to the column that holds
            it, for example `{"energy": "REF_energy"}`.
        units: `energy`, `forces`, `stress`, `virial`, `length` to the file's unit, for example
            `{"stress": "kBar"}`. What is not named is taken to be in eV and Å already.
        index: which frames, in ASE's notation: `":"`, `"::10"`, `"-1"`.
        declared: other arrays to read: inputs, and targets that are no labels of a potential.
        points: what the points of the structures are called, and the column that says which is which.
        in_memory_limit: bytes.
        cache_dir: where the memory-mapped files go; the system's temporary directory by default (`TMPDIR`).
            They are removed when no longer used.

    Raises:
        FileNotFoundError: no such file, or no such `cache_dir`.
        ValueError: ASE cannot read it (with ASE's reason); no frames; and as `Frames.from_atoms`, naming the
            file, the frame's number in it from 0, and the atom.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path} (looked in {path.absolute().parent})")
    if not path.is_file():
        raise ValueError(f"{path} is not a file; name a file of frames in it")
    if cache_dir is not None and not Path(cache_dir).is_dir():
        raise FileNotFoundError(f"the cache directory {cache_dir} does not exist; create it first")
    return Frames.from_atoms(
        _select(_numbered(path), index),
        keys,
        units,
        declared,
        points=points,
        source=str(path),
        in_memory_limit=in_memory_limit,
        cache_dir=None if cache_dir is None else Path(cache_dir),
    )


def _select(frames: Iterator[tuple[int, Atoms]], index: str) -> Iterator[tuple[int, Atoms]]:
    """The frames that `index` selects, each with its number in the file."""
    chosen = _slice(index)
    bounds = (chosen.start, chosen.stop, chosen.step)
    if any(bound is not None and bound < 0 for bound in bounds):
        yield from list(frames)[chosen]  # counted from the end, which has to be reached first
    else:
        yield from islice(frames, *bounds)


def _slice(index: str) -> slice:
    try:
        bounds = [int(bound) if bound.strip() else None for bound in index.split(":")]
    except ValueError:
        bounds = []
    if len(bounds) == 1 and bounds[0] is not None:
        return slice(bounds[0], bounds[0] + 1 or None)
    if not 2 <= len(bounds) <= 3 or bounds[2:] == [0]:
        raise ValueError(f"'{index}' does not select frames; write for example ':', '::10', '-1'")
    return slice(*bounds)


def _numbered(path: Path) -> Iterator[tuple[int, Atoms]]:
    """All frames of the file with their numbers from 0; an error says how far reading came, and why."""
    frames = _read(path)
    for number in count():
        try:
            atoms = next(frames)
        except StopIteration:
            return
        # Each of ASE's readers fails in its own way on a broken file (IndexError, KeyError, XML errors, …).
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise ValueError(f"ASE cannot read {path} (stopped at frame {number}; {reason})") from error
        yield number, atoms


def _read(path: Path) -> Iterator[Atoms]:
    """ASE's own reader, but for its databases, of which it leaves out what the rows carry beside labels."""
    kind = filetype(str(path))
    if kind not in ("db", "json"):
        yield from iread(str(path), index=":", format=kind, do_not_split_by_at_sign=True)
        return
    with ase.db.connect(str(path), serial=True) as database:  # pyright: ignore[reportGeneralTypeIssues]
        for row in database.select():
            yield row.toatoms(add_additional_information=True)
