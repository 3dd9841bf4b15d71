"""Points that are no elements, in units that are not eV and Å: told apart by names of the user's own, and called so."""

import json

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from typer.testing import CliRunner

import cynosure
from cynosure.cli import app
from cynosure.deploy import molecular_dynamics
from cynosure.graph import Points
from cynosure.potentials import read_header

OWN = {"names": ["bead", "head", "tail"], "key": "kind", "energy": "kT", "length": "σ"}
TINY = {"channels": 4, "layers": 1, "l_max": 1, "radial_hidden": [8, 4], "cutoff": 3.0}


def structure(seed=0, *, labelled=False):
    """Six points that ASE knows nothing about but their places."""
    rng = np.random.default_rng(seed)
    places = np.array([[x, y, 0.0] for x in (0.0, 1.1, 2.2) for y in (0.0, 1.2)])
    atoms = Atoms(positions=places + 0.1 * rng.standard_normal((6, 3)), numbers=[0] * 6)
    atoms.set_array("kind", np.array(["tail", "bead", "head", "bead", "tail", "head"]))
    if labelled:
        atoms.calc = SinglePointCalculator(atoms, energy=rng.normal(), forces=rng.standard_normal((6, 3)))
    return atoms


def model_of(**points):
    return cynosure.build(
        {**TINY, "points": {**OWN, **points}}, ["head", "bead", "tail"], dtype=torch.float64, scale=2.0
    )


@pytest.fixture
def model_file(tmp_path):
    path = tmp_path / "model.safetensors"
    model_of().save(path)
    return path


def run(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments])


def test_names_are_kinds_of_their_own():
    model, atoms = model_of(), structure()
    numbered = atoms.copy()
    numbered.numbers = [3, 1, 2, 1, 3, 2]
    del numbered.arrays["kind"]
    assert model.species == (1, 2, 3)
    named, plain = (model(model.graph_of(one)) for one in (atoms, numbered))
    assert torch.equal(named["energy"], plain["energy"])
    assert torch.equal(named["forces"], plain["forces"])
    other = atoms.copy()
    other.arrays["kind"][0] = "bead"
    assert abs(float(model(model.graph_of(other))["energy"] - named["energy"])) > 1e-6


def test_the_calculator_reads_the_names_and_sees_them_change():
    atoms = structure()
    atoms.calc = cynosure.Calculator(model_of())
    before = atoms.get_potential_energy()
    atoms.arrays["kind"][0] = "bead"
    after = atoms.get_potential_energy()
    assert abs(after - before) > 1e-6
    fresh = structure()
    fresh.arrays["kind"][0] = "bead"
    fresh.calc = cynosure.Calculator(model_of())
    assert fresh.get_potential_energy() == after
    assert atoms.calc.closest_contact() == (float("inf"), -1, -1)


def test_energies_of_lone_points_are_given_by_name():
    e0s = {"head": -1.0, "bead": -2.0, "tail": -3.0}
    model = cynosure.build({**TINY, "points": OWN}, list(e0s), e0s=e0s, dtype=torch.float64)
    assert model.calibration.e0s == (-2.0, -1.0, -3.0)
    with pytest.raises(ValueError, match="'e0s' has no value for tail"):
        cynosure.build({**TINY, "points": OWN}, list(e0s), e0s={"head": 0.0, "bead": 0.0})
    with pytest.raises(ValueError, match="there is no kind 'H'; there are bead, head, tail"):
        cynosure.build({**TINY, "points": OWN}, ["H"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": {"names": ["a", "a"]}}, "two kinds of points have one name: a, a"),
        ({"points": {"names": ["1"]}}, "a name that is not a number"),
        ({"points": {"name": ["a"]}}, "did you mean 'names'"),
        ({"points": {"energy": "MeV"}, "zbl": True}, "a repulsion of nuclei"),
    ],
)
def test_settings_that_cannot_be_meant(change, message):
    with pytest.raises(ValueError, match=message):
        cynosure.build({**TINY, **change}, [1, 2])


