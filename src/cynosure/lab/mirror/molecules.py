"""Chiral molecules with both their hands, and labels: which hand it is, and an energy that does not know."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import chemical_symbols, covalent_radii
from numpy.typing import ArrayLike

from cynosure.o3 import random_rotation

CENTRES = ("C", "Si")
SUBSTITUENTS = ("H", "F", "Cl", "Br", "I")
# ASE's name of each molecule of its G2 set that is chiral in the geometry that it has there, and what it is. (In nature
# they turn into their mirror images, by rotating about a bond; each of the two has a hand all the same.) Two more are
# nearly their own mirror images, H2COH and CH3CONH2: to tell hands so alike is to ask for a step, not for a function.
REAL = {
    "H2O2": "hydrogen peroxide",
    "N2H4": "hydrazine",
    "C2H6CHOH": "isopropanol",
}
ELEMENTS = (*CENTRES, *SUBSTITUENTS, "N", "O")
HAND = "hand"  # the column with the label

_STRETCH = 0.05  # standard deviation of a bond length, as a part of it
_BEND = 0.15  # standard deviation of each component of a bond's direction
_RATTLE = 0.05  # Å, standard deviation of each coordinate of a real molecule
_BONDED = 1.3  # times the sum of covalent radii
_STIFFNESS = 20.0  # eV/Å²
_REPULSION, _RANGE = 4.0, 0.6  # eV, Å
_FLATTEST = 0.2  # of the handedness of a tetrahedron; flatter molecules are nearly their own mirror images
_TETRAHEDRON = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)
_WHOLE = float(np.abs(np.linalg.det(_TETRAHEDRON[:3] - _TETRAHEDRON[3])))


@dataclass(frozen=True)
class Composition:
    """A centre with four different substituents: a chiral molecule.

    Attributes:
        centre: symbol.
        substituents: four symbols, by descending atomic number.
    """

    centre: str
    substituents: tuple[str, str, str, str]

    def __str__(self) -> str:
        return self.centre + "".join(sorted(self.substituents, key=lambda one: (one != "H", one)))


def compositions() -> tuple[Composition, ...]:
    """All ten: carbon and silicon with four of H, F, Cl, Br and I."""
    heaviest_first = SUBSTITUENTS[::-1]
    return tuple(
        Composition(centre, four) for centre in CENTRES for four in itertools.combinations(heaviest_first, 4)
    )


def signed_volume(numbers: ArrayLike, positions: ArrayLike) -> float:
    """Å³: of the tetrahedron of the four substituents, in the order of their atomic numbers.

    With r₁, r₂, r₃, r₄ the substituents by descending atomic number, V = (r₁ − r₄) · ((r₂ − r₄) × (r₃ − r₄)) / 6. It is
    a pseudoscalar (0o): it stays when the molecule turns, moves or lists its atoms in another order, and changes sign
    in a mirror. Where the lightest substituent points away and the others, from the heaviest to the lightest, go round
    clockwise, V < 0: since single atoms have the priorities of their atomic numbers (Cahn, Ingold and Prelog 1966,
    doi:10.1002/anie.196603851), such a centre is R, and one with V > 0 is S.

    Args:
        numbers: [5] atomic numbers: a centre from `CENTRES` and four different substituents.
        positions: [5, 3] Å.

    Raises:
        ValueError: other atoms than these.
    """
    numbers, positions = np.asarray(numbers), np.asarray(positions, dtype=float)
    centres = {chemical_symbols.index(one) for one in CENTRES}
    places = [place for place, number in enumerate(numbers) if number not in centres]
    if len(numbers) != 5 or len(places) != 4 or len(set(numbers[places].tolist())) != 4:
        raise ValueError(
            f"handedness is of a centre ({' or '.join(CENTRES)}) with four different substituents; got the atomic "
            f"numbers {numbers.tolist()}"
        )
    first, second, third, fourth = positions[sorted(places, key=lambda place: -numbers[place])]
    return float(np.linalg.det([first - fourth, second - fourth, third - fourth])) / 6


def hand(numbers: ArrayLike, positions: ArrayLike) -> int:
    """+1 for S, −1 for R: the sign of `signed_volume`."""
    return 1 if signed_volume(numbers, positions) > 0 else -1


def mirror_symmetric_energy(numbers: ArrayLike, positions: ArrayLike) -> float:
    """eV: springs along bonds and a repulsion of all other pairs; distances alone, so that mirror images are equal.

    E = Σ_bonds k/2 (d_ij − R_i − R_j)² + Σ_others A exp(−(d_ij − R_i − R_j)/ρ), with R covalent radii, k = 20 eV/Å²,
    A = 4 eV, ρ = 0.6 Å. A bond is a pair nearer than 1.3 (R_i + R_j) of which not both are H or halogens. It stands for
    a quantum-mechanical energy, which has the same symmetry.

    Args:
        numbers: [N] atomic numbers.
        positions: [N, 3] Å.
    """
    numbers, positions = np.asarray(numbers), np.asarray(positions, dtype=float)
    radii = covalent_radii[numbers]
    ends = np.isin(numbers, [chemical_symbols.index(one) for one in SUBSTITUENTS])
    energy = 0.0
    for i, j in itertools.combinations(range(len(numbers)), 2):
        distance, touching = np.linalg.norm(positions[i] - positions[j]), radii[i] + radii[j]
        if distance < _BONDED * touching and not (ends[i] and ends[j]):
            energy += 0.5 * _STIFFNESS * (distance - touching) ** 2
        else:
            energy += _REPULSION * np.exp(-(distance - touching) / _RANGE)
    return float(energy)


def random_molecule(kind: Composition | str, rng: np.random.Generator) -> Atoms:
    """One molecule of the left hand, distorted at random, in a random orientation, its atoms in any order.

    Args:
        kind: a composition, of which S is the left hand, bent and stretched; or one of `REAL`, of which ASE's own
            geometry is the left hand, rattled.
        rng: source of everything random.
    """
    atoms = _tetrahedron(kind, rng) if isinstance(kind, Composition) else molecule(kind)
    if isinstance(kind, str):
        atoms.positions += _RATTLE * rng.standard_normal((len(atoms), 3))
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    atoms.positions = atoms.positions @ random_rotation(generator=generator).numpy().T
    return labelled(atoms[rng.permutation(len(atoms))], 1)


def _tetrahedron(composition: Composition, rng: np.random.Generator) -> Atoms:
    """A left hand (S), upright, its centre first."""
    symbols = [composition.centre, *composition.substituents]
    radii = np.array([covalent_radii[chemical_symbols.index(one)] for one in symbols])
    while True:
        directions = _TETRAHEDRON + _BEND * rng.standard_normal((4, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        if abs(np.linalg.det(directions[:3] - directions[3])) > _FLATTEST * _WHOLE:
            break
    lengths = (radii[0] + radii[1:]) * (1 + _STRETCH * rng.standard_normal(4))
    atoms = Atoms(symbols, np.concatenate([np.zeros((1, 3)), lengths[:, None] * directions]))
    atoms.positions *= hand(atoms.numbers, atoms.positions)
    return atoms


def mirrored(atoms: Atoms) -> Atoms:
    """The mirror image, with labels of its own."""
    return labelled(Atoms(atoms.numbers, -atoms.positions), -atoms.info[HAND])


def labelled(atoms: Atoms, which: float) -> Atoms:
    """The same atoms with their hand, which is told, and their energy (eV)."""
    atoms = Atoms(atoms.numbers, atoms.positions)
    atoms.info[HAND] = float(which)
    energy = mirror_symmetric_energy(atoms.numbers, atoms.positions)
    atoms.calc = SinglePointCalculator(atoms, energy=energy)
    return atoms


@dataclass(frozen=True)
class Hands:
    """Left-handed molecules; their mirror images are made where they are wanted.

    Attributes:
        training, validation: of the compositions that are trained on, and of the real molecules.
        familiar: others of these compositions, to measure with.
        real: others of the real molecules.
        new: of other compositions, to measure with.
        trained_on, never_seen: the compositions.
    """

    training: tuple[Atoms, ...]
    validation: tuple[Atoms, ...]
    familiar: tuple[Atoms, ...]
    real: tuple[Atoms, ...]
    new: tuple[Atoms, ...]
    trained_on: tuple[Composition, ...]
    never_seen: tuple[Composition, ...]


def make_hands(training: int, validation: int, measured: int, seed: int, never_seen: int = 3) -> Hands:
    """Molecules to train on, and molecules of other compositions to measure with.

    Args:
        training, validation, measured: how many, shared evenly among the kinds of molecules; the last of each sort.
        seed: of the draw and of the molecules.
        never_seen: how many of the ten compositions are held out. Which is drawn, but so that all their elements are
            trained on.

    Raises:
        ValueError: so many compositions that no choice trains on every element.
    """
    rng = np.random.default_rng(seed)
    every = compositions()
    for _ in range(1000):
        order = rng.permutation(len(every))
        chosen = [every[place] for place in np.sort(order[never_seen:])]
        if {symbol for one in chosen for symbol in (one.centre, *one.substituents)} == {
            *CENTRES,
            *SUBSTITUENTS,
        }:
            break
    else:
        raise ValueError(
            f"with {never_seen} of {len(every)} compositions held out, some element is never trained on"
        )
    others = [every[place] for place in np.sort(order[:never_seen])]
    return Hands(
        _some(training, [*chosen, *REAL], rng),
        _some(validation, [*chosen, *REAL], rng),
        _some(measured, chosen, rng),
        _some(measured, list(REAL), rng),
        _some(measured, others, rng),
        tuple(chosen),
        tuple(others),
    )


def both(molecules: Sequence[Atoms]) -> list[Atoms]:
    """The molecules and, behind them, their mirror images."""
    return [*molecules, *map(mirrored, molecules)]


def _some(count: int, kinds: Sequence[Composition | str], rng: np.random.Generator) -> tuple[Atoms, ...]:
    return tuple(random_molecule(kinds[number % len(kinds)], rng) for number in range(count))
