"""`cynosure relax` writes the relaxed structure and says by its exit status whether it is one."""

from __future__ import annotations

import numpy as np
from ase.io import read
from typer.testing import CliRunner

from cynosure.cli import app


def run(*arguments):
    return CliRunner().invoke(app, ["relax", *map(str, arguments)])


def test_a_structure_comes_to_rest(model_file, molecule_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(model_file, molecule_file, "--fmax", 0.2)
    assert result.exit_code == 0, result.output
    assert "Converged" in result.output
    relaxed = read(tmp_path / "molecule_relaxed.extxyz")
    assert np.linalg.norm(relaxed.get_forces(), axis=1).max() <= 0.2


def test_the_cell_moves_only_when_asked(model_file, crystal_file, tmp_path):
    before = read(crystal_file).cell.array
    for flag in ((), ("--cell",)):
        out = tmp_path / f"relaxed{len(flag)}.traj"
        result = run(model_file, crystal_file, *flag, "--steps", 3, "--fmax", 1e-6, "--out", out)
        assert result.exit_code == 1, "three steps do not suffice"
        assert "NOT converged after 3 steps" in result.output
        assert np.allclose(read(out).cell.array, before) == (not flag)


def test_what_goes_wrong_is_one_line(model_file, molecule_file, tmp_path):
    out = tmp_path / "old.xyz"
    out.write_text("old")
    for arguments, message in (
        ((tmp_path / "gone.safetensors", molecule_file), "gone.safetensors"),
        ((model_file, molecule_file, "--cell"), "periodic in all three"),
        ((model_file, molecule_file, "--fmax", -1), "fmax"),
        ((model_file, molecule_file, "--out", out), "--overwrite"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2, result.output
        assert result.stderr.startswith("error: ")
        assert message in result.stderr
    assert out.read_text() == "old"
    assert run(model_file, molecule_file, "--fmax", 0.5, "--out", out, "--overwrite").exit_code == 0
    assert len(read(out)) == 9
