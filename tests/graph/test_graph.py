"""Graphs from ASE structures, batches of them, and the schema's checks."""

import dataclasses

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from hypothesis import given, settings
from hypothesis import strategies as st

from cynosure.graph import (
    AtomGraph,
    Quantity,
    batch,
    from_atoms,
    matrix_from_voigt,
    nearby_order,
    schema,
    select,
    unbatch,
)

DECLARED = {
    "spin": Quantity("atom", (3,)),
    "field": Quantity("structure", (3,)),
    "charge": Quantity("atom"),
    "bond": Quantity("edge"),
    "hessian": Quantity("pair", (3, 3)),
}
LABELS = {"energy": -3.0, "forces": np.arange(9.0).reshape(3, 3), "stress": np.arange(9.0).reshape(3, 3)}


def water() -> Atoms:
    return molecule("H2O")


def assert_same(one: AtomGraph, other: AtomGraph) -> None:
    for name in AtomGraph.__dataclass_fields__:
        a, b = getattr(one, name), getattr(other, name)
        if name in ("labels", "inputs"):
            assert a.keys() == b.keys(), name
            for key, value in a.items():
                assert torch.equal(value.nan_to_num(12345.0), b[key].nan_to_num(12345.0)), key
        elif name == "quantities":
            assert a == b
        else:
            assert a.dtype == b.dtype, name
            assert torch.equal(a, b), name


def some_graphs() -> list[AtomGraph]:
    """A molecule, a lone atom without edges, a crystal thinner than the cutoff, a slab; labels differ."""
    slab = bulk("Cu", cubic=True)
    slab.pbc = (True, True, False)
    slab.cell[2] = 0.0

    def graph(atoms: Atoms, labels: dict | None = None) -> AtomGraph:
        rng = np.random.default_rng(len(atoms))
        inputs = {"spin": rng.normal(size=(len(atoms), 3)), "field": rng.normal(size=3)}
        return from_atoms(atoms, 3.0, labels, inputs, DECLARED)

    edges = from_atoms(water(), 3.0).num_edges
    more = {"hessian": np.arange(81.0).reshape(9, 3, 3), "bond": np.arange(edges), "charge": np.arange(3.0)}
    return [
        graph(water(), {**LABELS, **more}),
        graph(Atoms("He"), {"energy": 1.0}),
        graph(bulk("Si")),
        graph(slab, {"stress": np.arange(6.0), "charge": np.arange(4.0)}),
    ]


def test_graph_of_a_crystal():
    atoms = bulk("Cu", "fcc", a=3.6)
    graph = from_atoms(atoms, 3.0)
    assert graph.num_edges == 12  # nearest neighbours of fcc, all images of one atom
    lengths = graph.edge_vectors().norm(dim=1)
    torch.testing.assert_close(lengths, torch.full_like(lengths, 3.6 / np.sqrt(2)), rtol=1e-14, atol=0)
    assert float(graph.volume) == pytest.approx(atoms.get_volume(), rel=1e-14)
    assert graph.positions.dtype == graph.cell.dtype == torch.float64
    assert graph.pbc.all()


def test_edge_vectors_are_the_displacements():
    rng = np.random.default_rng(3)
    atoms = Atoms("Si6", rng.normal(size=(6, 3)) * 3, cell=rng.normal(size=(3, 3)) + 4 * np.eye(3), pbc=True)
    graph = from_atoms(atoms, 4.0)
    i, j, shifts = graph.receivers.numpy(), graph.senders.numpy(), graph.shifts.numpy()
    expected = atoms.positions[j] + shifts @ atoms.cell.array - atoms.positions[i]
    np.testing.assert_allclose(graph.edge_vectors().numpy(), expected, atol=1e-13)
    assert (np.linalg.norm(expected, axis=1) < 4.0).all()


def test_edge_vectors_of_many_edges_are_made_in_pieces(monkeypatch):
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.1, seed=0)
    graphs = batch([from_atoms(atoms, 5.0), from_atoms(molecule("CH3CH2OH"), 5.0)])
    for graph in (from_atoms(atoms, 5.0), graphs):
        whole = graph.edge_vectors()
        monkeypatch.setattr(schema, "_EDGES_AT_ONCE", 7)
        assert torch.equal(graph.edge_vectors(), whole)
        monkeypatch.undo()


