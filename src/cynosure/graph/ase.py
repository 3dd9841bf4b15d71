"""From arrays, or an ASE `Atoms`, to an `AtomGraph`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from cynosure.graph.neighbours import neighbour_list
from cynosure.graph.schema import LABEL_OWNER, LABEL_SHAPE, AtomGraph

if TYPE_CHECKING:
    from ase import Atoms


def from_atoms(atoms: Atoms, cutoff: float, labels: Mapping[str, ArrayLike] | None = None) -> AtomGraph:
    """The graph of one structure. The caller's `atoms` are read, never changed, and share no memory with it.

    Labels are what `labels` gives and nothing else: a calculator attached to `atoms` is not asked
    (`cynosure.data.Frames` finds labels).

    Args:
        atoms: the structure, Å.
        cutoff: Å, > 0.
        labels: `energy` (eV), `forces` [N, 3] (eV/Å), `stress` [3, 3] or Voigt [6] in ASE's order
            (eV/Å³, positive under tension).

    Raises:
        ValueError: whatever `neighbour_list` refuses; a label of unknown name or wrong shape.
    """
    return from_arrays(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc, cutoff, labels)


def from_arrays(
    atomic_numbers: ArrayLike,
    positions: ArrayLike,
    cell: ArrayLike,
    pbc: ArrayLike,
    cutoff: float,
    labels: Mapping[str, ArrayLike] | None = None,
) -> AtomGraph:
    """The graph of one structure from bare arrays.

    Args:
        atomic_numbers: [N] integers.
        positions: [N, 3], Å.
        cell: [3, 3], Å, rows are lattice vectors, zero rows where there is none.
        pbc: [3] bool, or one bool.
        cutoff: Å, > 0.
        labels: as in `from_atoms`.

    Raises:
        ValueError: whatever `neighbour_list` refuses; a label of unknown name or wrong shape.
    """
    numbers = np.array(atomic_numbers, dtype=np.int64)
    positions = np.array(positions, dtype=np.float64)
    cell = np.array(cell, dtype=np.float64)
    pbc = np.array(np.broadcast_to(np.asarray(pbc, dtype=bool), (3,)))
    receivers, senders, shifts = neighbour_list(positions, cell, pbc, cutoff)
    return AtomGraph(
        atomic_numbers=torch.from_numpy(numbers),
        positions=torch.from_numpy(positions),
        cell=torch.from_numpy(cell[None]),
        pbc=torch.from_numpy(pbc[None]),
        receivers=torch.from_numpy(receivers),
        senders=torch.from_numpy(senders),
        shifts=torch.from_numpy(shifts),
        structure=torch.zeros(len(numbers), dtype=torch.int64),
        sender_order=torch.from_numpy(np.argsort(senders, kind="stable")),
        labels={name: _label(name, value, len(numbers)) for name, value in (labels or {}).items()},
    )


def matrix_from_voigt(voigt: ArrayLike) -> NDArray[np.float64]:
    """The symmetric [3, 3] matrix of a stress in ASE's Voigt order (xx, yy, zz, yz, xz, xy)."""
    return np.asarray(voigt, dtype=np.float64)[[[0, 5, 4], [5, 1, 3], [4, 3, 2]]]


def _label(name: str, value: ArrayLike, atoms: int) -> torch.Tensor:
    """One label with its owner's axis in front, in float64."""
    if name not in LABEL_OWNER:
        raise ValueError(f"there is no label '{name}'; the labels are {', '.join(LABEL_OWNER)}")
    array = np.array(value, dtype=np.float64)
    if name == "stress" and array.shape == (6,):
        array = matrix_from_voigt(array)
    expected = ((atoms,) if LABEL_OWNER[name] == "atom" else ()) + LABEL_SHAPE[name]
    if array.shape != expected:
        raise ValueError(f"label '{name}' has shape {array.shape}; {expected} was expected")
    return torch.from_numpy(array if LABEL_OWNER[name] == "atom" else array[None])
