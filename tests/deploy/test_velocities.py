"""Starting velocities are thermal, at rest as a whole, and counted over the right degrees of freedom."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, molecule
from ase.constraints import FixAtoms, FixCom

from cynosure.deploy import degrees_of_freedom, maxwell_boltzmann


def kelvin(atoms: Atoms, degrees: int) -> float:
    return 2 * atoms.get_kinetic_energy() / (degrees * units.kB)


@pytest.mark.parametrize(
    ("atoms", "constraint", "conserved", "expected"),
    [
        (molecule("CH3CH2OH"), None, True, 21),
        (molecule("CH3CH2OH"), None, False, 27),
        (molecule("CH3CH2OH"), FixCom(), False, 24),
        (molecule("CO2"), None, True, 4),
        (molecule("H2"), None, True, 1),
        (Atoms("H"), None, True, 0),
        (Atoms("H"), None, False, 3),
        (bulk("Si", cubic=True), None, True, 21),
        (bulk("Si", cubic=True), FixAtoms([0, 1]), True, 18),
    ],
)
def test_degrees_of_freedom(atoms, constraint, conserved, expected):
    if constraint is not None:
        atoms = atoms.copy()
        atoms.set_constraint(constraint)
    assert degrees_of_freedom(atoms, momentum_conserved=conserved) == expected


@pytest.mark.parametrize("name", ["CH3CH2OH", "CO2", "H2", "C6H6"])
def test_a_molecule_neither_flies_nor_spins(name):
    atoms = molecule(name)
    atoms.rotate(33, (1, 2, 3))
    atoms.positions += [5.0, -3.0, 2.0]
    maxwell_boltzmann(atoms, 300, seed=4)
    assert np.abs(atoms.get_momenta().sum(axis=0)).max() < 1e-12
    arms = atoms.positions - atoms.get_center_of_mass()
    assert np.abs(np.cross(arms, atoms.get_momenta()).sum(axis=0)).max() < 1e-12
    assert kelvin(atoms, degrees_of_freedom(atoms, momentum_conserved=True)) == pytest.approx(300)


def test_a_crystal_does_not_fly():
    atoms = bulk("Si", cubic=True)
    maxwell_boltzmann(atoms, 500, seed=4)
    assert np.abs(atoms.get_momenta().sum(axis=0)).max() < 1e-12
    assert kelvin(atoms, 21) == pytest.approx(500)


def test_momenta_are_normal_with_the_variance_of_their_mass():
    atoms = bulk("NaCl", "rocksalt", a=5.6) * (10, 10, 10)
    maxwell_boltzmann(atoms, 300, seed=0)
    scaled = atoms.get_momenta() / np.sqrt(atoms.get_masses() * units.kB * 300)[:, None]
    for species in (11, 17):
        component = scaled[atoms.numbers == species].ravel()
        assert component.var() == pytest.approx(1.0, abs=0.08)
        assert np.mean(component**4) == pytest.approx(3.0, abs=0.5)


def test_the_seed_repeats_and_tells_apart():
    first, again, other = (bulk("Si", cubic=True) for _ in range(3))
    for atoms, seed in ((first, 1), (again, 1), (other, 2)):
        maxwell_boltzmann(atoms, 300, seed=seed)
    assert np.array_equal(first.get_momenta(), again.get_momenta())
    assert not np.allclose(first.get_momenta(), other.get_momenta())


def test_atoms_that_are_held_stay_at_rest():
    atoms = bulk("Si", cubic=True)
    atoms.set_constraint(FixAtoms([2, 3]))
    maxwell_boltzmann(atoms, 300)
    assert np.all(atoms.get_momenta()[[2, 3]] == 0)
    assert kelvin(atoms, 18) == pytest.approx(300)


def test_a_lone_atom_and_absolute_zero():
    lone, cold = Atoms("H"), bulk("Si")
    maxwell_boltzmann(lone, 300)
    maxwell_boltzmann(cold, 0)
    assert np.all(lone.get_momenta() == 0)
    assert np.all(cold.get_momenta() == 0)


@pytest.mark.parametrize("temperature", [-1.0, float("nan")])
def test_an_impossible_temperature_is_refused(temperature):
    with pytest.raises(ValueError, match="temperature"):
        maxwell_boltzmann(Atoms("H"), temperature)
