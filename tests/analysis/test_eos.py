"""The equation of state: its fit gives back its own parameters, and its bulk modulus follows from the constants."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase import Atoms
from ase.constraints import FixAtoms
from ase.eos import birchmurnaghan
from ase.units import GPa

from cynosure.analysis import elastic, eos
from cynosure.analysis.eos import birch_murnaghan
from cynosure.deploy import Calculator


@pytest.mark.parametrize("energy", [-5.0, -7900.0])
def test_the_fit_gives_back_what_energies_were_made_of(energy):
    volumes = np.linspace(36.0, 44.0, 9)
    energies = birchmurnaghan(volumes, energy, 90.0 * GPa, 4.5, 40.5)
    assert birch_murnaghan(volumes, energies) == pytest.approx((40.5, energy, 90.0, 4.5), rel=1e-6)


def test_a_cubic_crystal_of_springs_has_the_bulk_modulus_of_its_constants(fcc, fcc_springs):
    """Nearest neighbours at distance r with springs k: B₀ = (C11 + 2 C12)/3 = 2√2 k/(3r)."""
    found = eos(fcc_springs, fcc, span=0.005)
    known = 2 * np.sqrt(2) * 3.0 / (3 * 5.0 / np.sqrt(2)) / GPa
    assert found.bulk_modulus == pytest.approx(known, rel=3e-5)
    assert found.volume == pytest.approx(5.0**3 / 4, rel=1e-6)
    assert found.energy == pytest.approx(0.0, abs=1e-7)
    constants = elastic(fcc_springs, fcc).tensor.voigt
    assert found.bulk_modulus == pytest.approx((constants[0, 0] + 2 * constants[0, 1]) / 3, rel=3e-5)
    assert "face-centred cubic: a = 5.0000 Å" in str(found.report("fcc"))
    assert "Voigt" not in str(found.report("fcc"))


def test_at_fixed_shape_the_bulk_modulus_is_that_of_voigt(pairs, silicon):
    """All parts of a crystal that is scaled have one strain, as Voigt assumes; here for a triclinic one."""
    calculator = Calculator(pairs())
    found = eos(calculator, silicon, span=0.004, points=7, clamped=True)
    voigt = elastic(calculator, found.rest.atoms, clamped=True, relax=False).tensor.voigt_average()
    assert found.rest.settled
    assert found.bulk_modulus == pytest.approx(voigt.bulk, rel=2e-3)
    assert "B₀ is Voigt's" in str(found.report("silicon"))


def test_relaxed_atoms_lower_the_energy_at_every_volume(zincblende, zincblende_springs):
    """In a sheared cell the sublattices give way; in the cubic one, symmetry holds them."""
    assert np.array_equal(*(eos(zincblende_springs, zincblende, clamped=c).energies for c in (True, False)))
    zincblende.set_cell(
        zincblende.cell.array @ [[1.0, 0.03, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], scale_atoms=True
    )
    clamped, relaxed = (eos(zincblende_springs, zincblende, clamped=c, relax=False) for c in (True, False))
    assert (relaxed.energies < clamped.energies - 1e-4).all()


def test_stress_is_compared_with_the_slope_of_the_energy(fcc, fcc_springs, monkeypatch):
    honest = eos(fcc_springs, fcc)
    assert honest.consistent
    assert not honest.report("fcc").warnings
    assert np.abs(honest.pressures).max() > 1.0
    true = fcc_springs.get_stress
    monkeypatch.setattr(fcc_springs, "get_stress", lambda atoms=None: 1.05 * true(atoms))
    lying = eos(fcc_springs, fcc, relax=False)
    assert not lying.consistent
    assert "the stress and the slope of the energy differ" in lying.report("fcc").warnings[0]


def test_constraints_do_not_keep_a_crystal_from_its_rest(zincblende, zincblende_springs):
    zincblende.positions[1] += [0.05, 0.0, 0.02]
    zincblende.set_constraint(FixAtoms([0, 1]))
    found = eos(zincblende_springs, zincblende, points=5)
    assert found.rest.result.before.fmax > 0.1
    assert found.energy == pytest.approx(0.0, abs=1e-4)
    assert "constraints of the structure were dropped" in found.report("zincblende").warnings[0]


def test_what_is_given_stays_and_what_is_found_can_be_written(fcc, fcc_springs):
    stretched = fcc.copy()
    stretched.set_cell(1.02 * fcc.cell.array, scale_atoms=True)
    before = stretched.copy()
    found = eos(fcc_springs, stretched, points=5)
    assert stretched == before
    assert found.rest.result.before.stress > 1.0 > found.rest.result.after.stress
    written = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert written["fit"]["bulk_modulus"] == found.bulk_modulus
    assert np.allclose(written["fit"]["cell"], fcc.cell.array, atol=1e-4)


def test_a_relaxation_that_gives_up_is_told(fcc, fcc_springs):
    fcc.set_cell(1.02 * fcc.cell.array, scale_atoms=True)
    found = eos(fcc_springs, fcc, steps=1)
    assert not found.settled
    assert "gave up after 1 steps" in found.report("fcc").warnings[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"span": 0.0}, "--range"),
        ({"span": 0.7}, "--range"),
        ({"points": 4}, "4 points"),
        ({"fmax": -1.0}, "fmax"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fcc, fcc_springs, settings, message):
    with pytest.raises(ValueError, match=message):
        eos(fcc_springs, fcc, **settings)


def test_a_minimum_outside_the_range_is_an_error(fcc, fcc_springs):
    fcc.set_cell(0.95 * fcc.cell.array, scale_atoms=True)
    with pytest.raises(ValueError, match="no minimum between"):
        eos(fcc_springs, fcc, relax=False)


@pytest.mark.parametrize(
    "structure",
    [
        Atoms("Ge"),
        Atoms("Ge", cell=[5, 5, 5], pbc=(True, True, False)),
        Atoms("Ge", cell=[5, 5, 0], pbc=True),
    ],
    ids=["molecule", "slab", "flat"],
)
def test_only_crystals_have_one(fcc_springs, structure):
    with pytest.raises(ValueError, match="a crystal was expected"):
        eos(fcc_springs, structure)
