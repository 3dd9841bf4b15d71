"""Reading the one structure that a command is to work on."""

from __future__ import annotations

import os
from pathlib import Path

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
    path = str(path)
    name, index = _split(path)
    if not Path(name).exists():
        raise FileNotFoundError(f"there is no file {name} (looked in {Path(name).absolute().parent})")
    if not Path(name).is_file():
        raise ValueError(f"{name} is not a file; name a file with a structure in it")
    try:
        atoms = read(name, index=index, do_not_split_by_at_sign=True)
    # Each of ASE's readers fails in its own way on a broken file (IndexError, KeyError, XML errors, …).
    except Exception as error:
        raise ValueError(f"ASE cannot read {path} ({type(error).__name__}: {error})") from error
    if isinstance(atoms, list):
        raise ValueError(f"{path} names several frames; one is needed: FILE@-1 is the last")
    if len(atoms) == 0:
        raise ValueError(f"{path}: the structure has no atoms")
    finite = np.isfinite(atoms.positions).all(axis=1)
    if not finite.all():
        atom = int(np.argmin(finite))
        raise ValueError(
            f"{path}: the position of atom {atom} is not finite: {atoms.positions[atom].tolist()}"
        )
    if not np.isfinite(atoms.cell.array).all():
        raise ValueError(f"{path}: the cell is not finite: {atoms.cell.array.tolist()}")
    _keep_columns(atoms)
    return atoms


def _keep_columns(atoms: Atoms) -> None:
    """Put back into columns what ASE's readers take for results, since another calculator will take their place.

    A model may be told charges or magnetic moments, and a file that holds them by these names is read so.
    """
    results = {} if atoms.calc is None else getattr(atoms.calc, "results", {})
    for columns, names in ((atoms.arrays, _OF_ATOMS), (atoms.info, _OF_STRUCTURES)):
        for name in names:
            if name in results:
                columns.setdefault(name, results[name])


def _split(path: str) -> tuple[str, int]:
    """`name@3` is frame 3 of `name`, unless a file has that very name."""
    name, at, index = path.rpartition("@")
    if not at or os.path.exists(path):
        return path, -1
    try:
        return name, int(index)
    except ValueError:
        return path, -1
