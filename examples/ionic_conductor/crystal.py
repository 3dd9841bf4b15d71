"""Tetragonal Li10GeP2S12, and which of its places are taken.

Places and occupancies: Kamaya et al., Nat. Mater. 10, 682 (2011), refined from neutron diffraction at room temperature;
P4₂/nmc, two formula units in the cell. Lithium is spread over more places than it fills, and germanium shares one with
phosphorus. A simulation needs one arrangement of whole atoms.
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.spacegroup import crystal
from examples.ionic_conductor.ewald import interactions
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Place(NamedTuple):
    """A Wyckoff position.

    Attributes:
        multiplicity: how many of it the cell has.
        position: one of them, as fractions of the vectors of the cell.
        element: what is on it; of what shares it, the one with the higher charge.
        occupancy: the part of them that this element takes.
    """

    multiplicity: int
    position: tuple[float, float, float]
    element: str
    occupancy: float = 1.0


# The first of the two choices of origin. Å and degrees.
SPACE_GROUP, CELL = 137, (8.69407, 8.69407, 12.5994, 90.0, 90.0, 90.0)
PLACES = {
    "Li1": Place(16, (0.2563, 0.2718, 0.1832), "Li", 0.691),
    "Li2": Place(4, (0.0, 0.5, 0.9446), "Li"),
    "Li3": Place(8, (0.2463, 0.2463, 0.0), "Li", 0.643),
    "M": Place(4, (0.0, 0.5, 0.6907), "P", 0.485),
    "P2": Place(2, (0.0, 0.0, 0.5), "P"),
    "S1": Place(8, (0.0, 0.1843, 0.4103), "S"),
    "S2": Place(8, (0.0, 0.2991, 0.0950), "S"),
    "S3": Place(8, (0.0, 0.6990, 0.7914), "S"),
}
CHARGES = {"Li": 1.0, "Ge": 4.0, "P": 5.0, "S": -2.0}
# How many of the places that are not full are taken in Li20 Ge2 P4 S24, the whole numbers nearest to the occupancies,
# and by what charge a place changes when it is: lithium comes to an empty place, phosphorus to one of germanium.
TAKEN = {"Li1": 11, "Li3": 5, "M": 2}
_STEPS = {"Li1": CHARGES["Li"], "Li3": CHARGES["Li"], "M": CHARGES["P"] - CHARGES["Ge"]}
# Energies closer than this are those of arrangements that symmetry turns into each other, eV.
_SAME = 1e-6


class Arrangement(NamedTuple):
    """One way to fill the places.

    Attributes:
        atoms: the crystal, 50 atoms, element by element.
        energy: of point charges, eV for the cell.
    """

    atoms: Atoms
    energy: float


def sites() -> dict[str, Array]:
    """[multiplicity, 3] by the name of a place: all of its kind in the cell, as fractions of its vectors."""
    return {
        name: crystal(
            "X", [place.position], spacegroup=SPACE_GROUP, setting=1, cellpar=list(CELL)
        ).get_scaled_positions()
        for name, place in PLACES.items()
    }


def lowest(count: int) -> list[Arrangement]:
    """The arrangements of lowest electrostatic energy, rising, no two of which symmetry turns into each other.

    1. Charges Li⁺ Ge⁴⁺ P⁵⁺ S²⁻ are on the full places, germanium on all that it shares, no lithium on the others.
    2. Of C(16, 11) · C(8, 5) · C(4, 2) = 1,467,648 ways to go on from there, each adds charges x to some places, and
       E = E₀ + x·φ + ½ x·M·x, with the potential φ of step 1 and the energies M of two charges (`interactions`).
    3. The lowest are kept, one of each energy.

    Args:
        count: how many.
    """
    found = sites()
    names = [name for name in found for _ in range(len(found[name]))]
    pairs = interactions(np.concatenate(list(found.values())), np.diag(CELL[:3]))
    of = {name: np.array([own == name for own in names]) for name in found}

    charges = np.array([CHARGES[PLACES[name].element] for name in names])
    for name in TAKEN:
        charges[of[name]] = CHARGES["Ge"] if name == "M" else 0.0
    start, potential = 0.5 * charges @ pairs @ charges, pairs @ charges

    ways = {name: _choices(PLACES[name].multiplicity, taken) for name, taken in TAKEN.items()}
    energies = np.full([len(way) for way in ways.values()], start)
    for i, (name, way) in enumerate(ways.items()):
        added = _STEPS[name] * way
        alone = added @ potential[of[name]]
        alone += 0.5 * np.einsum("wa,ab,wb->w", added, pairs[np.ix_(of[name], of[name])], added)
        energies += _along(alone, [i], len(ways))
        for j, (other, its) in enumerate(ways.items()):
            if i < j:
                both = added @ pairs[np.ix_(of[name], of[other])] @ (_STEPS[other] * its).T
                energies += _along(both, [i, j], len(ways))

    kept: list[Arrangement] = []
    for flat in np.argsort(energies, axis=None, kind="stable"):
        which = np.unravel_index(flat, energies.shape)
        energy = float(energies[which])
        if not kept or energy - kept[-1].energy > _SAME:
            filled = {name: ways[name][number] > 0 for name, number in zip(ways, which, strict=True)}
            kept.append(Arrangement(_atoms(found, filled), energy))
        if len(kept) == count:
            break
    return kept


def _choices(places: int, taken: int) -> Array:
    """[C(places, taken), places]: one for each place that is taken, zero for the others."""
    rows = list(combinations(range(places), taken))
    ways = np.zeros((len(rows), places))
    ways[np.arange(len(rows))[:, None], rows] = 1.0
    return ways


def _along(values: Array, axes: list[int], dimensions: int) -> Array:
    """An array with its axes put where they belong among so many."""
    return np.expand_dims(values, [axis for axis in range(dimensions) if axis not in axes])


def _atoms(found: dict[str, Array], filled: dict[str, NDArray[np.bool_]]) -> Atoms:
    """The crystal with some places filled, Li, Ge, P and S in turn."""
    symbols, positions = [], []
    for name, place in PLACES.items():
        for number, position in enumerate(found[name]):
            taken = name not in filled or filled[name][number]
            if taken or name == "M":
                symbols.append(place.element if taken else "Ge")
                positions.append(position)
    order = np.argsort([list(CHARGES).index(symbol) for symbol in symbols], kind="stable")
    return Atoms(
        np.array(symbols)[order],
        scaled_positions=np.array(positions)[order],
        cell=CELL,
        pbc=True,
    )
