"""Label noise: exact labels pass every check, and what is put into them is found."""

from __future__ import annotations

import ase.build
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator

SWAPPED = [0, 1, 2, 4, 3, 5]


@pytest.fixture
def label_noise(benchmark):
    return benchmark("label_noise")


def labelled(atoms: Atoms, energy: float = 0.0, noise: float = 0.0, order=(0, 1, 2, 3, 4, 5)) -> Atoms:
    """A Lennard-Jones solid's labels, with an error of the energy, noise on forces, and stress components moved."""
    atoms.calc = LennardJones(sigma=2.1, epsilon=0.5, rc=5.0, smooth=True)
    forces = atoms.get_forces() + np.random.default_rng(0).normal(0.0, noise, (len(atoms), 3))
    results = {"energy": atoms.get_potential_energy() + energy, "forces": forces}
    atoms.calc = SinglePointCalculator(atoms, **results, stress=atoms.get_stress()[list(order)])
    return atoms


def slab(**options: object) -> Atoms:
    """Five atoms in a cell that leans in the plane of y and z, with a mirror at x = 0 alone."""
    places = [(0, 0, 0), (0, 1.3, 1.9), (1.6, 2.1, 0.2), (-1.6, 2.1, 0.2), (0, 3.1, 2.5)]
    return labelled(
        Atoms("Si5", positions=places, cell=[(5, 0, 0), (0, 5, 1.2), (0, 0, 4.5)], pbc=True), **options
    )


def test_the_operations_of_diamond_are_those_of_its_space_group(label_noise):
    crystal = ase.build.bulk("Si", cubic=True)
    operations = list(label_noise.symmetry(crystal))
    assert len(operations) == 48 * 4  # the point group, and four lattice points in the cell
    for turn, image in operations:
        assert sorted(image) == list(range(8))
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)


def test_exact_labels_have_the_symmetry_and_noise_shows(label_noise):
    exact, noisy = (label_noise.consistency([slab(noise=noise)]) for noise in (0.0, 0.01))
    assert exact.symmetric == 1
    assert max(exact.forces, exact.stress[label_noise.AS_LABELLED], exact.net_force) < 1e-12
    assert 0.003 < noisy.forces < 0.03
    assert 0.001 < noisy.net_force < 0.03
    assert label_noise.best_order(exact) == label_noise.AS_LABELLED


def test_shear_components_in_another_order_are_found(label_noise):
    group = label_noise.consistency([slab(order=SWAPPED)])
    # The mirror forbids xy too, so that only where yz stands can be said.
    assert group.stress["yz xz xy"] > 0.01
    assert min(group.stress["xz yz xy"], group.stress["xz xy yz"]) < 1e-12
    assert label_noise.best_order(group).startswith("xz")
    words = "\n".join(label_noise.verdict({"slabs": group}, {}, None))
    assert "wrong shear stress in slabs" in words
    assert "| slabs | 1 |" in label_noise.table({"slabs": group})[2]


def test_copies_are_frames_that_a_reflection_makes_equal(label_noise):
    mirrored = slab()
    mirrored.set_cell(mirrored.cell[:] * [1, -1, 1])
    mirrored.positions *= [1, -1, 1]
    other = slab()
    other.positions[0, 1] += 0.1
    group = label_noise.consistency([slab(), labelled(mirrored, energy=0.005), labelled(other)])
    energy, forces, stress = group.copied
    assert group.copies == 1
    assert energy == pytest.approx(0.001)
    assert max(forces, stress) < 1e-9


def test_energies_agree_with_the_work_of_the_stress_unless_an_error_is_put_in(label_noise):
    def frames(error):
        crystal = ase.build.bulk("Si", "fcc", a=3.25525, cubic=True)  # without stress
        yield labelled(crystal.copy())
        for (i, j), size in ((c, s) for c in ((0, 0), (0, 1)) for s in np.linspace(-0.06, 0.06, 10)):
            strain = np.zeros((3, 3))
            strain[i, j] = strain[j, i] = size
            copy = crystal.copy()
            copy.set_cell(crystal.cell[:] @ np.linalg.cholesky(np.eye(3) + 2 * strain), scale_atoms=True)
            yield labelled(copy, energy=error * float(size > 0))

    exact, wrong = (label_noise.strain_paths(list(frames(error))) for error in (0.0, 0.04))
    for kind in ("normal", "shear"):
        assert exact[kind].work[1] < 2e-4
        assert wrong[kind].work[1] == pytest.approx(0.01, abs=2e-3)  # over four atoms
        assert wrong[kind].residual[0] > 3 * exact[kind].residual[0]


def test_the_line_finds_an_offset_and_bounds_the_noise(label_noise):
    rng, stiffness, offset = np.random.default_rng(1), 8.0, 0.003
    crystal = ase.build.bulk("Si", cubic=True)
    crystal.calc = SinglePointCalculator(crystal, energy=-5.4 * 8)
    frames = []
    for size in np.linspace(0.02, 0.06, 12):
        moved = rng.normal(0.0, size, (8, 3))
        moved -= moved.mean(axis=0)
        atoms = crystal.copy()
        atoms.positions += moved + 0.7  # its origin is another, and so is its order
        energy = 8 * (offset - 5.4) + stiffness / 2 * np.sum(moved**2)
        noise = rng.normal(0.0, 0.01, (8, 3))
        order = rng.permutation(8)
        forces = (noise - stiffness * moved)[order]
        atoms = atoms[order]
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
        frames.append(atoms)
    found = label_noise.offset(crystal, frames)
    assert found.frames == 12
    assert found.energy == pytest.approx(offset, abs=4 * found.error)
    assert found.error < 0.001
    assert 0.004 < found.force < 0.02
    assert label_noise.offset(crystal, frames[:2]) is None
