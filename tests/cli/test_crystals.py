"""`cynosure eos`, `elastic` and `phonons` print, draw and write what a model makes of a crystal."""

from __future__ import annotations

import json
import sys

import pytest
from ase.build import bulk
from ase.io import write
from typer.testing import CliRunner

from cynosure.cli import app

VERBS = ("eos", "elastic", "phonons")
PNG = b"\x89PNG\r\n"


def run(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "120"})


@pytest.fixture
def diamond_file(tmp_path):
    """The primitive cell of diamond."""
    path = tmp_path / "diamond.xyz"
    write(path, bulk("C"))
    return path


@pytest.mark.parametrize(
    ("verb", "options", "expected", "numbers"),
    [
        (
            "eos",
            ("--points", 7, "--range", 0.04),
            ("7, from 0.960 to 1.040 V₀", "bulk modulus B₀", "face-centred cubic: a =", "cynosure elastic"),
            ("volumes", "energies", "pressures", "fit"),
        ),
        (
            "elastic",
            ("--strain", 0.002),
            ("±0.002 and ±0.004", "relaxed under every strain", "4 yz", "stable", "C44", "cynosure phonons"),
            ("constants", "asymmetry", "eigenvalues", "stable", "moduli"),
        ),
        (
            "phonons",
            ("--supercell", "3,3,3", "--displacement", 0.02),
            (
                "3 × 3 × 3, 54 atoms",
                "of 0.02 Å",
                "cm⁻¹",
                "acoustic sum rule",
                "zero-point",
                "--supercell 4,4,4",
            ),
            ("gamma", "bands", "density", "thermal_per_atom", "lowest"),
        ),
    ],
    ids=VERBS,
)
def test_figures_picture_and_numbers(
    model_file, diamond_file, tmp_path, monkeypatch, verb, options, expected, numbers
):
    if verb == "phonons":
        pytest.importorskip("phonopy", reason="phonopy is an extra")
    monkeypatch.chdir(tmp_path)
    result = run(verb, model_file, diamond_file, *options)
    assert result.exit_code == 0, result.output
    for text in ("relaxed", "atoms and cell", *expected, f"Written: diamond_{verb}.png, diamond_{verb}.json"):
        assert text in result.output
    assert (tmp_path / f"diamond_{verb}.png").read_bytes().startswith(PNG)
    written = json.loads((tmp_path / f"diamond_{verb}.json").read_text())
    assert written["crystal"]["relaxed"]
    assert written["crystal"]["max_force"] < 1e-5
    assert set(numbers) <= written.keys()


def test_where_files_go_and_what_is_computed_can_be_chosen(model_file, diamond_file, tmp_path):
    picture, numbers = tmp_path / "a.svg", tmp_path / "b.json"
    options = ("--clamped", "--no-relax", "--range", 0.2, "--points", 5, "--dtype", "float32")
    result = run("eos", model_file, diamond_file, *options, "--out", picture, "--json", numbers)
    assert result.exit_code == 0, result.output
    assert "clamped at their fractional coordinates" in result.output
    assert "no, as it was given" in result.output
    assert "<svg" in picture.read_text()
    assert json.loads(numbers.read_text())["clamped"]


@pytest.mark.parametrize("verb", VERBS)
def test_a_crystal_that_does_not_come_to_rest_is_the_exit_status(model_file, diamond_file, tmp_path, verb):
    options = {"eos": ("--range", 0.3, "--points", 5), "elastic": ("--clamped",), "phonons": ("--length", 4)}
    if verb == "phonons":
        pytest.importorskip("phonopy", reason="phonopy is an extra")
    out = tmp_path / "x.png"
    result = run(verb, model_file, diamond_file, *options[verb], "--steps", 1, "--out", out)
    assert result.exit_code == 1, result.output
    assert "NOT converged after 1 steps" in result.output
    assert "Look at this: the relaxation gave up" in result.output
    assert out.exists()


@pytest.mark.parametrize("verb", VERBS)
def test_what_goes_wrong_is_one_line(model_file, diamond_file, molecule_file, tmp_path, verb):
    if verb == "phonons":
        pytest.importorskip("phonopy", reason="phonopy is an extra")
    old = tmp_path / "old.png"
    old.write_text("old")
    for arguments, message in (
        ((tmp_path / "gone.safetensors", diamond_file), "gone.safetensors"),
        ((model_file, molecule_file), "a crystal was expected"),
        ((model_file, diamond_file, "--out", old), "--overwrite"),
        ((model_file, diamond_file, "--out", tmp_path / "new.png", "--json", old), "(--json)"),
        ((model_file, diamond_file, "--out", tmp_path / "a.txt"), ".png, .pdf, .svg"),
        ((model_file, diamond_file, "--out", tmp_path / "a.png", "--json", tmp_path / "a.png"), "two files"),
        ((model_file, diamond_file, "--out", tmp_path / "no" / "a.png"), "make it first"),
        ((model_file, diamond_file, "--device", "abacus", "--out", tmp_path / "b.png"), "device 'abacus'"),
    ):
        result = run(verb, *arguments)
        assert result.exit_code == 2, result.output
        assert result.stderr.startswith("error: ")
        assert message in result.stderr
    assert old.read_text() == "old"
    assert not (tmp_path / "new.png").exists()


def test_a_file_is_replaced_when_asked(model_file, diamond_file, tmp_path):
    old = tmp_path / "old.png"
    old.write_text("old")
    result = run("elastic", model_file, diamond_file, "--clamped", "--out", old, "--overwrite")
    assert result.exit_code == 0, result.output
    assert old.read_bytes().startswith(PNG)


def test_settings_of_one_verb(model_file, diamond_file, tmp_path):
    for arguments, message in (
        (("eos", "--points", 3), "--points"),
        (("eos", "--no-relax", "--range", 0.01), "no minimum between"),
        (("elastic", "--dtype", "float16"), "float16"),
        (("elastic", "--strain", 0), "--strain"),
        (("phonons", "--supercell", "2,2"), "'2,2' is no supercell"),
    ):
        verb, *options = arguments
        result = run(verb, model_file, diamond_file, *options, "--out", tmp_path / "a.png")
        assert result.exit_code == 2, result.output
        assert message in result.stderr


def test_without_phonopy_it_is_one_line(model_file, diamond_file, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "phonopy", None)
    result = run("phonons", model_file, diamond_file, "--out", tmp_path / "a.png")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: phonons need phonopy, which is not installed: pip install")
