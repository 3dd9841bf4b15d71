"""Relaxation of the dipeptide, with φ and ψ held or not, and its Ramachandran map by any calculator."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import combinations, product

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixConstraint
from ase.data import covalent_radii
from ase.geometry import get_angles_derivatives, get_dihedrals_derivatives, get_distances_derivatives
from ase.optimize import BFGS
from examples.biology.peptide import Array, peptide, ramachandran, residues_of, torsion
from numpy.typing import NDArray

Angles = tuple[float, float]
# Where a map begins: near C7eq, the lowest minimum.
BEGIN: Angles = (-80.0, 75.0)
# eV/Å: on a map, and of a minimum.
FMAX, FMAX_MINIMUM = 0.03, 0.005

# Force constants of bonds (eV/Å²), angles and torsions (eV/rad²): 0.45, 0.15 and 0.005 atomic units, those of Lindh,
# Bernhardsson, Karlström and Malmqvist (Chem. Phys. Lett. 241, 423 (1995)) for atoms at the distance of a bond.
_BOND, _ANGLE, _TORSION = 43.7, 4.08, 0.136
# eV/Å², so that nothing is without.
_FLOOR = 0.3
_LONGEST_STEP = 0.1  # Å
_MOST_STEPS = 120


def relax(
    atoms: Atoms,
    calculator: Calculator,
    hold: Angles | None = None,
    fmax: float = FMAX,
    steps: int = _MOST_STEPS,
) -> Atoms:
    """A relaxed copy, with energy (eV) and all forces (eV/Å) as results.

    Args:
        atoms: a peptide.
        calculator: of energy and forces.
        hold: φ and ψ of its only residue, degrees, which it has already and keeps; free if None.
        fmax: largest force on an atom but for those that hold, eV/Å.
        steps: at most.
    """
    moving = atoms.copy()
    if hold is not None:
        moving.set_constraint(Held(hold))
    moving.calc = calculator
    optimiser = BFGS(moving, logfile=None, maxstep=_LONGEST_STEP)  # pyright: ignore[reportArgumentType]
    optimiser.H0 = approximate_hessian(moving)
    optimiser.run(fmax=fmax, steps=steps)
    results = {name: calculator.get_property(name, moving) for name in ("energy", "forces")}
    found = moving.copy()
    found.set_constraint()
    found.calc = SinglePointCalculator(found, **results)
    return found


def turned(atoms: Atoms, angles: Angles) -> Atoms:
    """The dipeptide with other φ and ψ, all else being equal."""
    found = atoms.copy()
    found.positions = _turned(atoms.positions, angles)
    return found


class Held(FixConstraint):
    """φ and ψ of the dipeptide stay what they are.

    Forces and steps lose what would change them to first order; the rest, after a step, is turned back. (ASE's own
    constraint `FixInternals` searches for the nearest such positions, and does not always find them.)

    Args:
        angles: φ and ψ, degrees.
    """

    def __init__(self, angles: Angles) -> None:
        self.angles = angles

    def adjust_positions(self, atoms: Atoms, new: Array) -> None:
        """Change the positions after a step, `new` [N, 3], in place."""
        step = new - atoms.positions
        self.adjust_forces(atoms, step)
        new[:] = _turned(atoms.positions + step, self.angles)

    def adjust_forces(self, atoms: Atoms, forces: Array) -> None:
        """Project `forces` [N, 3], in place, on what leaves φ and ψ alone."""
        rows = _derivatives(atoms.positions, np.array(ramachandran(0)))
        forces -= (np.linalg.pinv(rows) @ (rows @ forces.ravel())).reshape(-1, 3)

    def get_removed_dof(self, atoms: Atoms) -> int:
        """Two."""
        return len(self.angles)


def _turned(positions: Array, angles: Angles) -> Array:
    """[N, 3] with these φ and ψ: what lies beyond the bond in the middle turns about it (formula of Rodrigues)."""
    found = positions.copy()
    for angle, quadruple in zip(angles, ramachandran(0), strict=True):
        turn = np.radians(angle - torsion(found, quadruple))
        _, b, c, _ = quadruple
        axis = (found[c] - found[b]) / np.linalg.norm(found[c] - found[b])
        arms = found[c + 1 :] - found[c]
        along = np.outer(arms @ axis, axis)
        found[c + 1 :] = (
            found[c] + along + np.cos(turn) * (arms - along) + np.sin(turn) * np.cross(axis, arms)
        )
    return found


def ramachandran_map(
    calculator: Calculator, grid: Array, fmax: float = FMAX
) -> Iterator[tuple[int, int, Atoms]]:
    """The dipeptide relaxed at each φ and ψ of a grid; yields i, j and the structure with its energy as they come.

    Each point starts from a relaxed neighbour, and the lowest point of those at the edge of what is known goes on
    first, as rising water would: clashes are entered from where there are none.

    Args:
        calculator: of energy and forces.
        grid: [G] degrees, equally spaced around the circle; φ is grid[i], ψ is grid[j].
        fmax: as of `relax`.
    """
    size = len(grid)
    near = [int(np.argmin(np.abs((grid - angle + 180) % 360 - 180))) for angle in BEGIN]
    angles = grid[near[0]], grid[near[1]]
    first = relax(peptide("L", [angles]), calculator, angles, fmax)
    yield near[0], near[1], first
    found, edge = {(near[0], near[1]): first}, [(first.get_potential_energy(), near[0], near[1])]
    while edge:
        _, i, j = heapq.heappop(edge)
        for step_i, step_j in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            point = (i + step_i) % size, (j + step_j) % size
            if point in found:
                continue
            angles = grid[point[0]], grid[point[1]]
            found[point] = relax(turned(found[i, j], angles), calculator, angles, fmax)
            heapq.heappush(edge, (found[point].get_potential_energy(), *point))
            yield (*point, found[point])


def approximate_hessian(atoms: Atoms) -> Array:
    """[3N, 3N] eV/Å²: the sum over bonds, angles and torsions of k b bᵀ, b the derivative of each by positions.

    It is where a relaxation starts; without it soft torsions take hundreds of steps.
    """
    bonds = bonds_of(residues_of(atoms))
    neighbours: list[set[int]] = [set() for _ in atoms]
    for i, j in bonds:
        neighbours[i].add(j)
        neighbours[j].add(i)
    angles = [(i, j, k) for j, around in enumerate(neighbours) for i, k in combinations(sorted(around), 2)]
    torsions = [(i, j, k, l) for j, k in bonds for i, l in product(neighbours[j] - {k}, neighbours[k] - {j})]
    hessian = _FLOOR * np.eye(3 * len(atoms))
    for chains, constant in ((bonds, _BOND), (angles, _ANGLE), (torsions, _TORSION)):
        rows = _derivatives(atoms.positions, np.array(chains))
        hessian += constant * rows.T @ rows
    return hessian


def bonds_of(residues: int) -> list[tuple[int, int]]:
    """The pairs of bound atoms of a peptide, found in the extended one, where nothing else is near."""
    extended = peptide("L" * residues, [(-120.0, 140.0)] * residues)
    distances, radii = extended.get_all_distances(), covalent_radii[extended.numbers]
    return [
        (i, j)
        for i, j in combinations(range(len(extended)), 2)
        if distances[i, j] < 1.2 * (radii[i] + radii[j])
    ]


def _derivatives(positions: Array, chains: NDArray[np.int64]) -> Array:
    """[n, 3N], of distances, angles or torsions (radians) by positions, as chains [n, 2, 3 or 4] of atoms are long."""
    steps = np.diff(positions[chains], axis=1).transpose(1, 0, 2)
    if len(steps) == 1:
        values = get_distances_derivatives(*steps)
    elif len(steps) == 2:  # ASE has both vectors from the middle, and degrees
        values = np.pi / 180 * get_angles_derivatives(-steps[0], steps[1])
    else:
        values = np.pi / 180 * get_dihedrals_derivatives(*steps)
    rows = np.zeros((len(chains), *positions.shape))
    rows[np.arange(len(chains))[:, None], chains] = values
    return rows.reshape(len(chains), -1)
