"""`cynosure info` prints what a file holds and what to type next."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from cynosure.cli import app
from cynosure.kernels import core

needs_core = pytest.mark.skipif(not core.available(), reason="the compiled core is off or was not built")


def run(*arguments):
    return CliRunner().invoke(app, ["info", *map(str, arguments)], env={"COLUMNS": "120"})


def test_a_model(model_file):
    result = run(model_file)
    assert result.exit_code == 0, result.output
    for expected in ("a Cynosure model", "H, C, O, Si", "l_max", "E0 (eV)", "evaluated and passed"):
        assert expected in result.output
    assert "cynosure check" in result.output
    assert "[odd] markup" in result.output, "text from a file is not markup"


def test_data(crystal_file):
    result = run(crystal_file)
    assert result.exit_code == 0, result.output
    for expected in ("1 frame", "Si (8)", "1 periodic", "energy", "0 of 1", "cynosure train"):
        assert expected in result.output
    assert "--key energy=COLUMN" in result.output


def test_named_columns(labelled_file):
    assert "0 of 3" in run(labelled_file).output
    result = run(labelled_file, "--key", "energy=mine", "--unit", "energy=Hartree")
    assert "-27.2114 to -27.2114 eV/atom" in result.output
    assert "Nothing looks wrong" not in result.output, "the three frames are one"
    assert "Look at this: 2 frames repeat" in result.output


@needs_core
def test_the_memory_of_a_model(model_file):
    result = run(model_file, "--atoms", 100000)
    assert result.exit_code == 0, result.output
    for expected in (
        "Memory of 100,000 atoms at 0.1 atoms/Å³",
        "18 per atom",
        "kB per atom",
        "needed",
        "free now",
    ):
        assert expected in result.output
    assert "9 per atom" in run(model_file, "--atoms", 100, "--density", 0.05).output
    assert "Memory" not in run(model_file).output


def test_what_goes_wrong_is_one_line(tmp_path, crystal_file, model_file):
    for arguments, message in (
        ((tmp_path / "gone.xyz",), "gone.xyz"),
        ((crystal_file, "--key", "energy"), "LABEL=VALUE"),
        ((crystal_file, "--key", "energy=nothing"), "nothing"),
        ((crystal_file, "--atoms", 10), "name a model file"),
        ((model_file, "--atoms", 0), "0 atoms: one or more"),
        ((model_file, "--atoms", -5), "-5 atoms"),
        ((model_file, "--density", 0.1), "--atoms N"),
        ((model_file, "--atoms", 10, "--density", -0.1), "-0.1 atoms/Å³"),
        ((model_file, "--atoms", 10, "--density", "nan"), "nan atoms/Å³"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2, result.output
        assert result.stderr.startswith("error: ")
        assert message in result.stderr
