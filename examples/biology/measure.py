"""What is asked of the potential: errors, mirror images, the Ramachandran map and its minima, longer peptides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.data import covalent_radii
from ase.io import read
from examples.biology.peptide import (
    Array,
    alpha_carbons,
    handedness,
    name_of,
    peptide,
    ramachandran_angles,
    residues_of,
)
from examples.biology.scan import FMAX_MINIMUM, Angles, bonds_of, ramachandran_map, relax

import cynosure
from cynosure.deploy.dynamics import UnstableDynamics, molecular_dynamics
from cynosure.o3 import random_rotation
from examples import gfn2

# eV above the lowest point: what counts when maps are compared. (kT at 300 K is 0.026.)
LOW = 0.5
# What the minima of the map are called, and about where they are, degrees.
NAMES: Mapping[str, Angles] = {
    "C7eq": (-83, 75),
    "C5": (-158, 162),
    "C7ax": (74, -60),
    "β2": (-125, 20),
    "αL": (65, 30),
    "α'": (-165, -40),
    "αR": (-65, -40),
    "αD": (60, -150),
}
_APART = 25.0  # degrees; nearer minima are one
_LONGEST_BOND = 1.35  # of the sum of covalent radii
_STEP_FS = 0.5
_STEPS = 300  # at most, to a minimum


def errors(calculator: Calculator, frames: Sequence[Atoms]) -> dict[str, float]:
    """Root mean square errors of labelled frames in meV/atom and meV/Å, the mean error of the energy, and spreads.

    The spread of energies is their standard deviation within a molecule, that of forces the root mean square.
    """
    energies, forces, spreads = [], [], []
    by_name: dict[str, list[float]] = {}
    for frame in frames:
        own = frame.copy()
        own.calc = calculator
        energies.append((own.get_potential_energy() - frame.get_potential_energy()) / len(frame))
        forces.append((own.get_forces() - frame.get_forces()).ravel())
        spreads.append(frame.get_forces().ravel())
        by_name.setdefault(name_of(frame), []).append(frame.get_potential_energy() / len(frame))
    within = np.concatenate([np.array(found) - np.mean(found) for found in by_name.values()])
    return {
        "frames": len(frames),
        "energy": 1e3 * _rms(energies),
        "energy mean": 1e3 * float(np.mean(energies)),
        "energy spread": 1e3 * _rms(within),
        "forces": 1e3 * _rms(np.concatenate(forces)),
        "forces spread": 1e3 * _rms(np.concatenate(spreads)),
    }


@dataclass(frozen=True)
class Hands:
    """The pseudoscalar of atoms: [r] of α carbons in L and in D residues, [m] of all other atoms."""

    left: Array
    right: Array
    others: Array

    @classmethod
    def of(cls, calculator: Calculator, frames: Iterable[Atoms]) -> Hands:
        """Ask for the hand of every atom of every frame."""
        found: dict[int, list[float]] = {1: [], -1: [], 0: []}
        for frame in frames:
            kinds = np.zeros(len(frame), dtype=int)
            kinds[alpha_carbons(residues_of(frame))] = handedness(frame)
            values = np.asarray(calculator.get_property("hand", frame))
            for kind, value in zip(kinds, values, strict=True):
                found[int(kind)].append(float(value))
        return cls(*(np.array(found[kind]) for kind in (1, -1, 0)))

    def to_json(self) -> dict[str, float]:
        """How many residues, the part whose sign is right, the smallest of their values, and the largest of others."""
        right = np.concatenate([self.left, -self.right])
        return {
            "residues": len(right),
            "right": float((right > 0).mean()),
            "smallest on α carbons": float(right.min()),
            "largest elsewhere": float(np.abs(self.others).max()),
        }


def mirror(calculator: Calculator, frames: Sequence[Atoms]) -> dict[str, float]:
    """The largest differences between frames and their mirror images, turned at random, which symmetry says are zero.

    Args:
        calculator: in float64, or rounding is measured.
        frames: any peptides.

    Returns:
        |E(L) − E(D)| in eV, |F(L) − M F(D)| in eV/Å with M the rotoinversion, and |h(L) + h(D)| of the pseudoscalar.
    """
    found = {"energy": 0.0, "forces": 0.0, "hand": 0.0}
    generator = torch.Generator().manual_seed(0)
    for frame in frames:
        matrix = -random_rotation(generator=generator).numpy()
        image = frame.copy()
        image.positions = frame.positions @ matrix.T
        here, there = (_predicted(calculator, atoms) for atoms in (frame, image))
        deviations = here[0] - there[0], here[1] - there[1] @ matrix, here[2] + there[2]
        for name, deviation in zip(found, deviations, strict=True):
            found[name] = max(found[name], float(np.abs(deviation).max()))
    return found


@dataclass(frozen=True)
class Landscape:
    """The Ramachandran map by one calculator.

    Attributes:
        grid: [G] degrees.
        energies: [G, G] eV, φ along the first axis.
        structures: of each point, by its place on the grid.
    """

    grid: Array
    energies: Array
    structures: Mapping[tuple[int, int], Atoms]

    @classmethod
    def of(cls, calculator: Calculator, grid: Array) -> Landscape:
        """Relax the dipeptide at each point."""
        structures = {(i, j): atoms for i, j, atoms in ramachandran_map(calculator, grid)}
        energies = np.zeros((len(grid), len(grid)))
        for point, atoms in structures.items():
            energies[point] = atoms.get_potential_energy()
        return cls(grid, energies, structures)

    @property
    def relative(self) -> Array:
        """[G, G] eV above the lowest point."""
        return self.energies - self.energies.min()

    def lows(self) -> list[tuple[int, int]]:
        """The points that are lower than all eight around them, and not very high; the lowest first."""
        energies = self.relative
        around = [
            np.roll(energies, (a, b), (0, 1)) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)
        ]
        places = np.argwhere((energies < np.min(around, axis=0)) & (energies < LOW))
        return sorted(((int(i), int(j)) for i, j in places), key=lambda point: energies[point])


def reference_landscape(grid: Array) -> Landscape:
    """The map by GFN2 (in a process of its own)."""
    return Landscape.of(gfn2.calculator(), grid)


def compare(model: Landscape, reference: Landscape) -> dict[str, float]:
    """Root mean square difference of two maps, meV, up to a constant: of points below `LOW`, and of all."""
    difference = 1e3 * (model.energies - reference.energies)
    low = reference.relative < LOW
    return {
        "points": difference.size,
        "points below 0.5 eV": int(low.sum()),
        "rmse below 0.5 eV": float(difference[low].std()),
        "rmse": float(difference.std()),
        "spread below 0.5 eV": 1e3 * float(reference.energies[low].std()),
    }


class Minimum(NamedTuple):
    """A minimum of both surfaces: φ and ψ in degrees, energy in meV above the first."""

    name: str
    reference: Angles
    model: Angles
    reference_energy: float
    model_energy: float


def minima(model: Landscape, reference: Landscape, calculator: Calculator) -> list[Minimum]:
    """The minima of the reference, and where the model's are that relax from the same places; the lowest first."""
    found: list[tuple[Atoms, Atoms]] = []
    exact = gfn2.calculator()
    for point in reference.lows():
        own = relax(reference.structures[point], exact, fmax=FMAX_MINIMUM, steps=_STEPS)
        if all(_distance(ramachandran_angles(own), ramachandran_angles(one)) > _APART for one, _ in found):
            there = relax(model.structures[point], calculator, fmax=FMAX_MINIMUM, steps=_STEPS)
            found.append((own, there))
    found.sort(key=lambda pair: pair[0].get_potential_energy())
    rows = []
    for pair in found:
        here, there = (ramachandran_angles(atoms) for atoms in pair)
        energies = [
            1e3 * (atoms.get_potential_energy() - lowest.get_potential_energy())
            for atoms, lowest in zip(pair, found[0], strict=True)
        ]
        name = min(NAMES, key=lambda known: _distance(NAMES[known], here))
        rows.append(Minimum(name, here, there, *energies))
    return rows


