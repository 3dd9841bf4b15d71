"""Normal modes of a molecule at its minimum, and the infrared intensity of each.

For mass-weighted displacements q = M^½ Δr the energy is ½ qᵀ H' q, with H' = M^−½ H M^−½. Its eigenvectors Q_k that
neither move nor turn the molecule as a whole are the normal modes, and ω_k² the eigenvalues. In the double harmonic
approximation, energy of second order and dipole of first, a mode absorbs

    A_k = N_A / (12 ε₀ c²) |∂μ/∂Q_k|²

integrated over the wavenumber, km/mol (Wilson, Decius and Cross (1955), Molecular Vibrations, chapter 7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray

Array = NDArray[np.float64]

# N_A / (12 ε₀ c²) for |∂μ/∂Q|² in e²/amu: km/mol.
KM_PER_MOL = 1e-3 * units._Nav * units._e**2 / (12 * units._eps0 * units._c**2 * units._amu)
# ħω of ω in units of ASE is an energy in eV, and this many cm⁻¹.
WAVENUMBER = units._hbar * units.J * units.s / units.invcm
# Å, of a central difference. GFN2-xTB then gives frequencies to 0.1 cm⁻¹: twice and half as much change them by less.
_STEP = 0.002


@dataclass(frozen=True)
class Modes:
    """Normal modes in the order of their frequencies.

    Attributes:
        frequencies: [M] cm⁻¹; negative for an imaginary one, of a direction in which the energy falls.
        intensities: [M] km/mol.
        vectors: [M, 3N] mass-weighted and orthonormal.
    """

    frequencies: Array
    intensities: Array
    vectors: Array

    def to_json(self) -> dict[str, Any]:
        """Frequencies and intensities."""
        return {"frequencies": self.frequencies.tolist(), "intensities": self.intensities.tolist()}


def normal_modes(atoms: Atoms, hessian: Array, dipole_slopes: Array) -> Modes:
    """Normal modes from second derivatives of the energy and first ones of the dipole.

    Args:
        atoms: at its minimum, not linear.
        hessian: [3N, 3N] eV/Å².
        dipole_slopes: [3N, 3] e, ∂μ/∂r.
    """
    weights = np.repeat(atoms.get_masses() ** -0.5, 3)
    weighted = weights[:, None] * (hessian + hessian.T) / 2 * weights
    # The last 3N − 6 columns of Q are a basis of all motion but that of the whole.
    whole = _motion_of_the_whole(atoms)
    inner = np.linalg.qr(whole, mode="complete")[0][:, whole.shape[1] :]
    squares, vectors = np.linalg.eigh(inner.T @ weighted @ inner)
    vectors = (inner @ vectors).T
    frequencies = np.sign(squares) * np.sqrt(np.abs(squares)) * WAVENUMBER
    slopes = vectors @ (weights[:, None] * dipole_slopes)
    return Modes(frequencies, KM_PER_MOL * np.square(slopes).sum(axis=1), vectors)


def _motion_of_the_whole(atoms: Atoms) -> Array:
    """[3N, 6]: mass-weighted translations along three axes, and rotations about them."""
    roots = np.sqrt(atoms.get_masses())[:, None]
    positions = atoms.positions - atoms.get_center_of_mass()
    columns = [(roots * axis).ravel() for axis in np.eye(3)]
    columns += [(roots * np.cross(axis, positions)).ravel() for axis in np.eye(3)]
    return np.stack(columns, axis=1)


def slopes(atoms: Atoms, calculator: Calculator, names: Sequence[str]) -> list[Array]:
    """[3N, …]: central differences of properties of a calculator with respect to each coordinate of each atom."""
    moved = atoms.copy()
    rows: list[list[Array]] = [[] for _ in names]
    for coordinate in np.ndindex(atoms.positions.shape):
        ends = []
        for sign in (1, -1):
            moved.positions = atoms.positions
            moved.positions[coordinate] += sign * _STEP
            ends.append([np.array(calculator.get_property(name, moved)) for name in names])
        for row, high, low in zip(rows, *ends, strict=True):
            row.append((high - low) / (2 * _STEP))
    return [np.array(row) for row in rows]


def by_differences(atoms: Atoms, calculator: Calculator) -> tuple[Array, Array]:
    """Hessian [3N, 3N], eV/Å², and dipole slopes [3N, 3], e, of any calculator of forces and dipoles."""
    forces, dipole = slopes(atoms, calculator, ("forces", "dipole"))
    return -forces.reshape(len(forces), -1), dipole
