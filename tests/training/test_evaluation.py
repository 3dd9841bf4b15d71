"""Errors are those that a plain computation over all frames gives, however the frames are batched."""

import time

import numpy as np
import pytest
import torch

import cynosure
from cynosure.data import Frames, GraphDataset
from cynosure.training import evaluate
from cynosure.training.metrics import ErrorStats
from cynosure.training.parity import ParitySample

SMALL = {"channels": 2, "layers": 1, "l_max": 1, "cutoff": 3.0}


@pytest.fixture
def model():
    return cynosure.build(SMALL, ["C", "O", "Si"], avg_neighbours=3, dtype=torch.float64)


@pytest.fixture
def frames(make_molecules, make_crystals):
    """Structures of which some lack forces, and some have stress."""
    return Frames.from_atoms(
        [*make_molecules(5), *make_molecules(3, seed=1, forces=False), *make_crystals(4)]
    )


def plain_residuals(model, frames):
    """Residuals of each quantity, one frame at a time."""
    found = {"energy": [], "energy_per_atom": [], "forces": [], "stress": []}
    elements = {}
    for frame, graph in zip(frames, GraphDataset(frames, model.cutoff), strict=True):
        labels = frame.labels()
        outputs = {name: value.numpy() for name, value in model(graph, tuple(labels)).items()}
        found["energy"].append(outputs["energy"] - frame.energy)
        found["energy_per_atom"].append((outputs["energy"] - frame.energy) / len(frame.atomic_numbers))
        if "forces" in labels:
            residual = outputs["forces"] - frame.forces
            found["forces"].append(residual.ravel())
            for z in set(frame.atomic_numbers.tolist()):
                elements.setdefault(z, []).append(residual[frame.atomic_numbers == z].ravel())
        if "stress" in labels:
            found["stress"].append((outputs["stress"][0] - frame.stress).ravel())
    return {k: np.concatenate(v) for k, v in found.items()}, {
        k: np.concatenate(v) for k, v in elements.items()
    }


def assert_stats(stats: ErrorStats, residual):
    assert stats.n == residual.size
    assert stats.mae == pytest.approx(np.abs(residual).mean(), rel=1e-10)
    assert stats.rmse == pytest.approx(np.sqrt((residual**2).mean()), rel=1e-10)
    assert stats.max == pytest.approx(np.abs(residual).max(), rel=1e-10)


@pytest.mark.parametrize("max_edges", [1, 37, 10**6])
def test_errors_are_those_of_a_plain_computation(model, frames, max_edges):
    metrics = evaluate(model, frames, max_edges=max_edges)
    expected, elements = plain_residuals(model, frames)
    assert metrics.n_structures == len(frames)
    assert set(metrics.errors) == set(expected)
    for name, residual in expected.items():
        assert_stats(metrics.errors[name], residual)
    assert set(metrics.forces_by_element) == {"C", "O", "Si"}
    for z, symbol in ((6, "C"), (8, "O"), (14, "Si")):
        assert_stats(metrics.forces_by_element[symbol], elements[z])


def test_groups_partition_the_errors(model, frames):
    metrics = evaluate(model, frames)
    assert set(metrics.by_group) == {"cold", "warm", "(no group)"}
    for name in ("energy", "forces"):
        parts = [errors[name] for errors in metrics.by_group.values() if name in errors]
        assert sum(part.n for part in parts) == metrics.errors[name].n
        total = sum(part.n * part.mae for part in parts) / metrics.errors[name].n
        assert total == pytest.approx(metrics.errors[name].mae, rel=1e-10)


def test_json_has_what_is_labelled_and_nothing_else(model, make_molecules):
    result = evaluate(model, Frames.from_atoms(make_molecules(4, forces=False))).to_json()
    assert result["n_structures"] == 4
    assert set(result["energy"]) == {"mae", "rmse", "max", "n"}
    assert result["energy_per_atom"]["mae"] == pytest.approx(result["energy"]["mae"] / 4)
    assert "forces" not in result
    assert "stress" not in result


def test_the_table_is_in_its_units(model, frames):
    metrics = evaluate(model, frames)
    rows = {what: (unit, stats) for what, unit, stats in metrics.rows()}
    assert rows["energy"][0] == "meV/atom"
    assert rows["energy"][1].mae == pytest.approx(1e3 * metrics.errors["energy_per_atom"].mae)
    assert rows["forces"][0] == "meV/Å"
    assert rows["forces on O"][1].rmse == pytest.approx(1e3 * metrics.forces_by_element["O"].rmse)
    assert rows["stress"][0] == "GPa"
    assert rows["stress"][1].max == pytest.approx(160.21766 * metrics.errors["stress"].max)
    lines = metrics.table("held out").splitlines()
    assert lines[0].startswith("held out")
    assert len({len(line) for line in lines}) == 1


def test_progress_and_a_limit_of_time(model, frames):
    seen = []
    evaluate(model, frames, max_edges=1, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(number, len(frames)) for number in range(1, len(frames) + 1)]
    partial = evaluate(model, frames, max_edges=1, until=time.monotonic() - 1)
    assert partial.n_structures == 1


def test_parity_pairs_are_labels_and_predictions(model, frames):
    sample, few = ParitySample(), ParitySample(limit=10)
    evaluate(model, frames, max_edges=50, observers=[sample, few])
    expected, _ = plain_residuals(model, frames)
    for name, quantity in (("energy", "energy_per_atom"), ("forces", "forces"), ("stress", "stress")):
        reference, value = sample.pairs()[name]
        np.testing.assert_allclose(np.sort(value - reference), np.sort(expected[quantity]), atol=1e-10)
    assert all(len(reference) <= 10 for reference, _ in few.pairs().values())


def test_what_cannot_be_evaluated_is_an_error(model, make_molecules):
    bare = make_molecules(2, energy=False, forces=False)
    with pytest.raises(ValueError, match="no energy, forces or stress to compare with"):
        evaluate(model, Frames.from_atoms(bare))
    strangers = make_molecules(2)
    strangers[1].symbols[0] = "Fe"
    with pytest.raises(ValueError, match="has Fe, which the model does not know; it knows C, O, Si"):
        evaluate(model, Frames.from_atoms(strangers))
    with torch.no_grad():
        next(model.parameters()).fill_(torch.inf)
    with pytest.raises(ValueError, match=r"is not finite for .*the model is broken there"):
        evaluate(model, Frames.from_atoms(make_molecules(2)))