class Walk(NamedTuple):
    """A free run: L or D of each residue, its steps of 0.5 fs, frames that are kept, K, and the seed."""

    hands: str
    steps: int
    frames: int
    temperature: float
    seed: int


def walk(path: Path, chain: Walk, out: Path) -> dict[str, Any]:
    """Molecular dynamics of a peptide with the model, and what GFN2 says of its frames.

    Args:
        path: of the model.
        chain: the run. It starts from the extended peptide, relaxed by the model; the first half is not looked at.
        out: folder for the trajectory.

    Returns:
        as `errors` and `Hands.to_json` of the frames; whether all bonds and hands are still there (`whole`), or how
        the run ended (`unstable`).
    """
    calculator = cynosure.Calculator(path)
    angles = [(-150.0, 155.0) if hand == "L" else (150.0, -155.0) for hand in chain.hands]
    start = relax(peptide(chain.hands, angles), calculator)
    file = out / f"{chain.hands}.xyz"
    every = max(1, chain.steps // (2 * chain.frames))
    found: dict[str, Any] = {"hands": chain.hands, "atoms": len(start), "ps": chain.steps * _STEP_FS / 1000}
    try:
        molecular_dynamics(
            calculator,
            start,
            "nvt",
            chain.temperature,
            chain.steps,
            _STEP_FS,
            file,
            seed=chain.seed,
            every=every,
        )
    except UnstableDynamics as error:
        return {**found, "unstable": str(error)}
    frames: list[Atoms] = read(file, f"-{chain.frames}:")  # pyright: ignore[reportAssignmentType] (a list)
    labelled = gfn2.label(frames)
    hands = Hands.of(calculator, frames).to_json()
    whole = all(_whole(frame) and handedness(frame) == handedness(start) for frame in frames)
    return {**found, **errors(calculator, labelled), "hand": hands, "whole": whole}


def _whole(atoms: Atoms) -> bool:
    """Whether no bond is longer than it can be."""
    i, j = np.array(bonds_of(residues_of(atoms))).T
    radii = covalent_radii[atoms.numbers]
    lengths = np.linalg.norm(atoms.positions[i] - atoms.positions[j], axis=1)
    return bool((lengths < _LONGEST_BOND * (radii[i] + radii[j])).all())


def _predicted(calculator: Calculator, atoms: Atoms) -> tuple[Array, Array, Array]:
    energy, forces, hand = (calculator.get_property(name, atoms) for name in ("energy", "forces", "hand"))
    return np.asarray(energy), np.asarray(forces), np.asarray(hand)


def _distance(first: Angles, second: Angles) -> float:
    """Degrees on the torus."""
    return float(np.linalg.norm((np.subtract(first, second) + 180) % 360 - 180))


def _rms(values: Any) -> float:
    return float(np.sqrt(np.square(values).mean()))
