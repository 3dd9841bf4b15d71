"""Motion of nucleons and their spins, with any ASE calculator that gives `energy`, `forces` and `torque`.

Units: fm, MeV, fm/c (1 fm/c = 3.3e−24 s), momenta in MeV/c, temperatures in MeV. The equations of motion are

    dr/dt = p/m,      dp/dt = F,      (ħ/2) dσ/dt = N = −σ × ∂E/∂σ

so that each spin, of angular momentum (ħ/2) σ, turns about its own field as its torque N says. They conserve energy,
momentum, the length of every spin, and in free space J = Σ r × p + (ħ/2) Σ σ, the angular momentum of motion and spins
together: neither part alone, because the tensor force passes it to and fro.

A step of Δt is the symmetric splitting of the Hamiltonian p²/2m + E(r, σ):

1. Positions drift for Δt/2.
2. Under E alone, at rest: the implicit spherical midpoint for spins (McLachlan, Modin and Verdier (2014), Physical
   Review E 89, 061301), and the momenta's kick with the force of the same midpoint,
       σ' = σ + (2/ħ) Δt N(r, m),    p' = p + Δt F(r, m),    m = (σ + σ')/|σ + σ'|,
   solved by iteration.
3. Positions drift for Δt/2.

Each part is symplectic. Since F and N are of one energy at one place, which does not change when all of it is moved or
turned, the step conserves momentum and J as well, to rounding, whatever Δt. (Σ r × F + Σ N = 0 is Noether's theorem for
an energy that does not depend on orientation, which is built into the network.)
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

MASS = 938.0  # MeV/c²
HBAR = 197.327  # MeV fm/c
# Largest change of a spin in an iteration at which it has settled; the next would change it ten times less or more.
_SETTLED = 1e-5
_MOST_ITERATIONS = 50


class Motion:
    """Nucleons in motion.

    Args:
        atoms: with a calculator and unit vectors `arrays["spins"]`; positions and spins change with each step.
        temperature: MeV, for which the momenta are drawn, and at which a thermostat holds them.
        rng: for these.
        dt: fm/c.
        friction: c/fm, of the thermostat; 0 for none. It acts on momenta alone, exactly, as an Ornstein-Uhlenbeck
            process. Spins get their temperature from the motion, whose forces depend on them.

    Attributes:
        momenta: [N, 3] MeV/c.
        evaluations: how many times energy, force and torque were computed.
    """

    def __init__(
        self,
        atoms: Atoms,
        temperature: float,
        rng: np.random.Generator,
        *,
        dt: float = 1.0,
        friction: float = 0.0,
    ) -> None:
        self.atoms, self.temperature, self.rng, self.dt, self.friction = atoms, temperature, rng, dt, friction
        self.momenta = rng.normal(scale=np.sqrt(MASS * temperature), size=(len(atoms), 3))
        self.momenta -= self.momenta.mean(axis=0)
        self.evaluations = 0
        self._torque = self._torque_before = np.zeros((len(atoms), 3))

    def run(self, steps: int) -> None:
        """Go on for so many steps."""
        for _ in range(steps):
            self._drift(self.dt / 2)
            self._kick()
            self._drift(self.dt / 2)
            if self.friction:
                self._thermostat()

    @property
    def energy(self) -> float:
        """Potential and kinetic energy, MeV."""
        return float(self.atoms.get_potential_energy()) + self.kinetic_energy

    @property
    def kinetic_energy(self) -> float:
        """MeV."""
        return float(np.square(self.momenta).sum()) / (2 * MASS)

    @property
    def angular_momentum(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """That of motion, Σ r × p, and of spins, (ħ/2) Σ σ: [3] MeV fm/c each."""
        of_motion = np.cross(self.atoms.positions, self.momenta).sum(axis=0)
        return of_motion, HBAR / 2 * self.atoms.arrays["spins"].sum(axis=0)

    def _drift(self, time: float) -> None:
        self.atoms.positions = self.atoms.positions + time / MASS * self.momenta

    def _kick(self) -> None:
        spins = self.atoms.arrays["spins"]
        turn = 2 * self.dt / HBAR
        guess = 2 * self._torque - self._torque_before  # as the two steps before let expect
        after, self._torque_before = spins + turn * guess, self._torque
        for _ in range(_MOST_ITERATIONS):
            middle = spins + after
            middle /= np.linalg.norm(middle, axis=1, keepdims=True)
            self.atoms.arrays["spins"] = middle
            forces = self.atoms.get_forces()
            assert self.atoms.calc is not None
            self._torque = self.atoms.calc.get_property("torque", self.atoms)
            self.evaluations += 1
            before, after = after, spins + turn * self._torque
            if np.abs(after - before).max() < _SETTLED:
                break
        else:
            raise RuntimeError(
                f"the spins turn too far in a step of {self.dt} fm/c to find its midpoint; take a smaller one"
            )
        self.atoms.arrays["spins"] = after
        self.momenta = self.momenta + self.dt * forces

    def _thermostat(self) -> None:
        kept = np.exp(-self.friction * self.dt)
        noise = self.rng.normal(size=self.momenta.shape)
        self.momenta = kept * self.momenta + np.sqrt(MASS * self.temperature * (1 - kept**2)) * noise
