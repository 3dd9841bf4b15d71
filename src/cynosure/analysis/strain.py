"""Crystals under finite strain: deformation gradients, the strain of Green and Lagrange, and its conjugate stress.

A deformation gradient F takes a vector of the reference crystal, as a column, to F times it. The strain of Green and
Lagrange, E = (FᵀF − 1)/2, knows nothing of rotations. Its conjugate is the second Piola-Kirchhoff stress,
S = det F · F⁻¹ σ F⁻ᵀ, so that the energy of a volume V₀ of the reference changes by dU = V₀ S : dE (Wallace,
*Thermodynamics of Crystals*, 1972, section 2). At any size of the strain, and whatever the stress of the reference,
∂S/∂E is then a second derivative of the energy.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from numpy.typing import NDArray

# Voigt's order: 1 xx, 2 yy, 3 zz, 4 yz, 5 xz, 6 xy.
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
VOIGT_NAMES = ("xx", "yy", "zz", "yz", "xz", "xy")


def strained(crystal: Atoms, gradient: NDArray[np.float64]) -> Atoms:
    """A copy of a crystal under a deformation gradient [3, 3]; its atoms keep their fractional coordinates."""
    copy = crystal.copy()
    copy.set_cell(crystal.cell.array @ gradient.T, scale_atoms=True)
    return copy


def green_lagrange(gradient: NDArray[np.float64]) -> NDArray[np.float64]:
    """The strain (FᵀF − 1)/2 of a deformation gradient, [3, 3]."""
    return (gradient.T @ gradient - np.eye(3)) / 2


def gradient_of(strain: NDArray[np.float64]) -> NDArray[np.float64]:
    """The deformation gradient without rotation that has this strain of Green and Lagrange: √(1 + 2E), [3, 3].

    Raises:
        ValueError: the strain is so negative that the crystal would have no extent left in some direction.
    """
    squares, axes = np.linalg.eigh(np.eye(3) + 2 * strain)
    if squares.min() <= 0:
        raise ValueError(f"no crystal can be under the strain {strain.tolist()}: give a smaller one")
    return (axes * np.sqrt(squares)) @ axes.T


def piola_kirchhoff(gradient: NDArray[np.float64], stress: NDArray[np.float64]) -> NDArray[np.float64]:
    """The second Piola-Kirchhoff stress det F · F⁻¹ σ F⁻ᵀ of a Cauchy stress, [3, 3] and in its units."""
    inverse = np.linalg.inv(gradient)
    return np.linalg.det(gradient) * inverse @ stress @ inverse.T


def cauchy_stress(crystal: Atoms, calculator: BaseCalculator) -> NDArray[np.float64]:
    """The stress of a crystal, [3, 3] in eV/Å³, positive under tension."""
    copy = crystal.copy()
    copy.calc = calculator
    return copy.get_stress(voigt=False)
