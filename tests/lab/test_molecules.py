"""What is done to the frames is what physics does not notice: distances, labels and identities agree."""

from __future__ import annotations

import pytest
import torch

from cynosure.lab import demo_frames
from cynosure.lab.molecules import Molecules, random_relabelling
from cynosure.o3 import random_rotation


@pytest.fixture(scope="module")
def frames():
    return Molecules.of(demo_frames("test")[:20])


def generator():
    return torch.Generator().manual_seed(3)


def power(frames):
    """[S] Σ_i F_i · (r_i − r̄), a scalar made of positions and forces alike."""
    centred = frames.positions - frames.positions.mean(1, keepdim=True)
    return (centred * frames.forces).sum((1, 2))


def test_turning_keeps_scalars_and_turns_forces_with_positions(frames):
    rotations = random_rotation(len(frames), generator=generator())
    turned = frames.turned(rotations)
    torch.testing.assert_close(power(turned), power(frames), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(turned.forces[7, 3], rotations[7] @ frames.forces[7, 3])
    assert (turned.positions - frames.positions).abs().max() > 1
    assert torch.equal(turned.energy, frames.energy)


def test_moving_keeps_differences(frames):
    moved = frames.shifted(torch.randn(len(frames), 3, generator=generator(), dtype=torch.float64))
    torch.testing.assert_close(power(moved), power(frames), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(moved.positions.diff(dim=1), frames.positions.diff(dim=1))


def test_relabelling_moves_forces_with_their_atoms_and_spares_the_elements(frames):
    orders = random_relabelling(frames.numbers, len(frames), generator())
    assert torch.equal(orders.sort(dim=1).values, torch.arange(10).expand_as(orders))
    assert torch.equal(frames.numbers[orders], frames.numbers.expand_as(orders))
    assert len(orders.unique(dim=0)) > 15
    relabelled = frames.relabelled(orders)
    torch.testing.assert_close(power(relabelled), power(frames), rtol=1e-12, atol=1e-12)
    assert torch.equal(relabelled.positions[4, 9], frames.positions[4, orders[4, 9]])


def test_an_order_across_elements_is_refused(frames):
    orders = torch.arange(10).repeat(len(frames), 1)
    orders[5] = orders[5].flip(0)
    with pytest.raises(ValueError, match="identical atoms"):
        frames.relabelled(orders)


def test_frames_with_other_atoms_are_refused():
    first, second = demo_frames("test")[:2]
    with pytest.raises(ValueError, match="frame 1 has other atoms"):
        Molecules.of([first, second[::-1]])
    with pytest.raises(ValueError, match="no frames"):
        Molecules.of([])
