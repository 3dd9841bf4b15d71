"""MACE's models become models that say the same. (How to run these tests: `conftest.py`.)"""

from __future__ import annotations

import os
import subprocess

import ase.build
import ase.io
import numpy as np
import pytest
import torch
from ase.calculators.emt import EMT

import cynosure
from cynosure.graph import from_atoms
from cynosure.importers import import_model
from cynosure.kernels import core
from cynosure.potentials import MACE, Evaluator
from cynosure.potentials.probe import probe_atoms
from cynosure.training import from_settings, train

# One process, or one fresh interpreter with the peers' packages, may take a minute on a busy machine.
pytestmark = pytest.mark.timeout(900)

RANDOM = ["residual", "invariant", "foundation", "soft", "three", "one", "last"]


@pytest.mark.parametrize("name", RANDOM)
def test_random_weights(imported, name, mace_models, mace_python, tmp_path):
    model = imported(mace_models / f"{name}.model", mace_python, tmp_path / "model.safetensors")
    assert isinstance(model, MACE)
    assert model.species == (1, 6, 8, 14, 79)
    assert model.promises_reflection
    again = cynosure.load(tmp_path / "model.safetensors")
    assert again.provenance["imported from"]["package"] == "mace-torch"
    # And through the core, in both precisions, with all elements at once.
    graph = from_atoms(probe_atoms(model.species, model.cutoff), model.cutoff)
    expected = model(graph)
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 2e-5)):
        evaluator = Evaluator(again.to(dtype))
        found = evaluator.evaluate(graph)
        assert evaluator.engine == "core" or not core.available(), evaluator.why_not
        torch.testing.assert_close(found["energy"], expected["energy"], rtol=tolerance, atol=tolerance)
        forces = found["forces"].to(torch.float64)
        torch.testing.assert_close(forces, expected["forces"], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("head", "e0s"), [("PBE", (-1, -2, -3, -4, -5)), ("SCAN", (-2, -3, -4, -5, -6))])
def test_a_head_is_chosen(imported, head, e0s, mace_models, mace_python, tmp_path):
    out = tmp_path / "model.safetensors"
    model = imported(mace_models / "heads.model", mace_python, out, modality=head)
    assert model.calibration.e0s == e0s


def test_a_model_that_the_package_has_trained(imported, mace_python, tmp_path):
    """A few epochs of its own training program on frames of an alloy, then imported."""
    frames = []
    for seed in range(12):
        atoms = ase.build.bulk("Cu", cubic=True)
        atoms.symbols[seed % 4] = "Au"
        atoms.rattle(0.1, seed=seed)
        atoms.calc = EMT()
        atoms.info["REF_energy"] = atoms.get_potential_energy()
        atoms.arrays["REF_forces"] = atoms.get_forces()
        atoms.calc = None
        frames.append(atoms)
    ase.io.write(tmp_path / "frames.xyz", frames)
    program = mace_python.replace("bin/python", "bin/mace_run_train")
    options = {
        "name": "small",
        "train_file": "frames.xyz",
        "valid_fraction": 0.2,
        "E0s": "average",
        "num_interactions": 2,
        "num_channels": 4,
        "max_L": 1,
        "max_ell": 2,
        "r_max": 3.5,
        "batch_size": 5,
        "max_num_epochs": 3,
        "device": "cpu",
        "default_dtype": "float32",
        "seed": 1,
        "num_workers": 0,
    }
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [program, *(f"--{name}={value}" for name, value in options.items())],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=variables,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (source,) = (path for path in tmp_path.glob("*.model") if "compiled" not in path.name)
    model = imported(source, mace_python, tmp_path / "model.safetensors")
    assert model.species == (29, 79)
    with pytest.raises(ValueError, match="a checkpoint of a training, without the architecture"):
        import_model(
            next((tmp_path / "checkpoints").glob("*.pt")),
            tmp_path / "other.safetensors",
            format="mace",
            python=mace_python,
            trust=True,
        )


@pytest.mark.parametrize(
    ("name", "modality", "message"),
    [
        ("heads.model", None, "has the heads PBE, SCAN: choose one"),
        ("heads.model", "B3LYP", "no head 'B3LYP'; it has PBE, SCAN"),
        ("attention.model", None, "RealAgnosticAttResidualInteractionBlock"),
        ("outside.model", None, "'apply_cutoff': False"),
        ("rotations.model", None, "'use_so3'"),
        ("alike.model", None, "'use_agnostic_product'"),
        ("narrow.model", None, "'edge_irreps'"),
        ("parities.model", None, "4x0e.4x0o.4x1o.4x1e"),
        ("polynomials.model", None, "ChebychevBasis"),
        ("tanh.model", None, "the activation 'tanh'"),
    ],
)
def test_what_cannot_be_imported_is_refused(name, modality, message, mace_models, mace_python, tmp_path):
    with pytest.raises(ValueError, match=message):
        import_model(
            mace_models / name,
            tmp_path / "model.safetensors",
            modality=modality,
            python=mace_python,
            trust=True,
        )
    assert not list(tmp_path.iterdir())


def test_it_trains_on(imported, mace_models, mace_python, tmp_path):
    """Step 0 is the imported model, and training improves on it."""
    base = tmp_path / "base.safetensors"
    imported(mace_models / "foundation.model", mace_python, base)
    teacher = cynosure.build({"cutoff": 4.0, "channels": 4}, ["Si", "O"], seed=3, dtype=torch.float64)
    frames = []
    for seed in range(8):
        atoms = ase.build.bulk("Si", cubic=True)
        atoms.symbols[seed % 8] = "O"
        atoms.rattle(0.1, seed=seed)
        atoms.calc = cynosure.Calculator(teacher)
        atoms.get_forces()
        frames.append(atoms)
    ase.io.write(tmp_path / "frames.xyz", frames)
    settings = {
        "data": {"train": str(tmp_path / "frames.xyz"), "e0s": "fit"},
        "finetune": {"base": str(base)},
        "dtype": "float64",
        "epochs": 8,
    }
    train(from_settings(settings), out=tmp_path / "run")
    trained = cynosure.load(tmp_path / "run" / "model.safetensors")
    before, after = (
        np.mean([np.abs(_forces(model, atoms) - atoms.get_forces()).mean() for atoms in frames])
        for model in (cynosure.load(base), trained)
    )
    assert after < before


def _forces(model, atoms):
    atoms = atoms.copy()
    atoms.calc = cynosure.Calculator(model)
    return atoms.get_forces()
