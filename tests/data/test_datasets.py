"""Graphs on the fly, the division into training and validation, and batches by edge budget."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from hypothesis import given, settings
from hypothesis import strategies as st

from cynosure.data import Frames, GraphDataset, epoch_batches, split
from cynosure.graph import batch, from_atoms


def frames() -> Frames:
    found = [molecule("H2O"), bulk("Si"), Atoms("He"), molecule("CH4"), bulk("Cu", cubic=True)]
    for number, atoms in enumerate(found):
        atoms.info["energy"] = float(number)
    found[0].new_array("forces", np.ones((3, 3)))
    found[1].info["stress"] = np.arange(6.0)
    return Frames.from_atoms(found, source="data.xyz")


def test_graphs_are_those_of_the_frames():
    dataset = GraphDataset(frames(), 3.0)
    assert len(dataset) == 5
    for graph, frame in zip(dataset, frames(), strict=True):
        expected = from_atoms(frame.to_atoms(), 3.0, frame.labels())
        for name in ("atomic_numbers", "positions", "cell", "pbc", "receivers", "senders", "shifts"):
            assert torch.equal(getattr(graph, name), getattr(expected, name)), name
        assert graph.labels.keys() == frame.labels().keys()
        for name, value in frame.labels().items():
            np.testing.assert_array_equal(graph.labels[name].numpy().reshape(value.shape), value)
    assert set(batch(list(dataset)).labels) == {"energy", "forces", "stress"}


def test_indices_choose_frames():
    dataset = GraphDataset(frames(), 3.0, indices=[4, 0])
    assert [graph.num_atoms for graph in dataset] == [4, 3]
    assert dataset[-1].num_atoms == 3
    for index in (2, -3):
        with pytest.raises(IndexError, match="dataset of 2"):
            dataset[index]


def test_edge_counts():
    dataset = GraphDataset(frames(), 3.0)
    counts = dataset.edge_counts()
    assert counts.tolist() == [graph.num_edges for graph in dataset]
    assert counts[2] == 0
    assert counts is dataset.edge_counts()


def test_the_cache_is_bounded_by_edges_and_forgets_the_longest_unused():
    everything = GraphDataset(frames(), 3.0)
    counts = everything.edge_counts()
    assert all(everything[index] is everything[index] for index in range(5))
    limit = int(counts[0] + counts[3])
    small = GraphDataset(frames(), 3.0, cache_edges=limit)
    water, silicon = small[0], small[1]
    assert small[0] is water
    methane = small[3]  # pushes out silicon, which has been unused for longest
    assert small[3] is methane
    assert small[0] is water
    assert small[1] is not silicon
    assert small[4] is not small[4]  # too large to keep
    for index in np.random.default_rng(0).integers(0, 5, size=50):
        assert torch.equal(small[int(index)].positions, everything[int(index)].positions)
        assert small._cached_edges == sum(graph.num_edges for graph in small._cache.values()) <= limit
    none = GraphDataset(frames(), 3.0, cache_edges=0)
    assert all(none[index] is not none[index] for index in range(5))


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (Atoms("He2", [[0, 0, 0], [0, 0, 0]]), r"data\.xyz, frame 1: atoms 0 and 1 are on one spot"),
        (Atoms("He", pbc=True), r"data\.xyz, frame 1: .* span no volume"),
    ],
)
def test_a_structure_without_a_graph_names_its_frame(atoms, message):
    dataset = GraphDataset(Frames.from_atoms([molecule("H2O"), atoms], source="data.xyz"), 3.0)
    assert dataset[0].num_atoms == 3
    with pytest.raises(ValueError, match=message):
        dataset[1]
    with pytest.raises(ValueError, match=message):
        dataset.edge_counts()


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.integers(2, 300), st.floats(0.001, 0.999), st.integers(0, 2**31))
def test_split_is_a_partition(n, fraction, seed):
    training, validation = split(n, fraction, seed)
    assert sorted([*training.tolist(), *validation.tolist()]) == list(range(n))
    assert min(len(training), len(validation)) >= 1
    assert abs(len(validation) - n * fraction) <= 1
    for side, again in zip((training, validation), split(n, fraction, seed), strict=True):
        np.testing.assert_array_equal(side, again)
        assert (np.diff(side) > 0).all()


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.integers(2, 300), st.floats(0.001, 0.999), st.integers(0, 2**31))
def test_split_by_keys_has_as_many_of_each_part_as_there_are(n, fraction, seed):
    rng = np.random.default_rng(seed)
    groups, sizes = rng.choice(["a", "b", "c"], n), rng.normal(size=n)
    training, validation = split(n, fraction, seed, (groups, sizes))
    assert sorted([*training.tolist(), *validation.tolist()]) == list(range(n))
    order = np.lexsort([sizes, groups])
    distance = n / len(validation)
    places = np.flatnonzero(np.isin(order, validation))
    assert places[0] < distance
    assert (np.abs(np.diff(places) - distance) <= 1).all()


def test_split_depends_on_the_seed():
    assert split(100, 0.2, 0)[1].tolist() != split(100, 0.2, 1)[1].tolist()


@pytest.mark.parametrize(
    ("n", "fraction"), [(1, 0.5), (0, 0.5), (10, 0.0), (10, 1.0), (10, -0.1), (10, np.nan)]
)
def test_a_split_that_cannot_be(n, fraction):
    with pytest.raises(ValueError, match=r"needed|must lie between"):
        split(n, fraction, 0)


@settings(deadline=None, derandomize=True, max_examples=80)
@given(
    st.lists(st.integers(0, 50), max_size=60),
    st.integers(1, 120),
    st.integers(0, 2**31),
    st.integers(0, 1000),
    st.booleans(),
)
def test_batches_hold_every_frame_once_within_the_budget(counts, budget, seed, epoch, shuffle):
    batches = epoch_batches(counts, budget, seed, epoch, shuffle)
    assert sorted(frame for one in batches for frame in one.tolist()) == list(range(len(counts)))
    assert all(len(one) >= 1 for one in batches)
    for one in batches:
        assert len(one) == 1 or sum(max(counts[frame], 1) for frame in one) <= budget
    again = epoch_batches(counts, budget, seed, epoch, shuffle)
    assert [one.tolist() for one in batches] == [one.tolist() for one in again]


def test_batches_are_filled():
    assert [one.tolist() for one in epoch_batches([4, 4, 4, 4, 4], 8, 0, 0, shuffle=False)] == [
        [0, 1],
        [2, 3],
        [4],
    ]
    assert [one.tolist() for one in epoch_batches([4, 99, 4, 4], 8, 0, 0, shuffle=False)] == [
        [1],
        [0, 2],
        [3],
    ]
    assert [one.tolist() for one in epoch_batches([0, 0, 0], 2, 0, 0, shuffle=False)] == [[0, 1], [2]]
    assert epoch_batches([], 8, 0, 0) == []


def test_epochs_and_seeds_differ_and_nothing_global_is_drawn():
    def order(seed, epoch):
        return np.concatenate(epoch_batches(np.ones(50), 5, seed, epoch)).tolist()

    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9
    np.random.seed(0)  # noqa: NPY002, the global generator is what must not matter
    first = order(1, 2)
    assert order(1, 2) == first


def test_a_budget_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one edge"):
        epoch_batches([1, 2], 0, 0, 0)
