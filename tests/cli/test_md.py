"""`cynosure md` runs, writes and explains itself; what goes wrong is one plain line."""

from __future__ import annotations

import re

import pytest
from ase.io import read
from typer.testing import CliRunner

from cynosure.cli import app


def run(*arguments):
    return CliRunner().invoke(app, ["md", *map(str, arguments)])


@pytest.mark.parametrize("ensemble", ["nve", "nvt", "npt"])
def test_a_run_in_each_ensemble(model_file, crystal_file, tmp_path, ensemble):
    out = tmp_path / "md.traj"
    result = run(
        model_file,
        crystal_file,
        "--ensemble",
        ensemble,
        "--temperature",
        300,
        "--steps",
        20,
        "--dt",
        1,
        "--out",
        out,
    )
    assert result.exit_code == 0, result.output
    assert [frame.info["step"] for frame in read(out, index=":")] == [0, 10, 20]
    assert out.with_suffix(".png").exists()
    assert re.search(r"^ +20 +0\.0200 ", result.output, re.MULTILINE)
    assert "temperature" in result.output
    assert ("Drift of the total energy over 0.02 ps" in result.output) == (ensemble == "nve")
    assert ("volume" in result.output) == (ensemble == "npt")
    assert "Written:" in result.output


def test_every_option_arrives(model_file, crystal_file, tmp_path):
    out = tmp_path / "md.xyz"
    base = (model_file, crystal_file, "--ensemble", "npt", "--temperature", 200, "--steps", 4, "--out", out)
    options = ("--every", 2, "--dt", 2, "--pressure", 5, "--seed", 3, "--dtype", "float64", "--device", "cpu")
    assert run(*base, *options).exit_code == 0
    first = read(out, index=":")
    assert [frame.info["time_ps"] for frame in first] == pytest.approx([0, 0.004, 0.008])
    assert run(*base, *options, "--overwrite").exit_code == 0
    assert read(out) == first[-1], "the same seed repeats the run"
    for change in (("--seed", 4), ("--pressure", -5), ("--dtype", "float32")):
        assert run(*base, *options, *change, "--overwrite").exit_code == 0
        assert read(out) != first[-1], change


def test_a_run_goes_on_from_a_frame(model_file, crystal_file, tmp_path):
    first, second = tmp_path / "a.traj", tmp_path / "b.traj"
    assert run(model_file, crystal_file, "--temperature", 300, "--steps", 10, "--out", first).exit_code == 0
    result = run(model_file, f"{first}@0", "--ensemble", "nve", "--steps", 1, "--out", second)
    assert result.exit_code == 0, result.output
    assert read(second, index=0).get_temperature() == pytest.approx(read(first, index=0).get_temperature())


def test_an_ensemble_stops_or_saves_where_it_is_uncertain(ensemble_file, crystal_file, tmp_path):
    run_in = (ensemble_file, crystal_file, "--temperature", 300, "--steps", 6, "--every", 2, "--out")
    stopped = run(*run_in, tmp_path / "a.traj", "--max-uncertainty", 1e-6)
    assert stopped.exit_code == 1, stopped.output
    assert "Stopped at step 0: the force on atom " in stopped.output
    assert "max σ(F)" in stopped.output
    assert len(read(tmp_path / "a.traj", ":")) == 1
    saved = run(*run_in, tmp_path / "b.traj", "--max-uncertainty", 1e-6, "--on-uncertainty", "save")
    assert saved.exit_code == 0, saved.output
    assert "A force was more uncertain than allowed at 7 steps." in saved.output
    assert "b-uncertain.xyz" in saved.output
    assert len(read(tmp_path / "b-uncertain.xyz", ":")) == 4
    calm = run(*run_in, tmp_path / "c.traj", "--max-uncertainty", 1e6)
    assert calm.exit_code == 0, calm.output
    assert "uncertain" not in calm.output


def test_what_goes_wrong_is_one_line(model_file, crystal_file, molecule_file, tmp_path):
    out = tmp_path / "md.traj"
    out.write_text("old")
    hot = ("--temperature", 300)
    for arguments, message in (
        ((tmp_path / "gone.safetensors", crystal_file, *hot), "gone.safetensors"),
        ((crystal_file, crystal_file, *hot), "not a whole safetensors file"),
        ((model_file, tmp_path / "gone.xyz", *hot), "gone.xyz"),
        ((model_file, crystal_file), "--temperature"),
        ((model_file, molecule_file, *hot, "--ensemble", "npt"), "periodic in all three"),
        ((model_file, crystal_file, *hot, "--out", out), "is there already"),
        ((model_file, crystal_file, *hot, "--out", tmp_path / "a.mp4"), ".mp4"),
        ((model_file, crystal_file, *hot, "--dtype", "float16"), "float32 or float64"),
        ((model_file, crystal_file, *hot, "--max-uncertainty", 0.1), "cynosure train DATA --ensemble"),
        ((model_file, crystal_file, *hot, "--on-uncertainty", "save"), "--max-uncertainty"),
    ):
        result = run(*arguments, "--steps", 1)
        assert result.exit_code == 2, result.output
        assert result.stderr.startswith("error: ")
        assert message in result.stderr
        assert "Traceback" not in result.output
    assert out.read_text() == "old"
    assert run(model_file, crystal_file, "--ensemble", "nph").exit_code == 2
