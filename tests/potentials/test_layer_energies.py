"""How much each layer of a network brings to the energy."""

import math

import ase.build
import pytest
import torch

import cynosure
from cynosure.graph import from_atoms
from cynosure.nn import layer_weights
from cynosure.potentials import MACE, NequIP


def ethanol_model(**settings) -> MACE | NequIP:
    model = cynosure.build({"channels": 4, "layers": 3, **settings}, ["H", "C", "O"], dtype=torch.float64)
    assert isinstance(model, MACE | NequIP)
    return model


@pytest.mark.parametrize(("layers", "ratio"), [(1, 0.3), (2, 0.3), (3, 0.5), (4, 1.0)])
def test_weights_fall_by_their_ratio_and_keep_the_variance(layers, ratio):
    found = layer_weights(layers, ratio)
    assert math.hypot(*found) == pytest.approx(1.0, rel=1e-12)
    assert [b / a for a, b in zip(found, found[1:], strict=False)] == pytest.approx([ratio] * (layers - 1))


@pytest.mark.parametrize(
    "settings", [{"model": "nequip"}, {"model": "nequip", "parity": True}, {"model": "mace"}]
)
def test_the_energy_is_the_weighted_sum_of_the_readouts(settings):
    model = ethanol_model(**settings, layer_weight=0.3)
    read = []
    for readout in model.readouts.values():
        readout.register_forward_hook(lambda _, inputs, energy: read.append(energy.detach().squeeze(-1)))
    graph = from_atoms(ase.build.molecule("CH3CH2OH"), model.cutoff)
    energies = model(graph, ("energies",))["energies"]
    expected = sum(weight * energy for weight, energy in zip(layer_weights(3, 0.3), read, strict=True))
    torch.testing.assert_close(energies, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("family", ["nequip", "mace"])
def test_weight_zero_reads_the_last_layer_only(family):
    model = ethanol_model(model=family, layer_weight=0)
    assert [name for name, _ in model.readouts.named_children()] == ["2"]
    every = {name for name, _ in ethanol_model(model=family).named_parameters()}
    assert {name for name, _ in model.named_parameters()} < every
