"""The kept neighbour list finds exactly the pairs that a new one would."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cynosure.deploy import SkinNeighbours
from cynosure.graph import neighbour_list

CUTOFF, SKIN = 2.0, 0.6
TRICLINIC = np.array([[4.0, 0.0, 0.0], [1.1, 3.7, 0.0], [-0.8, 0.9, 3.3]])


def pairs(receivers, senders, shifts) -> set[tuple[int, ...]]:
    columns = [np.asarray(receivers)[:, None], np.asarray(senders)[:, None], np.asarray(shifts)]
    return set(map(tuple, np.concatenate(columns, axis=1).tolist()))


def kept(neighbours: SkinNeighbours, positions, cell, pbc) -> set[tuple[int, ...]]:
    edges = neighbours.edges(positions, cell, pbc)
    return pairs(edges.receivers, edges.senders, edges.shifts)


def scattered(rng: np.random.Generator, cell: np.ndarray) -> np.ndarray:
    """Ten atoms, no two of them on one spot, some of them outside the cell."""
    grid = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1, 2], indexing="ij"), -1).reshape(-1, 3)[:10]
    fractional = (grid + 0.5 + rng.uniform(-0.2, 0.2, (10, 3))) / [2, 2, 3] + rng.integers(-1, 2, (10, 3))
    return fractional @ cell


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    strain=st.sampled_from([0.0, 0.01, 0.03, 0.06]),
    move=st.sampled_from([0.0, 0.05, 0.12, 0.25]),
    pbc=st.tuples(*[st.booleans()] * 3),
)
def test_a_list_that_covers_a_structure_is_complete(seed, strain, move, pbc):
    rng = np.random.default_rng(seed)
    pbc = np.array(pbc)
    neighbours = SkinNeighbours(CUTOFF, SKIN)
    positions = scattered(rng, TRICLINIC)
    kept(neighbours, positions, TRICLINIC, pbc)
    deformation = np.eye(3) + strain * rng.uniform(-1, 1, (3, 3))
    cell = TRICLINIC @ deformation
    # Every atom moves as far as `move` allows: pairs approach by up to twice that, and drift together.
    steps = rng.standard_normal((10, 3))
    steps *= move / np.linalg.norm(steps, axis=1, keepdims=True)
    positions = positions @ deformation + steps + rng.uniform(-5, 5, 3)
    assert kept(neighbours, positions, cell, pbc) == pairs(*neighbour_list(positions, cell, pbc, CUTOFF))


def test_the_rule_is_as_wide_as_it_is_proved_to_be():
    """Two atoms that approach by just less, and by just more, than the skin."""
    pbc = np.zeros(3, dtype=bool)
    cell = np.zeros((3, 3))
    start = np.array([[0.0, 0.0, 0.0], [CUTOFF + SKIN - 1e-6, 0.0, 0.0]])
    neighbours = SkinNeighbours(CUTOFF, SKIN)
    kept(neighbours, start, cell, pbc)
    nearer = start + np.array([[SKIN / 2 - 1e-3, 0, 0], [-SKIN / 2 + 1e-3, 0, 0]])
    assert neighbours.covers(nearer, cell, pbc)
    assert not neighbours.covers(
        start + np.array([[SKIN / 2 + 1e-3, 0, 0], [-SKIN / 2 - 1e-3, 0, 0]]), cell, pbc
    )
    drifted = start + np.array([100.0, 0.0, 0.0])
    assert neighbours.covers(drifted, cell, pbc), "a drift of everything changes no pair"


def test_compression_alone_uses_up_the_skin():
    pbc = np.ones(3, dtype=bool)
    positions = scattered(np.random.default_rng(0), TRICLINIC)
    neighbours = SkinNeighbours(CUTOFF, SKIN)
    kept(neighbours, positions, TRICLINIC, pbc)
    # (cutoff + skin) / cutoff = 1.3: the list lasts until the cell has shrunk by that factor.
    for factor, covered in [(1.4, True), (1 / 1.29, True), (1 / 1.31, False)]:
        assert neighbours.covers(positions * factor, TRICLINIC * factor, pbc) is covered


def test_a_new_list_is_built_only_when_it_must_be(silicon):
    neighbours = SkinNeighbours(CUTOFF + 1.0, SKIN)
    cell, pbc = silicon.cell.array, silicon.pbc
    for step in range(10):
        kept(neighbours, silicon.positions + 0.001 * step, cell, pbc)
    assert neighbours.builds == 1
    wrapped = silicon.positions.copy()
    wrapped[0] += cell[0]
    assert kept(neighbours, wrapped, cell, pbc) == pairs(*neighbour_list(wrapped, cell, pbc, CUTOFF + 1.0))
    assert neighbours.builds == 2, "an atom that was wrapped has jumped"
    kept(neighbours, wrapped, cell, np.array([True, True, False]))
    assert neighbours.builds == 3, "another periodicity has other pairs"
    kept(neighbours, wrapped[:-1], cell, np.array([True, True, False]))
    assert neighbours.builds == 4, "another number of atoms"


def test_without_a_skin_every_call_builds(silicon):
    neighbours = SkinNeighbours(CUTOFF, 0.0)
    for _ in range(3):
        kept(neighbours, silicon.positions, silicon.cell.array, silicon.pbc)
    assert neighbours.builds == 3


def test_edges_are_sorted_as_the_graph_wants_them(silicon):
    neighbours = SkinNeighbours(3.0, SKIN)
    kept(neighbours, silicon.positions, silicon.cell.array, silicon.pbc)
    edges = neighbours.edges(silicon.positions + 0.01, silicon.cell.array, silicon.pbc)
    assert neighbours.builds == 1
    assert torch.equal(edges.receivers, edges.receivers.sort(stable=True).values)
    assert torch.equal(edges.sender_order, torch.argsort(edges.senders, stable=True))
    assert float(edges.distances.max()) < 3.0


def test_a_lone_atom_has_no_edges():
    neighbours = SkinNeighbours(3.0, SKIN)
    for place in (0.0, 0.1, 5.0):
        edges = neighbours.edges(np.full((1, 3), place), np.zeros((3, 3)), np.zeros(3, dtype=bool))
        assert edges.receivers.shape == (0,)
        assert edges.shifts.shape == (0, 3)


@pytest.mark.parametrize(
    ("cutoff", "skin"), [(0.0, 0.5), (float("nan"), 0.5), (3.0, -0.1), (3.0, float("inf"))]
)
def test_impossible_lengths_are_refused(cutoff, skin):
    with pytest.raises(ValueError, match="Å"):
        SkinNeighbours(cutoff, skin)


def test_positions_that_are_not_finite_are_refused_even_by_a_kept_list(silicon):
    neighbours = SkinNeighbours(3.0, SKIN)
    kept(neighbours, silicon.positions, silicon.cell.array, silicon.pbc)
    positions = silicon.positions.copy()
    positions[3, 1] = np.nan
    with pytest.raises(ValueError, match="finite"):
        neighbours.edges(positions, silicon.cell.array, silicon.pbc)
    with pytest.raises(ValueError, match="finite"):
        neighbours.edges(silicon.positions, np.full((3, 3), np.nan), silicon.pbc)
