"""Nuclear matter: the interaction is what it says, its motion conserves what it should, and the whole road is run."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def nuclear(monkeypatch) -> SimpleNamespace:
    """The modules of the example, which is imported from the root of the repository."""
    monkeypatch.syspath_prepend(ROOT)
    names = ("interaction", "dynamics", "make_data", "measure")
    return SimpleNamespace(**{name: importlib.import_module(f"examples.nuclear.{name}") for name in names})


@pytest.fixture
def matter(nuclear):
    """A small box, so dense that images of nucleons meet and every part of the taper is in use."""
    chain = nuclear.make_data.Chain(20, 0.4, 0.08, 1.0)
    return nuclear.make_data.start(chain, np.random.default_rng(5))


def energy_of(nuclear, atoms) -> float:
    own = atoms.copy()
    own.calc = nuclear.interaction.Reference()
    return own.get_potential_energy()


def test_forces_and_torques_are_derivatives_of_the_energy(nuclear, matter):
    forces, torque = matter.get_forces(), matter.calc.get_property("torque", matter)
    step = 3e-5
    for nucleon in (0, 7, 19):
        for axis in range(3):
            ends = []
            for sign in (1, -1):
                moved = matter.copy()
                moved.positions[nucleon, axis] += sign * step
                ends.append(energy_of(nuclear, moved))
            assert forces[nucleon, axis] == pytest.approx(-(ends[0] - ends[1]) / (2 * step), abs=1e-6)
            ends = []
            for sign in (1, -1):
                turned = matter.copy()
                angles = sign * step * np.eye(3)[axis]
                spin = turned.arrays["spins"][nucleon]
                once = np.cross(angles, spin)
                turned.arrays["spins"][nucleon] = spin + once + np.cross(angles, once) / 2
                ends.append(energy_of(nuclear, turned))
            assert torque[nucleon, axis] == pytest.approx(-(ends[0] - ends[1]) / (2 * step), abs=1e-6)
    # (The test would be of nothing, were they small.)
    assert np.abs(forces).max() > 1
    assert np.abs(torque).max() > 0.5


def test_the_interaction_has_every_symmetry(nuclear, matter):
    deviations = nuclear.measure.symmetry(nuclear.interaction.Reference(), matter, np.random.default_rng(0))
    assert set(deviations) == {
        "rotation",
        "rotoinversion",
        "translation",
        "permutation",
        "reversal of time",
    }
    assert max(deviations.values()) < 1e-11, deviations


def test_spins_that_stay_behind_when_the_rest_turns_are_noticed(nuclear, matter):
    turned = matter.copy()
    turned.set_cell(matter.cell.array[:, [1, 2, 0]])
    turned.positions = matter.positions[:, [1, 2, 0]]
    assert abs(energy_of(nuclear, turned) - matter.get_potential_energy()) > 0.1


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # V of Horowitz et al. at 2 fm, and the tensor term for both spins along the line (S12 = 2).
        (-1, -1, 110 * np.exp(-3.2) - 2 * np.exp(-1.6) + 4 * 1.6 * np.exp(-1.6) * 2),
        (-1, 1, 110 * np.exp(-3.2) - 50 * np.exp(-1.6) - 4 * 1.6 * np.exp(-1.6) * 2),
        (
            1,
            1,
            110 * np.exp(-3.2) - 2 * np.exp(-1.6) + 1.43996 / 2 * np.exp(-0.2) + 4 * 1.6 * np.exp(-1.6) * 2,
        ),
    ],
)
def test_a_pair_has_the_energy_of_the_formula(nuclear, first, second, expected):
    along = np.array([[0.0, 0.0, 1.0]])
    isospins = np.array([float(first)]), np.array([float(second)])
    found = nuclear.interaction.pairs(2 * along, along, along, *isospins)
    assert found.energy[0] == pytest.approx(expected, rel=1e-12)


def test_everything_goes_smoothly_to_zero_at_the_cutoff(nuclear):
    spin, isospin = np.array([[0.6, 0.0, 0.8]]), np.ones(1)
    for short, size in ((1e-2, 1e-6), (1e-3, 1e-8)):
        vectors = np.array([[0.0, 0.0, nuclear.interaction.CUTOFF - short]])
        found = nuclear.interaction.pairs(vectors, spin, spin, isospin, isospin)
        # Energy as the third power of what is left, force as the second.
        assert 0 < abs(found.energy[0]) < size * 10 * short
        assert 0 < np.abs(found.by_vector).max() < size * 50


def cluster(nuclear, dt):
    rng = np.random.default_rng(3)
    atoms = nuclear.make_data.start(nuclear.make_data.Chain(10, 0.5, 0.16, 1.0, False), rng)
    nuclear.dynamics.Motion(atoms, 1.0, rng, friction=0.05).run(200)
    return nuclear.dynamics.Motion(atoms, 1.0, rng, dt=dt)


def test_motion_conserves_momentum_angular_momentum_and_spin_lengths(nuclear):
    conserved = nuclear.measure.Conserved.of(cluster(nuclear, 1.0), 100, every=10).to_json()
    assert conserved["momentum change"] < 1e-10
    assert conserved["angular momentum change"] < 1e-9
    assert conserved["angular momentum of spins change"] > 10
    assert conserved["spin length deviation"] < 1e-4
    assert conserved["energy deviation"] < 0.05 * conserved["kinetic energy deviation"]


def test_the_error_of_a_step_is_of_second_order(nuclear):
    deviations = []
    for dt in (1.0, 0.5):
        motion = cluster(nuclear, dt)
        deviations.append(
            nuclear.measure.Conserved.of(motion, round(60 / dt), every=round(3 / dt)).energy.std()
        )
    assert deviations[0] / deviations[1] == pytest.approx(4, rel=0.25)


def test_a_thermostat_brings_motion_to_its_temperature(nuclear, matter):
    rng = np.random.default_rng(0)
    motion = nuclear.dynamics.Motion(matter, 2.0, rng, friction=0.1)
    motion.run(100)
    found = []
    for _ in range(200):
        motion.run(2)
        found.append(motion.kinetic_energy / (1.5 * len(matter)))
    assert np.mean(found) == pytest.approx(2.0, rel=0.1)


def test_a_step_that_is_too_long_for_the_spins_is_refused(nuclear, matter):
    matter.positions *= 0.4
    matter.set_cell(0.4 * matter.cell.array)
    with pytest.raises(RuntimeError, match="take a smaller one"):
        nuclear.dynamics.Motion(matter, 1.0, np.random.default_rng(0), dt=20.0).run(3)


def test_the_whole_road_by_one_command(run_example, tmp_path):
    done = run_example("nuclear", "--quick", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stdout + done.stderr
    numbers = json.loads((tmp_path / "out" / "numbers.json").read_text())
    assert max(numbers["symmetry"].values()) < 1e-10
    assert numbers["errors"]["forces"]["relative"] < 0.7
    assert numbers["errors"]["torque"]["relative"] < 0.5
    assert numbers["cluster"]["angular momentum change"] < 1e-9
    assert numbers["cluster"]["momentum change"] < 1e-9
    assert set(numbers["pair correlation"]) == {"model", "reference", "reference again"}
    assert (tmp_path / "out" / "nuclear.png").stat().st_size < 150_000
    assert "MeV/fm" in done.stdout
    # A folder that holds something is left as it is.
    again = run_example("nuclear", "--quick", "--out", str(tmp_path / "out"))
    assert again.returncode == 2
    assert "name another folder" in again.stderr
