"""The structure on which a model and whatever evaluates it are compared."""

from __future__ import annotations

import ase
import numpy as np


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
