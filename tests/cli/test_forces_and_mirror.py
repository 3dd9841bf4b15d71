"""`cynosure lab forces` and `cynosure lab mirror` as they are typed."""

from __future__ import annotations

import json
import re

import ase.io
import pytest
from typer.testing import CliRunner

from cynosure.cli import app
from cynosure.lab import demo_frames
from cynosure.training import finish

FORCES = ["--quick", "--frames", "10", "--steps", "40", "--picoseconds", "0.02", "--trajectories", "2"]
MIRROR = ["--quick", "--molecules", "20", "--measured", "21", "--steps", "20"]
for setting in ("layers=1", "channels=4", "cutoff=3.0", "radial_hidden=[4,4]", "l_max=1"):
    FORCES += ["--set", f"model.{setting}"]
for setting in ("channels=2", "radial_hidden=[4,4]"):
    MIRROR += ["--set", f"model.{setting}"]


def run(*arguments):
    return CliRunner().invoke(app, ["lab", *map(str, arguments)], env={"COLUMNS": "170"})


def refused(*arguments):
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return result.output


@pytest.fixture(scope="module", autouse=True)
def _without_reports_of_each_training():
    """They take longer than these trainings, are thrown away, and have tests of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finish, "_write_report", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "frames.xyz"
    ase.io.write(path, demo_frames("train")[:30])
    return path


@pytest.fixture(scope="module")
def forces(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("lab") / "forces"
    result = run("forces", data, *FORCES, "--out", out)
    assert result.exit_code == 0, result.output
    return out, result.output


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    out = tmp_path_factory.mktemp("lab") / "mirror"
    result = run("mirror", *MIRROR, "--out", out)
    assert result.exit_code == 0, result.output
    return out, result.output


def cells(text, name):
    """The cells of the row that begins so."""
    (row,) = re.findall(rf"^\s+{re.escape(name)}\s{{2,}}(.*?)\s*$", text, flags=re.MULTILINE)
    return re.split(r"\s{2,}", row)


def test_forces_make_the_table_the_picture_and_the_json(forces):
    out, text = forces
    assert len(re.findall(r"^run \d of 5: ", text, flags=re.MULTILINE)) == 5
    assert cells(text, "force error (meV/Å)")[0] == cells(text, "force error, turned frames (meV/Å)")[0]
    turning = [float(cell) for cell in cells(text, "|F(Rr) − R F(r)| / |F|")]
    assert max(turning[:4]) < 1e-10
    assert turning[4] > 0.1
    curls = [float(cell) for cell in cells(text, "curl")]
    assert max(curls[:2]) < 1e-6
    assert min(curls[2:]) > 1e-4
    assert "What to do next" in text
    assert (out / "forces.png").read_bytes().startswith(b"\x89PNG")
    values = json.loads((out / "forces.json").read_text())
    assert [one["way"] for one in values["ways"]] == ["energy", "retrained", "direct", "balanced", "fixed"]
    for sentence in values["conclusion"]:
        assert sentence in text
    assert "<h1>" in (out / "report.html").read_text()
    assert {path.stem for path in out.glob("*.safetensors")} == {"energy", "retrained", "direct", "fixed"}


def test_mirror_makes_the_tables_the_picture_and_the_json(mirror):
    out, text = mirror
    assert len(re.findall(r"^run \d+ of 10: ", text, flags=re.MULTILINE)) == 10
    even = re.search(r"^\s+O\(3\), 0e\s+both\s.* 50\.0 %\s+0\s+\S+\s*$", text, flags=re.MULTILINE)
    assert even, text
    values = json.loads((out / "mirror.json").read_text())
    cases = {one["case"]: one for one in values["cases"]}
    assert cases["hand-o3-left"]["sum"] < 1e-12
    assert cases["energy-o3-both"]["difference"] < 1e-12
    assert cases["energy-so3-both"]["difference"] > 1e-6
    for sentence in values["conclusion"]:
        assert sentence in text
    assert (out / "mirror.png").read_bytes().startswith(b"\x89PNG")
    assert "<h1>" in (out / "report.html").read_text()


def test_the_same_again_trains_nothing_and_says_the_same(forces, mirror, data):
    for arguments, (out, text), title in (
        (["forces", data, *FORCES], forces, "Ways to get forces"),
        (["mirror", *MIRROR], mirror, "Mirror images of"),
    ):
        again = run(*arguments, "--out", out)
        assert again.exit_code == 0
        assert again.output == text[text.index(title) :]
        assert "another setup (steps was" in refused(*arguments, "--steps", "60", "--out", out)


def test_forces_go_on_with_the_networks_that_are_there(forces, data):
    out, text = forces
    lines = (out / "results.jsonl").read_text().splitlines(keepends=True)
    (out / "results.jsonl").write_text("".join(lines[:4]))
    again = run("forces", data, *FORCES, "--out", out)
    assert again.exit_code == 0, again.output
    assert re.findall(r"^run (\d) of 5: ", again.output, flags=re.MULTILINE) == ["4", "5"]
    assert again.output.split("Ways to get forces")[1] == text.split("Ways to get forces")[1]
    (out / "results.jsonl").write_text("".join(lines[:4]))
    (out / "energy.safetensors").rename(out / "kept")
    assert "energy.safetensors' is gone" in refused("forces", data, *FORCES, "--out", out)
    (out / "kept").rename(out / "energy.safetensors")


def test_bad_input_is_told_in_plain_words(data, tmp_path):
    out = ["--out", tmp_path / "out"]
    assert "there is no file nowhere.xyz" in refused("forces", "nowhere.xyz", *out)
    assert "100 training frames were asked for" in refused("forces", data, "--frames", "100", *out)
    assert "number of steps must be at least 20; got 1" in refused("mirror", "--steps", "1", *out)
    assert "'model.parity' cannot be set" in refused("mirror", "--set", "model.parity=false", *out)
    assert not (tmp_path / "out").exists()
    (tmp_path / "taken").write_text("mine")
    for arguments in (["forces", data, *FORCES], ["mirror", *MIRROR]):
        assert "is a file; --out names a folder" in refused(*arguments, "--out", tmp_path / "taken")


def test_help_names_the_experiments():
    text = run("--help").output
    assert "forces" in text
    assert "mirror" in text
