"""MACE: its settings, and what models of other packages need of it."""

import math

import pytest
import torch
from ase import Atoms

from cynosure import build, load
from cynosure.graph import from_atoms
from cynosure.kernels import core
from cynosure.potentials import Evaluator, resolve


def test_invariant_edges_have_invariant_features_if_nothing_else_is_said():
    assert resolve({"model": "mace", "l_max": 0}).model_dump()["hidden_l_max"] == 0
    assert resolve({"model": "mace"}).model_dump()["hidden_l_max"] == 1
    with pytest.raises(ValueError, match="'hidden_l_max' is 1"):
        resolve({"model": "mace", "l_max": 0, "hidden_l_max": 1})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"density": [True]}, "'density' has 1 values for 2 layers"),
        ({"correlation": [3, 3, 3]}, "'correlation' has 3 values for 2 layers"),
        ({"distance_transform": {"kind": "agnesi", "q": 5.0}}, "p > q > 0"),
        ({"distance_transform": {"kind": "soft", "alpha": 0.0}}, "it must be positive"),
        (
            {"distance_transform": {"kind": "agnesi"}, "points": {"names": ["p", "n"]}},
            "needs the sizes of elements",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        resolve({"model": "mace", **settings})


def test_messages_over_a_density_hardly_grow_with_the_number_of_neighbours():
    """Many neighbours alike: a sum of messages grows with their number, divided by the density it has a limit."""
    messages = {}
    for density in (True, False):
        model = build(
            {"model": "mace", "layers": 1, "l_max": 0, "channels": 4, "density": density, "cutoff": 4.0},
            ["Ar"],
            dtype=torch.float64,
        )
        layer = model.layers[0]
        if density:  # so that each neighbour counts as about one
            one = model.basis(torch.tensor(2.0, dtype=torch.float64))
            layer.density.weight.data = 2 * math.sqrt(len(one)) * one / one.square().sum()
        for number in (40, 80):
            basis = model.basis(torch.full((number,), 2.0, dtype=torch.float64))
            ends = torch.zeros(number, dtype=torch.int64), torch.arange(number)
            x = model.embedding[torch.zeros(number, dtype=torch.int64)]
            message = layer.convolution(x, torch.ones(number, 1, dtype=torch.float64), basis, *ends)[0]
            if density:
                message = message / (1 + layer.density(basis, ends[0], number)[0])
            messages[density, number] = float(message.detach().norm())
    assert messages[False, 80] / messages[False, 40] == pytest.approx(2)
    share = math.tanh(4.0)
    expected = 2 * (1 + 40 * share) / (1 + 80 * share)
    assert messages[True, 80] / messages[True, 40] == pytest.approx(expected, rel=1e-12)


@pytest.mark.skipif(not core.available(), reason="the compiled core is off or was not built")
def test_radial_functions_of_pairs_are_made_when_a_structure_has_them(tmp_path):
    elements = ["H", "Li", "C", "O", "Si", "Au"]
    settings = {"model": "mace", "channels": 4, "distance_transform": {"kind": "agnesi"}, "cutoff": 4.0}
    model = build(settings, elements, dtype=torch.float64)
    evaluator = Evaluator(model)
    assert evaluator.engine == "core"
    assert evaluator.programs[0].covered == {0, 1, 2}
    model.save(tmp_path / "model.safetensors")
    assert float(
        load(tmp_path / "model.safetensors")(from_atoms(Atoms("H"), 4.0))["energy"]
    ) == pytest.approx(float(model(from_atoms(Atoms("H"), 4.0))["energy"]), abs=1e-12)
    for symbols, covered in (("HH", 3), ("SiO", 3), ("HLi", 4), ("AuC", 6)):
        atoms = Atoms(symbols, [[0, 0, 0], [0.3, 1.1, 0.9]], cell=[3.5, 3.6, 3.7], pbc=True)
        graph = from_atoms(atoms, model.cutoff)
        found, expected = evaluator.evaluate(graph), model(graph)
        assert evaluator.engine == "core"
        assert len(evaluator.programs[0].covered) == covered
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-9)
