"""Starting velocities, and the number of degrees of freedom that a temperature is counted over."""

from __future__ import annotations

import numpy as np
from ase import Atoms, units
from ase.constraints import FixCom

# A moment of inertia below this part of the largest one belongs to the axis of a linear molecule.
_LINEAR = 1e-8


def degrees_of_freedom(atoms: Atoms, *, momentum_conserved: bool) -> int:
    """How many velocity components share the kinetic energy: T = 2 E_kin / (n k_B).

    3N, less what constraints take away; and where the dynamics keep the total momentum at zero (and, without
    periodicity, the angular momentum), less those too: 3 in a periodic system, 6 for a molecule, 5 for a
    linear one.

    Args:
        atoms: the structure, its constraints counted.
        momentum_conserved: whether the dynamics conserve momentum (NVE does, Langevin does not).
    """
    free = atoms.get_number_of_degrees_of_freedom()
    if momentum_conserved and not atoms.constraints:
        free -= 3
        if not atoms.pbc.any() and len(atoms) > 1:
            free -= int(np.linalg.matrix_rank(_inertia(atoms), tol=_LINEAR * np.trace(_inertia(atoms))))
    return max(int(free), 0)


def maxwell_boltzmann(atoms: Atoms, temperature: float, seed: int = 0, degrees: int | None = None) -> None:
    """Draw the velocities of `atoms` from the Maxwell-Boltzmann distribution, in place.

    1. Each momentum component is drawn from a normal distribution of variance m k_B T.
    2. The total momentum is removed, and for a molecule (no periodic direction) the angular momentum too, so
       that it neither flies off nor spins. Neither is done where constraints (other than `FixCom`) hold atoms
       and fix the frame.
    3. The velocities are scaled to exactly the temperature asked for.

    Args:
        atoms: the structure; its constraints are obeyed.
        temperature: K.
        seed: the same seed gives the same velocities.
        degrees: degrees of freedom that the temperature is counted over; by default those left by 2.

    Raises:
        ValueError: for a negative temperature.
    """
    if not temperature >= 0 or not np.isfinite(temperature):
        raise ValueError(f"the temperature is {temperature} K; zero or more was expected")
    rng = np.random.default_rng(seed)
    masses = atoms.get_masses()[:, None]
    atoms.set_momenta(rng.standard_normal((len(atoms), 3)) * np.sqrt(masses * units.kB * temperature))
    if all(isinstance(constraint, FixCom) for constraint in atoms.constraints):
        remove_drift(atoms)
    if degrees is None:
        degrees = degrees_of_freedom(atoms, momentum_conserved=True)
    kinetic = atoms.get_kinetic_energy()
    if kinetic > 0:
        scale = np.sqrt(0.5 * degrees * units.kB * temperature / kinetic)
        atoms.set_momenta(atoms.get_momenta() * scale)


def remove_drift(atoms: Atoms) -> None:
    """Take the total momentum out of the velocities, and of a molecule the angular momentum, in place."""
    masses = atoms.get_masses()[:, None]
    velocities = atoms.get_momenta() / masses
    velocities -= (masses * velocities).sum(axis=0) / masses.sum()
    if not atoms.pbc.any() and len(atoms) > 1:
        arms = atoms.positions - atoms.get_center_of_mass()
        angular = (masses * np.cross(arms, velocities)).sum(axis=0)
        # The pseudo-inverse leaves out the axis of a linear molecule, about which nothing can turn.
        spin = np.linalg.pinv(_inertia(atoms), rcond=_LINEAR, hermitian=True) @ angular
        velocities -= np.cross(spin, arms)
    # A lone atom is left with rounding only, which the scaling that follows must not blow up.
    momenta = np.zeros_like(velocities) if len(atoms) == 1 else velocities * masses
    atoms.set_momenta(momenta)


def _inertia(atoms: Atoms) -> np.ndarray:
    """[3, 3] amu Å², about the centre of mass."""
    arms = atoms.positions - atoms.get_center_of_mass()
    weighted = atoms.get_masses()[:, None] * arms
    return np.eye(3) * np.sum(weighted * arms) - weighted.T @ arms
