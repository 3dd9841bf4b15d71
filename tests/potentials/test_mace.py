"""MACE: how much its layers bring to the energy."""

import math

import ase.build
import pytest
import torch

import cynosure
from cynosure.graph import from_atoms
from cynosure.potentials import MACE, MACEConfig, resolve


@pytest.mark.parametrize(("layers", "weight"), [(1, 0.3), (2, 0.3), (3, 0.5), (4, 1.0)])
def test_later_layers_weigh_less_and_all_of_them_one(layers, weight):
    found = MACEConfig(layers=layers, layer_weight=weight).energy_weights
    assert math.hypot(*found) == pytest.approx(1.0, rel=1e-12)
    assert [b / a for a, b in zip(found, found[1:], strict=False)] == pytest.approx([weight] * (layers - 1))


def test_the_energy_is_the_weighted_sum_of_the_readouts():
    atoms = ase.build.molecule("CH3CH2OH")
    model = cynosure.build(
        {"model": "mace", "channels": 4, "layers": 3}, ["H", "C", "O"], dtype=torch.float64
    )
    assert isinstance(model, MACE)
    read = []
    for readout in model.readouts:
        readout.register_forward_hook(lambda _, inputs, energy: read.append(energy.detach().squeeze(-1)))
    energies = model(from_atoms(atoms, model.cutoff), ("energies",))["energies"]
    expected = sum(weight * energy for weight, energy in zip(model.config.energy_weights, read, strict=True))
    torch.testing.assert_close(energies, expected, rtol=1e-12, atol=1e-12)


def test_invariant_edges_have_invariant_features_if_nothing_else_is_said():
    assert resolve({"model": "mace", "l_max": 0}).model_dump()["hidden_l_max"] == 0
    assert resolve({"model": "mace"}).model_dump()["hidden_l_max"] == 1
    with pytest.raises(ValueError, match="'hidden_l_max' is 1"):
        resolve({"model": "mace", "l_max": 0, "hidden_l_max": 1})
