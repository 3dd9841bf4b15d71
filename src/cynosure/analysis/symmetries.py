"""Does a potential obey the symmetries of space, of identical atoms, and of counting?

Each function does to a structure something that physics does not notice and returns the deviations of energy,
forces and stress; an empty list where it has no meaning for the structure (wrapping a molecule, say).
"""

from __future__ import annotations

import numpy as np
import torch
from ase import Atoms

from cynosure.analysis.deviation import Deviation, Evaluation, compare, evaluate, has_volume, worst
from cynosure.analysis.told import turn, untold
from cynosure.graph import batch
from cynosure.o3 import random_rotation
from cynosure.potentials import Potential

_TRIALS = 3


def rotation(model: Potential, atoms: Atoms, seed: int = 0) -> list[Deviation]:
    """Turn the structure: E(Rr) = E(r), F(Rr) = R F(r), σ(Rr) = R σ(r) Rᵀ, for random rotations R."""
    return worst([_transformed("rotation", model, atoms, matrix) for matrix in _rotations(seed)])


def reflection(model: Potential, atoms: Atoms, seed: int = 0) -> list[Deviation]:
    """Take the mirror image: the rules of `rotation` for random rotoinversions.

    A model without parity labels (`parity=False`) does not promise this, and the deviations say so.
    """
    mirror = np.diag([1.0, 1.0, -1.0])
    promised = model.promises_reflection
    note = "" if promised else "a model with parity=False may tell mirror images apart"
    matrices = [matrix @ mirror for matrix in _rotations(seed)]
    return worst(
        [
            _transformed("reflection", model, atoms, matrix, promised=promised, note=note)
            for matrix in matrices
        ]
    )


def translation(model: Potential, atoms: Atoms, seed: int = 0) -> list[Deviation]:
    """Move the structure as a whole: nothing changes."""
    moved = atoms.copy()
    moved.positions += np.random.default_rng(seed).uniform(-10.0, 10.0, 3)
    return compare("translation", model, atoms, evaluate(model, atoms), evaluate(model, moved))


def wrapping(model: Potential, atoms: Atoms, seed: int = 0) -> list[Deviation]:
    """Move each atom by lattice vectors of its own, along periodic directions: nothing changes."""
    if not atoms.pbc.any():
        return []
    moved = atoms.copy()
    hops = np.random.default_rng(seed).integers(-2, 3, (len(atoms), 3)) * atoms.pbc
    moved.positions += hops @ atoms.cell.array
    return compare("wrapping", model, atoms, evaluate(model, atoms), evaluate(model, moved))


def permutation(model: Potential, atoms: Atoms, seed: int = 0) -> list[Deviation]:
    """List the atoms in another order: the forces come in that order, nothing else changes."""
    order = np.random.default_rng(seed).permutation(len(atoms))
    before, after = evaluate(model, atoms), evaluate(model, atoms[order])
    expected = Evaluation(before.energy, before.energies[order], before.forces[order], before.stress)
    return compare("permutation", model, atoms, expected, after)


def batch_equals_single(model: Potential, atoms: Atoms, seed: int = 0) -> list[Deviation]:
    """Evaluate structures together and one by one: each gets the same, whatever its company."""
    distorted = atoms.copy()
    distorted.rattle(0.05, rng=np.random.RandomState(seed))
    lone = untold(model, Atoms(numbers=atoms.numbers[:1], positions=[[0.0, 0.0, 0.0]]))
    company = [distorted, atoms, lone, atoms]
    together = model(
        batch([model.graph_of(member) for member in company]).to(model.device),
        outputs=("energy", "energies", "forces", "stress"),
    )
    values = {name: value.detach().to("cpu", torch.float64).numpy() for name, value in together.items()}
    ends = np.cumsum([len(member) for member in company])
    results = []
    for index, member in enumerate(company):
        own = slice(ends[index] - len(member), ends[index])
        stress = values["stress"][index] if has_volume(member) else None
        got = Evaluation(
            float(values["energy"][index]), values["energies"][own], values["forces"][own], stress
        )
        results.append(compare("batch = single", model, member, evaluate(model, member), got))
    # The lone atom has no stress; the shortest list names the quantities that all members have.
    return worst([result for result in results if len(result) == len(results[1])])


def supercell(model: Potential, atoms: Atoms) -> list[Deviation]:
    """Double a periodic cell along its shortest vector: twice the energy, the same forces and stress."""
    if not atoms.pbc.any():
        return []
    lengths = np.where(atoms.pbc, atoms.cell.lengths(), np.inf)
    repeats = np.ones(3, dtype=int)
    repeats[int(np.argmin(lengths))] = 2
    one, two = evaluate(model, atoms), evaluate(model, atoms.repeat(repeats.tolist()))
    expected = Evaluation(one.energy, one.energies, np.tile(one.forces, (2, 1)), one.stress)
    halved = Evaluation(two.energy / 2, two.energies, two.forces, two.stress)
    return compare("supercell", model, atoms, expected, halved)


def separation(model: Potential, atoms: Atoms) -> list[Deviation]:
    """Put a second, far-away copy beside a molecule: twice the energy, the same forces."""
    if atoms.pbc.any():
        return []
    far = atoms.copy()
    far.positions[:, 0] += np.ptp(atoms.positions[:, 0]) + 2.0 * model.cutoff
    one, two = evaluate(model, atoms), evaluate(model, atoms + far)
    expected = Evaluation(one.energy, one.energies, np.tile(one.forces, (2, 1)), None)
    return compare(
        "far fragments", model, atoms, expected, Evaluation(two.energy / 2, two.energies, two.forces, None)
    )


def lone_atom(model: Potential, atoms: Atoms) -> list[Deviation]:
    """Take single atoms, one of each element: no force, a finite energy, and E0 where that is a lone atom's.

    With E0s fitted to the data the energy of a lone atom is not known beforehand and only has to be finite.
    """
    kind = model.calibration.e0_kind
    e0s = dict(zip(model.species, model.calibration.e0s, strict=True))
    forces, energies = 0.0, 0.0
    for number in sorted(set(atoms.numbers.tolist())):
        result = evaluate(model, untold(model, Atoms(numbers=[number], positions=[[0.3, -0.2, 0.1]])))
        known = result.energy if kind == "fitted" else e0s[number]
        error = abs(result.energy - known) / max(abs(known), 1.0)
        # A NaN must not get lost in a maximum: it counts as infinitely wrong.
        energies = max(energies, error if np.isfinite(error) else np.inf)
        force = float(np.abs(result.forces).max())
        forces = max(forces, force if np.isfinite(force) else np.inf)
    note = "fitted E0s: finite is all that is asked" if kind == "fitted" else "compared with E0"
    return [
        Deviation("lone atom: energy", energies, 1e-10, "relative", note=note),
        Deviation("lone atom: forces", forces, 1e-12, "eV/Å"),
    ]


def _rotations(seed: int) -> list[np.ndarray]:
    generator = torch.Generator().manual_seed(seed)
    return [random_rotation(generator=generator).numpy() for _ in range(_TRIALS)]


def _transformed(name: str, model: Potential, atoms: Atoms, matrix: np.ndarray, **how) -> list[Deviation]:
    """Compare the turned results with the results of the turned structure."""
    before = evaluate(model, atoms)
    turned = turn(model, atoms, matrix)
    stress = None if before.stress is None else matrix @ before.stress @ matrix.T
    expected = Evaluation(before.energy, before.energies, before.forces @ matrix.T, stress)
    return compare(name, model, atoms, expected, evaluate(model, turned), **how)
