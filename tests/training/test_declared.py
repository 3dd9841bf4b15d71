"""Training on declared targets and on named derivatives of the energy, with declared inputs: they are learned."""

import json

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

import cynosure
from cynosure.training import Display, from_settings, train

SMALL_MODEL = {"channels": 3, "layers": 2, "l_max": 1, "num_basis": 4, "radial_hidden": [4], "cutoff": 3.0}

# Fixed charges on springs in an electric field: E = Σ ½ (r − 1.2)² − Σ q r·f − ½ α f·f, neutral.
CHARGES = {"C": 0.5, "O": -0.5}
ALPHA = 0.3


class Said(Display):
    def __init__(self):
        self.text = ""

    def say(self, text):
        self.text += text + "\n"


def in_a_field(count=16, seed=0) -> list[Atoms]:
    rng = np.random.default_rng(seed)
    corners = 0.5 * np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    frames = []
    for _ in range(count):
        atoms = Atoms("COCO", corners + rng.normal(scale=0.1, size=(4, 3)))
        field = rng.normal(scale=0.5, size=3)
        charges = np.array([CHARGES[symbol] for symbol in atoms.symbols])
        vectors = atoms.positions[None] - atoms.positions[:, None]
        lengths = np.linalg.norm(vectors, axis=2) + np.eye(4)
        pull = (lengths - 1.2) * (1 - np.eye(4))
        energy = np.sum(pull**2) / 4 - charges @ atoms.positions @ field - ALPHA / 2 * field @ field
        forces = np.einsum("ij,ijc->ic", pull / lengths, vectors) + charges[:, None] * field
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
        atoms.info["field"] = field
        atoms.info["mu"] = charges @ atoms.positions + ALPHA * field
        atoms.info["alpha"] = ALPHA * np.eye(3)
        frames.append(atoms)
    return frames


def settings(tmp_path, frames, model, **more):
    path = tmp_path / "frames.xyz"
    write(path, frames)
    return from_settings(
        {
            "data": {"train": str(path)},
            "model": {**SMALL_MODEL, **model},
            "epochs": 40,
            "dtype": "float64",
            **more,
        }
    )


FIELD = {"field": {"tensor": "i"}}


def test_derivatives_by_an_input_are_learned(tmp_path):
    model = {
        "inputs": FIELD,
        "derivatives": {
            "dipole": {"formula": "-energy/field", "key": "mu", "unit": "e Å"},
            "polarizability": {"formula": "-energy/field/field", "key": "alpha"},
        },
    }
    result = train(settings(tmp_path, in_a_field(20), model, epochs=30), out=tmp_path / "run")
    errors = next(iter(result.metrics.values()))
    assert errors.errors["dipole"].rmse < 0.1 * 0.3
    assert errors.errors["polarizability"].rmse < 0.3 * ALPHA
    (row,) = (line.split() for line in errors.table().splitlines() if line.startswith("dipole"))
    assert row[1:3] == ["e", "Å"]
    calculator = cynosure.Calculator(result.model)
    atoms = in_a_field(1, seed=9)[0]
    label = atoms.info["mu"]
    reference = atoms.get_forces()
    atoms.calc = calculator
    dipole = calculator.get_property("dipole", atoms)
    assert np.linalg.norm(dipole - label) < 0.3 * np.linalg.norm(label)
    assert np.abs(atoms.get_forces() - reference).max() < 0.5 * np.abs(reference).max()
    # Another field is another structure, although no atom has moved.
    atoms.info["field"] = atoms.info["field"] + 1.0
    assert np.abs(calculator.get_property("dipole", atoms) - dipole).max() > 1e-3
    hessian = calculator.get_property("hessian", atoms)
    assert hessian.shape == (12, 12)
    assert np.abs(hessian - hessian.T).max() < 1e-8


