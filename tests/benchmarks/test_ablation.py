"""The ablation: its variants are settings that exist, its table compares, and a finished run is not repeated."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import ase.build
import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator

from cynosure import cli
from cynosure.potentials import resolve
from cynosure.training import from_settings, learner
from cynosure.training.config import merge, parse_assignment
from cynosure.training.optimiser import Optimiser

ROOT = Path(__file__).parents[2]


@pytest.fixture
def ablation(benchmark):
    return benchmark("ablation")


def test_every_variant_is_made_of_settings_that_exist(ablation):
    default = from_settings({"data": "frames.xyz", "model": {"preset": "small"}})
    for variant, settings in ablation.VARIANTS.items():
        assignments = [("data.train", "frames.xyz"), *map(parse_assignment, ablation.settings_of(variant))]
        config = from_settings(merge({}, assignments))
        same = variant == "default" or (variant in ablation.OTHER_OPTIMISERS and not settings)
        as_built = config.model_copy(update={"model": default.model}) == default
        assert (as_built and resolve(config.model) == resolve(default.model)) == same, variant


def test_the_table_sets_a_variant_beside_the_default(ablation):
    runs = [ablation.Run(variant, "acac", seed, 4.0) for seed in (0, 1) for variant in ("default", "Adam")]
    values = (0.02, 0.01, 0.03, 0.015)
    done = {run: ablation.Outcome(value, 0.001, 1000, 50.0) for run, value in zip(runs, values, strict=True)}
    runs.append(ablation.Run("default", "silicon", 0, 4.0))
    done[runs[-1]] = ablation.Outcome(0.05, 0.002, 500, 70.0)
    assert ablation.table(runs, done)[2:] == [
        "| default | 20.0 / 30.0 | 1.00 | 1.00 | 1,000 | 50 | 50.0 | 1.00 | 2.00 | 500 | 70 |",
        "| Adam | 10.0 / 15.0 | 0.50 | 1.00 | 1,000 | 50 | – | – | – | – | – |",
    ]


def test_variants_of_the_stress_are_for_frames_that_have_one(ablation, tmp_path):
    atoms = ase.build.bulk("Si")
    for name, labels in (("with", {"stress": np.zeros(6)}), ("without", {})):
        atoms.calc = SinglePointCalculator(atoms, energy=0.0, **labels)
        ase.io.write(tmp_path / f"{name}.xyz", atoms)
        assert ablation.speaks_of("no stress", tmp_path / f"{name}.xyz") is (name == "with")
        assert ablation.speaks_of("Adam", tmp_path / f"{name}.xyz")


def test_a_run_is_kept_and_not_repeated(ablation, tmp_path):
    rng, frames = np.random.default_rng(0), tmp_path / "water" / "frames.xyz"
    frames.parent.mkdir()
    for _ in range(10):
        atoms = ase.build.molecule("H2O")
        atoms.rattle(0.05, rng=rng)
        atoms.calc = SinglePointCalculator(atoms, energy=rng.normal(), forces=rng.normal(size=(3, 3)))
        ase.io.write(frames, atoms, append=True)
    command = [sys.executable, "-m", "benchmarks.ablation", str(frames), "--minutes", "0.3", "--seeds", "1"]
    command += ["--only", "default", "--out", str(tmp_path / "out")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    printed = []
    for _ in range(2):
        done = subprocess.run(
            command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        printed.append(done)
    assert "1 of 1: default, water, seed 0" in printed[0].stderr
    assert printed[1].stderr == ""
    assert printed[0].stdout == printed[1].stdout
    log = tmp_path / "out" / "results.jsonl"
    (outcome,) = ablation.finished_runs.read(log, ablation.Run, ablation.Outcome).values()
    assert outcome.steps > 0
    assert outcome.forces > 0
    assert outcome.step_of_atom > 0
    assert json.loads((tmp_path / "out" / "results.jsonl").read_text())["variant"] == "default"


@pytest.mark.parametrize("name", ["own", "soap", "schedule-free"])
def test_the_trainer_uses_the_optimiser_that_it_is_told(benchmark, monkeypatch, name):
    trainer = benchmark("trainer")
    monkeypatch.setattr(learner, "Optimiser", None)
    monkeypatch.setattr(time, "monotonic", time.monotonic)
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(cli, "process_start", cli.process_start)
    seen = []
    monkeypatch.setattr(
        cli, "main", lambda: seen.append((learner.Optimiser, time.monotonic, cli.process_start(), sys.argv))
    )
    trainer.main([name, "train", "frames.xyz"])
    assert seen == [(trainer.OPTIMISERS[name], time.process_time, 0.0, ["cynosure", "train", "frames.xyz"])]
    assert issubclass(trainer.OPTIMISERS[name], Optimiser)
