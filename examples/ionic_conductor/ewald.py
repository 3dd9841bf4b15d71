"""The electrostatic energy of point charges in a crystal."""

from __future__ import annotations

from itertools import product

import numpy as np
from ase.units import _e, _eps0
from numpy.typing import NDArray
from scipy.special import erfc

Array = NDArray[np.float64]

COULOMB = 1e10 * _e / (4 * np.pi * _eps0)  # e²/4πε₀, eV Å
# Both sums go on until what is left out is e^(−_DEPTH²) of the whole.
_DEPTH = 6.0


def interactions(fraction: Array, cell: Array, width: float | None = None) -> Array:
    """Energies M of unit charges with each other and all their images, so that E = ½ qᵀ M q for charges of sum zero.

    Ewald, Ann. Phys. 369, 253 (1921): Gaussians of inverse width κ around the charges are taken out of the sum over
    images and summed over waves k instead,

        M_ab / (e²/4πε₀) = Σ_R erfc(κ r)/r + 4π/V Σ_k e^(−k²/4κ²)/k² cos k·r_ab − π/(κ² V) − [a = b] 2κ/√π

    with r = |r_ab + R|, where neither r = 0 nor k = 0 is counted.

    Args:
        fraction: [N, 3] positions, as fractions of the vectors of the cell; no two the same.
        cell: [3, 3] Å, a lattice vector in each row.
        width: κ, 1/Å, of which nothing depends; by default such that both sums are about as long.

    Returns:
        [N, N] eV.
    """
    volume = abs(float(np.linalg.det(cell)))
    kappa = np.sqrt(np.pi) / volume ** (1 / 3) if width is None else width
    between = fraction[:, None] - fraction
    between = (between - np.round(between)) @ cell
    total = np.full(between.shape[:2], -np.pi / (kappa**2 * volume))
    total[np.diag_indices_from(total)] -= 2 * kappa / np.sqrt(np.pi)

    # (r_ab is within half a box of zero, and boxes are added whole: no image within the radius is left out.)
    for shift in _lattice(cell, _DEPTH / kappa):
        distance = np.linalg.norm(between + shift, axis=2)
        apart = distance > 0
        total[apart] += erfc(kappa * distance[apart]) / distance[apart]
    reciprocal = 2 * np.pi * np.asarray(np.linalg.inv(cell), dtype=float).T
    for wave in _lattice(reciprocal, 2 * _DEPTH * kappa):
        square = wave @ wave
        if square > 0:
            total += 4 * np.pi / volume * np.exp(-square / (4 * kappa**2)) / square * np.cos(between @ wave)
    return COULOMB * total


def _lattice(vectors: Array, radius: float) -> Array:
    """[n, 3]: points of the lattice, all those within a radius of zero among them."""
    # Planes of the lattice are 1/|reciprocal vector| apart.
    spacing = 1 / np.linalg.norm(np.linalg.inv(vectors), axis=0)
    ranges = [range(-n, n + 1) for n in np.ceil(radius / spacing).astype(int).tolist()]
    return np.array(list(product(*ranges)), dtype=float) @ vectors
