"""What a model needs to know of its data before training: neighbours, scale and shift."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from cynosure.data.datasets import GraphDataset
from cynosure.data.e0s import require_e0s

# A scale smaller than this (eV/Å, or eV per atom) means labels that do not vary, not a scale.
_SMALLEST_SCALE = 1e-8
_ELEMENTS = len(chemical_symbols)
# An element whose forces happen to be tiny must still be able to learn.
_SMALLEST_SHARE = 0.1
_RANK_TOLERANCE = 1e-3


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
        scales: atomic number to the scale of that element: its `force_rms`, but no less than a tenth of `scale`,
            and `scale` where it has no force labels.
        shifts: atomic number to the energy beyond its E0, eV, by least squares over the frames. What the
            compositions leave open is filled with `shift`, so that frames of one composition give every element
            the mean.
        n_frames: number of frames.
        n_atoms: atoms in all frames together.
    """

    avg_neighbours: float
    scale: float
    shift: float
    force_rms: dict[int, float]
    scales: dict[int, float]
    shifts: dict[int, float]
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
        residuals, compositions = [], []
        species = np.array(frames.species())
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
                counts = np.bincount(frame.atomic_numbers, minlength=_ELEMENTS)[species]
                compositions.append(counts / len(frame.atomic_numbers))
        n_atoms = int(frames.atom_counts.sum())
        spread = float(np.std(residuals)) if residuals else 0.0
        force = math.sqrt(squares.sum() / components.sum()) if components.any() else 0.0
        scale = next((value for value in (force, spread) if value > _SMALLEST_SCALE), 1.0)
        force_rms = {
            int(number): math.sqrt(squares[number] / components[number])
            for number in np.flatnonzero(components)
        }
        shift = float(np.mean(residuals)) if residuals else 0.0
        deviations = _per_species(compositions, np.array(residuals) - shift, len(species))
        return cls(
            avg_neighbours=float(dataset.edge_counts().sum() / n_atoms) or 1.0,
            scale=scale,
            shift=shift,
            force_rms=force_rms,
            scales={z: max(force_rms.get(z, scale), _SMALLEST_SHARE * scale) for z in species.tolist()},
            shifts={
                z: shift + float(deviation) for z, deviation in zip(species.tolist(), deviations, strict=True)
            },
            n_frames=len(frames),
            n_atoms=n_atoms,
        )


def _per_species(
    compositions: list[NDArray[np.float64]], energies: NDArray[np.float64], count: int
) -> NDArray:
    """[count] eV: the shortest least-squares solution of composition · x = energy per atom."""
    if not compositions:
        return np.zeros(count)
    # Compositions that hardly differ would divide noise by almost nothing: such directions are left out.
    return np.linalg.lstsq(np.array(compositions), energies, rcond=_RANK_TOLERANCE)[0]
