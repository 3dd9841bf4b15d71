"""Stress labels whose shear components stand in another order are found, by group, and no others are."""

import itertools

import ase.build
import numpy as np
import pytest
import torch
from ase.calculators.singlepoint import SinglePointCalculator

import cynosure
from cynosure.data import Frames, GraphDataset
from cynosure.graph import from_atoms
from cynosure.training import evaluate
from cynosure.training.stress_order import StressOrder

NAMES = ("yz", "xz", "xy")


@pytest.fixture(scope="module")
def model():
    return cynosure.build(
        {"channels": 2, "layers": 1, "l_max": 1, "cutoff": 3.0}, ["Si"], avg_neighbours=4, dtype=torch.float64
    )


def crystals(model, count, places=(0, 1, 2), noise=0.05, group="", seed=0):
    """Crystals with the model's stress and some noise; what belongs to shear component k stands at place places[k]."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(count):
        atoms = ase.build.bulk("Si", cubic=True)
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.05 * rng.normal(size=(3, 3))), scale_atoms=True)
        atoms.rattle(0.1, rng=rng)
        stress = model(from_atoms(atoms, model.cutoff), ("stress",))["stress"][0].detach().numpy()
        voigt = stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        shear = voigt[3:] + noise * np.abs(voigt[3:]).mean() * rng.normal(size=3)
        voigt[3:][list(places)] = shear
        atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=np.zeros((8, 3)), stress=voigt)
        atoms.info["group"] = group
        frames.append(atoms)
    return frames


def notes(model, atoms, max_edges=100):
    frames = Frames.from_atoms(atoms)
    order = StressOrder(frames.groups)
    evaluate(model, GraphDataset(frames, model.cutoff), max_edges=max_edges, observers=[order])
    return order.notes()


@pytest.mark.parametrize("places", list(itertools.permutations(range(3))))
def test_every_order_but_the_right_one_is_found(model, places):
    found = notes(model, crystals(model, 6, places))
    if places == (0, 1, 2):
        assert found == []
    else:
        stands = [NAMES[places.index(place)] for place in range(3)]
        assert len(found) == 1
        assert f"what stands at yz xz xy is {' '.join(stands)}:" in found[0]


def test_only_the_group_that_has_it_is_named(model):
    atoms = crystals(model, 6, group="good") + crystals(model, 6, (1, 0, 2), group="bad", seed=1)
    (note,) = notes(model, atoms)
    assert "of group bad are" in note
    assert "--set loss.stress=0" in note


def test_few_frames_and_a_model_that_knows_nothing_say_nothing(model):
    assert notes(model, crystals(model, 4, (1, 0, 2))) == []
    assert notes(model, crystals(model, 8, (1, 0, 2), noise=30.0)) == []
