"""What a model needs to know of its data before training: neighbours, scale and shift."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from ase.data import chemical_symbols

from cynosure.data.datasets import GraphDataset
from cynosure.data.e0s import require_e0s

# A scale smaller than this (eV/Å, or eV per atom) means labels that do not vary, not a scale.
_SMALLEST_SCALE = 1e-8
_ELEMENTS = len(chemical_symbols)


@dataclass(frozen=True)
class Statistics:
    """Averages over a dataset.

    Attributes:
        avg_neighbours: edges per atom; 1 where no atom has a neighbour.
        scale: root mean square of the force components, eV/Å; without forces, the standard deviation of the
            energy per atom beyond the E0s, eV; 1 where that is zero too. Always positive.
        shift: mean over frames of the energy per atom beyond the E0s, eV; 0 without energies.
        force_rms: atomic number to the root mean square force component on that element, eV/Å, for the
            elements with force labels.
        n_frames: number of frames.
        n_atoms: atoms in all frames together.
    """

    avg_neighbours: float
    scale: float
    shift: float
    force_rms: dict[int, float]
    n_frames: int
    n_atoms: int

    @classmethod
    def of(cls, dataset: GraphDataset, e0s: Mapping[int, float]) -> Statistics:
        """Measure a dataset.

        Args:
            dataset: its graphs are built if they have not been yet.
            e0s: atomic number to eV.

        Raises:
            ValueError: the dataset is empty, or an element has no E0.
        """
        frames = dataset.frames
        if len(frames) == 0:
            raise ValueError("statistics were asked of a dataset without frames")
        require_e0s(e0s, frames.species())
        squares = np.zeros(_ELEMENTS)
        components = np.zeros(_ELEMENTS)
        residuals = []
        e0_of = np.zeros(_ELEMENTS)
        e0_of[list(e0s)] = list(e0s.values())
        for frame in frames:
            labels = frame.labels()
            if "forces" in labels:
                per_atom = np.sum(frame.forces**2, axis=1)
                squares += np.bincount(frame.atomic_numbers, per_atom, minlength=_ELEMENTS)
                components += 3.0 * np.bincount(frame.atomic_numbers, minlength=_ELEMENTS)
            if "energy" in labels:
                beyond = frame.energy - e0_of[frame.atomic_numbers].sum()
                residuals.append(beyond / len(frame.atomic_numbers))
        n_atoms = int(frames.atom_counts.sum())
        spread = float(np.std(residuals)) if residuals else 0.0
        force = math.sqrt(squares.sum() / components.sum()) if components.any() else 0.0
        scale = next((value for value in (force, spread) if value > _SMALLEST_SCALE), 1.0)
        return cls(
            avg_neighbours=float(dataset.edge_counts().sum() / n_atoms) or 1.0,
            scale=scale,
            shift=float(np.mean(residuals)) if residuals else 0.0,
            force_rms={
                int(number): math.sqrt(squares[number] / components[number])
                for number in np.flatnonzero(components)
            },
            n_frames=len(frames),
            n_atoms=n_atoms,
        )
