"""The structure on which a model and whatever evaluates it are compared."""

from __future__ import annotations

from collections.abc import Mapping

import ase
import numpy as np
from numpy.typing import NDArray

from cynosure.graph import Quantity


def probe_atoms(species: tuple[int, ...], cutoff: float) -> ase.Atoms:
    """A few sites of a distorted lattice, every species among them, dense enough that every atom has neighbours.

    Args:
        species: atomic numbers.
        cutoff: Å.
    """
    count = max(4, len(species))
    side = int(np.ceil(count ** (1 / 3)))
    spacing = min(2.4, 0.7 * cutoff)
    sites = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)[:count]
    # Golden-ratio offsets: no symmetry left, no random state needed, the same everywhere.
    offsets = (np.arange(3 * count).reshape(-1, 3) * 0.6180339887498949) % 1.0 - 0.5
    cell = (np.eye(3) * side + np.array([[0, 0, 0], [0.2, 0, 0], [0.1, 0.15, 0]])) * spacing
    positions = (sites + 0.25 * offsets) * spacing
    return ase.Atoms(
        numbers=[species[i % len(species)] for i in range(count)], positions=positions, cell=cell, pbc=True
    )


def probe_inputs(
    quantities: Mapping[str, Quantity], scales: Mapping[str, float], atoms: int
) -> dict[str, NDArray[np.float64]]:
    """Numbers without symmetry for what a model is told, [rows, *shape] by name.

    Args:
        quantities: what they are.
        scales: their size; one where nothing is said.
        atoms: how many there are in the one structure.
    """
    inputs = {}
    for place, (name, quantity) in enumerate(quantities.items()):
        shape = (atoms if quantity.owner == "atom" else 1, *quantity.shape)
        numbers = ((np.arange(np.prod(shape, dtype=np.int64)) + 0.5 * place + 1) * 0.6180339887498949) % 1.0
        inputs[name] = scales.get(name, 1.0) * (2.0 * numbers.reshape(shape) - 1.0)
    return inputs
