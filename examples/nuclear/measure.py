"""What is asked of the learned potential: errors, symmetry, the structure of matter, and what motion conserves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator
from examples.nuclear.dynamics import Motion
from examples.nuclear.interaction import is_proton
from examples.running import beside_spread
from numpy.typing import NDArray

from cynosure.graph import neighbour_list
from cynosure.o3 import random_rotation

Array = NDArray[np.float64]

# What a label is in: energies are per nucleon.
UNITS = {"energy": "MeV/nucleon", "forces": "MeV/fm", "torque": "MeV"}
LIKE, UNLIKE = ("neutron-neutron", "proton-proton"), "neutron-proton"
_BIN = 0.1  # fm
_STRETCHES = 4


def predicted(calculator: Calculator, atoms: Atoms) -> dict[str, Array]:
    """Energy per nucleon [1], forces and torques [N, 3] of a structure, as of `UNITS`."""
    own = atoms.copy()
    own.calc = calculator
    energy = own.get_potential_energy() / len(own)
    return {
        "energy": np.array([energy]),
        "forces": own.get_forces(),
        "torque": np.array(calculator.get_property("torque", own)),
    }


@dataclass(frozen=True)
class Comparison:
    """Labels of held-out frames beside predictions, for each of `UNITS`: [n] each."""

    labels: Mapping[str, Array]
    predictions: Mapping[str, Array]

    @classmethod
    def of(cls, calculator: Calculator, frames: Sequence[Atoms]) -> Comparison:
        """Predict labelled frames."""
        labels = [
            {
                "energy": np.array([frame.get_potential_energy() / len(frame)]),
                "forces": frame.get_forces(),
                "torque": frame.arrays["torque"],
            }
            for frame in frames
        ]
        found = [predicted(calculator, frame) for frame in frames]
        return cls(
            *(
                {name: np.concatenate([one[name].ravel() for one in each]) for name in UNITS}
                for each in (labels, found)
            )
        )

    def to_json(self) -> dict[str, dict[str, float]]:
        """Of each: root mean square error, spread of the labels (their standard deviation), and their ratio."""
        return beside_spread(self.labels, self.predictions)


def symmetry(
    calculator: Calculator, atoms: Atoms, rng: np.random.Generator, trials: int = 5
) -> dict[str, float]:
    """How far energy, forces and torques are from what symmetry says, in units of the largest of each.

    Positions and cell turn as polar vectors, r -> R r, spins and torques as axial ones, σ -> det(R) R σ.

    Args:
        calculator: in float64, or rounding is measured.
        atoms: any structure.
        rng: of the operations.
        trials: rotations, and as many rotoinversions.
    """
    before = predicted(calculator, atoms)
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    found = {}
    for name, sign in (("rotation", 1), ("rotoinversion", -1)):
        matrices = sign * random_rotation(trials, generator=generator).numpy()
        found[name] = max(
            _deviation(before, predicted(calculator, _turned(atoms, matrix)), matrix) for matrix in matrices
        )
    order = rng.permutation(len(atoms))
    mixed = predicted(calculator, atoms[order])
    mixed = {name: value[np.argsort(order)] if len(value) > 1 else value for name, value in mixed.items()}
    moved, back = atoms.copy(), atoms.copy()
    moved.positions += rng.normal(size=3)
    back.arrays["spins"] = -back.arrays["spins"]
    found["translation"] = _deviation(before, predicted(calculator, moved))
    found["permutation"] = _deviation(before, mixed)
    # A torque is a product of two spins, and does not change either.
    found["reversal of time"] = _deviation(before, predicted(calculator, back))
    return found


def _turned(atoms: Atoms, matrix: Array) -> Atoms:
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ matrix.T)
    turned.positions = atoms.positions @ matrix.T
    turned.arrays["spins"] = np.linalg.det(matrix) * atoms.arrays["spins"] @ matrix.T
    return turned


def _deviation(before: Mapping[str, Array], after: Mapping[str, Array], matrix: Array | None = None) -> float:
    turn = np.eye(3) if matrix is None else matrix
    expected = {
        "energy": before["energy"],
        "forces": before["forces"] @ turn.T,
        "torque": np.linalg.det(turn) * before["torque"] @ turn.T,
    }
    return max(
        float(np.abs(after[name] - value).max() / np.abs(value).max()) for name, value in expected.items()
    )


class PairCorrelation:
    """g(r) of each kind of pair in a periodic box of fixed volume, averaged over frames.

    Args:
        reach: fm, how far.

    Attributes:
        centres: [B] fm, the middle of each bin.
    """

    def __init__(self, reach: float) -> None:
        self._edges = np.linspace(0.0, reach, round(reach / _BIN) + 1)
        self.centres = (self._edges[1:] + self._edges[:-1]) / 2
        self._frames: list[Array] = []

    def add(self, atoms: Atoms) -> None:
        """Take in a frame."""
        i, j, shifts = neighbour_list(atoms.positions, atoms.cell.array, True, float(self._edges[-1]))
        r = np.linalg.norm(atoms.positions[j] - atoms.positions[i] + shifts @ atoms.cell.array, axis=1)
        protons = is_proton(atoms)
        z, n = int(protons.sum()), int((~protons).sum())
        number = protons[i].astype(int) + protons[j]  # protons in the pair
        shells = 4 / 3 * np.pi * np.diff(self._edges**3)
        pairs = (n * (n - 1), 2 * n * z, z * (z - 1))
        self._frames.append(
            np.stack(
                [
                    np.histogram(r[number == k], self._edges)[0] * atoms.get_volume() / (count * shells)
                    for k, count in enumerate(pairs)
                ]
            )
        )

    @property
    def mean(self) -> dict[str, Array]:
        """[B], by kind of pair."""
        names = (LIKE[0], UNLIKE, LIKE[1])
        return dict(zip(names, np.mean(self._frames, axis=0), strict=True))

    def to_json(self) -> dict[str, dict[str, float]]:
        """Position (fm) and height of the highest peak of each kind of pair, and the standard error of the height from
        a few stretches of the run, of one frame at least."""
        parts = np.array_split(np.array(self._frames), _STRETCHES)
        found = {}
        for kind, (name, g) in enumerate(self.mean.items()):
            heights = [self._peak(part.mean(axis=0)[kind])["height"] for part in parts]
            error = float(np.std(heights, ddof=1) / np.sqrt(len(heights)))
            found[name] = {**self._peak(g), "height error": error}
        return found

    def _peak(self, g: Array) -> dict[str, float]:
        """Vertex of the parabola through the highest bins, five of them."""
        top = min(max(int(np.argmax(g)), 2), len(g) - 3)
        near = slice(top - 2, top + 3)
        a, b, c = np.polyfit(self.centres[near], g[near], 2)
        if a >= 0:  # (no peak in so few frames)
            return {"position": float(self.centres[top]), "height": float(g[top])}
        return {"position": float(-b / (2 * a)), "height": float(c - b**2 / (4 * a))}


@dataclass(frozen=True)
class Conserved:
    """What a cluster in free space conserves, [T] or [T, 3] at each time.

    Attributes:
        times: fm/c.
        energy: MeV, potential and kinetic.
        kinetic: MeV.
        of_motion, of_spins: MeV fm/c, angular momentum.
        momentum: MeV/c.
        length: largest deviation of a spin's length from one.
    """

    times: Array
    energy: Array
    kinetic: Array
    of_motion: Array
    of_spins: Array
    momentum: Array
    length: Array

    @classmethod
    def of(cls, motion: Motion, steps: int, every: int) -> Conserved:
        """Move, without a thermostat, and look every so many steps."""
        rows = []
        for step in range(0, steps + 1, every):
            if step:
                motion.run(every)
            energy, kinetic = motion.energy, motion.kinetic_energy
            lengths = np.linalg.norm(motion.atoms.arrays["spins"], axis=1)
            rows.append(
                (
                    step * motion.dt,
                    energy,
                    kinetic,
                    *motion.angular_momentum,
                    motion.momenta.sum(axis=0),
                    np.abs(lengths - 1).max(),
                )
            )
        return cls(*(np.array(column) for column in zip(*rows, strict=True)))

    def to_json(self) -> dict[str, Any]:
        """Drift and swing of the energy, and the largest change of what is conserved, with what passes to and fro."""
        total = self.of_motion + self.of_spins
        drift = np.polyfit(self.times, self.energy, 1)[0] * (self.times[-1] - self.times[0])
        return {
            "time": float(self.times[-1]),
            "energy drift": float(drift),
            "energy deviation": float(self.energy.std()),
            "kinetic energy deviation": float(self.kinetic.std()),
            "momentum change": float(np.abs(self.momentum - self.momentum[0]).max()),
            "angular momentum change": float(np.abs(total - total[0]).max()),
            "angular momentum of spins change": float(np.abs(self.of_spins - self.of_spins[0]).max()),
            "spin length deviation": float(self.length.max()),
        }
