"""Dynamics keep what their ensemble keeps, write what they did, and stop before they write nonsense."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ase import Atoms, units
from ase.constraints import FixAtoms
from ase.io import read

from cynosure.deploy import Calculator, UnstableDynamics, molecular_dynamics


@pytest.fixture
def dimer() -> Atoms:
    return Atoms("OH", positions=[[0, 0, 0], [0.7, 0.6, 0.3]])


def test_the_energy_error_of_nve_is_of_second_order(springs, dimer):
    """Velocity Verlet: half the step, a quarter of the error; and no trend."""
    errors = []
    for dt, steps in ((0.4, 200), (0.2, 400)):
        result = molecular_dynamics(springs(30.0, 1.0, 5.0), dimer, "nve", 500, steps=steps, dt_fs=dt)
        errors.append(result.excursion())
        assert abs(result.drift()) < 0.2 * result.excursion()
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.1)
    assert result.times[-1] == pytest.approx(0.08)


def test_nve_conserves_energy_of_a_network(model, silicon):
    result = molecular_dynamics(model, silicon, "nve", 300, steps=60, dt_fs=0.5)
    assert result.excursion() < 1e-4
    assert result.samples[0].temperature == pytest.approx(300)
    assert np.abs(result.atoms.get_momenta().sum(axis=0)).max() < 1e-9


def test_nvt_reaches_its_temperature_in_every_mode(springs, dimer):
    """Equipartition in the dimer's three relative motions: kinetic, and in the spring potential k T / 2.

    Averages over 5 ps with a memory of 0.1 ps: a wrong count of degrees of freedom would be off by two.
    """
    calculator = Calculator(springs(10.0, 1.0, 20.0))
    result = molecular_dynamics(calculator, dimer, "nvt", 400, steps=2500, dt_fs=2.0, every=2, seed=3)
    samples = result.samples[50:]
    assert np.mean([sample.temperature for sample in samples]) == pytest.approx(400, rel=0.3)
    spring = np.mean([sample.potential for sample in samples])
    assert 2 * spring / units.kB == pytest.approx(400, rel=0.4)
    moved = result.atoms.get_center_of_mass() - dimer.get_center_of_mass()
    assert np.abs(moved).max() < 1e-9, "the centre of mass is held"
    assert not result.atoms.constraints


def test_npt_gives_an_ideal_gas_its_volume(springs):
    """⟨V⟩ = (N + 1) k T / P, exactly, and the shape of the cell is kept."""
    count, temperature, pressure = 6, 1000.0, 1.0
    volume = (count + 1) * units.kB * temperature / (pressure * units.GPa)
    shape = np.array([[1.0, 0, 0], [0.3, 1.0, 0], [0, 0.2, 1.0]])
    cell = shape * (0.6 * volume) ** (1 / 3)
    places = np.random.default_rng(0).uniform(0, 1, (count, 3)) @ cell
    gas = Atoms("H" * count, positions=places, cell=cell, pbc=True)
    gas.set_masses([40.0] * count)
    # Springs that reach 0.02 Å: nothing ever meets.
    result = molecular_dynamics(
        springs(1.0, 0.0, 0.02), gas, "npt", temperature, steps=1500, dt_fs=20.0, pressure=pressure, every=3
    )
    samples = result.samples[len(result.samples) // 3 :]
    assert np.mean([sample.volume for sample in samples]) == pytest.approx(volume, rel=0.25)
    assert np.mean([sample.temperature for sample in samples]) == pytest.approx(temperature, rel=0.15)
    for sample in samples[::50]:
        ideal = count * units.kB * sample.temperature / sample.volume / units.GPa
        assert sample.pressure == pytest.approx(ideal), "3N degrees of freedom in both"
    np.testing.assert_allclose(result.atoms.cell.array / result.atoms.cell.array[0, 0], shape, atol=1e-12)


def test_npt_follows_the_pressure_of_a_network(model, silicon):
    """The barostat sees the model's stress: squeezed harder, the crystal ends smaller."""
    volumes = [
        molecular_dynamics(
            model, silicon, "npt", 100, steps=80, dt_fs=4.0, pressure=pressure
        ).atoms.cell.volume
        for pressure in (0.0, 15.0)
    ]
    assert volumes[1] < 0.95 * volumes[0]


@pytest.mark.parametrize("ensemble", ["nve", "nvt", "npt"])
def test_every_ensemble_starts_at_its_temperature(model, silicon, ethanol, ensemble):
    for atoms in (silicon, ethanol)[: 1 if ensemble == "npt" else 2]:
        result = molecular_dynamics(model, atoms, ensemble, 250, steps=0)
        assert result.samples[0].temperature == pytest.approx(250)
        assert np.abs(result.atoms.get_momenta().sum(axis=0)).max() < 1e-12