def random_crystal(cells: int, seed: int) -> Atoms:
    atoms = bulk("Si", cubic=True) * (cells, cells, cells)
    atoms.rattle(0.1, seed=seed)
    rng = np.random.default_rng(seed)
    atoms.positions += (
        rng.integers(-2, 3, size=(len(atoms), 3)) @ atoms.cell.array
    )  # unwrapped, as after a long run
    return atoms[rng.permutation(len(atoms))]


@pytest.mark.parametrize("periodic", [True, False])
def test_nearby_order_brings_neighbours_together(periodic):
    atoms = random_crystal(6, 0)
    if not periodic:
        atoms.wrap()
        atoms.pbc = False
    graph = from_atoms(atoms, 3.0)
    order = nearby_order(graph)
    assert torch.equal(order.sort().values, torch.arange(len(atoms)))
    place = torch.empty_like(order)
    place[order] = torch.arange(len(atoms))
    apart = (place[graph.receivers] - place[graph.senders]).abs().double()
    assert float(apart.median()) < len(atoms) / 40  # a third of them apart when at random


@given(st.integers(0, 100))
@settings(max_examples=10, deadline=None)
def test_nearby_order_does_not_depend_on_numbering(seed):
    atoms = random_crystal(2, seed)
    shuffled = np.random.default_rng(seed).permutation(len(atoms))
    graphs = [from_atoms(a, 3.0) for a in (atoms, atoms[shuffled])]
    cubes = []
    for graph in graphs:
        wrapped = torch.linalg.solve(graph.cell[0].T, graph.positions[nearby_order(graph)].T).T
        wrapped = (wrapped - wrapped.floor()) @ graph.cell[0]
        cubes.append(((wrapped - wrapped.amin(0)) / 3.0).floor())
    assert torch.equal(*cubes)


def test_nearby_order_is_of_one_structure():
    with pytest.raises(ValueError, match="the graph has 2"):
        nearby_order(batch([from_atoms(water(), 3.0)] * 2))


def test_sender_order_sorts_stably():
    graph = from_atoms(bulk("Si", cubic=True), 5.0)
    assert torch.equal(graph.sender_order, torch.argsort(graph.senders, stable=True))


def test_atoms_are_not_changed_nor_shared():
    atoms = water()
    atoms.set_cell([2.0, 2.0, 0.0])
    atoms.pbc = (True, True, False)
    atoms.positions += 17.0
    before = atoms.copy()
    labels = {name: np.array(value) for name, value in LABELS.items()}
    graph = from_atoms(atoms, 3.0, labels)
    for tensor in (graph.positions, graph.cell, graph.atomic_numbers, *graph.labels.values()):
        tensor.mul_(2)
    graph.pbc.logical_not_()
    assert atoms == before
    np.testing.assert_array_equal(atoms.cell.array, before.cell.array)
    for name, value in labels.items():
        np.testing.assert_array_equal(value, LABELS[name])


def test_read_only_arrays_will_do():
    atoms = water()
    atoms.positions.flags.writeable = False
    from_atoms(atoms, 3.0)


def test_labels_take_their_shape():
    graph = from_atoms(water(), 3.0, LABELS)
    assert {name: tuple(label.shape) for name, label in graph.labels.items()} == {
        "energy": (1,),
        "forces": (3, 3),
        "stress": (1, 3, 3),
    }
    assert all(label.dtype == torch.float64 for label in graph.labels.values())


def test_voigt_is_in_the_order_of_ase():
    from ase.stress import voigt_6_to_full_3x3_stress

    voigt = np.arange(1.0, 7.0)
    np.testing.assert_array_equal(matrix_from_voigt(voigt), voigt_6_to_full_3x3_stress(voigt))
    graph = from_atoms(water(), 3.0, {"stress": voigt})
    np.testing.assert_array_equal(graph.labels["stress"][0].numpy(), voigt_6_to_full_3x3_stress(voigt))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"enrgy": 1.0}, "no label or input 'enrgy'"),
        ({"energy": [1.0, 2.0]}, r"'energy' has shape \(2,\); \(\) was expected"),
        ({"forces": np.zeros((2, 3))}, r"'forces' has shape \(2, 3\); \(3, 3\)"),
        ({"stress": np.zeros(9)}, r"'stress' has shape \(9,\); \(3, 3\)"),
    ],
)
def test_wrong_labels_are_named(labels, message):
    with pytest.raises(ValueError, match=message):
        from_atoms(water(), 3.0, labels)


