"""The thermodynamics of harmonic vibrations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase.units import _e, _hplanck, kB
from numpy.typing import NDArray

# The quantum h ν of a frequency of 1 THz, eV.
THZ = 1e12 * _hplanck / _e
# Below this a mode counts as no vibration: the three translations, and imaginary modes. THz.
LEAST_FREQUENCY = 1e-3


@dataclass(frozen=True)
class Thermal:
    """Thermodynamic functions of vibrations at constant volume, per atom.

    Attributes:
        temperatures: [T] K.
        free_energy: [T] eV, Helmholtz's, zero-point energy included.
        entropy: [T] in units of the Boltzmann constant.
        heat_capacity: [T] in units of the Boltzmann constant; 3 for a classical crystal.
        zero_point_energy: eV.
        left_out: the part of all modes that is no vibration, and was left out.
    """

    temperatures: NDArray[np.float64]
    free_energy: NDArray[np.float64]
    entropy: NDArray[np.float64]
    heat_capacity: NDArray[np.float64]
    zero_point_energy: float
    left_out: float


def thermal(
    frequencies: NDArray[np.float64], weights: NDArray[np.float64], temperatures: NDArray[np.float64]
) -> Thermal:
    """Helmholtz energy, entropy and heat capacity of independent oscillators.

    With x = hν/k_BT, each mode adds hν/2 + k_BT ln(1 − e⁻ˣ) to the free energy, x/(eˣ − 1) − ln(1 − e⁻ˣ) to the
    entropy and (x/2 / sinh x/2)² to the heat capacity (Maradudin et al., *Theory of Lattice Dynamics in the Harmonic
    Approximation*, 1971, section 2).

    Args:
        frequencies: [Q, 3N] THz, of N atoms; an imaginary one is negative.
        weights: [Q], how often each row counts.
        temperatures: [T] K, not negative.
    """
    share = np.broadcast_to((weights / weights.sum())[:, None], frequencies.shape)
    vibrates = frequencies > LEAST_FREQUENCY
    quanta, share_of = THZ * frequencies[vibrates], share[vibrates]
    atoms = frequencies.shape[1] / 3
    zero_point = float(share_of @ quanta) / 2 / atoms
    free = np.full(len(temperatures), zero_point)
    entropy, capacity = np.zeros(len(temperatures)), np.zeros(len(temperatures))
    for t, temperature in enumerate(temperatures):
        if temperature <= 0:
            continue
        x = quanta / (kB * temperature)
        # Written with e⁻ˣ, which is small where eˣ would be too large.
        decay = np.exp(-x)
        log = np.log1p(-decay)
        occupied = decay / -np.expm1(-x)
        free[t] += kB * temperature * float(share_of @ log) / atoms
        entropy[t] = float(share_of @ (x * occupied - log)) / atoms
        capacity[t] = float(share_of @ (x**2 * occupied * (1 + occupied))) / atoms
    left_out = 1 - float(share_of.sum()) / frequencies.shape[1]
    return Thermal(temperatures, free, entropy, capacity, zero_point, left_out)
