"""Derivatives along declared directions: products of the Hessian with a vector, without the Hessian."""

import json

import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from typer.testing import CliRunner

import cynosure
from cynosure.cli import app
from cynosure.graph import batch

SETTINGS = {
    "channels": 4,
    "layers": 2,
    "l_max": 1,
    "radial_hidden": [8, 4],
    "cutoff": 3.0,
    "inputs": {"field": {"tensor": "i", "default": 0}},
    "directions": {"v": {}, "w": {"key": "mode"}},
    "derivatives": {
        "slope": {"formula": "energy/along(v)"},
        "product": {"formula": "energy/along(v)/positions"},
        "turned_round": {"formula": "energy/positions/along(v)"},
        "curvature": {"formula": "energy/along(v)/along(v)"},
        "mixed": {"formula": "energy/along(v)/along(w)"},
        "dipole_slope": {"formula": "-energy/field/along(v)"},
        "born": {"formula": "-energy/field/positions"},
    },
}


def model_of(**changes):
    return cynosure.build(
        {**SETTINGS, **changes}, ["H", "C", "O", "Si"], dtype=torch.float64, scale=2.0, seed=1
    )


def structures():
    found = [molecule("CH3OH"), bulk("Si", cubic=True), molecule("H2O")]
    for number, atoms in enumerate(found):
        rng = np.random.default_rng(number)
        atoms.rattle(0.1, seed=number)
        atoms.set_array("v", rng.standard_normal((len(atoms), 3)))
        atoms.set_array("mode", rng.standard_normal((len(atoms), 3)))
        atoms.info["field"] = rng.standard_normal(3)
    return found


def close(found, expected, tolerance=1e-10):
    torch.testing.assert_close(
        found, expected, rtol=0, atol=tolerance * max(1.0, float(expected.abs().max()))
    )


def test_products_are_those_of_the_whole_hessian():
    model = model_of()
    for atoms in structures():
        names = ["forces", "hessian", *SETTINGS["derivatives"]]
        found = model(model.graph_of(atoms), names)
        n = len(atoms)
        hessian = found["hessian"].unflatten(0, (n, n)).transpose(1, 2).reshape(3 * n, 3 * n)
        v, w = (torch.from_numpy(atoms.arrays[key]).flatten() for key in ("v", "mode"))
        assert float(hessian.abs().max()) > 1e-2
        close(found["slope"], -(found["forces"].flatten() @ v)[None])
        close(found["product"].flatten(), hessian @ v)
        close(found["turned_round"].flatten(), hessian @ v)
        close(found["curvature"], (v @ hessian @ v)[None])
        close(found["mixed"], (w @ hessian @ v)[None])
        close(found["dipole_slope"], torch.einsum("ipq,iq->p", found["born"], v.reshape(n, 3))[None])


def test_a_product_is_the_difference_of_forces():
    model, h = model_of(), 1e-4
    atoms = structures()[0]
    found = model(model.graph_of(atoms), ["product"])["product"]
    forces = []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions += sign * h * atoms.arrays["v"]
        forces.append(model(model.graph_of(moved), ["forces"])["forces"])
    close(found, -(forces[0] - forces[1]) / (2 * h), 1e-6)


def test_structures_in_a_batch_have_directions_of_their_own():
    model = model_of()
    graphs = [model.graph_of(atoms) for atoms in structures()]
    names = list(SETTINGS["derivatives"])
    together, alone = model(batch(graphs), names), [model(graph, names) for graph in graphs]
    for name in names:
        close(together[name], torch.cat([one[name] for one in alone]))


def test_the_calculator_and_the_check_know_products(tmp_path):
    model, atoms = model_of(), structures()[0]
    atoms.calc = cynosure.Calculator(model)
    found = atoms.calc.get_property("product", atoms)
    hessian = atoms.calc.get_property("hessian", atoms)
    np.testing.assert_allclose(found.ravel(), hessian @ atoms.arrays["v"].ravel(), atol=1e-10)
    atoms.arrays["v"] *= 2  # a direction that changes is noticed
    np.testing.assert_allclose(atoms.calc.get_property("product", atoms), 2 * found, atol=1e-10)
    model.save(tmp_path / "model.safetensors")
    write(tmp_path / "one.xyz", atoms)
    result = CliRunner().invoke(
        app, ["check", str(tmp_path / "model.safetensors"), str(tmp_path / "one.xyz")]
    )
    assert result.exit_code == 0, result.output
    assert "turned: product" in result.output


def test_the_energy_does_not_see_directions():
    model, atoms = model_of(), structures()[0]
    before = model(model.graph_of(atoms))["energy"]
    del atoms.arrays["v"]
    found = model(model.graph_of(atoms), ["energy", "product"])
    assert torch.equal(found["energy"], before)
    assert float(found["product"].abs().max()) == 0.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"derivatives": {"a": {"formula": "energy/along(u)"}}},
            "cannot be differentiated by 'u'; it can by .* v",
        ),
        (
            {"derivatives": {"a": {"formula": "energy/along(field)"}}},
            "a vector for each atom; 'field' is one for a",
        ),
        (
            {"derivatives": {"a": {"formula": "energy/across(v)"}}},
            r"positions, strain, an input, turn\(input\)",
        ),
        ({"directions": {"field": {}}}, "the name 'field' is taken"),
    ],
)
def test_formulas_that_cannot_be_meant(change, message):
    with pytest.raises(ValueError, match=message):
        model_of(**change)


def test_a_graph_without_its_direction_is_refused():
    model = model_of(inputs={}, derivatives={"product": {"formula": "energy/along(v)/positions"}})
    graph = cynosure.graph.from_atoms(molecule("H2O"), model.cutoff)
    with pytest.raises(ValueError, match="a derivative by v needs what the graph does not have"):
        model(graph, ["product"])


def test_products_are_trained_on(tmp_path):
    """A network learns a Hessian from its products with one direction a frame."""
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(24):
        atoms = molecule("H2O")
        atoms.rattle(0.05, rng=rng)
        v = rng.standard_normal((3, 3))
        between = atoms.positions[1] - atoms.positions[2]
        energy = 0.5 * float(between @ between)  # a spring between the hydrogens
        force = np.zeros((3, 3))
        force[1], force[2] = -between, between
        product = np.zeros((3, 3))
        product[1], product[2] = v[1] - v[2], v[2] - v[1]
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=force)
        atoms.set_array("v", v)
        atoms.set_array("product", product)
        frames.append(atoms)
    write(tmp_path / "frames.xyz", frames)
    settings = tmp_path / "settings.json"
    settings.write_text(
        json.dumps(
            {
                "model": {
                    **{
                        key: SETTINGS[key]
                        for key in ("channels", "layers", "l_max", "radial_hidden", "cutoff")
                    },
                    "directions": {"v": {}},
                    "derivatives": {"product": {"formula": "energy/along(v)/positions", "unit": "eV/Å"}},
                },
                "epochs": 40,
                "dtype": "float64",
            }
        )
    )
    arguments = [
        "train",
        tmp_path / "frames.xyz",
        "--config",
        settings,
        "--val",
        0.25,
        "--out",
        tmp_path / "run",
    ]
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    assert result.exit_code == 0, result.output
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    errors = [one["errors"]["product"]["rmse"] for one in records if one["kind"] == "validation"]
    assert errors[-1] < 0.5 * errors[0]
