"""Capped peptides of alanine, Ace-(Ala)n-Nme, from bond lengths, angles and torsions.

Lengths and angles of heavy atoms are those of Engh and Huber (International Tables for Crystallography F, 2001, chapter
18.3: means over small-molecule crystals), for the caps those of the backbone; hydrogens are at the usual 1.09 Å (C-H)
and 1.01 Å (N-H). φ, ψ and ω and their signs are as IUPAC-IUB defines them (Biochemistry 9, 3471 (1970)).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

Array = NDArray[np.float64]
Quadruple = tuple[int, int, int, int]

# Å
C_N, N_CA, CA_C, C_O, CA_CB = 1.336, 1.459, 1.525, 1.229, 1.521
C_H, N_H = 1.09, 1.01
# Degrees, the atom in the middle is that of the angle.
CA_C_N, O_C_N, C_N_CA, N_CA_C, N_CA_CB, C_CA_CB = 117.2, 122.7, 121.7, 111.0, 110.4, 110.5
TETRAHEDRAL = float(np.degrees(np.arccos(-1 / 3)))
_TRANS = 180.0

_ACE = ("C", "H", "H", "H", "C", "O")
_ALA = ("N", "H", "C", "H", "C", "H", "H", "H", "C", "O")
_NME = ("N", "H", "C", "H", "H", "H")
# Where the α carbon is among the atoms of a residue.
_ALPHA = 2


def peptide(hands: str, angles: Sequence[tuple[float, float]]) -> Atoms:
    """A capped peptide with all peptide bonds trans, its atoms in the order of the chain.

    Atoms are those of Ace (C, 3 H, C, O), of each residue (N, H, Cα, Hα, Cβ, 3 H, C, O), and of Nme (N, H, C, 3 H).
    The mirror image of a peptide is that of the other hands with all angles negative, atom by atom.

    Args:
        hands: `L` or `D` for each residue; none is N-methylacetamide, the two caps alone.
        angles: φ and ψ of each residue, degrees.

    Returns:
        atoms, with `hand` [N] among its arrays: 1 on the α carbon of an L residue, -1 on that of a D, 0 elsewhere.

    Raises:
        ValueError: another letter, or not as many angles as hands.
    """
    if set(hands) - set("LD") or len(hands) != len(angles):
        raise ValueError(f"hands are L or D and have two angles each, not {hands!r} with {len(angles)}")
    signs = [1 if hand == "L" else -1 for hand in hands]
    first, last = ([*signs, 1][0], [1, *signs][-1])

    methyl, carbon, nitrogen = _first_three()
    alpha = place(methyl, carbon, nitrogen, N_CA, C_N_CA, _TRANS)
    rows = [methyl, *_methyl(nitrogen, carbon, methyl, first), carbon, _oxygen(alpha, nitrogen, carbon)]
    for sign, (phi, psi) in zip(signs, angles, strict=True):
        # 1. The backbone up to the next residue: its C, N and α carbon.
        end = place(carbon, nitrogen, alpha, CA_C, N_CA_C, phi)
        following = place(nitrogen, alpha, end, C_N, CA_C_N, psi)
        next_alpha = place(alpha, end, following, N_CA, C_N_CA, _TRANS)
        # 2. The side chain; in an L residue it comes a third of a turn before the C, seen along N-Cα.
        beta = place(carbon, nitrogen, alpha, CA_CB, N_CA_CB, phi - sign * _between())
        rows += [
            nitrogen,
            opposite(nitrogen, [carbon, alpha], N_H),
            alpha,
            opposite(alpha, [nitrogen, end, beta], C_H),
            beta,
            *_methyl(nitrogen, alpha, beta, sign),
            end,
            _oxygen(next_alpha, following, end),
        ]
        carbon, nitrogen, alpha = end, following, next_alpha
    rows += [nitrogen, opposite(nitrogen, [carbon, alpha], N_H), alpha]
    rows += _methyl(carbon, nitrogen, alpha, last)

    atoms = Atoms([*_ACE, *_ALA * len(hands), *_NME], np.array(rows))
    atoms.arrays["hand"] = np.zeros(len(atoms))
    atoms.arrays["hand"][alpha_carbons(len(hands))] = signs
    return atoms


def place(a: Array, b: Array, c: Array, length: float, angle: float, torsion: float) -> Array:
    """[3] Å: the atom d bound to c.

    Args:
        a, b, c: [3] Å, three atoms that are not in a line.
        length: of c-d, Å.
        angle: b-c-d, degrees.
        torsion: a-b-c-d, degrees.
    """
    angle, torsion = np.radians(angle), np.radians(torsion)
    along = (c - b) / np.linalg.norm(c - b)
    normal = np.cross(b - a, along)
    normal /= np.linalg.norm(normal)
    local = (-np.cos(angle), np.sin(angle) * np.cos(torsion), np.sin(angle) * np.sin(torsion))
    return c + length * (np.array(local) @ np.array([along, np.cross(normal, along), normal]))


def opposite(centre: Array, others: Sequence[Array], length: float) -> Array:
    """[3] Å: the atom bound to `centre` at this distance, opposite to the mean direction of its other neighbours."""
    inward = sum((_unit(other - centre) for other in others), np.zeros(3))
    return centre - length * _unit(inward)


def torsion(positions: Array, atoms: Quadruple) -> float:
    """The torsion of four atoms, degrees from -180 to 180: positive if the far bond is clockwise of the near one."""
    a, b, c, d = positions[list(atoms)]
    along = _unit(c - b)
    first, second = np.cross(b - a, along), np.cross(along, d - c)
    return float(np.degrees(np.arctan2(np.cross(first, second) @ along, first @ second)))


def ramachandran(residue: int) -> tuple[Quadruple, Quadruple]:
    """The atoms of φ and of ψ of a residue, from 0."""
    start = len(_ACE) + len(_ALA) * residue
    carbon, nitrogen, alpha, end, following = start - 2, start, start + _ALPHA, start + 8, start + 10
    return (carbon, nitrogen, alpha, end), (nitrogen, alpha, end, following)


def ramachandran_angles(atoms: Atoms, residue: int = 0) -> tuple[float, float]:
    """φ and ψ of a residue, degrees from -180 to 180."""
    phi, psi = (torsion(atoms.positions, quadruple) for quadruple in ramachandran(residue))
    return phi, psi


def alpha_carbons(residues: int) -> list[int]:
    """The α carbon of each residue."""
    return [len(_ACE) + len(_ALA) * residue + _ALPHA for residue in range(residues)]


def residues_of(atoms: Atoms) -> int:
    """How many residues a peptide of `peptide` has."""
    return (len(atoms) - len(_ACE) - len(_NME)) // len(_ALA)


def name_of(atoms: Atoms) -> str:
    """What a peptide of `peptide` is called."""
    residues = residues_of(atoms)
    return f"Ace-{'Ala' if residues else ''}{residues if residues > 1 else ''}{'-' if residues else ''}Nme"


def mirrored(atoms: Atoms) -> Atoms:
    """The mirror image of a peptide: other hands, all angles negative."""
    found = atoms.copy()
    found.positions[:, 2] *= -1
    found.arrays["hand"] = -atoms.arrays["hand"]
    return found


def handedness(atoms: Atoms) -> list[int]:
    """1 (L) or -1 (D) for each residue, by its atoms: with Hα towards the eye, CO, R and N go clockwise in L."""
    found = []
    for alpha in alpha_carbons(residues_of(atoms)):
        nitrogen, end, beta = (atoms.positions[alpha + k] - atoms.positions[alpha] for k in (-2, 6, 2))
        found.append(int(np.sign(np.cross(nitrogen, end) @ beta)))
    return found


def _between() -> float:
    """The angle, degrees, between C and Cβ seen along N-Cα, by the law of cosines on the sphere."""
    ends, end, beta = np.radians([C_CA_CB, N_CA_C, N_CA_CB])
    cosine = (np.cos(ends) - np.cos(end) * np.cos(beta)) / (np.sin(end) * np.sin(beta))
    return float(np.degrees(np.arccos(cosine)))


def _first_three() -> tuple[Array, Array, Array]:
    angle = np.radians(180 - CA_C_N)
    carbon = np.array([CA_C, 0.0, 0.0])
    return np.zeros(3), carbon, carbon + C_N * np.array([np.cos(angle), np.sin(angle), 0.0])


def _methyl(a: Array, b: Array, c: Array, sign: int) -> list[Array]:
    """Three hydrogens on c, one of them trans to a. Their order has the sense of the hand, as mirror images need."""
    return [place(a, b, c, C_H, TETRAHEDRAL, sign * turn) for turn in (180.0, 60.0, -60.0)]


def _oxygen(alpha: Array, nitrogen: Array, carbon: Array) -> Array:
    """In the plane of the peptide bond, on the side of the α carbon that follows."""
    return place(alpha, nitrogen, carbon, C_O, O_C_N, _TRANS - 180.0)


def _unit(vector: Array) -> Array:
    return vector / np.linalg.norm(vector)
