"""Training the plain network of `potentials.baselines`: a short loop, for the comparison only."""

from __future__ import annotations

import torch

from cynosure.lab.comparison import Predictor
from cynosure.lab.molecules import Molecules
from cynosure.o3 import random_rotation
from cynosure.potentials.baselines import RawCoordinateNetwork

_PEAK_LEARNING_RATE = 5e-3
_WARMUP = 0.1  # the part of the run in which the learning rate rises


def train_plain_network(
    data: Molecules, epochs: int = 300, *, augment: bool = False, batch_size: int = 32, seed: int = 0
) -> RawCoordinateNetwork:
    """Fit a `RawCoordinateNetwork` to energies and forces with Adam and a one-cycle learning rate.

    The loss is the mean squared error of the energy (eV²) plus that of the force components ((eV/Å)²).

    Args:
        data: the training frames.
        epochs: passes through the frames.
        augment: turn every frame by a new random rotation each time it is seen, so that the network may learn
            from examples what it does not know by construction.
        batch_size: frames per step.
        seed: of the weights, the order of frames and the rotations.

    Returns:
        the network after the last epoch.
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
    for _ in range(epochs):
        for chosen in torch.randperm(len(data), generator=generator).split(batch_size):
            frames = data.select(chosen)
            if augment:
                frames = frames.turned(random_rotation(len(frames), generator=generator))
            predicted = network(frames.positions, differentiable=True)
            loss = (predicted["energy"] - frames.energy).square().mean()
            loss = loss + (predicted["forces"] - frames.forces).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return network


def plain_predictor(network: RawCoordinateNetwork) -> Predictor:
    """A plain network as the comparison sees it."""

    def predict(data: Molecules):
        result = network(data.positions)
        return result["energy"], result["forces"]

    return predict
