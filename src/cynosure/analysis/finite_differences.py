"""Are forces and stress the derivatives of the energy, and is it smooth where neighbours come and go?"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from ase import Atoms

from cynosure.analysis.deviation import Deviation, Evaluation, atomic_energies, evaluate
from cynosure.graph import neighbour_list
from cynosure.potentials import Potential

# Small enough for the truncation of the five-point formula, large enough for rounding: see `_slope`.
_STEP = 5e-4  # Å
_STRAIN = 1e-4

# Smoothness: this many points on each side of the crossing, so far apart (Å). Radial bases wave quickly, so
# that wider spacings leave a visible truncation error; rounding costs 1e-9 eV/Å² at this one.
_POINTS = 6
_SPACING = 2.5e-4
# A crossing counts when no other edge crosses within the first distance, and no two atoms come nearer than
# the second (Å).
_CLEAR = 0.01
_NEAREST = 0.7
_CROSSINGS = 2


def forces(model: Potential, atoms: Atoms, seed: int = 0) -> list[Deviation]:
    """Forces against −dE/dx by central differences, along single components and collective directions.

    Args:
        model: a potential in float64.
        atoms: the structure.
        seed: of the directions.

    Raises:
        ValueError: if the model is not in float64, where the differences would drown in rounding.
    """
    _require_float64(model)
    rng = np.random.default_rng(seed)
    still = evaluate(model, atoms)
    analytic = still.forces
    largest = 0.0
    for direction in _directions(rng, analytic.shape):

        def energies(step: float, direction: np.ndarray = direction) -> np.ndarray:
            moved = atoms.copy()
            moved.positions += step * direction
            return atomic_energies(model, moved)

        largest = np.fmax(largest, _or_inf(abs(_slope(energies, _STEP) + np.sum(analytic * direction))))
    tolerance = 1e-7 * max(1.0, float(np.abs(analytic).max())) + _rounding(still) / _STEP
    return [Deviation("force = −dE/dx", float(largest), tolerance, "eV/Å")]


def stress(model: Potential, atoms: Atoms, seed: int = 0) -> list[Deviation]:
    """Stress against (1/V) dE/dε by finite strain; an empty list where the cell has no volume.

    Args:
        model: a potential in float64.
        atoms: the structure.
        seed: of the strain directions.

    Raises:
        ValueError: if the model is not in float64.
    """
    _require_float64(model)
    still = evaluate(model, atoms)
    if still.stress is None:
        return []
    analytic = still.stress
    rng = np.random.default_rng(seed)
    volume = abs(atoms.cell.volume)
    random = rng.standard_normal((3, 3, 3))
    strains = [np.eye(3), *(half + half.T for half in random)]
    largest = 0.0
    for strain in strains:
        strain = strain / np.linalg.norm(strain)

        def energies(step: float, strain: np.ndarray = strain) -> np.ndarray:
            strained = atoms.copy()
            strained.set_cell(atoms.cell.array @ (np.eye(3) + step * strain))
            strained.positions = atoms.positions @ (np.eye(3) + step * strain)
            return atomic_energies(model, strained)

        slope = _slope(energies, _STRAIN) / volume
        largest = np.fmax(largest, _or_inf(abs(slope - np.sum(analytic * strain))))
    tolerance = 1e-7 * max(1.0, float(np.abs(analytic).max())) + _rounding(still) / (_STRAIN * volume)
    return [Deviation("stress = finite strain", float(largest), tolerance, "eV/Å³")]


def smoothness(model: Potential, atoms: Atoms, seed: int = 0) -> list[Deviation]:
    """Energy, force and slope of the force on both sides of the point where an edge crosses the cutoff.

    1. Take the slightly shaken structure, so that no two edges have one length, and in it an edge of an atom
       i whose length is near the cutoff; i keeps all its other neighbours.
    2. Move i along this edge, on a line on which nothing else crosses the cutoff nearby. At parameter t₀ the
       edge is exactly as long as the cutoff.
    3. Evaluate at six points on either side, extrapolate energy, force and slope of the force to t₀ with the
       polynomial through each side's points, and compare the two.

    A potential that just stops at its cutoff fails in the energy, one with a cosine switch in the slope. A model with
    the `xplor` envelope does not promise the slope, and the deviations say so.

    Args:
        model: a potential in float64.
        atoms: the structure; a single atom gets companions of its own element.
        seed: of the shaking.

    Raises:
        ValueError: if the model is not in float64.
    """
    _require_float64(model)
    shaken = _companions(atoms, model.cutoff) if len(atoms) == 1 else atoms.copy()
    shaken.rattle(0.02, rng=np.random.RandomState(seed))
    jumps = np.zeros(3)
    crossings = 0
    for atom, direction, at in _crossings(shaken, model.cutoff):
        jumps = np.fmax(jumps, _jumps(model, shaken, atom, direction, at))
        crossings += 1
        if crossings == _CROSSINGS:
            break
    if crossings == 0:
        jumps[:] = np.inf
    note = "" if crossings else "no edge could be brought to the cutoff alone: try another structure"
    # The extrapolation multiplies rounding by the sum of its coefficients, 63 for six points.
    energy = 1e-8 + 2 * 63 * _rounding(evaluate(model, shaken))
    return [
        Deviation("cutoff: jump of energy", float(jumps[0]), energy, "eV", note=note),
        Deviation("cutoff: jump of force", float(jumps[1]), 1e-7, "eV/Å", note=note),
        Deviation(
            "cutoff: jump of force slope",
            float(jumps[2]),
            1e-5,
            "eV/Å²",
            promised=model.promises_smooth_forces,
            note=note if model.promises_smooth_forces else "the curvature of the xplor envelope jumps",
        ),
    ]


def _require_float64(model: Potential) -> None:
    if model.dtype != torch.float64:
        raise ValueError(f"finite differences need a model in float64, and this one is in {model.dtype}")


def _rounding(still: Evaluation) -> float:
    """eV: what float64 cannot resolve in the sum of these energies; it matters for all-electron E0s only."""
    return float(np.finfo(np.float64).eps * np.linalg.norm(still.energies))


def _or_inf(value: float) -> float:
    """NaN would get lost in a maximum."""
    return float(value) if np.isfinite(value) else np.inf


def _directions(rng: np.random.Generator, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Unit vectors in the space of all positions: four single components, and four of everything at once."""
    for index in rng.choice(np.prod(shape), size=min(4, int(np.prod(shape))), replace=False):
        single = np.zeros(int(np.prod(shape)))
        single[index] = 1.0
        yield single.reshape(shape)
    for _ in range(4):
        collective = rng.standard_normal(shape)
        yield collective / np.linalg.norm(collective)


