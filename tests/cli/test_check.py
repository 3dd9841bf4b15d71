"""`cynosure check` shows each deviation and leaves with a status that a script can use."""

from __future__ import annotations

import pytest
import torch
from typer.testing import CliRunner

from cynosure.analysis import symmetries
from cynosure.cli import app


def run(*arguments):
    return CliRunner().invoke(app, ["check", *map(str, arguments)])


def test_a_sound_model_passes(model_file, crystal_file):
    result = run(model_file, crystal_file)
    assert result.exit_code == 0, result.output
    for name in (
        "rotation",
        "reflection",
        "translation",
        "wrapping",
        "permutation",
        "batch = single",
        "supercell",
        "force = −dE/dx",
        "stress = finite strain",
        "jump of force slope",
        "lone atom",
        "float32: energy",
    ):
        assert name in result.output
    assert "promises hold" in result.output
    assert "✗" not in result.output


def test_a_model_without_parity_is_not_blamed_for_mirror_images(chiral_model_file, molecule_file):
    result = run(chiral_model_file, molecule_file)
    assert result.exit_code == 0, result.output
    assert "– reflection: energy" in result.output
    assert "not counted: reflection" in result.output


def test_a_broken_promise_is_marked_and_is_the_exit_status(model_file, molecule_file, monkeypatch):
    turned = symmetries.evaluate

    def careless(model, atoms):
        result = turned(model, atoms)
        result.forces[0, 0] += 1e-3 * float(torch.tanh(torch.tensor(atoms.positions[0, 0])))
        return result

    monkeypatch.setattr(symmetries, "evaluate", careless)
    result = run(model_file, molecule_file)
    assert result.exit_code == 1
    assert "✗ rotation: forces" in result.output
    assert "✓ rotation: energy" in result.output
    assert "Do not trust this model" in result.output


def test_a_device_that_is_not_there(model_file, molecule_file):
    result = run(model_file, molecule_file, "--device", "abacus")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: the device 'abacus'")


@pytest.mark.parametrize("wrong", ["model", "structure"])
def test_what_goes_wrong_is_one_line(model_file, molecule_file, tmp_path, wrong):
    gone = tmp_path / "gone.file"
    result = run(*((gone, molecule_file) if wrong == "model" else (model_file, gone)))
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert "gone.file" in result.stderr
