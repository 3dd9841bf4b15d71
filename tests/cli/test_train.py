"""`cynosure train` as it is typed: what it prints, what it writes, how it leaves."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.io import write
from safetensors.torch import load_file
from typer.testing import CliRunner

from cynosure import cli

TINY = [
    "--set",
    "model.channels=2",
    "--set",
    "model.layers=1",
    "--set",
    "model.l_max=1",
    "--set",
    "model.cutoff=3",
]


def command(*arguments):
    return [sys.executable, "-m", "cynosure", *map(str, arguments)]


def run(*arguments, cwd=None):
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, cwd=cwd, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Twelve shaken triangles with labels of a harmonic well around the origin, under names of their own."""
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(12):
        positions = np.array([[1, 0, 0], [-0.5, 0.9, 0], [-0.5, -0.9, 0]]) + rng.normal(
            scale=0.05, size=(3, 3)
        )
        atoms = Atoms("H2O", positions)
        atoms.info["REF_energy"] = float((positions**2).sum())
        atoms.arrays["REF_forces"] = -2 * positions
        frames.append(atoms)
    path = tmp_path_factory.mktemp("data") / "water.xyz"
    write(path, frames)
    return path


def test_from_data_to_the_next_command(data, tmp_path):
    result = run("train", data, "--epochs", 2, *TINY, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    folder = tmp_path / "runs" / "water"
    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "checkpoint.safetensors",
        "metrics.jsonl",
        "model.safetensors",
        "report.html",
    }
    text = result.stdout
    assert text.index("optimiser.lr") < text.index("validation at step") < text.index("Held-out frames")
    assert "cynosure eval runs/water/model.safetensors" in text
    assert "meV/Å" in text
    again = run("train", data, "--epochs", 2, cwd=tmp_path)
    assert again.returncode == 2
    assert "--resume" in again.stderr
    assert "--out runs/water-2" in again.stderr
    resumed = run("train", "--resume", "--out", "runs/water", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr


def test_every_option_reaches_the_settings(data, tmp_path):
    (tmp_path / "settings.json").write_text('{"optimiser": {"lr": 0.5}, "ema": {"decay": 0.5}, "seed": 1}')
    result = run(
        *["train", data, "--val", "0.25", "--config", tmp_path / "settings.json", "--epochs", 1],
        *["--e0s", '{"H": -1, "O": 2.5}', "--key", "energy=REF_energy", "--key", "forces=REF_forces"],
        *["--unit", "energy=kcal/mol", "--unit", "forces=kcal/mol/Å", "--out", tmp_path / "run", "--seed", 7],
        *["--set", "optimiser.lr=0.002", "--preset", "medium", "--ensemble", 2, *TINY],
    )
    assert result.returncode == 0, result.stderr
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["data"] == {
        "train": str(data),
        "val": 0.25,
        "keys": {"energy": "REF_energy", "forces": "REF_forces"},
        "units": {"energy": "kcal/mol", "forces": "kcal/mol/Å"},
        "e0s": {"H": -1.0, "O": 2.5},
    }
    assert (config["optimiser"]["lr"], config["ema"]["decay"], config["seed"]) == (0.002, 0.5, 7)
    assert config["model"].items() >= {"channels": 2, "members": 2}.items()
    assert "preset" not in config["model"]
    assert "Held-out frames (3)" in result.stdout


def test_an_ensemble_is_trained_told_and_described(data, tmp_path):
    folder = tmp_path / "run"
    result = run("train", data, "--ensemble", 2, "--epochs", 2, "--out", folder, *TINY)
    assert result.returncode == 0, result.stderr
    assert json.loads((folder / "config.json").read_text())["model"]["members"] == 2
    assert "in each of 2 members all of the model's" in result.stdout
    assert "within 1σ" in result.stdout
    info = CliRunner().invoke(cli.app, ["info", str(folder / "model.safetensors")])
    assert re.search(r"members +2\b", info.stdout)
    assert "spread × " in info.stdout
    model, errors = folder / "model.safetensors", tmp_path / "errors.json"
    evaluated = CliRunner().invoke(cli.app, ["eval", str(model), str(data), "--json", str(errors)])
    assert evaluated.exit_code == 0, evaluated.stderr
    assert "within 1σ" in evaluated.stdout
    found = json.loads(errors.read_text())["uncertainty"]
    assert found.keys() == {"energy_per_atom", "forces"}
    assert found["forces"].keys() == {"rms", "rmse", "ratio", "within_1", "within_2", "n"}


def test_fine_tuning_starts_from_a_model_and_resumes_without_naming_it(data, tmp_path):
    base = tmp_path / "base" / "model.safetensors"
    small = [*TINY, "--set", "model.channels=6"]
    assert run("train", data, "--epochs", 1, "--out", base.parent, *small).returncode == 0
    result = run(
        *["train", data, "--from", base, "--epochs", 2, "--out", tmp_path / "run", "--e0s", "fit"],
        *["--set", "finetune.rank=1", "--set", "finetune.train=layers.*"],
    )
    assert result.returncode == 0, result.stderr
    assert f"from the weights of {base}; " in result.stdout
    assert " weights train, as " in result.stdout
    assert "validation at step 0: " in result.stdout
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["finetune"] == {"base": str(base), "train": ["layers.*"], "rank": 1}
    assert (config["data"]["e0s"], config["model"]["channels"]) == ("fit", 6)
    before = load_file(tmp_path / "run" / "model.safetensors")
    resumed = run("train", "--resume", "--out", tmp_path / "run")
    assert resumed.returncode == 0, resumed.stderr
    after = load_file(tmp_path / "run" / "model.safetensors")
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    odd = run("train", data, "--from", base, "--set", "model.channels=5", "--out", tmp_path / "odd")
    assert odd.returncode == 2
    assert "model.channels is 6 there and 5 here" in odd.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.xyz"], "nothing.xyz"),
        ([], "which frames?"),
        (["--resume"], "which run?"),
        (["DATA", "--set", "optimizer.lr=1"], "did you mean 'optimiser'"),
        (["DATA", "--set", "lr"], "section.key=value"),
        (["DATA", "--key", "energy"], "LABEL=VALUE"),
        (["DATA", "--key", "energy=DFT_energy"], "DFT_energy"),
        (["DATA", "--epochs", "2", "--minutes", "2"], "not both"),
        (["DATA", "--config", "settings.yaml"], "settings.yaml"),
        (["DATA", "--val", "held_out.xyz"], "held_out.xyz"),
        (["DATA", "--val", "2"], "data.val"),
        (["DATA", "--replay", "log.jsonl"], "log.jsonl"),
        (["DATA", "--e0s", "e0s.xyz"], "e0s.xyz"),
        (["DATA", "--set", "loss.stress=1"], "stress"),
        (["DATA", "--from", "base.safetensors"], "no model file 'base.safetensors'"),
        (["DATA", "--from", "DATA"], "not a whole safetensors file"),
        (["DATA", "--set", "finetune.rank=4"], "--from MODEL"),
        (["DATA", "--e0s", "keep"], "--from MODEL"),
        (["DATA", "--ensemble", "0"], "'model.members'"),
        (["DATA", "--preset", "tiny"], "the presets are small, medium, large"),
    ],
)
def test_what_is_wrong_is_said_without_a_traceback(data, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    given = [str(data) if argument == "DATA" else argument for argument in arguments]
    monkeypatch.setattr(sys, "argv", ["cynosure", "train", *given])
    with pytest.raises(SystemExit) as leaving:
        cli.main()
    assert leaving.value.code == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert message in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_cleanly_and_says_how_to_go_on(data, tmp_path, number, code):
    process = subprocess.Popen(
        command(
            "train", data, "--epochs", 100_000, "--out", tmp_path / "run", "--set", "patience=null", *TINY
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / "run" / "checkpoint.safetensors").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err == ""
    assert f"cynosure train --resume --out {tmp_path / 'run'}" in out


def test_a_budget_of_time_is_kept_from_start_to_exit(data, tmp_path):
    began = time.monotonic()
    result = run("train", data, "--minutes", "0.3", "--out", tmp_path / "run", *TINY)
    seconds = time.monotonic() - began
    assert result.returncode == 0, result.stderr
    assert seconds < 18
    assert (tmp_path / "run" / "report.html").is_file()


def test_help_and_version_answer_without_the_heavy_packages():
    script = (
        "import sys; sys.argv = ['cynosure', sys.argv[1]]\n"
        "from cynosure.cli import main\n"
        "try: main()\n"
        "finally: print('LOADED', sorted({'torch', 'ase', 'numpy', 'matplotlib'} & set(sys.modules)))"
    )
    for option in ("--help", "--version"):
        result = subprocess.run(
            [sys.executable, "-c", script, option], capture_output=True, text=True, check=False
        )
        assert result.returncode == 0
        assert "LOADED []" in result.stdout
    assert "train" in run("--help").stdout


@pytest.mark.parametrize("verb", list(cli.VERBS))
def test_every_verb_has_help(verb):
    result = run(verb, "--help")
    assert result.returncode == 0, result.stderr
    assert "Usage" in result.stdout


def test_an_unknown_verb_is_an_error():
    result = run("trian")
    assert result.returncode == 2
    assert "trian" in result.stderr


def test_the_age_of_the_process_counts_only_while_it_is_young(monkeypatch):
    now = time.monotonic()
    monkeypatch.setattr(cli, "_read_process_age", lambda: 1.5)
    assert cli.process_start() == pytest.approx(now - 1.5, abs=0.5)
    for age in (None, 4000.0, -3.0):
        monkeypatch.setattr(cli, "_read_process_age", lambda age=age: age)
        assert cli.process_start() == pytest.approx(now, abs=0.5)


def test_the_age_of_a_fresh_process_is_its_own():
    script = "from cynosure.cli import _read_process_age as age; import time; time.sleep(1); print(age())"
    began = time.monotonic()
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    if os.path.exists("/proc/self/stat"):
        assert 1.0 <= float(result.stdout) <= time.monotonic() - began + 0.02
    else:
        assert result.stdout.strip() == "None"


def test_bugs_keep_their_traceback_and_errors_can_have_theirs(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["cynosure", "train", "nothing.xyz"])
    monkeypatch.setenv("CYNOSURE_TRACEBACK", "1")
    with pytest.raises(FileNotFoundError):
        cli.main()
    monkeypatch.delenv("CYNOSURE_TRACEBACK")
    from cynosure.cli import train as module

    def bug(*_, **__):
        raise KeyError("a bug")

    monkeypatch.setattr(module, "_default_folder", bug)
    with pytest.raises(KeyError):
        cli.main()

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_default_folder", interrupt)
    with pytest.raises(SystemExit) as leaving:
        cli.main()
    assert leaving.value.code == 130
