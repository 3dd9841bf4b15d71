"""`cynosure screen` ranks, goes on where it was killed, and says by its exit status whether all came to rest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.io import read, write
from typer.testing import CliRunner

from cynosure.cli import app

FILES = ("ranking.csv", "relaxed.extxyz", "screen.png")


def run(*arguments):
    return CliRunner().invoke(app, ["screen", *map(str, arguments)], env={"COLUMNS": "100"})


def shaken(seed: int) -> Atoms:
    """Diamond, off its sites."""
    atoms = bulk("C", cubic=True)
    atoms.rattle(0.05, seed=seed)
    return atoms


@pytest.fixture
def crystals(tmp_path):
    """A folder with two crystals of carbon in two files, and a molecule."""
    folder = tmp_path / "crystals"
    folder.mkdir()
    write(folder / "diamond.cif", bulk("C"))
    write(folder / "shaken.extxyz", shaken(1))
    write(folder / "water.xyz", molecule("H2O"))
    return folder


def test_a_folder_is_ranked(model_file, crystals, tmp_path):
    out = tmp_path / "out"
    result = run(model_file, crystals, "--out", out)
    assert result.exit_code == 0, result.output
    for text in (
        "diamond: at rest after",
        "H2O",
        "per atom",
        "meV",
        f"Written: {out / 'ranking.csv'}",
        "phonons",
    ):
        assert text in result.output
    assert "Look at this" not in result.output
    # Each is what `cynosure relax` makes of it.
    for frame in read(out / "relaxed.extxyz", ":"):
        name = frame.info["name"]
        source = next(crystals.glob(f"{name}.*"))
        cell = () if name == "water" else ("--cell",)
        alone = tmp_path / f"{name}.extxyz"
        relaxed = CliRunner().invoke(app, ["relax", str(model_file), str(source), *cell, "--out", str(alone)])
        assert relaxed.exit_code == 0, relaxed.output
        assert frame.get_potential_energy() == read(alone).get_potential_energy()
    again = run(model_file, crystals, "--out", out)
    assert again.exit_code == 0
    assert "3 of 3 candidates were finished before." in again.output


def test_what_is_left_is_the_exit_status(model_file, crystals, tmp_path):
    write(crystals / "gold.extxyz", bulk("Au"))
    out = tmp_path / "out"
    result = run(model_file, crystals, "--out", out, "--fixed-cell")
    assert result.exit_code == 1, result.output
    assert "1 of 4 did not come to rest" in result.output
    assert "the model does not know Au" in result.output
    assert len(read(out / "relaxed.extxyz", ":")) == 3
    result = run(model_file, crystals / "shaken.extxyz", "--out", tmp_path / "few", "--steps", 1)
    assert result.exit_code == 1
    assert "NOT converged after 1 steps" in " ".join(result.output.split())
    assert "NOT at rest" in result.output


def test_what_goes_wrong_is_one_line(model_file, crystals, tmp_path):
    out = tmp_path / "out"
    assert run(model_file, crystals / "water.xyz", "--out", out).exit_code == 0
    before = (out / "ranking.csv").read_bytes()
    for arguments, message in (
        ((tmp_path / "gone.safetensors", crystals), "gone.safetensors"),
        ((model_file, tmp_path / "gone.cif"), "gone.cif"),
        ((model_file, crystals, "--fmax", -1), "fmax"),
        ((model_file, crystals, "--pressure", 1, "--fixed-cell"), "--fixed-cell"),
        ((model_file, crystals / "water.xyz", "--fmax", 0.02), "fmax was 0.01 and is 0.02"),
    ):
        result = run(*arguments, "--out", out)
        assert result.exit_code == 2, result.output
        assert result.stderr.startswith("error: ")
        assert message in result.stderr
    assert (out / "ranking.csv").read_bytes() == before
    assert run(model_file, crystals / "water.xyz", "--fmax", 0.02, "--out", out, "--overwrite").exit_code == 0


def test_killed_and_gone_on_with(model_file, tmp_path):
    """What comes of it is what an undisturbed run gives, and nothing is computed twice."""
    structures, out, whole = tmp_path / "many.extxyz", tmp_path / "out", tmp_path / "whole"
    write(structures, [shaken(seed) for seed in range(6)])
    arguments = (model_file, structures, "--out", out, "--fixed-cell")
    process = subprocess.Popen(
        [sys.executable, "-m", "cynosure", "screen", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    finished = out / "finished"
    while not (finished.is_dir() and len(list(finished.glob("*.json"))) >= 2):
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in finished.glob("*.json")}
    assert 2 <= len(kept) < 6
    assert not (out / "ranking.csv").exists()
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert f"{len(kept)} of 6 candidates were finished before." in result.output
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert run(model_file, structures, "--out", whole, "--fixed-cell").exit_code == 0
    for name in FILES:
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name


def test_ctrl_c_says_that_it_goes_on(model_file, crystals, tmp_path, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("cynosure.analysis.screen", interrupt)
    result = run(model_file, crystals, "--out", tmp_path / "out")
    assert result.exit_code == 130
    assert "the same command goes on" in result.stderr
