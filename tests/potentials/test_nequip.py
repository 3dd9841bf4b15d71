"""The NequIP architecture: which irreps and paths it has, and that its features keep their size."""

import ase.build
import pytest
import torch

import cynosure
from cynosure.graph import batch, from_atoms
from cynosure.o3 import Irreps
from cynosure.potentials import NequIP


def path_counts(**config) -> list[int]:
    model = cynosure.build({"model": "nequip", "channels": 2, **config}, ["Si"])
    assert isinstance(model, NequIP)
    return [len(layer.convolution.table.paths) for layer in model.layers]


def test_hidden_irreps_are_pruned_as_in_the_paper():
    assert path_counts(layers=4, l_max=2, parity=True) == [3, 15, 27, 3]
    assert path_counts(layers=4, l_max=2, parity="natural") == [3, 11, 11, 3]
    assert path_counts(layers=4, l_max=2, parity=False) == [3, 15, 15, 3]
    assert path_counts(layers=3, l_max=0) == [1, 1, 1]
    assert path_counts(layers=1, l_max=2) == [1]


def test_channels_per_degree():
    model = cynosure.build({"model": "nequip", "layers": 3, "l_max": 2, "channels": [8, 4, 2]}, ["H", "O"])
    assert model.layers[1].irreps_out == Irreps("8x0e+4x1o+2x2e")
    with pytest.raises(ValueError, match="l_max 2 needs 3"):
        cynosure.build({"model": "nequip", "l_max": 2, "channels": [8, 4]}, ["H"])


def test_the_default_builds():
    model = cynosure.build({}, species=["Si"])
    assert model.config.model == "nequip"
    assert model.species == (14,)


def disordered_silicon():
    crystal = ase.build.bulk("Si", cubic=True)
    crystal.rattle(0.1, seed=0)
    return crystal


@pytest.mark.parametrize("parity", [True, "natural", False])
@pytest.mark.parametrize(
    "atoms", [ase.build.molecule("CH3CH2OH"), disordered_silicon()], ids=["ethanol", "silicon"]
)
def test_variance_stays_near_one_through_depth(atoms, parity):
    graph = from_atoms(atoms, 5.0)
    variances = torch.zeros(6)
    for seed in range(8):
        model = cynosure.build(
            {"model": "nequip", "layers": 6, "channels": 32, "parity": parity},
            sorted(set(atoms.symbols)),
            avg_neighbours=graph.num_edges / graph.num_atoms,
            example=graph,
            seed=seed,
        )
        found = []
        for layer in model.layers:
            layer.register_forward_hook(
                lambda _, inputs, x, found=found: found.append(x.detach().square().mean())
            )
        model(graph, ("energy",))
        variances += torch.stack(found) / 8
    assert float(variances.min()) > 0.2, variances
    assert float(variances.max()) < 5, variances


def test_self_connection_and_layer_norm_can_be_switched():
    plain = cynosure.build(
        {"model": "nequip", "self_connection": False, "layer_norm": True, "readout_hidden": 4}, ["Si"]
    )
    names = {name.split(".")[0] for name, _ in plain.named_parameters()}
    assert "norms" in names
    assert not any("self_connection" in name for name, _ in plain.named_parameters())


def test_without_a_self_connection_in_the_first_layer_a_lone_atom_has_nothing_but_its_e0():
    config = {"model": "nequip", "channels": 4, "layers": 3, "readout_hidden": 4, "embedding_channels": 3}
    e0s = {1: -1.5, 6: -2.5, 8: -3.5}
    network = {}
    for setting in ("after_first", True):
        model = cynosure.build(
            {**config, "self_connection": setting}, list(e0s), e0s=e0s, dtype=torch.float64
        )
        assert model.embedding.shape == (3, 3)
        lone = [from_atoms(ase.Atoms([z]), model.cutoff) for z in e0s]
        energies = model(batch(lone), ("energy",))["energy"]
        network[setting] = energies - torch.tensor(list(e0s.values()), dtype=torch.float64)
    assert torch.equal(network["after_first"], torch.zeros(3, dtype=torch.float64))
    assert float(network[True].abs().min()) > 1e-6


def test_one_structure_of_a_batch_does_not_see_another():
    model = cynosure.build(
        {"model": "nequip", "channels": 4, "layers": 2}, ["C", "H", "O"], dtype=torch.float64
    )
    ethanol = from_atoms(ase.build.molecule("CH3CH2OH"), model.cutoff)
    alone = model(ethanol)
    both = model(batch([ethanol, from_atoms(ase.build.molecule("CH4"), model.cutoff)]))
    torch.testing.assert_close(both["energy"][:1], alone["energy"], rtol=1e-12, atol=0)
    torch.testing.assert_close(both["forces"][:9], alone["forces"], rtol=1e-10, atol=1e-10)
