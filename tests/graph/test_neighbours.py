"""The neighbour list against a plain sum over periodic images, for every kind of cell."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cynosure.graph import neighbour_list
from cynosure.graph.neighbours import MIN_DISTANCE

CUTOFFS = st.floats(0.8, 4.0)


def brute_force(positions, cell, pbc, cutoff):
    """{(i, j, S): distance} over every image that could be in reach, a little beyond the cutoff included."""
    frame = np.eye(3)
    if any(pbc):
        # Complete the cell with vectors orthogonal to the periodic ones, to measure its thickness.
        frame = np.array(cell, dtype=float)
        frame[~pbc] = np.linalg.svd(frame[pbc])[2][sum(pbc) :]
    thickness = 1.0 / np.linalg.norm(np.linalg.inv(frame), axis=0)
    repeats = np.where(pbc, np.ceil((cutoff + 1e-6) / thickness) + 1, 0).astype(int)
    images = np.array(list(itertools.product(*(range(-r, r + 1) for r in repeats))))
    found = {}
    for i, j in itertools.product(range(len(positions)), repeat=2):
        nearest = np.where(pbc, np.round((positions[i] - positions[j]) @ np.linalg.inv(frame)), 0)
        shifts = images + nearest.astype(int)
        distances = np.linalg.norm(positions[j] + shifts @ cell - positions[i], axis=1)
        for shift, distance in zip(shifts, distances, strict=True):
            if distance < cutoff + 1e-6 and (i != j or shift.any()):
                found[(i, j, *shift.tolist())] = distance
    return found


def edges_of(result):
    receivers, senders, shifts = result
    return [tuple(edge) for edge in np.column_stack([receivers, senders, shifts]).tolist()]


@st.composite
def structures(draw):
    """Positions, cell, pbc: triclinic, thin, skewed, left-handed cells, atoms in and far out of them."""
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    pbc = np.array(draw(st.tuples(st.booleans(), st.booleans(), st.booleans())))
    kind = draw(st.sampled_from(["triclinic", "thin", "skewed", "left-handed", "cubic", "absent rows"]))
    cell = random.normal(size=(3, 3)) + 2.0 * np.eye(3)
    if kind == "thin":
        cell[random.integers(3)] *= 0.4
    if kind == "skewed":
        cell[0] += random.integers(-4, 5) * cell[1] + random.integers(-4, 5) * cell[2]
    if kind == "left-handed":
        cell = cell[[1, 0, 2]]
    if kind == "cubic":
        cell = 2.5 * np.eye(3)
    if kind == "absent rows":
        cell[~pbc] = 0.0
    spread = draw(st.sampled_from([0.5, 3.0, 40.0]))
    positions = random.normal(size=(draw(st.integers(1, 6)), 3)) * spread
    if pbc.any():
        periodic = cell[pbc]
        volume = np.sqrt(np.linalg.det(periodic @ periodic.T))
        assume(volume > 0.15 * np.prod(np.linalg.norm(periodic, axis=1)) or kind == "skewed")
        assume(volume > 0.5)
    return positions, cell, pbc


@settings(deadline=None, derandomize=True, max_examples=150)
@given(structures(), CUTOFFS)
def test_equals_the_sum_over_images(structure, cutoff):
    positions, cell, pbc = structure
    expected = brute_force(positions, cell, pbc, cutoff)
    assume(all(distance > 2 * MIN_DISTANCE for distance in expected.values()))
    found = edges_of(neighbour_list(positions, cell, pbc, cutoff))
    assert len(found) == len(set(found))
    # Within rounding of the cutoff either answer is right.
    sure = {edge for edge, distance in expected.items() if distance < cutoff - 1e-9}
    possible = {edge for edge, distance in expected.items() if distance < cutoff + 1e-9}
    assert sure <= set(found) <= possible


@settings(deadline=None, derandomize=True, max_examples=60)
@given(structures(), CUTOFFS)
def test_order_is_total_and_every_edge_has_its_opposite(structure, cutoff):
    positions, cell, pbc = structure
    try:
        result = neighbour_list(positions, cell, pbc, cutoff)
    except ValueError:
        assume(False)
    edges = edges_of(result)
    assert edges == sorted(edges)
    assert {(j, i, -a, -b, -c) for i, j, a, b, c in edges} == set(edges)
    assert all(array.dtype == np.int64 for array in result)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(structures(), CUTOFFS, st.integers(0, 2**32 - 1))
def test_atoms_may_lie_in_any_cell(structure, cutoff, seed):
    positions, cell, pbc = structure
    moves = np.random.default_rng(seed).integers(-50, 51, size=positions.shape) * pbc
    try:
        at_home = neighbour_list(positions, cell, pbc, cutoff)
    except ValueError:
        assume(False)
    away = neighbour_list(positions + moves @ cell, cell, pbc, cutoff)
    back = away[2] + moves[away[1]] - moves[away[0]]
    assert sorted(edges_of((*away[:2], back))) == edges_of(at_home)


@pytest.mark.parametrize("spacing", [1.0, 0.1 * 3, np.sqrt(2.0), np.pi])
def test_shells_at_the_cutoff_stay_whole(spacing):
    """Neighbours exactly at the cutoff, up to rounding: each edge keeps its opposite, and one ulp decides."""
    cell = spacing * np.diag([2.0, 2.0, 2.0])
    grid = spacing * np.array(list(itertools.product(range(2), repeat=3)), dtype=float)
    positions = grid + np.array([1 / 3, 1 / 7, 1e3 / 9])
    receivers, senders, shifts = neighbour_list(positions, cell, True, spacing)
    edges = set(edges_of((receivers, senders, shifts)))
    assert {(j, i, -a, -b, -c) for i, j, a, b, c in edges} == edges
    assert len(neighbour_list(positions, cell, True, spacing * (1 + 1e-9))[0]) == 8 * 6
    assert len(neighbour_list(positions, cell, True, spacing * (1 - 1e-9))[0]) == 0
    assert len(neighbour_list(grid, cell, True, spacing)[0]) % 2 == 0


def test_strictly_inside_the_cutoff():
    positions = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 3.0]])
    assert len(neighbour_list(positions, np.zeros((3, 3)), False, 3.0)[0]) == 0
    assert len(neighbour_list(positions, np.zeros((3, 3)), False, np.nextafter(3.0, 4.0))[0]) == 2


def test_cell_of_a_molecule_does_not_matter():
    positions = np.random.default_rng(0).normal(size=(9, 3)) * 2
    without = edges_of(neighbour_list(positions, np.zeros((3, 3)), False, 3.0))
    assert without
    assert edges_of(neighbour_list(positions, 0.1 * np.eye(3), False, 3.0)) == without
    assert edges_of(neighbour_list(positions, np.diag([5.0, 0.0, 0.0]), False, 3.0)) == without


def test_one_atom_alone_and_beside_its_images():
    alone = neighbour_list(np.ones((1, 3)), np.zeros((3, 3)), False, 5.0)
    assert [array.shape for array in alone] == [(0,), (0,), (0, 3)]
    images = edges_of(neighbour_list(np.ones((1, 3)), np.diag([2.0, 9.0, 9.0]), True, 5.0))
    assert images == [(0, 0, shift, 0, 0) for shift in (-2, -1, 1, 2)]


@pytest.mark.parametrize("pbc", [(False, False, False), (True, True, False), (True, False, False)])
@pytest.mark.parametrize("distance", [1e4, 1e6, 9e8])
def test_fragments_far_apart(pbc, distance):
    """A grid over this space would have up to 1e26 cells; the empty space must cost nothing."""
    pair = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.5]])
    positions = np.concatenate([pair, pair + distance * np.array([0.3, 0.5, 0.7]), pair - [0, 0, distance]])
    cell = np.diag([40.0, 40.0, 40.0])
    receivers, senders, _ = neighbour_list(positions, cell, np.array(pbc), 3.0)
    inside = [(i, j) for i, j in zip(receivers.tolist(), senders.tolist(), strict=True) if i // 2 == j // 2]
    assert inside == [(0, 1), (1, 0), (2, 3), (3, 2), (4, 5), (5, 4)]
    # Fragments that a periodic axis folds onto each other may be neighbours; others may not.
    assert any(pbc) or len(receivers) == 6


@pytest.mark.parametrize("box", [(1e6, 1e6, 1e6), (1e6, 4.0, 4.0)])
def test_molecule_in_an_enormous_box(box):
    positions = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [box[0] - 1.0, 0.0, 0.0]])
    edges = edges_of(neighbour_list(positions, np.diag(box), True, 1.5))
    assert edges == [(0, 1, 0, 0, 0), (0, 2, -1, 0, 0), (1, 0, 0, 0, 0), (2, 0, 1, 0, 0)]


def test_number_of_threads_does_not_matter(monkeypatch):
    positions = np.random.default_rng(1).uniform(0, 30, size=(2500, 3))
    one = edges_of(neighbour_list(positions, 30 * np.eye(3), True, 2.0))
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    assert edges_of(neighbour_list(positions, 30 * np.eye(3), True, 2.0)) == one


def test_input_is_left_alone():
    positions = np.array([[0.0, 0.0, 0.0], [7.0, 0.0, 1.0]])
    cell, pbc = np.diag([3.0, 3.0, 0.0]), np.array([True, True, False])
    copies = positions.copy(), cell.copy(), pbc.copy()
    neighbour_list(positions, cell, pbc, 2.5)
    for array, copy in zip((positions, cell, pbc), copies, strict=True):
        np.testing.assert_array_equal(array, copy)


ONE = np.zeros((1, 3))
BOX = 5.0 * np.eye(3)


@pytest.mark.parametrize(
    ("positions", "cell", "pbc", "cutoff", "message"),
    [
        (np.zeros((0, 3)), BOX, True, 3.0, "no atoms"),
        (np.zeros((4, 2)), BOX, True, 3.0, r"positions have shape \(4, 2\)"),
        (ONE, np.eye(2), True, 3.0, r"the cell has shape \(2, 2\)"),
        (ONE, BOX, True, 0.0, "cutoff must be a positive"),
        (ONE, BOX, True, -1.0, "cutoff must be a positive"),
        (ONE, BOX, True, np.nan, "cutoff must be a positive"),
        (ONE, BOX, True, np.inf, "cutoff must be a positive"),
        ([[0, 0, 0], [1, np.nan, 0]], BOX, True, 3.0, r"atom 1 is at \[1.0, nan, 0.0\]"),
        ([[0, 0, 0], [2, 0, 0], [1, -np.inf, 0]], BOX, False, 3.0, "atom 2 is at"),
        ([[0, 0, 0], [1e30, 0, 0]], BOX, False, 3.0, "atom 1 is at"),
        (ONE, np.full((3, 3), np.nan), True, 3.0, "cell has an entry that is not finite"),
        (ONE, np.zeros((3, 3)), True, 3.0, "along a, b, c but those lattice vectors span no volume"),
        (ONE, np.diag([5.0, 5.0, 0.0]), (False, True, True), 3.0, "along b, c but those"),
        (ONE, np.array([[1.0, 2, 3], [2, 4, 6], [0, 0, 1]]), (True, True, False), 3.0, "along a, b but"),
        (ONE, np.array([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]), True, 3.0, "span no volume"),
        (ONE, 1e-3 * np.eye(3), True, 5.0, "is the cell in Å"),
        (ONE, np.diag([1e8, 4.0, 4.0]), True, 5.0, "1e.08 Å thick; is it in Å"),
        ([[0, 0, 0], [1, 0, 0], [1, 0, 0]], BOX, True, 3.0, "atoms 1 and 2 are on one spot"),
        ([[0, 0, 0], [1, 0, 0], [1, 0, 9e-4]], np.zeros((3, 3)), False, 3.0, "atoms 1 and 2 are on one spot"),
        ([[0, 0, 0], [10, -5, 0]], BOX, True, 3.0, r"atoms 0 and 1, shifted .* are on one spot"),
        (ONE, np.diag([9e-4, 5.0, 5.0]), True, 2.0, r"atoms 0 and 0, shifted .* are on one spot"),
    ],
)
def test_bad_input_is_named(positions, cell, pbc, cutoff, message):
    with pytest.raises(ValueError, match=message):
        neighbour_list(positions, cell, pbc, cutoff)


def test_atoms_may_come_close():
    positions = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.01 * MIN_DISTANCE]])
    assert len(neighbour_list(positions, BOX, True, 3.0)[0]) == 2
