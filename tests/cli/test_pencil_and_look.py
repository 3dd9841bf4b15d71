"""`cynosure lab pencil` and `cynosure lab look` as they are typed."""

from __future__ import annotations

import json
import re

import ase.io
import pytest
from typer.testing import CliRunner

from cynosure.cli import app
from cynosure.lab import demo_frames

TINY = ["--quick", "--frames", "4,8", "--copies", "2", "--l-max", "1", "--steps", "20", "--error", "900,1"]
for setting in ("layers=1", "channels=2", "cutoff=3.0", "radial_hidden=[4,4]"):
    TINY += ["--set", f"model.{setting}"]


def run(*arguments):
    return CliRunner().invoke(app, ["lab", *map(str, arguments)], env={"COLUMNS": "140"})


def refused(*arguments):
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return result.output


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "frames.xyz"
    ase.io.write(path, demo_frames("train")[:30])
    return path


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("lab") / "pencil"
    result = run("pencil", data, *TINY, "--out", out)
    assert result.exit_code == 0, result.output
    return out, result.output


def test_the_pencil_makes_the_tables_the_picture_and_the_json(finished):
    out, text = finished
    assert len(re.findall(r"^run \d+ of 6: ", text, flags=re.MULTILINE)) == 6
    assert re.search(
        r"^\s+frames\s+as it is\s+turned\s+mirrored\s+moved\s+relabelled\s*$", text, flags=re.MULTILINE
    )
    for network in (
        "plain",
        r"plain \+ 2 turned copies",
        r"l_max 1 \(equivariant\)",
    ):
        assert len(re.findall(rf"^\s+{network}\s+[\d.]", text, flags=re.MULTILINE)) >= 4
    assert re.search(r"^\s+… meV/Å\s+900\s+1\s+time of a training\s*$", text, flags=re.MULTILINE)
    assert "whatever is done to them" in text
    assert "What to do next" in text
    assert (out / "pencil.png").read_bytes().startswith(b"\x89PNG")
    values = json.loads((out / "pencil.json").read_text())
    assert values["frames"] == [4, 8]
    assert values["targets"]["forces"] == [0.9, 0.001]
    for sentence in values["conclusion"]:
        assert sentence in text
    assert "<h1>" in (out / "report.html").read_text()


def test_the_same_pencil_again_trains_nothing_and_says_the_same(finished, data):
    out, text = finished
    again = run("pencil", data, *TINY, "--out", out)
    assert again.exit_code == 0
    assert again.output == text[text.index("The turned pencil, on") :]


def test_bad_input_of_the_pencil_is_told_in_plain_words(data, tmp_path):
    out = ["--out", tmp_path / "out"]
    assert "--copies is a list of whole numbers, such as 1,2,3; got 'a'" in refused(
        "pencil", "--copies", "a", *out
    )
    assert "--error is a list of numbers in meV/Å, such as 100,50; got 'x'" in refused(
        "pencil", "--error", "x", *out
    )
    assert "100 training frames were asked for" in refused("pencil", data, "--frames", "10,100", *out)
    assert "there is no file nowhere.xyz" in refused("pencil", "nowhere.xyz", *out)
    assert not (tmp_path / "out").exists()
    (tmp_path / "taken").write_text("mine")
    assert "is a file; --out names a folder" in refused("pencil", data, *TINY, "--out", tmp_path / "taken")


def test_look_prints_the_check_and_the_coefficients_and_draws_them(tmp_path):
    arguments = [
        "look",
        "--quick",
        "--irreps",
        "1o+2e",
        "--l-max",
        1,
        "--path",
        "1o,1o,2e",
        "--molecule",
        "H2O",
    ]
    result = run(*arguments, "--out", tmp_path / "seen")
    assert result.exit_code == 0, result.output
    for irrep in ("1o", "2e"):
        row = re.search(rf"^\s+{irrep}\s+[\d.]+\s+(\S+)\s+(\S+)\s*$", result.output, flags=re.MULTILINE)
        assert row, result.output
        assert max(map(float, row.groups())) < 1e-12
    assert "√(1/6)" in result.output
    assert "What to do next" in result.output
    for name in ("harmonics", "features", "coefficients"):
        content = (tmp_path / "seen" / f"{name}.png").read_bytes()
        assert content.startswith(b"\x89PNG")
        assert len(content) > 10_000
    page = (tmp_path / "seen" / "report.html").read_text()
    assert page.count("src='data:image/png;base64,") == 3


def test_bad_input_of_look_is_told_in_plain_words(tmp_path):
    out = ["--out", tmp_path / "out"]
    assert "the product of 1o and 1o has 0e, 1e, 2e, and not 2o" in refused(
        "look", "--path", "1o,1o,2o", *out
    )
    assert "did you mean" in refused("look", "--molecule", "CH3CH2HO", *out)
    assert not (tmp_path / "out").exists()
    (tmp_path / "taken").write_text("mine")
    assert "is a file; --out names a folder" in refused("look", "--quick", "--out", tmp_path / "taken")


def test_help_names_the_experiments():
    text = run("--help").output
    assert "pencil" in text
    assert "look" in text
