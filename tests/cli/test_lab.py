"""`cynosure lab learning-curve` as it is typed."""

from __future__ import annotations

import json
import re

import ase.io
import pytest
from typer.testing import CliRunner

from cynosure.cli import app
from cynosure.lab import demo_frames

TINY = ["--frames", "4,8", "--seeds", "2", "--l-max", "0,1", "--steps", "20", "--epochs", "1"]
for setting in ("layers=1", "channels=2", "cutoff=3.0", "radial_hidden=[4,4]"):
    TINY += ["--set", f"model.{setting}"]


def run(*arguments):
    return CliRunner().invoke(app, ["lab", *map(str, arguments)], env={"COLUMNS": "120"})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "frames.xyz"
    ase.io.write(path, demo_frames("train")[:30])
    return path


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("lab") / "curve"
    result = run("learning-curve", data, *TINY, "--out", out)
    assert result.exit_code == 0, result.output
    return out, result.output


def test_it_makes_the_table_the_plot_and_the_json(finished):
    out, text = finished
    assert len(re.findall(r"^run \d+ of 12: ", text, flags=re.MULTILINE)) == 12
    assert re.search(r"^\s+training frames\s+4\s+8\s*$", text, flags=re.MULTILINE)
    for network in ("l_max 0", "l_max 1", "plain network"):
        assert re.search(rf"^\s+{network}\s+-?[\d.]+ ± [\d.]+", text.replace("−", "-"), flags=re.MULTILINE)
    assert "l_max 1 against l_max 0: the exponent differs by" in text
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")
    values = json.loads((out / "curve.json").read_text())
    assert values["frames"] == [4, 8]
    assert values["conclusion"] in text
    assert "<h1>" in (out / "report.html").read_text()
    assert len((out / "results.jsonl").read_text().splitlines()) == 13


def test_the_same_command_again_trains_nothing_and_says_the_same(finished, data):
    out, text = finished
    again = run("learning-curve", data, *TINY, "--out", out)
    assert again.exit_code == 0
    assert not re.search(r"^run \d+ of", again.output, flags=re.MULTILINE)
    assert again.output == text[text.index("Learning curve on") :]


def test_help_names_the_command():
    assert "learning-curve" in run("--help").output
    assert "--held-out" in run("learning-curve", "--help").output
    assert "lab" in CliRunner().invoke(app, ["--help"]).output


def refused(*arguments):
    result = run("learning-curve", *arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return result.output


def test_bad_input_is_told_in_plain_words(data, tmp_path):
    out = ["--out", tmp_path / "out"]
    assert "100 training frames were asked for and there are 22 in" in refused(
        data, "--frames", "10,100", *out
    )
    assert "--frames is a list of whole numbers, such as 1,2,3; got '10,x'" in refused(
        data, "--frames", "10,x", *out
    )
    assert "--l-max is a list of whole numbers" in refused(data, "--l-max", "one", *out)
    assert "number of seeds must be at least 1; got 0" in refused(data, "--seeds", "0", *out)
    assert "'model.l_max' cannot be set" in refused(data, "--set", "model.l_max=1", *out)
    assert "there is no file nowhere.xyz" in refused("nowhere.xyz", *out)
    assert "between 0 and 1; got 1.5" in refused(data, "--held-out", "1.5", *out)
    assert not (tmp_path / "out").exists()


def test_data_without_forces_are_told_of(labelled_file, tmp_path):
    message = refused(labelled_file, "--key", "energy=mine", "--out", tmp_path / "out")
    assert f"{labelled_file} has no forces (labels found: energy)" in message
    assert "--key forces=REF_forces" in message


def test_an_unknown_experiment_is_refused():
    result = run("learning-curves")
    assert result.exit_code == 2
    assert "No such command" in result.output
