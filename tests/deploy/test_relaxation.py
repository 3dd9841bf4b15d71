"""Relaxation goes down to where forces and stress vanish, and says so when it does not."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.lj import LennardJones
from ase.constraints import FixAtoms
from ase.io import read

from cynosure.deploy import Calculator, relax


@pytest.fixture
def crystal() -> Atoms:
    """A strained triclinic crystal of springs, off its minimum in every degree of freedom."""
    atoms = bulk("O", "fcc", a=1.65) * (2, 2, 2)
    atoms.rattle(0.03, seed=1)
    shear = np.array([[1.04, 0.03, 0.0], [0.0, 0.97, -0.02], [0.01, 0.0, 1.02]])
    atoms.set_cell(atoms.cell.array @ shear, scale_atoms=True)
    return atoms


def test_a_molecule_comes_to_rest_at_the_length_of_its_spring(springs):
    dimer = Atoms("OH", positions=[[0, 0, 0], [0.7, 0.6, 0.3]])
    before = dimer.copy()
    result = relax(springs(30.0, 1.1, 5.0), dimer, fmax=1e-6)
    assert result.converged
    assert result.atoms.get_distance(0, 1) == pytest.approx(1.1, abs=1e-6)
    assert result.after.energy < 1e-12 < result.before.energy
    assert result.after.fmax <= 1e-6 < result.before.fmax
    assert np.array_equal(dimer.positions, before.positions), "the structure given is not changed"
    assert "Converged" in result.summary()


def test_the_cell_comes_to_rest_too(springs, crystal):
    """Springs between nearest neighbours of length 1.2 make an fcc crystal of that spacing, without stress."""
    result = relax(springs(20.0, 1.2, 1.45), crystal, cell=True, fmax=1e-4)
    assert result.converged
    assert result.after.stress < 1e-2 < result.before.stress
    assert result.atoms.cell.volume / len(crystal) == pytest.approx(1.2**3 / np.sqrt(2), rel=1e-3)
    fixed = relax(springs(20.0, 1.2, 1.45), crystal, fmax=1e-4)
    assert np.array_equal(fixed.atoms.cell.array, crystal.cell.array)
    assert fixed.after.stress > 1.0


def test_under_pressure_the_stress_is_its_opposite(springs, crystal):
    """The minimum of E + pV: its slope with the pressure is the volume."""
    potential, volumes, enthalpies = springs(20.0, 1.2, 1.45), [], []
    for pressure in (1.0, 2.0, 3.0):
        result = relax(potential, crystal, cell=True, fmax=1e-5, pressure=pressure)
        assert result.converged
        np.testing.assert_allclose(
            result.atoms.get_stress(voigt=False) / units.GPa, -pressure * np.eye(3), atol=1e-3
        )
        assert result.after.stress < 1e-3
        volumes.append(result.after.volume)
        enthalpies.append(result.after.energy + pressure * units.GPa * result.after.volume)
    assert (enthalpies[2] - enthalpies[0]) / (2 * units.GPa) == pytest.approx(volumes[1], rel=1e-4)
    assert volumes[0] > volumes[2]


def test_results_are_those_of_the_structure_that_is_returned(springs, crystal):
    potential = springs(20.0, 1.2, 1.45)
    result = relax(potential, crystal, fmax=1e-3)
    atoms = result.atoms.copy()
    atoms.calc = Calculator(potential)
    np.testing.assert_allclose(result.atoms.get_forces(), atoms.get_forces(), atol=1e-10)
    np.testing.assert_allclose(result.atoms.get_stress(), atoms.get_stress(), atol=1e-12)
    assert result.after.energy == pytest.approx(atoms.get_potential_energy(), rel=1e-12)
    assert np.linalg.norm(atoms.get_forces(), axis=1).max() == pytest.approx(result.after.fmax, abs=1e-10)


def test_atoms_that_are_held_do_not_move(springs, crystal):
    crystal.set_constraint(FixAtoms([0, 3]))
    result = relax(springs(20.0, 1.2, 1.45), crystal, fmax=1e-3)
    assert result.converged
    assert np.array_equal(result.atoms.positions[[0, 3]], crystal.positions[[0, 3]])
    assert np.abs(result.atoms.positions - crystal.positions).max() > 1e-3
    assert len(result.atoms.constraints) == 1


def test_a_large_structure_comes_to_rest_too(springs, crystal):
    large = crystal * (3, 3, 3)
    large.rattle(0.02, seed=2)
    result = relax(springs(20.0, 1.2, 1.45), large, cell=True, fmax=0.01)
    assert result.converged
    assert result.atoms.cell.volume / len(large) == pytest.approx(1.2**3 / np.sqrt(2), rel=0.01)


def test_a_structure_at_rest_takes_no_step(springs):
    result = relax(springs(30.0, 1.1, 5.0), Atoms("H"))
    assert result.converged
    assert result.after.step == 0


def test_giving_up_is_told_and_written(springs, crystal, tmp_path):
    out = tmp_path / "relaxed.extxyz"
    heard = []
    result = relax(springs(20.0, 1.2, 1.45), crystal, fmax=1e-9, steps=3, out=out, on_step=heard.append)
    assert not result.converged
    assert "NOT converged after 3 steps" in result.summary()
    assert [state.step for state in heard] == [0, 1, 2, 3]
    assert (heard[0], heard[-1]) == (result.before, result.after)
    np.testing.assert_allclose(read(out).positions, result.atoms.positions, atol=1e-7)


@pytest.mark.parametrize("name", ["a.extxyz", "a.xyz", "a.traj", "a.cif", "POSCAR", "a.vasp"])
def test_the_relaxed_structure_is_written(springs, crystal, tmp_path, name):
    out = tmp_path / name
    result = relax(springs(20.0, 1.2, 1.45), crystal, cell=True, fmax=0.05, out=out)
    assert result.out == out
    assert [path.name for path in tmp_path.iterdir()] == [name], "nothing else is left behind"
    written = read(out)
    np.testing.assert_allclose(
        written.get_all_distances(mic=True), result.atoms.get_all_distances(mic=True), atol=1e-4
    )


def test_an_old_file_is_not_lost(springs, crystal, tmp_path):
    out = tmp_path / "a.extxyz"
    out.write_text("old")
    with pytest.raises(FileExistsError, match=r"a\.extxyz is there already"):
        relax(springs(20.0, 1.2, 1.45), crystal, out=out)
    crystal.positions[1] = crystal.positions[0]
    with pytest.raises(ValueError, match="0 and 1"):
        relax(springs(20.0, 1.2, 1.45), crystal, out=out, overwrite=True)
    assert out.read_text() == "old"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fmax": 0.0}, "fmax"),
        ({"fmax": float("nan")}, "fmax"),
        ({"steps": -1}, "steps"),
        ({"pressure": float("nan")}, "pressure"),
        ({"pressure": 1.0}, "--cell"),
        ({"out": "a.nonsense"}, r"a\.nonsense"),
        ({"out": "OUTCAR"}, "OUTCAR"),
        ({"out": "no/such/folder/a.xyz"}, "no/such/folder"),
    ],
)
def test_settings_that_make_no_sense_are_refused(model, silicon, settings, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        relax(model, silicon, **settings)


@pytest.mark.parametrize("pbc", [False, (True, True, False)])
def test_only_a_periodic_cell_is_relaxed(model, silicon, pbc):
    silicon.pbc = pbc
    with pytest.raises(ValueError, match="periodic in all three"):
        relax(model, silicon, cell=True)


def test_no_atoms_are_refused(model):
    with pytest.raises(ValueError, match="no atoms"):
        relax(model, Atoms())


def test_an_energy_that_is_not_finite_stops_it(springs, monkeypatch):
    potential = springs(30.0, 1.1, 5.0)
    healthy = potential.atomic_energies
    monkeypatch.setattr(potential, "atomic_energies", lambda *arguments: healthy(*arguments) * float("nan"))
    with pytest.raises(ValueError, match=r"at step 0 .* not finite"):
        relax(potential, Atoms("OH", positions=[[0, 0, 0], [0.7, 0.6, 0.3]]))


def test_atoms_that_run_into_each_other_stop_it(springs):
    """Springs that are too short for atoms of this size."""
    dimer = Atoms("OH", positions=[[0, 0, 0], [0.5, 0, 0]])
    with pytest.raises(ValueError, match=r"at step \d+ atoms 0 \(O\) and 1 \(H\) have run into each other"):
        relax(springs(30.0, 0.2, 5.0), dimer)
    # Those that start too close may move apart, but not stay.
    dimer.positions[1, 0] = 0.3
    assert relax(springs(30.0, 1.0, 5.0), dimer).converged
    with pytest.raises(ValueError, match=r"at step 0 .* have run into each other"):
        relax(springs(30.0, 0.3, 5.0), dimer)


def test_a_cell_that_collapses_is_told(springs):
    with pytest.raises(ValueError, match=r"have run into each other.*the cell has \d+% of its volume"):
        relax(springs(20.0, 0.3, 1.45), bulk("O", "fcc", a=1.65), cell=True)


def test_a_structure_that_comes_apart_is_told(springs):
    dimer = Atoms("OH", positions=[[0, 0, 0], [1.1, 0, 0]])
    with pytest.raises(ValueError, match="has come apart: no atom has another"):
        relax(springs(30.0, 1.6, 1.45), dimer)


def test_any_calculator_of_ase_can_drive_it(crystal):
    ours, atoms = LennardJones(sigma=1.1, epsilon=0.1, rc=2.0, smooth=True), crystal.copy()
    result = relax(ours, atoms, fmax=1e-4)
    assert result.converged
    assert result.before.fmax > 0.01
    at_rest = result.atoms.copy()
    at_rest.calc = LennardJones(sigma=1.1, epsilon=0.1, rc=2.0, smooth=True)
    assert np.linalg.norm(at_rest.get_forces(), axis=1).max() <= 1e-4
