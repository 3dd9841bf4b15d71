"""Elastic constants: a fit gives back what the stresses were made of, and differences obey the Cauchy relation."""

from __future__ import annotations

import ase.build
import numpy as np
import pytest
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import GPa

KNOWN = {"C11": 150.0, "C12": 60.0, "C44": 100.0}


@pytest.fixture
def elastic(benchmark):
    return benchmark("elastic")


def strained(component: tuple[int, int], size: float):
    """Silicon under one component of the Green-Lagrange strain, with the Cauchy stress that `KNOWN` and a quadratic
    and a cubic term give it."""
    strain = np.zeros((3, 3))
    strain[component] = strain[component[::-1]] = size
    gradient = np.linalg.cholesky(np.eye(3) + 2 * strain).T  # FᵀF = 1 + 2E
    beyond = -300.0 * size**2 + 500.0 * size**3
    conjugate = 2 * KNOWN["C44"] * strain + np.sign(np.abs(strain)) * beyond
    if component[0] == component[1]:
        conjugate = np.eye(3) * (KNOWN["C12"] * size + beyond)
        conjugate[component] += (KNOWN["C11"] - KNOWN["C12"]) * size
    stress = gradient @ conjugate @ gradient.T / np.linalg.det(gradient) * GPa
    atoms = ase.build.bulk("Si", cubic=True)
    atoms.set_cell(atoms.cell[:] @ gradient.T, scale_atoms=True)
    atoms.calc = SinglePointCalculator(
        atoms, energy=size**2, stress=stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    )
    return atoms


def test_the_fit_gives_back_the_constants_of_its_stresses(elastic):
    sizes = (-0.1, -0.04, -0.02, 0.02, 0.04, 0.1)
    components = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
    frames = [strained((0, 0), 0.0), *(strained(c, size) for c in components for size in sizes)]
    stresses = [frame.get_stress(voigt=False) for frame in frames]
    found = elastic.fit(frames, stresses, degree=3)
    assert {name: constant.value for name, constant in found.items()} == pytest.approx(KNOWN, rel=1e-9)
    assert max(constant.residual for constant in found.values()) < 1e-9
    # A straight line takes the other terms for noise.
    assert min(constant.residual for constant in elastic.fit(frames, stresses, degree=1).values()) > 0.1


def test_too_few_strains_and_moved_atoms_are_refused(elastic):
    frames = [strained((0, 0), size) for size in (0.0, 0.02, -0.02)]
    stresses = [frame.get_stress(voigt=False) for frame in frames]
    with pytest.raises(ValueError, match=r"C11: 3 different strains are too few"):
        elastic.fit(frames, stresses, degree=3)
    frames[1].positions[0] += 0.1
    frames[1].calc.atoms = frames[1].copy()
    with pytest.raises(ValueError, match="not where the strain alone puts them"):
        elastic.fit(frames, stresses, degree=1)


def test_differences_obey_the_cauchy_relation_of_pair_potentials(elastic):
    crystal = ase.build.bulk("Ar", "fcc", a=1.58, cubic=True) * 2
    constants, scale = elastic.equilibrium(crystal, LennardJones(rc=2.5, ro=1.8, smooth=True))
    assert 0.95 < scale < 1.05
    # Clamped and without stress, C12 = C44 for any pair potential; a crystal that is stable has C11 > C12.
    assert constants["C12"].value == pytest.approx(constants["C44"].value, rel=1e-4)
    assert constants["C11"].value > constants["C12"].value > 0


def test_the_table_has_the_deviations(elastic):
    labels = {name: elastic.Constant(value, 0.01) for name, value in KNOWN.items()}
    model = {name: elastic.Constant(1.1 * value, 0.2) for name, value in KNOWN.items()}
    lines = elastic.table(labels, model, labels)
    assert lines[2] == "| C11 | 150.00 (0.010) | 165.00 (0.200) | +10.0 % | 150.00 | +0.0 % |"
