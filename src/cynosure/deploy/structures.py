"""Reading the structure, or the structures, that a command is to work on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import read

# Names that ASE gives to results of a calculator and that may as well say how a structure is.
_OF_ATOMS, _OF_STRUCTURES = ("charges", "magmoms"), ("dipole", "magmom", "polarizability")


def read_structure(path: str | Path) -> Atoms:
    """The structure in a file that ASE reads, with its velocities, constraints and columns.

    Args:
        path: the file; of several frames the last is taken, or number n of `FILE@n` (from 0).

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if ASE cannot read it, or it holds no atoms, or a position or the cell is not finite.
    """
    name, chosen = split_selection(path)
    if isinstance(chosen, slice):
        raise ValueError(f"{path} names several frames; one is needed: {name}@-1 is the last")
    atoms = _read(name, -1 if chosen is None else chosen, str(path))
    require_sound(atoms, str(path))
    return atoms


def read_structures(path: str | Path) -> dict[int, Atoms]:
    """The frames of a file that ASE reads, by their numbers from 0; they may be unsound (`require_sound`).

    Args:
        path: the file; all of its frames are taken, or number n of `FILE@n`, or those of `FILE@start:stop:step`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if ASE cannot read it, or no frame is chosen.
    """
    name, chosen = split_selection(path)
    frames = _read(name, slice(None), str(path))
    numbers = range(len(frames))
    try:
        kept = numbers[slice(None) if chosen is None else chosen]
    except (IndexError, ValueError):  # beyond the last frame, or a step of zero
        kept = range(0)
    if isinstance(kept, int):
        kept = (kept,)
    if not kept:
        raise ValueError(f"{path}: no such frame; the file has {len(frames)}, numbered from 0")
    return {number: frames[number] for number in kept}


def _read(name: str, index: int | slice, asked: str) -> Any:
    """The frame, or the list of frames, of a file."""
    if not Path(name).exists():
        raise FileNotFoundError(f"there is no file {name} (looked in {Path(name).absolute().parent})")
    if not Path(name).is_file():
        raise ValueError(f"{name} is not a file; name a file with a structure in it")
    try:
        found = read(name, index=index, do_not_split_by_at_sign=True)
    # Each of ASE's readers fails in its own way on a broken file (IndexError, KeyError, XML errors, …).
    except Exception as error:
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise ValueError(f"ASE cannot read {asked} ({reason})") from error
    for atoms in found if isinstance(found, list) else [found]:
        _keep_columns(atoms)
    return found


def require_sound(atoms: Atoms, name: str) -> None:
    """Refuse a structure that cannot be computed with, whatever the model.

    Args:
        atoms: the structure.
        name: what messages call it.

    Raises:
        ValueError: no atoms, or a position or the cell is not finite.
    """
    if len(atoms) == 0:
        raise ValueError(f"{name}: the structure has no atoms")
    finite = np.isfinite(atoms.positions).all(axis=1)
    if not finite.all():
        atom = int(np.argmin(finite))
        raise ValueError(
            f"{name}: the position of atom {atom} is not finite: {atoms.positions[atom].tolist()}"
        )
    if not np.isfinite(atoms.cell.array).all():
        raise ValueError(f"{name}: the cell is not finite: {atoms.cell.array.tolist()}")


def _keep_columns(atoms: Atoms) -> None:
    """Put back into columns what ASE's readers take for results, since another calculator will take their place.

    A model may be told charges or magnetic moments, and a file that holds them by these names is read so.
    """
    results = {} if atoms.calc is None else getattr(atoms.calc, "results", {})
    for columns, names in ((atoms.arrays, _OF_ATOMS), (atoms.info, _OF_STRUCTURES)):
        for name in names:
            if name in results:
                columns.setdefault(name, results[name])


def split_selection(path: str | Path) -> tuple[str, int | slice | None]:
    """`name@3` is frame 3 of `name` and `name@1:9:2` some of its frames, unless a file has that very name.

    Returns:
        the file, and which of its frames; None where nothing is said of them.
    """
    path = str(path)
    name, at, index = path.rpartition("@")
    parts = index.split(":")
    if not at or len(parts) > 3 or os.path.exists(path):
        return path, None
    try:
        if len(parts) == 1:
            return name, int(index)
        return name, slice(*(int(part) if part else None for part in parts))
    except ValueError:
        return path, None
