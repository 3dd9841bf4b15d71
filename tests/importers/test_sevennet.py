"""SevenNets become models that say the same. (How to run these tests: `conftest.py`.)"""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import cynosure
from cynosure.cli import app
from cynosure.graph import from_atoms
from cynosure.importers import import_model
from cynosure.potentials import Evaluator, NequIP
from cynosure.potentials.probe import probe_atoms

# One process, or one fresh interpreter with the peers' packages, may take a minute on a busy machine.
pytestmark = pytest.mark.timeout(600)

RANDOM = ["rotations", "switched", "by_species", "both_parities", "one_scale"]
CARRIED = [("7net-0", None), ("7net-l3i5", None), ("7net-mf-0", "PBE"), ("7net-mf-0", "R2SCAN")]


@pytest.mark.parametrize("name", RANDOM)
def test_random_weights(imported, name, checkpoints, sevenn_python, tmp_path):
    model = imported(checkpoints / f"{name}.pth", sevenn_python, tmp_path / "model.safetensors")
    assert model.species == (1, 6, 8, 14, 79)
    assert model.promises_reflection == (name == "both_parities")
    again = cynosure.load(tmp_path / "model.safetensors")
    assert again.provenance["imported from"]["package"] == "sevenn"


@pytest.mark.parametrize("modality", ["PBE", "SCAN"])
def test_a_level_of_theory_is_chosen(imported, modality, checkpoints, sevenn_python, tmp_path):
    model = imported(
        checkpoints / "modalities.pth", sevenn_python, tmp_path / "model.safetensors", modality=modality
    )
    assert model.config.bias
    assert (
        model.calibration.e0s
        == ((-3.0, -2.0, -4.0, -5.0, -1.0), (-4.0, -3.0, -5.0, -6.0, -2.0))[modality == "SCAN"]
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["switched", "modalities"])
def test_it_runs_through_the_core(imported, name, dtype, checkpoints, sevenn_python, tmp_path):
    modality = "PBE" if name == "modalities" else None
    model = imported(
        checkpoints / f"{name}.pth", sevenn_python, tmp_path / "model.safetensors", modality=modality
    )
    evaluator = Evaluator(model.to(dtype))
    assert evaluator.why_not is None
    assert evaluator.engine == "core" or not cynosure.kernels.core.available()


@pytest.mark.parametrize(("name", "modality"), CARRIED)
def test_the_checkpoints_that_the_package_carries(imported, name, modality, sevenn_python, tmp_path):
    model = imported(name, sevenn_python, tmp_path / "model.safetensors", modality=modality)
    assert isinstance(model, NequIP)
    assert len(model.species) == 89
    assert model.cutoff == 5.0


# What its own calculator says, in float32, in a process of its own.
_CALCULATOR = """
import json, sys, warnings
warnings.simplefilter("ignore")
from ase import Atoms
from sevenn.calculator import SevenNetCalculator
found = []
calculator = SevenNetCalculator("7net-0", device="cpu")
for one in json.load(sys.stdin):
    atoms = Atoms(**one, calculator=calculator)
    found.append([atoms.get_potential_energy(), atoms.get_forces().tolist(), atoms.get_stress(voigt=False).tolist()])
print("\\n" + json.dumps(found))
"""


def test_single_precision_beside_its_own_calculator(sevenn_python, tmp_path):
    import_model("7net-0", tmp_path / "model.safetensors", python=sevenn_python, trust=True)
    calculator = cynosure.Calculator(tmp_path / "model.safetensors")
    structures = [probe_atoms((3, 8, 14, 22, 26), 5.0)]
    asked = [
        {
            "numbers": one.numbers.tolist(),
            "positions": one.positions.tolist(),
            "cell": one.cell.tolist(),
            "pbc": True,
        }
        for one in structures
    ]
    done = subprocess.run(
        [sevenn_python, "-c", _CALCULATOR],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
    )
    for atoms, (energy, forces, stress) in zip(
        structures, json.loads(done.stdout.splitlines()[-1]), strict=True
    ):
        atoms.calc = calculator
        assert abs(atoms.get_potential_energy() - energy) / len(atoms) < 2e-6
        assert np.abs(atoms.get_forces() - forces).max() < 2e-5
        assert np.abs(atoms.get_stress(voigt=False) - stress).max() < 2e-6


@pytest.mark.parametrize(
    ("name", "modality", "message"),
    [
        ("modalities", None, "has the modalities PBE, SCAN: choose one"),
        ("modalities", "B3LYP", "no modality 'B3LYP'; it has PBE, SCAN"),
        ("rotations", "PBE", "it has none to choose from"),
        ("network_readout", None, "readout_as_fcn"),
        ("softplus", None, "'ssp'"),
        ("newer", None, "written by sevenn 99.0.0, newer than"),
    ],
)
def test_what_cannot_be_imported_is_refused(name, modality, message, checkpoints, sevenn_python, tmp_path):
    with pytest.raises(ValueError, match=message):
        import_model(
            checkpoints / f"{name}.pth",
            tmp_path / "model.safetensors",
            modality=modality,
            python=sevenn_python,
            trust=True,
        )
    assert not list(tmp_path.iterdir())


def test_a_model_that_does_not_agree_is_not_written(checkpoints, sevenn_python, tmp_path, monkeypatch):
    from cynosure.importers import FORMATS

    honest = FORMATS["sevennet"]

    def crooked(handover):
        model = honest.build(handover)
        with torch.no_grad():
            model.embedding[3, 0] += 1e-3
        return model

    monkeypatch.setitem(FORMATS, "sevennet", honest._replace(build=crooked))
    with pytest.raises(ValueError, match="does not agree with the original: on 'every element, dense'"):
        import_model(
            checkpoints / "rotations.pth", tmp_path / "model.safetensors", python=sevenn_python, trust=True
        )
    assert not list(tmp_path.iterdir())


def test_rotating_a_small_graph_changes_nothing(imported, checkpoints, sevenn_python, tmp_path):
    """The unlabelled irreps are those of rotations: an even 1e is not a vector to a mirror, but is one to a turn."""
    model = imported(checkpoints / "rotations.pth", sevenn_python, tmp_path / "model.safetensors")
    atoms = probe_atoms(model.species, model.cutoff)
    turned = atoms.copy()
    turned.rotate(50.0, (1, 2, 3), rotate_cell=True)
    first, second = (model(from_atoms(one, model.cutoff), ("energy",))["energy"] for one in (atoms, turned))
    assert float((first - second).abs()) < 1e-10


def test_the_command_tells_what_it_compared(checkpoints, sevenn_python, tmp_path):
    out = tmp_path / "model.safetensors"
    arguments = ["import", str(checkpoints / "switched.pth"), "--trust", "--python", sevenn_python]
    result = CliRunner().invoke(app, [*arguments, "--out", str(out)], env={"COLUMNS": "120"})
    assert result.exit_code == 0, result.output
    for expected in ("every element, dense", "from sevenn", "Weights in float32", "5 elements", "no parity"):
        assert expected in result.output
    assert cynosure.load(out).dtype == torch.float32