def test_a_structure_without_its_names_is_refused(tmp_path):
    atoms = structure(labelled=True)
    points = Points(tuple(OWN["names"]), "kind")
    stranger = structure()
    stranger.arrays["kind"][2] = "foot"
    with pytest.raises(ValueError, match="the column 'kind': there is no kind 'foot'; there are bead, head"):
        points.numbers(stranger)
    del atoms.arrays["kind"]
    with pytest.raises(ValueError, match="no column 'kind' that says what each point is"):
        points.numbers(atoms)
    write(tmp_path / "frames.xyz", [structure(labelled=True), atoms])
    with pytest.raises(ValueError, match=r"frames.xyz, frame 1: there is no column 'kind'"):
        cynosure.data.read_frames(tmp_path / "frames.xyz", points=points)
    model = cynosure.build({**TINY, "points": OWN}, ["bead", "head"])
    with pytest.raises(ValueError, match="does not know tail; it was built for bead, head"):
        model(model.graph_of(structure()))
    structure_of_tails = structure()
    structure_of_tails.calc = cynosure.Calculator(model)
    with pytest.raises(ValueError, match="does not know tail; it was built for bead, head"):
        structure_of_tails.get_potential_energy()


def test_from_a_file_to_a_model_in_words_of_ones_own(tmp_path):
    frames, folder = tmp_path / "frames.xyz", tmp_path / "run"
    write(frames, [structure(seed, labelled=True) for seed in range(12)])
    assert "kind:S:1" in frames.read_text()
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"model": {**TINY, "points": OWN}, "dtype": "float64", "epochs": 2}))
    trained = run("train", frames, "--config", settings, "--val", 0.25, "--out", folder)
    assert trained.exit_code == 0, trained.output
    for words in ("12 frames, 72 atoms (bead 24, head 24, tail 24)", "E0s by least squares (kT): bead"):
        assert words in trained.output
    assert "eV" not in trained.output
    page = (folder / "report.html").read_text()
    assert "kT/σ" in page
    assert "forces on tail" in page
    assert "eV" not in page
    model = folder / "model.safetensors"
    assert read_header(model)["units"] == {
        "energy": "kT",
        "length": "σ",
        "forces": "kT/σ",
        "stress": "kT/σ³",
    }
    for verb, told in (
        (("eval", model, frames), ("forces on head", "kT/σ", "kT/point")),
        (("info", model), ("bead, head, tail, column 'kind'", "kT, σ", "E0 (kT)", "3 σ")),
        (("check", model, frames), ("kT/σ", "force = −dE/dx")),
    ):
        result = run(*verb)
        assert result.exit_code == 0, result.output
        for words in told:
            assert words in result.output
        assert "eV" not in result.output


def test_what_needs_units_of_atoms_says_so(model_file, tmp_path):
    write(tmp_path / "one.xyz", structure())
    for verb in (("md", "--ensemble", "nve", "--steps", 2, "--temperature", 10), ("relax",)):
        result = run(verb[0], model_file, tmp_path / "one.xyz", *verb[1:])
        assert result.exit_code == 2
        assert "this model's numbers are in kT and σ" in " ".join(result.output.split())
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"model": {**TINY, "points": OWN}}))
    write(tmp_path / "frames.xyz", [structure(seed, labelled=True) for seed in range(6)])
    told = run("train", tmp_path / "frames.xyz", "--config", settings, "--unit", "energy=Ha")
    assert told.exit_code == 2
    assert "data.units computes in eV" in " ".join(told.output.split())


def test_own_kinds_in_ev_and_angstrom_move_with_their_masses():
    model, atoms = model_of(energy="eV", length="Å"), structure()
    with pytest.raises(ValueError, match=r"bead, head, tail are no elements.*column 'masses'"):
        molecular_dynamics(model, atoms, "nve", steps=2, temperature=10.0)
    atoms.set_masses([10.0, 20.0, 30.0, 20.0, 10.0, 30.0])
    result = molecular_dynamics(model, atoms, "nve", steps=2, temperature=10.0)
    assert len(result.samples) > 0


def test_members_of_a_mixture_have_the_same_points():
    of = [{"model": "nequip", **TINY}, {"model": "mace", "channels": 4, "layers": 1, "l_max": 1, "hidden": 0}]
    of[1].pop("hidden")
    model = cynosure.build(
        {"model": "mixed", "cutoff": 3.0, "points": OWN, "of": [{**one, "cutoff": 3.0} for one in of]},
        ["bead", "head", "tail"],
        dtype=torch.float64,
    )
    assert model.points.names == ("bead", "head", "tail")
    assert all(member.points == model.points for member in model.members)
    assert np.isfinite(float(model(model.graph_of(structure()))["energy"]))
