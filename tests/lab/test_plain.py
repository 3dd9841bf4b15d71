"""The plain network is a fair regressor, and has none of the symmetries."""

from __future__ import annotations

import pytest
import torch

from cynosure.lab import demo_frames
from cynosure.lab.comparison import compare, versions
from cynosure.lab.molecules import Molecules
from cynosure.lab.plain import plain_predictor, train_plain_network
from cynosure.potentials.baselines import RawCoordinateNetwork


@pytest.fixture(scope="module")
def data():
    return {split: Molecules.of(demo_frames(split)) for split in ("train", "test")}


@pytest.fixture(scope="module")
def comparison(data):
    networks = {
        name: plain_predictor(train_plain_network(data["train"], epochs=60, augment=augment))
        for name, augment in (("plain", False), ("augmented", True))
    }
    return compare(data["test"], networks)


def test_forces_are_the_derivative_of_the_energy(data):
    reference = data["test"].positions.mean(0)
    network = RawCoordinateNetwork(reference, 0.2, -3.0, 0.7, hidden=(16, 16), seed=4)
    r = data["test"].positions[:3]
    forces = network(r)["forces"]
    step = 1e-5 * torch.randn(r.shape, generator=torch.Generator().manual_seed(0), dtype=r.dtype)
    slope = network(r + step)["energy"] - network(r - step)["energy"]
    torch.testing.assert_close(slope, -2 * (forces * step).sum((1, 2)), rtol=1e-7, atol=1e-14)


def test_it_learns_the_frames_it_is_trained_on(comparison):
    assert comparison.errors["as it is"]["plain"].forces < 0.6 * comparison.silence


@pytest.mark.parametrize("version", ["turned", "mirrored", "moved", "relabelled"])
def test_it_fails_on_the_same_frames_in_disguise(comparison, version):
    assert comparison.errors[version]["plain"].forces > 1.2 * comparison.silence


def test_turned_copies_teach_it_to_treat_all_orientations_alike_and_not_to_know_them(comparison):
    upright, turned = (comparison.errors[version]["augmented"].forces for version in ("as it is", "turned"))
    assert upright == pytest.approx(turned, rel=0.1)
    assert upright > 2 * comparison.errors["as it is"]["plain"].forces


def test_validation_chooses_the_weights_before_the_network_has_learnt_its_frames_by_heart(data):
    few, validation = data["train"].select(torch.arange(20)), data["train"].select(torch.arange(400, 450))

    def error(**chosen_by):
        network = train_plain_network(few, epochs=200, **chosen_by)
        return compare(validation, {"": plain_predictor(network)}).errors["as it is"][""].energy_per_atom

    assert error(validation=validation) < 0.7 * error()


def test_the_same_seed_gives_the_same_network_and_leaves_the_global_state_alone(data):
    before = torch.random.get_rng_state()
    first, second = (
        train_plain_network(data["train"].select(torch.arange(64)), epochs=2, augment=True, seed=5)
        for _ in range(2)
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    r = data["test"].positions
    assert torch.equal(first(r)["forces"], second(r)["forces"])


def test_versions_are_repeatable_and_only_disguise(data):
    first, second = versions(data["test"], seed=1), versions(data["test"], seed=1)
    assert list(first) == ["as it is", "turned", "mirrored", "moved", "relabelled"]
    for name, frames in first.items():
        assert torch.equal(frames.positions, second[name].positions)
        distances = torch.cdist(frames.positions, frames.positions).flatten(1).sort().values
        expected = torch.cdist(data["test"].positions, data["test"].positions).flatten(1).sort().values
        torch.testing.assert_close(distances, expected, rtol=0, atol=1e-6)


def test_bad_arguments_are_refused(data):
    network = RawCoordinateNetwork(torch.zeros(10, 3), 0.2, 0.0, 1.0)
    with pytest.raises(ValueError, match=r"\(structures, 10, 3\) was expected"):
        network(data["test"].positions[:, :9])
    with pytest.raises(ValueError, match=r"\(atoms, 3\) was expected"):
        RawCoordinateNetwork(torch.zeros(30), 0.2, 0.0, 1.0)
    with pytest.raises(ValueError, match="must be positive"):
        RawCoordinateNetwork(torch.zeros(10, 3), 0.2, 0.0, 0.0)
