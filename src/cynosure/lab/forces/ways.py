"""The ways to get forces from a network, and the force field that each of them is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from cynosure.graph import AtomGraph
from cynosure.potentials import Potential

# Geometries of one molecule [S, N, 3], Å, to the forces on their atoms [S, N, 3], eV/Å.
Forces = Callable[[Tensor], Tensor]

TARGET = "force"  # what the declared target is called; its column is that of the forces
_AT_ONCE = 128  # geometries in one pass
_LINEAR = 1e-8  # of the largest moment of inertia; below it nothing can turn about the axis


def _head(irreps: str) -> dict[str, Any]:
    target = {"irreps": irreps, "per": "atom", "key": "forces", "unit": "eV/Å"}
    return {"energy": False, "targets": {TARGET: target}}


@dataclass(frozen=True)
class Way:
    """A way to get forces.

    Attributes:
        key: what files and results call it.
        name: what tables and pictures call it.
        words: what it is, for a sentence.
        network: key of the way whose trained network it uses, its own or another's.
        model: settings of the model in which the ways differ.
        seed: what is added to the seed of initial weights and order of frames.
    """

    key: str
    name: str
    words: str
    network: str
    model: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0


ENERGY = Way("energy", "−∇E", "the derivative of an energy", "energy")
# A control: forces that have an energy, but not the one that trajectories are measured by.
RETRAINED = Way("retrained", "−∇E, retrained", "that of the energy of another training", "retrained", seed=1)
DIRECT = Way("direct", "direct 1o", "a vector read from each atom", "direct", _head("1o"))
BALANCED = Way(
    "balanced", "direct 1o, balanced", "the same vectors less their net force and torque", "direct"
)
FIXED = Way("fixed", "3x0e, fixed axes", "three invariants read as x, y and z", "fixed", _head("3x0e"))
# The energy first: its network measures the energy along the trajectories of the others.
WAYS = (ENERGY, RETRAINED, DIRECT, BALANCED, FIXED)


class Molecule:
    """A network's energy and forces for geometries of one isolated molecule, in float64.

    Args:
        model: the network.
        numbers: [N] int64, atomic numbers.
    """

    def __init__(self, model: Potential, numbers: Tensor) -> None:
        self.model, self.numbers = model.double(), numbers
        count = len(numbers)
        pairs = torch.nonzero(~torch.eye(count, dtype=torch.bool))
        self._receivers, self._senders = pairs.unbind(1)

    def graph(self, positions: Tensor) -> AtomGraph:
        """The graph of geometries [S, N, 3], as `from_atoms` makes it of each, without a search."""
        structures, count, _ = positions.shape
        offsets = count * torch.arange(structures).repeat_interleave(len(self._receivers))
        receivers = self._receivers.repeat(structures) + offsets
        senders = self._senders.repeat(structures) + offsets
        flat = positions.reshape(-1, 3)
        near = (flat[senders] - flat[receivers]).square().sum(1) < self.model.cutoff**2
        receivers, senders = receivers[near], senders[near]
        return AtomGraph(
            atomic_numbers=self.numbers.repeat(structures),
            positions=flat,
            cell=flat.new_zeros(structures, 3, 3),
            pbc=torch.zeros(structures, 3, dtype=torch.bool),
            receivers=receivers,
            senders=senders,
            shifts=torch.zeros(len(receivers), 3, dtype=torch.int64),
            structure=torch.arange(structures).repeat_interleave(count),
            sender_order=torch.argsort(senders, stable=True),
        )

    def energy(self, positions: Tensor) -> Tensor:
        """[S] eV."""
        return torch.cat(
            [self.model(self.graph(part), ("energy",))["energy"] for part in positions.split(_AT_ONCE)]
        )

    def forces(self, positions: Tensor) -> Tensor:
        """[S, N, 3] eV/Å: minus the derivative of the energy if there is one, else the target."""
        name = "forces" if self.model.config.energy else TARGET
        parts = [self.model(self.graph(part), (name,))[name] for part in positions.split(_AT_ONCE)]
        return torch.cat(parts).reshape(positions.shape)

    def balanced(self, positions: Tensor) -> Tensor:
        """[S, N, 3] eV/Å: `forces` without net force and torque."""
        return balanced(positions, self.forces(positions))

    def of(self, way: Way) -> Forces:
        """The force field of a way that uses this network."""
        return self.balanced if way is BALANCED else self.forces


def balanced(positions: Tensor, forces: Tensor) -> Tensor:
    """Forces less the smallest (in the sum of squares) that have the same net force and torque.

    With s_i the position from the mean of all, F_i − mean(F) − ω × s_i, where Σ s_i × (ω × s_i) is the torque.

    Args:
        positions: [S, N, 3] Å.
        forces: [S, N, 3].
    """
    arms = positions - positions.mean(1, keepdim=True)
    forces = forces - forces.mean(1, keepdim=True)
    torque = torch.linalg.cross(arms, forces).sum(1)
    inertia = arms.square().sum((1, 2))[:, None, None] * torch.eye(3, dtype=arms.dtype) - arms.mT @ arms
    # The pseudo-inverse leaves out the axis of a linear molecule, about which there is no torque.
    spin = torch.linalg.pinv(inertia, rtol=_LINEAR, hermitian=True) @ torque[..., None]
    return forces - torch.linalg.cross(spin.mT.expand_as(arms), arms)
