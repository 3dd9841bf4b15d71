"""What the verbs do not measure: a vacancy, sound from phonons, and a crystal at a temperature and a pressure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.units import _amu
from numpy.typing import NDArray

from cynosure.analysis import Phonons
from cynosure.deploy import MDResult, relax

Array = NDArray[np.float64]

# Forces left around a vacancy, eV/Å: its energy is then exact to a tenth of a meV.
_FMAX = 1e-3
_STEPS = 500
# How far its neighbours are moved towards each other to begin with, Å: of no influence, but it breaks the symmetry.
_NUDGE = 0.2
_BLOCKS = 5


@dataclass(frozen=True)
class Vacancy:
    """A vacancy in a crystal of fixed cell.

    Attributes:
        atoms: the structure, with its energy, eV.
        formation: E(N − 1) − (N − 1)/N · E(N) of the relaxed structure, eV.
        unrelaxed: the same with all atoms where they were.
        distances: [6] Å, between the four neighbours of the vacancy, rising.
        converged: whether the relaxation came to its end.
    """

    atoms: Atoms
    formation: float
    unrelaxed: float
    distances: Array
    converged: bool

    def to_json(self) -> dict[str, Any]:
        """Plain values, eV and Å."""
        return {
            "sites": len(self.atoms) + 1,
            "formation energy": self.formation,
            "unrelaxed": self.unrelaxed,
            "distances": self.distances.tolist(),
            "converged": self.converged,
        }


def vacancy(
    calculator: BaseCalculator, crystal: Atoms, repeats: int, *, paired: bool = True, steps: int = _STEPS
) -> Vacancy:
    """Take an atom out of a crystal, and relax what is left.

    1. Repeat the crystal along each of its vectors, and remove the first atom.
    2. Move its four neighbours towards each other in two pairs, if wanted. Each has lost a bond, and in DFT two and two
       of them make one; the force towards it vanishes by symmetry in the crystal.
    3. Relax the atoms. The cell stays: it is that of a crystal in which vacancies are rare.

    Args:
        calculator: any calculator of ASE.
        crystal: of one element, four neighbours to each atom; at rest.
        repeats: along each vector of its cell.
        paired: whether to do step 2; without it the vacancy keeps the symmetry of a tetrahedron.
        steps: give the relaxation up after so many; with 0 nothing moves, not even in step 2.
    """
    perfect = crystal.repeat(repeats)
    perfect.calc = calculator
    whole = float(perfect.get_potential_energy())
    share = (len(perfect) - 1) / len(perfect) * whole
    # Vectors from the vacancy to what was around it.
    around = perfect.get_distances(0, range(1, len(perfect)), mic=True, vector=True)
    neighbours = np.argsort(np.linalg.norm(around, axis=1), kind="stable")[:4]
    left = perfect[1:]
    left.calc = calculator
    unrelaxed = float(left.get_potential_energy()) - share
    if paired and steps:
        for first, second in (neighbours[:2], neighbours[2:]):
            bond = around[second] - around[first]
            bond *= _NUDGE / np.linalg.norm(bond)
            left.positions[first] += bond
            left.positions[second] -= bond
    result = relax(calculator, left, fmax=_FMAX, steps=steps)
    pairs = [
        result.atoms.get_distance(i, j, mic=True)
        for place, i in enumerate(neighbours)
        for j in neighbours[:place]
    ]
    formation = result.after.energy - share
    return Vacancy(result.atoms, formation, unrelaxed, np.sort(pairs), result.converged)


def correction(calculator: BaseCalculator, frames: Sequence[Atoms], crystal: Atoms) -> tuple[float, float]:
    """By how much the labels raise a calculator's formation energy of a vacancy, and the standard error of that, eV.

    To first order in the difference of the two energies, it is the mean of E(labels) − E(calculator) over thermal
    frames with a vacancy, less the same of as much perfect crystal.

    Args:
        calculator: whose formation energy it is.
        frames: labelled frames with a vacancy, of one number of atoms.
        crystal: the perfect crystal, labelled.
    """
    vacant = np.array([_missing(calculator, frame) for frame in frames])
    perfect = _missing(calculator, crystal) * len(frames[0]) / len(crystal)
    return float(vacant.mean() - perfect), float(vacant.std(ddof=1) / np.sqrt(len(vacant)))


def _missing(calculator: BaseCalculator, frame: Atoms) -> float:
    own = frame.copy()
    own.calc = calculator
    return float(frame.get_potential_energy() - own.get_potential_energy())


def moduli_of_sound(found: Phonons) -> tuple[float, float]:
    """C44 and C11 of a cubic crystal, GPa, from the speeds of sound along the first line of its path, Γ–X.

    Two transverse waves travel at v = √(C44/ρ), the longitudinal one at √(C11/ρ), and v = 2πν/q where the wave vector q
    is small: at the first point beside Γ, some hundredth of the way.
    """
    cell = found.primitive
    density = cell.get_masses().sum() * _amu / (abs(cell.cell.volume) * 1e-30)  # kg/m³
    # (1 THz Å is 100 m/s.)
    speeds = 100 * 2 * np.pi * found.bands.frequencies[1, :3] / found.bands.x[1]
    transverse, longitudinal = (density * speeds[[0, 2]] ** 2 / 1e9).tolist()
    return transverse, longitudinal


@dataclass(frozen=True)
class HotCrystal:
    """A cubic crystal at a temperature and a pressure.

    Attributes:
        wanted: the temperature that the thermostat holds, K.
        atoms: how many there are.
        times: [T] ps.
        lattice: [T] Å, the edge of the cubic cell.
        temperatures: [T] K.
        pressures: [T] GPa.
        settle: ps at the start that are left out of the means.
    """

    wanted: float
    atoms: int
    times: Array
    lattice: Array
    temperatures: Array
    pressures: Array
    settle: float

    @classmethod
    def of(cls, result: MDResult, wanted: float, repeats: int, settle: float) -> HotCrystal:
        """From a run at constant pressure, of a cubic cell repeated along each of its vectors."""
        columns = [(one.time, one.volume, one.temperature, one.pressure) for one in result.samples]
        times, volumes, temperatures, pressures = np.array(columns).T
        lattice = volumes ** (1 / 3) / repeats
        return cls(wanted, result.samples[0].atoms, times, lattice, temperatures, pressures, settle)

    def mean(self, values: Array) -> tuple[float, float]:
        """Of one of the columns, and its standard error from the means of five equal stretches."""
        kept = values[self.times >= self.settle]
        stretches = [float(part.mean()) for part in np.array_split(kept, _BLOCKS)]
        return float(kept.mean()), float(np.std(stretches, ddof=1) / np.sqrt(_BLOCKS))

    def to_json(self, at_rest: float) -> dict[str, Any]:
        """Means, each with its standard error, and by what part the cell is longer than at rest (Å)."""
        lattice, error = self.mean(self.lattice)
        return {
            "wanted": self.wanted,
            "atoms": self.atoms,
            "time": float(self.times[-1]),
            "left out": self.settle,
            "lattice": [lattice, error],
            "expansion": [lattice / at_rest - 1, error / at_rest],
            "temperature": list(self.mean(self.temperatures)),
            "pressure": list(self.mean(self.pressures)),
        }