def test_the_seed_repeats_a_run(model, silicon):
    def run(seed):
        return molecular_dynamics(model, silicon, "nvt", 300, steps=5, seed=seed).atoms.positions

    assert np.array_equal(run(1), run(1))
    assert not np.allclose(run(1), run(2), atol=1e-6)


def test_the_structure_given_is_not_changed(model, silicon):
    before = silicon.copy()
    molecular_dynamics(model, silicon, "nvt", 300, steps=3)
    assert np.array_equal(silicon.positions, before.positions)
    assert not silicon.has("momenta")
    assert silicon.calc is None


@pytest.mark.parametrize("ensemble", ["nve", "nvt"])
def test_atoms_that_are_held_do_not_move(model, silicon, ensemble):
    silicon.set_constraint(FixAtoms([0, 5]))
    result = molecular_dynamics(model, silicon, ensemble, 300, steps=10)
    assert np.array_equal(result.atoms.positions[[0, 5]], silicon.positions[[0, 5]])
    assert np.abs(result.atoms.positions - silicon.positions).max() > 1e-3
    assert len(result.atoms.constraints) == 1


@pytest.mark.parametrize("name", ["md.traj", "md.xyz", "md.extxyz", "md"])
def test_frames_are_written_as_they_were(model, silicon, tmp_path, name):
    silicon.set_constraint(FixAtoms([0]))
    out = tmp_path / name
    result = molecular_dynamics(model, silicon, "nve", 300, steps=25, every=10, out=out)
    frames = read(out, index=":", format="traj" if name == "md" else None)
    assert [frame.info["step"] for frame in frames] == [0, 10, 20, 25]
    assert [sample.step for sample in result.samples] == [0, 10, 20, 25]
    for frame, sample in zip(frames, result.samples, strict=True):
        assert frame.get_potential_energy() == pytest.approx(sample.potential, rel=1e-12)
        assert frame.get_kinetic_energy() == pytest.approx(sample.kinetic, abs=1e-5)
        assert frame.info["time_ps"] == pytest.approx(sample.step * 0.5e-3)
        assert frame.calc.get_property("stress") is not None
    np.testing.assert_allclose(frames[-1].positions, result.atoms.positions, atol=1e-7)
    np.testing.assert_allclose(frames[-1].get_forces(), result.atoms.get_forces(), atol=1e-7)
    assert result.trajectory == out
    assert result.plot == out.with_suffix(".png")
    assert result.plot.read_bytes().startswith(b"\x89PNG")


def test_a_run_goes_on_from_its_last_frame(model, silicon, tmp_path):
    out = tmp_path / "first.traj"
    whole = molecular_dynamics(model, silicon, "nve", 300, steps=20)
    molecular_dynamics(model, silicon, "nve", 300, steps=12, out=out)
    rest = molecular_dynamics(model, read(out), "nve", None, steps=8)
    np.testing.assert_allclose(rest.atoms.positions, whole.atoms.positions, atol=1e-9)


def test_a_molecule_has_no_pressure_and_is_plotted_without(springs, dimer, tmp_path):
    result = molecular_dynamics(springs(30.0, 1.0, 5.0), dimer, "nvt", 300, steps=5, out=tmp_path / "a.xyz")
    assert math.isnan(result.samples[-1].pressure)
    assert result.samples[-1].volume == 0
    assert result.plot is not None


def test_one_atom_alone(springs):
    for ensemble in ("nve", "nvt"):
        result = molecular_dynamics(springs(1.0, 1.0, 3.0), Atoms("H"), ensemble, 300, steps=5)
        assert np.isfinite(result.atoms.positions).all()


def test_no_steps_is_one_frame(model, silicon, tmp_path):
    result = molecular_dynamics(model, silicon, "nve", 300, steps=0, out=tmp_path / "a.traj")
    assert len(result.samples) == 1
    assert result.drift() == 0.0


def test_samples_are_told_as_they_are_taken(model, silicon):
    heard = []
    result = molecular_dynamics(model, silicon, "nve", 300, steps=20, every=5, on_sample=heard.append)
    assert heard == result.samples
    assert len(heard) == 5


def test_an_interruption_keeps_what_there_is(model, silicon, tmp_path):
    def stop(sample):
        if sample.step == 10:
            raise KeyboardInterrupt

    out = tmp_path / "a.xyz"
    result = molecular_dynamics(model, silicon, "nve", 300, steps=100, every=5, out=out, on_sample=stop)
    assert result.interrupted
    assert len(read(out, index=":")) == 3
    assert result.plot is not None


