"""What the members of an ensemble disagree on is in the calculator's results, and can end a simulation or be kept."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from ase.calculators.calculator import PropertyNotImplementedError
from ase.io import read

from cynosure.data import read_frames
from cynosure.deploy import Calculator, molecular_dynamics
from cynosure.graph import from_atoms
from cynosure.potentials import Committee, Potential, UncertaintyFactors, build

NAMES = ("energy_uncertainty", "forces_uncertainty")


@pytest.fixture(scope="module")
def ensemble() -> Potential:
    """Three small networks with a repulsive core."""
    config = {"layers": 1, "l_max": 1, "channels": 4, "cutoff": 3.5, "zbl": True, "members": 3}
    model = build(config, ["H", "C", "O", "Si"], scale=0.3, avg_neighbours=12.0, dtype=torch.float64)
    factors = UncertaintyFactors(energy=1.5, forces=2.0)
    model.calibration = model.calibration.model_copy(update={"uncertainty": factors})
    return model


@pytest.fixture(scope="module")
def run(ensemble):
    """Runs the same simulation each time, and records the largest uncertainty of each step."""

    def simulate(atoms, steps=24, every=1, **options):
        return molecular_dynamics(ensemble, atoms, "nvt", 900, steps=steps, dt_fs=1.0, every=every, **options)

    return simulate


def test_results_have_the_uncertainties_of_the_model(ensemble, silicon, ethanol):
    for atoms in (silicon, ethanol):
        atoms.calc = Calculator(ensemble)
        expected = ensemble(from_atoms(atoms, ensemble.cutoff), ("energy", "forces", *NAMES))
        energy = atoms.get_potential_energy()
        assert "forces_uncertainty" not in atoms.calc.results, "nobody asked for a derivative"
        forces = atoms.get_forces()
        results = atoms.calc.results
        np.testing.assert_allclose(energy, float(expected["energy"]), rtol=1e-10)
        np.testing.assert_allclose(forces, expected["forces"].numpy(), atol=1e-9)
        assert isinstance(results["energy_uncertainty"], float)
        assert results["energy_uncertainty"] == pytest.approx(float(expected[NAMES[0]]), rel=1e-8)
        assert results["forces_uncertainty"].shape == (len(atoms),)
        np.testing.assert_allclose(results["forces_uncertainty"], expected[NAMES[1]].numpy(), atol=1e-9)
        atoms.rattle(0.01)
        again = atoms.calc.get_property("forces_uncertainty", atoms)
        moved = ensemble(from_atoms(atoms, ensemble.cutoff), NAMES)
        np.testing.assert_allclose(again, moved[NAMES[1]].numpy(), atol=1e-9)
        assert not np.allclose(again, expected[NAMES[1]].numpy(), atol=1e-6)


def test_a_single_model_has_no_uncertainty(model, silicon):
    silicon.calc = Calculator(model)
    silicon.get_forces()
    assert not set(NAMES) & silicon.calc.results.keys()
    with pytest.raises(PropertyNotImplementedError):
        silicon.calc.get_property("forces_uncertainty", silicon)
    assert set(NAMES) <= set(Calculator(build_ensemble()).implemented_properties)
    assert not set(NAMES) & set(Calculator(model).implemented_properties)


def build_ensemble() -> Committee:
    model = build({"layers": 1, "l_max": 0, "channels": 2, "members": 2}, ["H"], dtype=torch.float64)
    assert isinstance(model, Committee)
    return model


def test_samples_and_frames_have_the_uncertainties(run, ensemble, silicon, tmp_path):
    result = run(silicon, steps=4, out=tmp_path / "md.xyz")
    for frame, sample in zip(read(tmp_path / "md.xyz", ":"), result.samples, strict=True):
        expected = ensemble(from_atoms(frame, ensemble.cutoff), NAMES)
        np.testing.assert_allclose(frame.arrays["forces_uncertainty"], expected[NAMES[1]], atol=1e-5)
        assert frame.info["energy_uncertainty"] == pytest.approx(float(expected[NAMES[0]]), abs=1e-5)
        assert sample.uncertainty == pytest.approx(float(expected[NAMES[1]].max()), abs=1e-5)
    # Labels are found where they are, and uncertainties are none.
    assert read_frames(tmp_path / "md.xyz").label_counts()["forces"] == 5
    traj = run(silicon, steps=4, out=tmp_path / "md.traj")
    last = read(tmp_path / "md.traj")
    assert last.info["energy_uncertainty"] == traj.atoms.info["energy_uncertainty"]


def test_a_run_stops_at_the_first_step_past_the_limit(run, silicon, tmp_path):
    every_step = [sample.uncertainty for sample in run(silicon).samples]
    limit = 0.5 * (every_step[0] + max(every_step))
    first = next(step for step, value in enumerate(every_step) if value > limit)
    assert 0 < first < 24
    out = tmp_path / "md.traj"
    result = run(silicon, every=first + 1, max_uncertainty=limit, out=out)
    assert not result.interrupted
    assert result.verdict.startswith(f"Stopped at step {first}: the force on atom ")
    assert f"{every_step[first]:.3g} eV/Å, more than {limit:g}" in result.summary()
    frames = read(out, ":")
    assert [frame.info["step"] for frame in frames] == [0, first]
    assert result.samples[-1].uncertainty == every_step[first]
    assert [path.name for path in tmp_path.iterdir() if "uncertain" in path.name] == []
    # A limit that is never passed changes nothing.
    assert run(silicon, max_uncertainty=1.01 * max(every_step)).verdict == ""


@pytest.mark.parametrize("every", [1, 5])
def test_frames_past_the_limit_are_saved_and_the_run_goes_on(run, silicon, tmp_path, every):
    plain = run(silicon)
    every_step = [sample.uncertainty for sample in plain.samples]
    limit = float(np.median(every_step))
    expected, after = [], 0
    for step, value in enumerate(every_step):
        if value > limit and step >= after:
            expected.append(step)
            after = step + every
    options = {"every": every, "max_uncertainty": limit, "on_uncertainty": "save"}
    result = run(silicon, out=tmp_path / "md.traj", **options)
    assert result.uncertain == tmp_path / "md-uncertain.xyz"
    saved = read(result.uncertain, ":")
    assert [frame.info["step"] for frame in saved] == expected != []
    for frame in saved:
        assert frame.arrays["forces_uncertainty"].max() == pytest.approx(
            every_step[frame.info["step"]], rel=1e-6
        )
        assert not frame.constraints
    assert result.uncertain_steps == sum(value > limit for value in every_step)
    assert f"at {result.uncertain_steps} steps" in result.summary()
    assert result.verdict == ""
    np.testing.assert_array_equal(result.atoms.positions, plain.atoms.positions)
    with pytest.raises(FileExistsError, match="md-uncertain"):
        run(silicon, out=tmp_path / "md.xyz", **options)
    options["max_uncertainty"] = 2 * max(every_step)
    result = run(silicon, out=tmp_path / "md.traj", overwrite=True, **options)
    assert result.uncertain is None
    assert not (tmp_path / "md-uncertain.xyz").exists(), (
        "nothing of an older run is left to be taken for this one's"
    )


def test_what_cannot_be_watched_is_refused_before_any_file(model, ensemble, silicon, tmp_path):
    out = tmp_path / "md.traj"
    for potential, options, message in (
        (model, {"max_uncertainty": 0.1, "out": out}, "--ensemble 4"),
        (ensemble, {"max_uncertainty": 0.0, "out": out}, "positive"),
        (ensemble, {"max_uncertainty": math.nan, "out": out}, "positive"),
        (ensemble, {"on_uncertainty": "save", "out": out}, "--max-uncertainty"),
        (ensemble, {"max_uncertainty": 0.1, "on_uncertainty": "save"}, "--out"),
        (ensemble, {"max_uncertainty": 0.1, "on_uncertainty": "weep", "out": out}, "stop, save"),
    ):
        with pytest.raises(ValueError, match=message):
            molecular_dynamics(potential, silicon, "nvt", 300, steps=1, **options)
    assert list(tmp_path.iterdir()) == []
