"""Labels by GFN2-xTB are derivatives of one energy, in the units they are said to be in, and chains are independent."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import units
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def gfn2(monkeypatch):
    pytest.importorskip("tblite.ase", reason="tblite has no wheel for this system")
    monkeypatch.syspath_prepend(ROOT)
    return importlib.import_module("examples.gfn2")


@pytest.fixture
def water():
    """Bent, stretched and turned, so that no number is zero."""
    atoms = molecule("H2O")
    atoms.rattle(0.1, seed=3)
    atoms.rotate(40, (1, 2, 3))
    return atoms


def test_forces_are_derivatives_of_the_energy(gfn2, water):
    (frame,) = gfn2.label([water])
    step, calc = 1e-3, gfn2.calculator()
    for atom in range(3):
        for axis in range(3):
            ends = []
            for sign in (1, -1):
                moved = water.copy()
                moved.positions[atom, axis] += sign * step
                ends.append(calc.get_property("energy", moved))
            assert frame.get_forces()[atom, axis] == pytest.approx(-np.subtract(*ends) / (2 * step), abs=3e-5)
    assert np.abs(frame.get_forces()).max() > 1


def energy_in_a_field(atoms, field):
    """eV of a molecule in a uniform field (V/Å), by tblite's own interface in atomic units."""
    from tblite import library
    from tblite.interface import Calculator

    calc = Calculator("GFN2-xTB", atoms.numbers, atoms.positions / units.Bohr)
    calc.set("accuracy", 0.01)
    calc.set("verbosity", 0)
    # (Version 0.8 does not make a C array of one of numpy itself.)
    calc.add("electric-field", library.ffi.new("double[3]", list(field * units.Bohr / units.Hartree)))
    return calc.singlepoint().get("energy") * units.Hartree


def test_the_dipole_is_the_derivative_by_a_field(gfn2, water):
    """In e Å: minus the change of the energy (eV) with a uniform field (V/Å)."""
    (frame,) = gfn2.label([water])
    step = 1e-2
    for axis in range(3):
        ends = [energy_in_a_field(water, sign * step * np.eye(3)[axis]) for sign in (1, -1)]
        assert frame.get_dipole_moment()[axis] == pytest.approx(-np.subtract(*ends) / (2 * step), abs=2e-5)
    assert np.abs(frame.get_dipole_moment()).min() > 0.01


def test_charges_add_up_to_the_charge_of_the_molecule(gfn2, water):
    for charge in (0, 1):
        (frame,) = gfn2.label([water], charge=charge, charges=True)
        assert frame.get_charges().sum() == pytest.approx(charge, abs=1e-8)
    assert np.abs(frame.get_charges()).max() > 0.1


def test_chains_of_one_seed_repeat_and_others_do_not(gfn2):
    start = gfn2.relaxed(molecule("H2O"))
    options = {"temperature": 300, "frames": 2, "apart": 5.0, "settle": 5.0}
    first, again, other = (gfn2.sample(start, seed=seed, **options) for seed in (7, 7, 8))
    for one, same, another in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(one.positions, same.positions)
        assert np.abs(one.positions - another.positions).max() > 1e-3
        assert isinstance(one.calc, SinglePointCalculator)
        np.testing.assert_allclose(one.get_center_of_mass(), 0, atol=1e-12)
        assert not one.has("momenta")
        # What came with the frame is what is said of its positions.
        (label,) = gfn2.label([one])
        assert one.get_potential_energy() == pytest.approx(label.get_potential_energy(), abs=1e-9)
        np.testing.assert_allclose(one.get_forces(), label.get_forces(), atol=1e-5)
        np.testing.assert_allclose(one.get_dipole_moment(), label.get_dipole_moment(), atol=1e-5)
    assert np.abs(first[0].positions - first[1].positions).max() > 1e-3


def test_what_watches_may_end_a_chain(gfn2):
    def watch(frame):
        raise RuntimeError(f"{frame.get_chemical_formula()} fell apart")

    with pytest.raises(RuntimeError, match="H2O fell apart"):
        gfn2.sample(molecule("H2O"), 300, 1, 0, apart=1.0, settle=1.0, watch=watch)


def test_a_minimum_that_is_not_reached_is_said(gfn2, water):
    with pytest.raises(RuntimeError, match="did not come to rest in 2 steps"):
        gfn2.relaxed(water, steps=2)


def test_without_tblite_it_is_said_what_to_install(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setitem(sys.modules, "tblite.ase", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'cynosure\[labels\]'"):
        importlib.import_module("examples.gfn2").calculator()
