"""Training the plain network of `potentials.baselines`: a short loop, for the comparison only."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import torch
from torch import Tensor

from cynosure.lab.comparison import Predictor
from cynosure.lab.molecules import Molecules
from cynosure.o3 import random_rotation
from cynosure.potentials.baselines import RawCoordinateNetwork

PLAIN = "plain network"
# Frames in a step beside equivariant networks: as many as make a batch of theirs, if their settings say nothing else.
PLAIN_BATCH = 4
_PEAK_LEARNING_RATE = 5e-3
_WARMUP = 0.1  # the part of the run in which the learning rate rises
_VALIDATIONS = 100  # in a run, at most


def train_plain_network(
    data: Molecules,
    epochs: int = 300,
    *,
    augment: bool = False,
    validation: Molecules | None = None,
    batch_size: int = 32,
    seed: int = 0,
    on_progress: Callable[[float], None] | None = None,
) -> RawCoordinateNetwork:
    """Fit a `RawCoordinateNetwork` to energies and forces with Adam and a one-cycle learning rate.

    The loss is the mean squared error of the energy (eV²) plus that of the force components ((eV/Å)²).

    Args:
        data: the training frames.
        epochs: passes through the frames.
        augment: turn every frame by a new random rotation each time it is seen, so that the network may learn
            from examples what it does not know by construction.
        validation: frames on which the loss is measured up to a hundred times.
        batch_size: frames per step.
        seed: of the weights, the order of frames and the rotations.
        on_progress: called with the part that is done, after every step.

    Returns:
        the network with the least loss on `validation`, or after the last epoch if there is none.
    """
    generator = torch.Generator().manual_seed(seed)
    # Frames that are turned at random have their centre for a mean.
    reference = torch.zeros_like(data.positions[0]) if augment else data.positions.mean(0)
    length = float((data.positions - reference).square().mean().sqrt())
    # Energies that change by this much over a typical displacement: forces of unit size are then easy to learn.
    scale = length * float(data.forces.square().mean().sqrt())
    network = RawCoordinateNetwork(reference.float(), length, float(data.energy.mean()), scale, seed=seed)
    optimiser = torch.optim.Adam(network.parameters(), lr=_PEAK_LEARNING_RATE)
    steps = epochs * -(-len(data) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, _PEAK_LEARNING_RATE, total_steps=steps, pct_start=_WARMUP
    )
    validate_every = max(1, epochs // _VALIDATIONS)
    best, least = None, float("inf")
    done = 0
    for epoch in range(1, epochs + 1):
        for chosen in torch.randperm(len(data), generator=generator).split(batch_size):
            frames = data.select(chosen)
            if augment:
                frames = frames.turned(random_rotation(len(frames), generator=generator))
            loss = _loss(network, frames, differentiable=True)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            done += 1
            if on_progress is not None:
                on_progress(done / steps)
        if validation is not None and (epoch % validate_every == 0 or epoch == epochs):
            score = float(_loss(network, validation))
            if score < least:
                best, least = deepcopy(network.state_dict()), score
    if best is not None:
        network.load_state_dict(best)
    return network


def _loss(network: RawCoordinateNetwork, frames: Molecules, differentiable: bool = False) -> Tensor:
    predicted = network(frames.positions, differentiable=differentiable)
    loss = (predicted["energy"] - frames.energy).square().mean()
    return loss + (predicted["forces"] - frames.forces).square().mean()


def plain_predictor(network: RawCoordinateNetwork) -> Predictor:
    """A plain network as the comparison sees it."""

    def predict(data: Molecules):
        result = network(data.positions)
        return result["energy"], result["forces"]

    return predict
