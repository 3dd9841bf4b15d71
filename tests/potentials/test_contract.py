"""Every model keeps the contract; what it cannot promise it names."""

import pytest
import torch

import cynosure
from cynosure.testing import PotentialContract

SMALL = {"model": "nequip", "channels": 4, "layers": 2, "l_max": 2}


class TestNaturalParity(PotentialContract):
    def make(self, species):
        return cynosure.build({**SMALL, "parity": "natural"}, species, avg_neighbours=20, dtype=torch.float64)


class TestBothParities(PotentialContract):
    def make(self, species):
        config = {
            **SMALL,
            "parity": True,
            "layers": 3,
            "channels": 3,
            "layer_norm": True,
            "readout_hidden": 4,
        }
        return cynosure.build(config, species, avg_neighbours=20, dtype=torch.float64)


class TestUnlabelledParity(PotentialContract):
    exempt = {"reflection": "features of SO(3) carry no parity, so a mirror image may have another energy"}

    def make(self, species):
        return cynosure.build({**SMALL, "parity": False}, species, avg_neighbours=20, dtype=torch.float64)


class TestAsImported(PotentialContract):
    exempt = {
        "reflection": "features of SO(3) carry no parity, so a mirror image may have another energy",
        "smoothness": "the curvature of the xplor envelope jumps, and with it the slope of forces",
    }

    def make(self, species):
        config = {
            **SMALL,
            "parity": False,
            "envelope": "xplor",
            "envelope_start": 4.5,
            "learned_frequencies": True,
            "gate": "silu",
            "bias": True,
            "self_connection": "shared",
            "layer_weight": 0,
        }
        model = cynosure.build(config, species, avg_neighbours=20, dtype=torch.float64)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name.endswith(".bias"):
                    parameter.fill_(0.3)
            model.basis.frequencies *= 1.01
        return model


class TestInvariant(PotentialContract):
    def make(self, species):
        config = {
            "model": "nequip",
            "channels": 4,
            "layers": 2,
            "l_max": 0,
            "radial_basis": "chebyshev",
            "zbl": True,
        }
        return cynosure.build(config, species, avg_neighbours=20, dtype=torch.float64)


class TestIsolatedAtoms(PotentialContract):
    def make(self, species):
        e0s = {symbol: -10.0 * number for number, symbol in enumerate(species, start=1)}
        config = {**SMALL, "radial_basis": "gaussian", "self_connection": False}
        return cynosure.build(
            config, species, e0s=e0s, e0_kind="isolated", shift=-2.0, avg_neighbours=20, dtype=torch.float64
        )


class TestMACE(PotentialContract):
    def make(self, species):
        config = {"model": "mace", "channels": 4, "hidden_l_max": 1, "l_max": 3}
        return cynosure.build(config, species, avg_neighbours=20, dtype=torch.float64)


class TestMACEOfInvariantsAndIsolatedAtoms(PotentialContract):
    def make(self, species):
        e0s = {symbol: -10.0 * number for number, symbol in enumerate(species, start=1)}
        config = {"model": "mace", "channels": 3, "l_max": 2, "correlation": 4, "self_connection": False}
        return cynosure.build(
            config, species, e0s=e0s, e0_kind="isolated", shift=-2.0, avg_neighbours=20, dtype=torch.float64
        )


class TestEnsemble(PotentialContract):
    def make(self, species):
        config = {"channels": 3, "layers": 2, "l_max": 1, "members": 2}
        return cynosure.build(config, species, avg_neighbours=20, dtype=torch.float64)


def test_a_broken_model_breaks_the_contract():
    class Crooked(TestNaturalParity):
        def make(self, species):
            model = super().make(species)
            honest = model.atomic_energies
            model.atomic_energies = lambda graph, index, vectors: (
                honest(graph, index, vectors)
                + 1e-6
                * vectors.new_zeros(graph.num_atoms).index_add(0, graph.receivers, vectors[:, 0].square())
            )
            return model

    with pytest.raises(AssertionError, match="rotation: energy"):
        Crooked().test_rotation()
    with pytest.raises(AssertionError, match="jump of energy"):
        Crooked().test_smoothness()


def test_an_exemption_needs_a_reason():
    class Silent(TestUnlabelledParity):
        exempt = {"reflection": " "}

    with pytest.raises(AssertionError, match="needs a reason"):
        Silent().test_reflection()

    class Hidden(TestUnlabelledParity):
        exempt = {}

    with pytest.raises(AssertionError, match="not promised"):
        Hidden().test_reflection()
