"""NequIPs become models that say the same. (How to run these tests: `conftest.py`.)"""

from __future__ import annotations

import shutil
import subprocess

import pytest
import torch
from ase.io import read
from typer.testing import CliRunner

import cynosure
from cynosure.cli import app
from cynosure.graph import from_atoms
from cynosure.importers import import_model
from cynosure.potentials import Evaluator
from cynosure.potentials.trainable import Trainable
from cynosure.training import from_settings, train

# One fresh interpreter with the peers' packages may take a minute on a busy machine, and making the checkpoints five.
pytestmark = pytest.mark.timeout(900)

# Files of `make_nequip.py`, and what the settings of the model must say.
RANDOM = {
    "plain.ckpt": {"parity": "natural", "self_connection": "after_first", "learned_frequencies": False},
    "both_parities.ckpt": {"parity": True, "radial_hidden": (6, 6)},
    "single_precision.ckpt": {"channels": (6, 4, 3), "embedding_channels": 3},
    "learned.ckpt": {"learned_frequencies": True, "envelope_power": 5, "radial_hidden": (6, 6, 6)},
    "hidden_readout.ckpt": {"layers": 1, "readout_hidden": 7, "self_connection": False},
    "deep_linear_readout.ckpt": {"l_max": 0, "readout_hidden": 0},
    "no_self_connection.ckpt": {"self_connection": False},
    "learnable_shift.ckpt": {"self_connection": True},
    "zbl.ckpt": {},
    "trained.ckpt": {},
    "trained.nequip.zip": {},
}


@pytest.mark.parametrize("name", RANDOM)
def test_models_of_many_kinds(imported, name, nequip_files, nequip_python, tmp_path):
    model = imported(nequip_files / name, nequip_python, tmp_path / "model.safetensors")
    assert model.species == (1, 6, 8, 14, 79)
    for setting, value in RANDOM[name].items():
        assert getattr(model.config, setting) == value, setting
    assert model.promises_reflection
    again = cynosure.load(tmp_path / "model.safetensors")
    assert again.provenance["imported from"]["package"] == "nequip"
    assert again.provenance["imported from"]["checkpoint_version"].startswith("0.19.")


def test_energies_of_lone_atoms_are_the_shifts(imported, nequip_files, nequip_python, tmp_path):
    """By species, in the order of atomic numbers, which is not that of the original's types."""
    model = imported(nequip_files / "plain.ckpt", nequip_python, tmp_path / "model.safetensors")
    assert model.calibration.e0s == (-2.0, -4.0, -5.0, -1.0, -3.0)
    assert model.calibration.scale == (1.5, 0.7, 1.2, 1.0, 0.5)
    assert model.calibration.avg_neighbours == pytest.approx(2.0)


# Its own ASE calculator, without a line of the reader, in float32 as it was trained.
_CALCULATOR = """
import sys, warnings
warnings.simplefilter("ignore")
from ase.io import read, write
from nequip.integrations.ase import NequIPCalculator
calculator = NequIPCalculator._from_saved_model(sys.argv[1])
frames = read(sys.argv[2], ":")
for atoms in frames:
    atoms.calc = calculator
    atoms.info["its_energy"], atoms.arrays["its_forces"] = atoms.get_potential_energy(), atoms.get_forces()
    atoms.calc = None
write(sys.argv[3], frames)
"""


def test_single_precision_beside_its_own_calculator(nequip_files, nequip_python, tmp_path):
    out, found = tmp_path / "model.safetensors", tmp_path / "found.xyz"
    import_model(nequip_files / "trained.nequip.zip", out, python=nequip_python, trust=True)
    arguments = [str(nequip_files / "trained.ckpt"), str(nequip_files / "frames.xyz"), str(found)]
    subprocess.run([nequip_python, "-c", _CALCULATOR, *arguments], check=True, capture_output=True)
    calculator = cynosure.Calculator(out)
    for atoms in read(found, ":"):
        energy, forces = atoms.info["its_energy"], atoms.arrays["its_forces"]
        atoms.calc = calculator
        assert abs(atoms.get_potential_energy() - energy) / len(atoms) < 2e-6
        assert abs(atoms.get_forces() - forces).max() < 1e-5 * max(1.0, abs(forces).max())