def test_atoms_that_run_into_each_other_stop_the_run(springs, tmp_path):
    """Without a repulsive core, two atoms pulled together pass through each other."""
    pair = Atoms("HH", positions=[[0, 0, 0], [1.5, 0.01, 0]])
    out = tmp_path / "a.xyz"
    with pytest.raises(
        UnstableDynamics, match=r"atoms (0 \(H\) and 1|1 \(H\) and 0) \(H\) have run into each"
    ) as error:
        molecular_dynamics(springs(1.0, 0.0, 5.0), pair, "nve", 0, steps=500, every=1, out=out)
    frames = read(out, index=":")
    last = frames[-1].info["step"]
    assert f"at step {last + 1} " in str(error.value), "every step but the bad one is there"
    assert frames[-1].get_distance(0, 1) > 0.4 * 2 * 0.31


def test_a_time_step_that_is_too_long_stops_the_run(springs, dimer, tmp_path):
    """A step far too long for its spring grows without bound, until the atoms fly apart."""
    out = tmp_path / "a.traj"
    with pytest.raises(UnstableDynamics, match=r"at step \d+ the temperature is .*--dt"):
        molecular_dynamics(
            springs(1e3, 1.0, 50.0), dimer, "nve", 300, steps=1000, dt_fs=5.0, every=1, out=out
        )
    for frame in read(out, index=":"):
        assert np.isfinite(frame.positions).all()
        assert frame.get_temperature() < 2e5


@pytest.mark.parametrize(
    ("failure", "message"), [("nan", "at step 6 the energy"), ("error", "after step 5: bad")]
)
def test_a_model_that_fails_stops_the_run(springs, dimer, tmp_path, monkeypatch, failure, message):
    potential = springs(10.0, 1.0, 5.0)
    healthy, calls = potential.atomic_energies, []

    def failing(graph, species, vectors):
        calls.append(graph)
        if len(calls) <= 6:
            return healthy(graph, species, vectors)
        if failure == "error":
            raise ValueError("bad")
        return math.nan * healthy(graph, species, vectors)

    monkeypatch.setattr(potential, "atomic_energies", failing)
    out = tmp_path / "a.traj"
    with pytest.raises(UnstableDynamics, match=message):
        molecular_dynamics(potential, dimer, "nve", 300, steps=20, every=1, out=out)
    frames = read(out, index=":")
    assert [frame.info["step"] for frame in frames] == [0, 1, 2, 3, 4, 5]
    assert all(math.isfinite(frame.get_potential_energy()) for frame in frames)


def test_an_old_trajectory_is_not_lost(model, silicon, tmp_path):
    out = tmp_path / "a.xyz"
    molecular_dynamics(model, silicon, "nve", 300, steps=2, out=out)
    old = out.read_bytes()
    with pytest.raises(FileExistsError, match=r"a\.xyz is there already"):
        molecular_dynamics(model, silicon, "nve", 300, steps=3, out=out)
    crashed = silicon.copy()
    crashed.positions[1] = crashed.positions[0] + 0.1
    with pytest.raises(UnstableDynamics, match="check the structure"):
        molecular_dynamics(model, crashed, "nve", 300, steps=3, out=out, overwrite=True)
    assert out.read_bytes() == old
    molecular_dynamics(model, silicon, "nve", 300, steps=30, out=out, overwrite=True)
    assert len(read(out, index=":")) == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ensemble": "nph"}, "nve, nvt, npt"),
        ({"ensemble": "nvt", "temperature": None}, "give one"),
        ({"ensemble": "nvt", "temperature": 0.0}, "positive"),
        ({"temperature": None}, "no velocities"),
        ({"temperature": -5.0}, "-5"),
        ({"temperature": math.nan}, "nan"),
        ({"steps": -1}, "steps"),
        ({"every": 0}, "every"),
        ({"dt_fs": 0.0}, "time step"),
        ({"dt_fs": math.inf}, "time step"),
        ({"pressure": 1.0}, "npt"),
        ({"ensemble": "npt", "pressure": math.nan}, "pressure"),
        ({"out": "md.mp4"}, r"\.mp4"),
        ({"out": "no/such/folder/md.traj"}, "no/such/folder"),
    ],
)
def test_settings_that_make_no_sense_are_refused(model, silicon, settings, message):
    settings = {"ensemble": "nve", "temperature": 300.0, "steps": 2, **settings}
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        molecular_dynamics(model, silicon, **settings)


@pytest.mark.parametrize("pbc", [False, (True, True, False)])
def test_npt_needs_a_cell_that_is_periodic_all_around(model, silicon, pbc):
    silicon.pbc = pbc
    with pytest.raises(ValueError, match="periodic in all three"):
        molecular_dynamics(model, silicon, "npt", 300, steps=1)


def test_npt_cannot_hold_atoms(model, silicon):
    silicon.set_constraint(FixAtoms([0]))
    with pytest.raises(ValueError, match="constraints"):
        molecular_dynamics(model, silicon, "npt", 300, steps=1)


def test_no_atoms_are_refused(model):
    with pytest.raises(ValueError, match="no atoms"):
        molecular_dynamics(model, Atoms(), "nve", 300, steps=1)
