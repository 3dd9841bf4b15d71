"""Neighbours, scale and shift of small sets where they are known."""

import math

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from cynosure.data import Frames, GraphDataset, Statistics

E0S = {1: -1.0, 29: -2.0}


def dataset(*structures: Atoms) -> GraphDataset:
    return GraphDataset(Frames.from_atoms(structures), 3.0)


def pair(energy: float | None = None, forces=None) -> Atoms:
    atoms = Atoms("H2", [[0, 0, 0], [0, 0, 1.0]])
    if energy is not None:
        atoms.info["energy"] = energy
    if forces is not None:
        atoms.new_array("forces", np.array(forces, dtype=float))
    return atoms


def test_forces_set_the_scale():
    copper = bulk("Cu", "fcc", a=3.6)
    copper.info["energy"] = -5.0
    copper.new_array("forces", np.array([[3.0, 0.0, 4.0]]))
    stats = Statistics.of(dataset(pair(-1.0, [[1, 1, 1], [-1, -1, 1]]), pair(-4.0), copper), E0S)
    # 2 + 2 + 12 edges on 5 atoms; residuals per atom are 0.5, -1 and -3.
    assert stats.avg_neighbours == pytest.approx(16 / 5)
    assert stats.scale == pytest.approx(math.sqrt((6 * 1 + 25) / 9))
    assert stats.shift == pytest.approx((0.5 - 1.0 - 3.0) / 3)
    assert stats.force_rms == pytest.approx({1: 1.0, 29: 5 / math.sqrt(3)})
    assert stats.scales == pytest.approx(stats.force_rms)
    assert stats.shifts == pytest.approx({1: (0.5 - 1.0) / 2, 29: -3.0})
    assert (stats.n_frames, stats.n_atoms) == (3, 5)


def test_energy_only_data_set_the_scale_by_their_spread():
    stats = Statistics.of(dataset(pair(-1.0), pair(-4.0)), E0S)
    assert stats.scale == pytest.approx(0.75)  # residuals per atom 0.5 and -1
    assert stats.shift == pytest.approx(-0.25)
    assert stats.force_rms == {}
    assert stats.scales == pytest.approx({1: 0.75})
    assert stats.shifts == pytest.approx({1: -0.25})


def test_one_composition_gives_every_element_the_same_shift():
    hydrides = [
        Atoms("CuHH", [[0, 0, 0], [0, 0, 1.5], [0, 1.5, 0]], info={"energy": e}) for e in (-7.0, -8.5)
    ]
    stats = Statistics.of(dataset(*hydrides), E0S)
    assert stats.shifts == pytest.approx({1: stats.shift, 29: stats.shift})


def test_an_element_without_forces_to_speak_of_keeps_a_scale():
    still = Atoms("CuH", [[0, 0, 0], [0, 0, 1.5]])
    still.new_array("forces", np.array([[0.0, 0.0, 0.0], [3.0, 0.0, 0.0]]))
    stats = Statistics.of(dataset(still), E0S)
    assert stats.scales == pytest.approx({1: math.sqrt(3.0), 29: 0.1 * stats.scale})


@pytest.mark.parametrize(
    "structures",
    [
        [pair(-2.0)],
        [pair(-2.0), pair(-2.0 + 1e-12)],
        [pair(-2.0, np.zeros((2, 3)))],
        [pair()],
        [pair(None, np.zeros((2, 3)))],
    ],
)
def test_the_scale_stays_positive(structures):
    stats = Statistics.of(dataset(*structures), E0S)
    assert stats.scale == 1.0
    assert stats.shift == pytest.approx(0.0, abs=1e-11)


def test_zero_forces_leave_the_scale_to_the_energies():
    assert Statistics.of(dataset(pair(-1.0, np.zeros((2, 3))), pair(-4.0)), E0S).scale == pytest.approx(0.75)


def test_isolated_atoms_have_no_neighbours_and_divide_by_none():
    assert Statistics.of(dataset(Atoms("H", info={"energy": -1.0})), E0S).avg_neighbours == 1.0


def test_what_cannot_be_measured():
    with pytest.raises(ValueError, match="no E0 is given"):
        Statistics.of(dataset(pair(-1.0)), {29: 1.0})
    with pytest.raises(ValueError, match="without frames"):
        Statistics.of(GraphDataset(Frames.from_atoms([pair(-1.0)]), 3.0, indices=[]), E0S)
