"""The commands on a model that is told moments and a field, from the columns of a structure's file."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase.build import molecule
from ase.io import read, write
from typer.testing import CliRunner

from cynosure.cli import app
from cynosure.potentials import build


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A model file, and a structure whose moments ASE's reader takes for results of a calculator."""
    folder = tmp_path_factory.mktemp("told")
    settings = {
        "layers": 1,
        "l_max": 1,
        "channels": 4,
        "radial_hidden": [8, 4],
        "cutoff": 3.0,
        "zbl": True,
        "inputs": {
            "spins": {"tensor": "i", "axial": True, "per": "atom", "odd": True, "key": "magmoms"},
            "field": {"tensor": "i"},
        },
        "targets": {"dipole": {"tensor": "i", "key": "mu"}},
    }
    build(settings, ["H", "O"], scale=0.2).save(folder / "model.safetensors")
    atoms = molecule("H2O")
    atoms.rattle(0.05, seed=0)
    atoms.arrays["magmoms"] = np.random.default_rng(0).normal(size=(3, 3))
    atoms.info["field"] = np.array([0.1, -0.2, 0.3])
    atoms.info["mu"] = np.array([0.0, 0.1, 0.4])
    write(folder / "water.xyz", atoms)
    return folder / "model.safetensors", folder / "water.xyz"


def test_it_moves_and_comes_to_rest(told, tmp_path):
    model, structure = told
    result = run(
        "md",
        model,
        structure,
        "--ensemble",
        "nve",
        "--temperature",
        50,
        "--steps",
        5,
        "--out",
        tmp_path / "md.traj",
    )
    assert result.exit_code == 0, result.output
    result = run("relax", model, structure, "--fmax", 0.05, "--out", tmp_path / "relaxed.traj")
    assert result.exit_code == 0, result.output
    # What the model was told stays in the file, and goes with the structure to the next command.
    assert np.allclose(read(tmp_path / "relaxed.traj").info["field"], [0.1, -0.2, 0.3])


def test_it_is_checked_and_measured(told, tmp_path):
    model, structure = told
    result = run("check", model, structure)
    assert result.exit_code == 0, result.output
    assert "turned: dipole" in result.output
    result = run("eval", model, structure, "--json", tmp_path / "errors.json")
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "errors.json").read_text())["dipole"]["n"] == 3


def test_a_structure_without_what_it_is_to_be_told_is_refused(told, tmp_path):
    model, _ = told
    write(tmp_path / "bare.xyz", molecule("H2O"))
    for command in (("relax",), ("check",), ("md",)):
        options = (
            ["--ensemble", "nve", "--temperature", "50", "--out", tmp_path / "x.traj"]
            if command == ("md",)
            else []
        )
        result = run(*command, model, tmp_path / "bare.xyz", *options)
        assert result.exit_code != 0
        assert "there is no column 'magmoms' for the input 'spins'" in str(result.output) + str(
            result.exception
        )