def test_batch_joins_and_select_parts():
    graphs = some_graphs()
    whole = batch(graphs)
    assert whole.num_structures == 4
    assert whole.atoms_per_structure.tolist() == [3, 1, 2, 4]
    assert torch.equal(whole.structure[whole.receivers], whole.structure[whole.senders])
    assert torch.equal(whole.receivers, whole.receivers.sort().values)
    assert torch.equal(whole.sender_order, torch.argsort(whole.senders, stable=True))
    assert torch.equal(whole.edge_vectors(), torch.cat([graph.edge_vectors() for graph in graphs]))
    assert torch.equal(whole.volume, torch.cat([graph.volume for graph in graphs]))


def test_missing_labels_are_nan():
    whole = batch(some_graphs())
    assert set(whole.labels) == {"energy", "forces", "stress", "charge", "bond", "hessian"}
    assert whole.labels["energy"].isfinite().tolist() == [True, True, False, False]
    assert whole.labels["forces"].isfinite().all(dim=1).tolist() == [True] * 3 + [False] * 7
    assert whole.labels["stress"].isfinite().all(dim=2).all(dim=1).tolist() == [True, False, False, True]
    assert whole.labels["charge"].isfinite().tolist() == [True] * 3 + [False] * 3 + [True] * 4
    edges = some_graphs()[0].num_edges
    assert whole.labels["bond"].isfinite().tolist() == [True] * edges + [False] * (whole.num_edges - edges)
    pairs = whole.labels["hessian"].isfinite().all(dim=2).all(dim=1)
    assert pairs.tolist() == [True] * 9 + [False] * (1 + 4 + 16)
    assert not batch([from_atoms(water(), 3.0), from_atoms(Atoms("He"), 3.0)]).labels


def test_inputs_are_there_for_all_or_none():
    told, untold = some_graphs()[1], from_atoms(water(), 3.0)
    with pytest.raises(ValueError, match="the input field, spin is there in some graphs"):
        batch([told, untold])
    other = dataclasses.replace(untold, quantities={**untold.quantities, "charge": Quantity("structure")})
    with pytest.raises(ValueError, match=r"'charge' is .*atom.* in one graph and .*structure.* in another"):
        batch([from_atoms(water(), 3.0, quantities=DECLARED), other])


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=7))
def test_select_undoes_batch(which):
    graphs = [some_graphs()[index] for index in which]
    whole = batch(graphs)
    parts = unbatch(whole)
    assert_same(batch(parts), whole)
    for graph, part in zip(graphs, parts, strict=True):
        known = {name: part.labels[name] for name in graph.labels}
        assert_same(dataclasses.replace(part, labels=known), graph)
        assert all(part.labels[name].isnan().all() for name in part.labels.keys() - graph.labels.keys())


def test_batches_may_be_batched():
    graphs = some_graphs()
    assert_same(batch([batch(graphs[:2]), graphs[2], batch(graphs[3:])]), batch(graphs))


def test_select_counts_from_the_end_too_and_knows_its_bounds():
    whole = batch(some_graphs())
    assert_same(select(whole, -1), select(whole, 3))
    for index in (4, -5):
        with pytest.raises(IndexError, match="holds 4"):
            select(whole, index)


def test_an_empty_batch_is_refused():
    with pytest.raises(ValueError, match="at least one graph"):
        batch([])


def test_to_moves_everything():
    graph = some_graphs()[0].to("meta")
    for name in AtomGraph.__dataclass_fields__.keys() - {"quantities"}:
        own = getattr(graph, name)
        tensors = own.values() if name in ("labels", "inputs") else [own]
        assert all(tensor.device.type == "meta" for tensor in tensors), name


@pytest.mark.parametrize("name", ["positions", "pbc", "shifts", "sender_order", "structure", "cell"])
def test_schema_refuses_wrong_shapes(name):
    graph = some_graphs()[0]
    wrong = getattr(graph, name)[..., None]
    with pytest.raises((ValueError, IndexError), match=name if name != "cell" else "cell|pbc"):
        dataclasses.replace(graph, **{name: wrong})


def test_schema_refuses_wrong_labels():
    graph = some_graphs()[0]
    with pytest.raises(ValueError, match="no quantity 'mass'"):
        dataclasses.replace(graph, labels={"mass": torch.zeros(3)})
    with pytest.raises(ValueError, match=r"'spin' has shape \(1, 3\); \(3, 3\)"):
        dataclasses.replace(graph, inputs={"spin": torch.zeros(1, 3)})
    with pytest.raises(ValueError, match="'energy' has shape"):
        dataclasses.replace(graph, labels={"energy": torch.zeros(3)})