def test_targets_alone_need_no_energy(tmp_path):
    frames = in_a_field()
    for atoms in frames:
        atoms.calc = None
        atoms.info["field"] = np.zeros(3)
        atoms.info["mu"] = np.array([CHARGES[s] for s in atoms.symbols]) @ atoms.positions
        atoms.info["volume"] = 3.0 + np.linalg.det(atoms.positions[:3])
        atoms.arrays["q"] = np.array([CHARGES[symbol] for symbol in atoms.symbols]) + 0.25
    frames[3].info.pop("mu")
    frames[4].arrays["q"][1] = np.nan
    targets = {
        "dipole": {"tensor": "i", "key": "mu"},
        "q": {"irreps": "0e", "per": "atom", "total": 1.0},
    }
    said = Said()
    result = train(
        settings(tmp_path, frames, {"targets": targets}, epochs=100), out=tmp_path / "run", display=said
    )
    assert "the declared targets only, and no energy" in said.text
    assert "Target 'dipole': 1 of" in said.text
    errors = next(iter(result.metrics.values())).errors
    assert set(errors) == {"dipole", "q"}
    assert errors["dipole"].rmse < 0.05
    assert errors["q"].rmse < 0.05  # of ±0.5
    assert "dipole" in result.report.read_text()
    atoms = frames[0]
    atoms.calc = cynosure.Calculator(result.model)
    assert np.sum(atoms.calc.get_property("q", atoms)) == pytest.approx(1.0, abs=1e-12)
    with pytest.raises(ValueError, match="no output 'energy'"):
        atoms.calc.model(None, ["energy"])


def test_the_energy_may_be_off_although_the_frames_have_one(tmp_path):
    targets = {
        "dipole": {"tensor": "i", "key": "mu"},
        "force": {"tensor": "i", "per": "atom", "key": "forces"},
    }
    model = {"energy": False, "targets": targets, "inputs": FIELD}
    result = train(settings(tmp_path, in_a_field(8), model, epochs=2), out=tmp_path / "run")
    assert set(next(iter(result.metrics.values())).errors) == {"dipole", "force"}
    assert set(json.loads((tmp_path / "run" / "config.json").read_text())["loss"]["targets"]) == {
        "dipole",
        "force",
    }


def test_a_hessian_is_trained_on(tmp_path):
    frames = in_a_field(6)
    for atoms in frames:
        atoms.info["H"] = np.eye(12) * 2.0 - np.kron(np.ones((4, 4)) / 2.0, np.eye(3))
    model = {
        "inputs": FIELD,
        "derivatives": {"stiffness": {"formula": "energy/positions/positions", "key": "H"}},
    }
    first = train(settings(tmp_path, frames, model, epochs=1), out=tmp_path / "short")
    result = train(settings(tmp_path, frames, model, epochs=12), out=tmp_path / "long")
    before, after = (next(iter(r.metrics.values())).errors["stiffness"].rmse for r in (first, result))
    assert after < 0.5 * before


@pytest.mark.parametrize(
    ("model", "change", "message"),
    [
        ({"targets": {"dipole": {"tensor": "i", "key": "nothing"}}}, None, "label 'dipole' is not in"),
        (
            {"targets": {"dipole": {"tensor": "i", "key": "mu", "missing": "refuse"}}},
            lambda a: a.info.pop("mu"),
            "the target 'dipole' is missing in 1 of .* frames, first in .*frame 2",
        ),
        (
            {"targets": {"a": {"tensor": "ij=ji", "key": "alpha"}}},
            lambda a: a.info["alpha"].__setitem__((0, 1), 0.2),
            r"frame 2: 'a' is declared as ij=ji, but .* % of it .* disobeys that; .*declare it as ij",
        ),
        (
            {"targets": {"hand": {"irreps": "0o", "key": "volume"}}, "parity": "natural"},
            None,
            "symmetry forbids",
        ),
        (
            {"inputs": {"spin": {"irreps": "1e", "per": "atom"}}},
            None,
            "no column 'spin' for the input 'spin'",
        ),
    ],
)
def test_what_is_wrong_is_said_before_training(tmp_path, model, change, message):
    frames = in_a_field(10)
    for atoms in frames:
        atoms.info["volume"] = np.linalg.det(atoms.positions[:3])
    if change is not None:
        change(frames[2])
    with pytest.raises(ValueError, match=message):
        train(
            settings(tmp_path, frames, model, data={"train": str(tmp_path / "frames.xyz"), "val": 0.1}),
            out=tmp_path / "run",
        )
    assert (
        not (tmp_path / "run" / "metrics.jsonl").exists()
        or not (tmp_path / "run" / "metrics.jsonl").read_text()
    )


def test_weights_of_targets(tmp_path):
    model = {"targets": {"dipole": {"tensor": "i", "key": "mu"}}}
    with pytest.raises(ValueError, match=r"loss.targets.dipol: no such target .*dipole"):
        train(settings(tmp_path, in_a_field(10), model, loss={"targets": {"dipol": 2.0}}), out=tmp_path / "a")
    run = train(
        settings(tmp_path, in_a_field(10), model, epochs=1, loss={"targets": {"dipole": 3.0}}),
        out=tmp_path / "b",
    )
    assert json.loads((run.out / "config.json").read_text())["loss"]["targets"] == {"dipole": 3.0}
