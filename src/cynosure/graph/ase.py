"""From arrays, or an ASE `Atoms`, to an `AtomGraph`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from cynosure.graph.neighbours import neighbour_list
from cynosure.graph.quantity import LABELS, NO_SHIFT, Quantity, Rows
from cynosure.graph.schema import AtomGraph

if TYPE_CHECKING:
    from ase import Atoms


def from_atoms(
    atoms: Atoms,
    cutoff: float,
    labels: Mapping[str, ArrayLike | Rows] | None = None,
    inputs: Mapping[str, ArrayLike | Rows] | None = None,
    quantities: Mapping[str, Quantity] | None = None,
) -> AtomGraph:
    """The graph of one structure. The caller's `atoms` are read, never changed, and share no memory with it.

    Labels are what `labels` gives and nothing else: a calculator attached to `atoms` is not asked
    (`cynosure.data.Frames` finds labels).

    Args:
        atoms: the structure, Å.
        cutoff: Å, > 0.
        labels: `energy` (eV), `forces` [N, 3] (eV/Å), `stress` [3, 3] or Voigt [6] in ASE's order
            (eV/Å³, positive under tension), and those that `quantities` names.
        inputs: what a model is told besides; `quantities` names them. (Both may be `Rows`.)
        quantities: what other labels, and the inputs, are.

    Raises:
        ValueError: whatever `neighbour_list` refuses; a label of unknown name or wrong shape.
    """
    return from_arrays(
        atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc, cutoff, labels, inputs, quantities
    )


def from_arrays(
    atomic_numbers: ArrayLike,
    positions: ArrayLike,
    cell: ArrayLike,
    pbc: ArrayLike,
    cutoff: float,
    labels: Mapping[str, ArrayLike | Rows] | None = None,
    inputs: Mapping[str, ArrayLike | Rows] | None = None,
    quantities: Mapping[str, Quantity] | None = None,
) -> AtomGraph:
    """The graph of one structure from bare arrays.

    Args:
        atomic_numbers: [N] integers.
        positions: [N, 3], Å.
        cell: [3, 3], Å, rows are lattice vectors, zero rows where there is none.
        pbc: [3] bool, or one bool.
        cutoff: Å, > 0.
        labels, inputs, quantities: as in `from_atoms`.

    Raises:
        ValueError: whatever `neighbour_list` refuses; a label of unknown name or wrong shape.
    """
    numbers = np.array(atomic_numbers, dtype=np.int64)
    positions = np.array(positions, dtype=np.float64)
    cell = np.array(cell, dtype=np.float64)
    pbc = np.array(np.broadcast_to(np.asarray(pbc, dtype=bool), (3,)))
    receivers, senders, shifts = neighbour_list(positions, cell, pbc, cutoff)
    every = {**LABELS, **(quantities or {})}
    rows = {"structure": 1, "atom": len(numbers), "edge": len(receivers), "pair": len(numbers) ** 2}
    edges = np.column_stack([receivers, senders, shifts])

    def owned(arrays: Mapping[str, ArrayLike | Rows] | None) -> dict[str, torch.Tensor]:
        found = {}
        for name, value in (arrays or {}).items():
            if name not in every:
                raise ValueError(f"there is no label or input '{name}'; there are {', '.join(every)}")
            if isinstance(value, Rows):
                if value.ends is not None:
                    value = Rows(_on_edges(name, value.values, value.ends, edges))
                found[name] = torch.from_numpy(np.array(value.values, dtype=np.float64))
            else:
                found[name] = _owned(name, value, every[name], rows)
        return found

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
        labels=owned(labels),
        inputs=owned(inputs),
        quantities=every,
    )


def matrix_from_voigt(voigt: ArrayLike) -> NDArray[np.float64]:
    """The symmetric [3, 3] matrix of a stress in ASE's Voigt order (xx, yy, zz, yz, xz, xy)."""
    return np.asarray(voigt, dtype=np.float64)[[[0, 5, 4], [5, 1, 3], [4, 3, 2]]]


def _owned(name: str, value: ArrayLike, quantity: Quantity, rows: Mapping[str, int]) -> torch.Tensor:
    """A label or an input of one structure with its owner's axis in front, in float64."""
    array = np.array(value, dtype=np.float64)
    if name == "stress" and array.shape == (6,):
        array = matrix_from_voigt(array)
    # (The one structure has no axis of its own.)
    expected = (() if quantity.owner == "structure" else (rows[quantity.owner],)) + quantity.shape
    if array.shape != expected:
        raise ValueError(f"'{name}' has shape {array.shape}; {expected} was expected")
    return torch.from_numpy(array[None] if quantity.owner == "structure" else array)


def _on_edges(
    name: str, values: NDArray[np.float64], ends: NDArray[np.int64], edges: NDArray[np.int64]
) -> NDArray[np.float64]:
    """[E, *shape]: numbers of some edges, given by their ends, at all edges [E, 5]; NaN where there is none."""
    exact = {tuple(edge): number for number, edge in enumerate(edges.tolist())}
    images: dict[tuple[int, int], list[int]] = {}
    for number, (i, j, *_) in enumerate(edges.tolist()):
        images.setdefault((i, j), []).append(number)
    found = np.full((len(edges), *values.shape[1:]), np.nan)
    for value, end in zip(values, ends.tolist(), strict=True):
        i, j, *shift = end
        numbers = images.get((i, j), []) if shift == [NO_SHIFT] * 3 else [exact.get(tuple(end), -1)]
        if len(numbers) != 1 or numbers[0] < 0:
            what = "has several images" if len(numbers) > 1 else "is not within the cutoff"
            raise ValueError(f"'{name}' has a number for the edge {end}, which {what}")
        found[numbers[0]] = value
    return found