def _slope(energies: Callable[[float], np.ndarray], h: float) -> float:
    """d/dt Σ E_i at 0 by the five-point formula (8(f₁ − f₋₁) − (f₂ − f₋₂)) / 12h, of error h⁴ f⁽⁵⁾/30.

    Differences are taken atom by atom before they are summed: large constant energies cancel exactly.
    """
    near = energies(h) - energies(-h)
    far = energies(2 * h) - energies(-2 * h)
    return float(np.sum(8.0 * near - far) / (12.0 * h))


def _companions(atoms: Atoms, cutoff: float) -> Atoms:
    """A lone atom and two more of its kind, all within the cutoff; or a crystal of one atom, doubled.

    The one atom of a crystal cannot be moved against its own images, but one of two can.
    """
    if atoms.pbc.any():
        repeats = np.ones(3, dtype=int)
        repeats[int(np.argmax(atoms.pbc))] = 2
        return atoms.repeat(repeats.tolist())
    places = np.array([[0.0, 0.0, 0.0], [0.45, 0.0, 0.0], [0.2, 0.85, 0.0]]) * cutoff
    return Atoms(numbers=np.repeat(atoms.numbers, 3), positions=places)


def _crossings(atoms: Atoms, cutoff: float) -> Iterator[tuple[int, np.ndarray, float]]:
    """Atom i, a unit direction, and how far to go until one edge of i, and no other, is of cutoff length."""
    reach = cutoff + 1.0
    receivers, senders, shifts = neighbour_list(atoms.positions, atoms.cell.array, atoms.pbc, reach)
    vectors = atoms.positions[senders] + shifts @ atoms.cell.array - atoms.positions[receivers]
    distances = np.linalg.norm(vectors, axis=1)
    # An atom cannot be moved against its own images.
    usable = np.flatnonzero(receivers != senders)
    for edge in usable[np.argsort(np.abs(distances[usable] - cutoff), kind="stable")]:
        atom, at = int(receivers[edge]), float(cutoff - distances[edge])
        direction = -vectors[edge] / distances[edge]
        others = (receivers == atom) & (senders != atom)
        others[edge] = False
        after = np.linalg.norm(vectors[others] - at * direction, axis=1)
        if np.all(np.abs(after - cutoff) > _CLEAR) and np.all(after > _NEAREST):
            yield atom, direction, at


def _jumps(model: Potential, atoms: Atoms, atom: int, direction: np.ndarray, at: float) -> np.ndarray:
    """[3]: the jumps of energy, force and slope of the force at `at`, infinite where they are not numbers."""
    sides = []
    steps = _SPACING * np.arange(1, _POINTS + 1)
    for sign in (-1.0, 1.0):
        energies, along = [], []
        for step in sign * steps:
            moved = atoms.copy()
            moved.positions[atom] += (at + step) * direction
            result = evaluate(model, moved)
            energies.append(result.energies)
            along.append(float(result.forces[atom] @ direction))
        sides.append((np.array(energies), np.array(along), sign * steps))
    # Constant energies are taken out before anything is extrapolated.
    base = sides[0][0][0]
    limits = []
    for energies, along, t in sides:
        # In units of the spacing the interpolation is well conditioned. Rows: value and slope at t = 0.
        inverse = np.linalg.inv(np.vander(t / _SPACING, increasing=True))
        value, slope = inverse[0], inverse[1] / _SPACING
        limits.append([value @ np.sum(energies - base, axis=1), value @ along, slope @ along])
    jumps = np.abs(np.subtract(*limits))
    return np.where(np.isfinite(jumps), jumps, np.inf)
