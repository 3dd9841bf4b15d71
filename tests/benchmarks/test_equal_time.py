"""Training for an equal time: the same split for all, schedules that fit, one measure of errors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import ase.build
import ase.io
import numpy as np
import pytest
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator

ROOT = Path(__file__).parents[2]


@pytest.fixture
def equal_time(benchmark):
    return benchmark("equal_time")


@pytest.fixture
def water(tmp_path) -> Path:
    rng, path = np.random.default_rng(0), tmp_path / "water.xyz"
    frames = []
    for _ in range(20):
        atoms = ase.build.molecule("H2O")
        atoms.rattle(0.05, rng=rng)
        atoms.calc = SinglePointCalculator(atoms, energy=rng.normal(), forces=rng.normal(size=(3, 3)))
        frames.append(atoms)
    ase.io.write(path, frames)
    return path


def test_the_split_holds_out_a_fraction_and_repeats(equal_time, water, tmp_path):
    paths = equal_time.write_split(water, 0.1, 3, tmp_path)
    training, validation = (ase.io.read(path, index=":") for path in paths)
    assert (len(training), len(validation)) == (18, 2)
    energies = [frame.get_potential_energy() for frame in (*training, *validation)]
    assert sorted(energies) == pytest.approx(
        sorted(frame.get_potential_energy() for frame in ase.io.read(water, index=":"))
    )
    texts = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in equal_time.write_split(water, 0.1, 3, tmp_path)] == texts
    assert equal_time.write_split(water, 0.1, 4, tmp_path)[1].read_bytes() != texts[1]


def test_epochs_fill_the_time_that_starting_leaves(equal_time):
    # 10 s an epoch and 7 s beside: 119 of them in 20 minutes.
    assert equal_time.affordable(1200.0, [27.0, 47.0]) == 119
    assert equal_time.affordable(5.0, [27.0, 47.0]) == 2


def test_a_side_is_a_file_of_settings_whose_engine_has_an_interpreter(equal_time):
    names = [side.name for side in equal_time.sides("nequip-python", "mace-python", None)]
    assert names == ["cynosure", "cynosure-small", "allegro", "mace-128x0e", "mace", "nequip-l2", "nequip"]
    assert [side.engine for side in equal_time.sides("nequip-python", None, ["nequip"])] == ["nequip"]
    (allegro,) = equal_time.sides("nequip-python", "mace-python", ["allegro"])
    assert (allegro.engine, allegro.python) == ("nequip", "nequip-python")
    assert [side.name for side in equal_time.sides(None, None, None)] == ["cynosure", "cynosure-small"]


def test_our_two_sides_differ_in_the_preset(equal_time, water, tmp_path):
    run = equal_time.Run("any", "water.xyz", 20.0, 7, 1)
    default, small = (
        equal_time.command(side, water, water, tmp_path, run, None)
        for side in equal_time.sides(None, None, None)
    )
    assert {"--minutes", "20.0", "--seed", "7"} <= set(default)
    assert small == [*default, "--preset", "small"]


def test_the_peers_are_told_the_files_the_epochs_and_the_elements(equal_time, water, tmp_path):
    run = equal_time.Run("any", "water.xyz", 20.0, 7, 1)
    commands = {
        side.name: equal_time.command(side, water, water, tmp_path, run, 50)
        for side in equal_time.sides("nequip-python", "mace-python", ["allegro", "mace", "nequip"])
    }
    assert {"--max_num_epochs=50", "--start_swa=40", "--seed=7", f"--train_file={water}"} <= set(
        commands["mace"]
    )
    wanted = {"trainer.max_epochs=50", "chemical_symbols=[H,O]", "seed=7", f"data.val_file_path={water}"}
    for name in ("allegro", "nequip"):
        assert {*wanted, "nequip.scripts.train", name} <= set(commands[name])


def test_the_variants_differ_from_the_recommended_settings_in_one(equal_time):
    def settings(name):
        lines = (equal_time.CONFIGS / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
        return {line for line in lines if line and not line.startswith("#")}

    for config in equal_time.CONFIGS.glob("*-*.yaml"):
        assert len(settings(config.stem) ^ settings(config.stem.split("-")[0])) == 2, config


def test_errors_are_of_whole_frames_and_of_components(benchmark):
    frames = [ase.build.bulk("Ar", cubic=True) * size for size in (1, 2)]
    calculator = LennardJones(sigma=3.4, rc=6.0)
    for frame, shift in zip(frames, (3.0, 4.0), strict=True):
        copy = frame.copy()
        copy.calc = calculator
        forces = copy.get_forces() + np.array([0.3, 0.0, 0.0])
        frame.calc = SinglePointCalculator(frame, energy=copy.get_potential_energy() - shift, forces=forces)
    assert benchmark("equal_time_errors").errors(frames, calculator) == pytest.approx(
        {"energy_rmse": 12.5**0.5, "energy_mae": 3.5, "forces_rmse": 0.03**0.5, "forces_mae": 0.1}
    )


def test_a_finished_side_is_kept_and_not_repeated(equal_time, water, tmp_path, monkeypatch, capsys):
    trained = []

    def outcome(trainer):
        trained.append(trainer.side.name)
        return equal_time.Outcome(0.02, 0.01, 0.04, 0.03, 1190.0, None)

    monkeypatch.setattr(equal_time.Trainer, "outcome", outcome)
    monkeypatch.setattr(sys, "argv", ["equal_time", str(water), "--out", str(tmp_path / "out")])
    for _ in range(2):
        equal_time.main()
        assert "| cynosure | 20.0 | 10.0 | 40.0 | 30.0 | – | 19.8 |" in capsys.readouterr().out
    assert trained == ["cynosure", "cynosure-small"]


@pytest.mark.slow
def test_cynosure_is_trained_and_measured(equal_time, water, tmp_path):
    command = [sys.executable, "-m", "benchmarks.equal_time", str(water), "--minutes", "1.5"]
    command += ["--only", "cynosure", "--out", str(tmp_path / "out")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=300)
    log = tmp_path / "out" / "results.jsonl"
    (outcome,) = equal_time.finished_runs.read(log, equal_time.Run, equal_time.Outcome).values()
    assert outcome.forces_rmse >= outcome.forces_mae > 0
    assert 0 < outcome.seconds < 100


def test_a_side_that_fails_says_what_it_said_last(equal_time, water, tmp_path):
    side = equal_time.Side("cynosure", "cynosure", sys.executable)
    run = equal_time.Run("cynosure", "water.xyz", 1.0, 0, 1)
    trainer = equal_time.Trainer(side, water, water, tmp_path / "side", run)
    with pytest.raises(RuntimeError, match=r"cynosure, run: it ended with 3; .*\nno luck"):
        trainer._timed([sys.executable, "-c", "print('no luck'); raise SystemExit(3)"], "run")