def test_a_model_is_chosen_of_several(imported, nequip_files, nequip_python, tmp_path):
    source, out = nequip_files / "several.nequip.zip", tmp_path / "model.safetensors"
    for name, message in (
        (None, "has the models PBE, SCAN: choose one"),
        ("LDA", "no model 'LDA'; it has PBE"),
    ):
        with pytest.raises(ValueError, match=message):
            import_model(source, out, modality=name, python=nequip_python, trust=True)
        assert not out.exists()
    both = [imported(source, nequip_python, out, modality=name) for name in ("PBE", "SCAN")]
    graph = from_atoms(read(nequip_files / "frames.xyz"), both[0].cutoff)
    first, second = (float(model(graph, ("energy",))["energy"]) for model in both)
    assert abs(first - second) > 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_runs_and_trains_in_the_core(imported, dtype, nequip_files, nequip_python, tmp_path):
    model = imported(nequip_files / "both_parities.ckpt", nequip_python, tmp_path / "model.safetensors")
    model = model.to(dtype)
    evaluator = Evaluator(model)
    graph = from_atoms(read(nequip_files / "frames.xyz"), model.cutoff)
    got, expected = evaluator.evaluate(graph, ("energy", "forces")), model(graph, ("energy", "forces"))
    tolerance = {torch.float32: 1e-5, torch.float64: 1e-9}[dtype]
    for name, value in expected.items():
        assert float((got[name] - value).abs().max()) < tolerance, name
    if cynosure.kernels.core.available():
        assert evaluator.why_not is None
        assert evaluator.engine == "core"
        assert Trainable(model).engine == "core"


def test_it_trains_further(imported, nequip_files, nequip_python, tmp_path):
    base = tmp_path / "model.safetensors"
    model = imported(nequip_files / "single_precision.ckpt", nequip_python, base)
    settings = {
        "data": {"train": str(nequip_files / "frames.xyz"), "e0s": "keep"},
        "finetune": {"base": str(base)},
        "dtype": "float64",
        "epochs": 2,
    }
    tuned = cynosure.load(train(from_settings(settings), out=tmp_path / "run").model)
    assert tuned.config == model.config
    moved = {
        name
        for name, weights in tuned.named_parameters()
        if not torch.equal(weights, model.get_parameter(name))
    }
    assert moved == {name for name, _ in model.named_parameters()}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("per_pair_cutoff", "per_edge_type_cutoff"),
        ("per_type_neighbours", "avg_num_neighbors"),
        ("kilocalories", "a ZBL in other units"),
        ("other_elements", "a ZBL whose 'chemical_species' are not the model's types"),
        ("lennard_jones", "pair potential 'LennardJones'"),
        ("residual", "convnet_resnet"),
        ("norm", "'layer0_convnet.equivariant_nonlin' is a NormActivation"),
        ("softplus", "the activation 'shifted_softplus' of scalars 0e"),
        ("deep_readout", "readout of 3 layers"),
        ("mish_readout", "readout of 2 layers with Mish"),
        ("no_hidden_layer", "no hidden layer"),
        ("low_power", "power 2 of the polynomial cutoff"),
        ("two_widths", "radial networks of several sizes"),
        ("two_counts", "4 and 5 channels of degree 0"),
        ("graph_fields", "categorical_graph_field_embed"),
        ("not_elements", "the type 'A' is no chemical element"),
        ("allegro", "an Allegro model"),
        ("newer", "written by nequip 99.0.0"),
    ],
)
def test_what_cannot_be_imported_is_refused(name, message, nequip_files, nequip_python, tmp_path):
    source = nequip_files / f"{name}.ckpt"
    if name == "allegro" and not source.exists():
        pytest.skip("this Python has no nequip-allegro")
    with pytest.raises(ValueError, match=message):
        import_model(source, tmp_path / "model.safetensors", python=nequip_python, trust=True)
    assert not list(tmp_path.iterdir())


def test_files_that_only_look_like_it(nequip_files, nequip_python, tmp_path):
    looks_like_it = tmp_path / "other.ckpt"
    torch.save({"hyper_parameters": {"versions": {"e3nn": 0, "nequip": 0}}}, looks_like_it)
    renamed = tmp_path / "renamed.zip"
    shutil.copy(nequip_files / "trained.nequip.zip", renamed)
    for source, message in (
        (looks_like_it, "no checkpoint or package of NequIP, or a damaged one"),
        (renamed, r"must end in \.nequip\.zip"),
    ):
        with pytest.raises(ValueError, match=message):
            import_model(source, tmp_path / "model.safetensors", python=nequip_python, trust=True)
    assert not (tmp_path / "model.safetensors").exists()


def test_the_command_tells_what_it_compared(nequip_files, nequip_python, tmp_path):
    out = tmp_path / "model.safetensors"
    arguments = ["import", str(nequip_files / "plain.ckpt"), "--trust", "--python", nequip_python]
    result = CliRunner().invoke(app, [*arguments, "--out", str(out)], env={"COLUMNS": "120"})
    assert result.exit_code == 0, result.output
    for expected in ("every element, dense", "from nequip 0.19", "Weights in float32", "5 elements"):
        assert expected in result.output
    assert "no parity" not in result.output
    assert cynosure.load(out).dtype == torch.float32
