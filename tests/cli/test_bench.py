"""`cynosure bench` prints what a model costs on this machine."""

from __future__ import annotations

import json

import pytest
import torch
from ase import Atoms
from ase.io import write
from typer.testing import CliRunner

from cynosure.cli import app
from cynosure.kernels import core
from cynosure.potentials import build

needs_core = pytest.mark.skipif(not core.available(), reason="the compiled core is off or was not built")


def run(*arguments):
    arguments = ["bench", *map(str, arguments), "--seconds", "0.05"]
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "120"})


@needs_core
def test_the_figures_and_what_to_do_next(model_file, crystal_file, tmp_path):
    before = torch.get_num_threads()
    out = tmp_path / "bench.json"
    result = run(model_file, crystal_file, "--threads", "all", "--dt", "2", "--json", out)
    assert result.exit_code == 0, result.output
    for expected in (
        "8",
        "compiled core (",
        "float32 on cpu",
        "MD step of 2 fs",
        "share",
        "µs/atom",
        "ns/day",
        "Memory",
        "needed",
        f"cynosure md {model_file} {crystal_file} --ensemble nvt --temperature 300 --dt 2",
        f"Written: {out}",
    ):
        assert expected in result.output
    written = json.loads(out.read_text())
    assert written["atoms"] == 8
    assert written["engine"] == "core"
    assert f"OMP_NUM_THREADS={written['best_threads']} cynosure md" in result.output
    assert torch.get_num_threads() == before


def test_the_next_command_keeps_what_was_asked(model_file, molecule_file):
    result = run(model_file, molecule_file, "--threads", "1", "--dtype", "float64")
    assert result.exit_code == 0, result.output
    assert "float64 on cpu" in result.output
    assert "--dt 0.5 --dtype float64" in result.output
    assert "speed-up" not in result.output, "there is nothing to compare"


def test_a_lone_atom(model_file, tmp_path):
    path = tmp_path / "atom.xyz"
    write(path, Atoms("O"))
    result = run(model_file, path)
    assert result.exit_code == 0, result.output
    assert "Look at this: no two atoms are within the cutoff" in result.output


def test_a_model_that_runs_through_autograd(crystal_file, tmp_path):
    path = tmp_path / "normed.safetensors"
    build({"model": "nequip", "layers": 2, "l_max": 1, "channels": 4, "layer_norm": True}, ["Si"]).save(path)
    result = run(path, crystal_file)
    assert result.exit_code == 0, result.output
    assert "engine   autograd" in result.output
    assert "Look at this: the network runs through autograd" in result.output
    assert "no estimate" in result.output


def test_what_goes_wrong_is_one_line(model_file, crystal_file, tmp_path):
    iron = tmp_path / "iron.xyz"
    write(iron, Atoms("Fe"))
    for arguments, message in (
        ((tmp_path / "gone.safetensors", crystal_file), "gone.safetensors"),
        ((model_file, tmp_path / "gone.xyz"), "gone.xyz"),
        ((model_file, crystal_file, "--threads", "x"), "write --threads 1,2"),
        ((model_file, crystal_file, "--threads", "0"), "0 threads"),
        ((model_file, crystal_file, "--device", "abacus"), "abacus"),
        ((model_file, crystal_file, "--dtype", "float16"), "float16"),
        ((model_file, crystal_file, "--dt", "0"), "time step"),
        ((model_file, iron), "does not know Fe"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2, result.output
        assert result.stderr.startswith("error: ")
        assert message in result.stderr
