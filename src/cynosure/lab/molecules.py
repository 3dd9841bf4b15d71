"""Labelled frames of one molecule as arrays, and what can be done to them that physics does not notice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import ase
import numpy as np
import torch
from torch import Tensor

from cynosure.o3 import random_rotation


@dataclass(frozen=True)
class Molecules:
    """Labelled frames of one molecule.

    Attributes:
        numbers: [N] int64, atomic numbers, the same for every frame.
        positions: [S, N, 3] float64, Å.
        energy: [S] float64, eV.
        forces: [S, N, 3] float64, eV/Å.
    """

    numbers: Tensor
    positions: Tensor
    energy: Tensor
    forces: Tensor

    @classmethod
    def of(cls, frames: Sequence[ase.Atoms]) -> Molecules:
        """The arrays of frames with labels and the same atoms in the same order.

        Raises:
            ValueError: if there is no frame, or a frame has other atoms than the first.
        """
        if not frames:
            raise ValueError("no frames were given; at least one is needed")
        numbers = frames[0].numbers
        for index, frame in enumerate(frames):
            if not np.array_equal(frame.numbers, numbers):
                raise ValueError(
                    f"frame {index} has other atoms than frame 0, or lists them in another order"
                )
        return cls(
            torch.as_tensor(numbers, dtype=torch.int64),
            torch.as_tensor(np.array([frame.positions for frame in frames])),
            torch.as_tensor(np.array([frame.get_potential_energy() for frame in frames])),
            torch.as_tensor(np.array([frame.get_forces() for frame in frames])),
        )

    def __len__(self) -> int:
        return len(self.energy)

    def select(self, chosen: Tensor) -> Molecules:
        """The frames with the given indices."""
        return replace(
            self, positions=self.positions[chosen], energy=self.energy[chosen], forces=self.forces[chosen]
        )

    def turned(self, matrices: Tensor) -> Molecules:
        """Each frame under its own orthogonal matrix [S, 3, 3] (or one [3, 3] for all); forces go with it."""
        transposed = matrices.mT
        return replace(self, positions=self.positions @ transposed, forces=self.forces @ transposed)

    def with_turned_copies(self, count: int, generator: torch.Generator) -> Molecules:
        """The frames and, behind them, so many copies of all of them, each copy of each frame turned in its own way.

        The first copies are the same for every `count`.

        Args:
            count: copies of each frame; 0 gives the frames as they are.
            generator: source of the rotations, which are uniform.
        """
        parts = [self]
        parts += [self.turned(random_rotation(len(self), generator=generator)) for _ in range(count)]
        return replace(
            self,
            positions=torch.cat([part.positions for part in parts]),
            energy=torch.cat([part.energy for part in parts]),
            forces=torch.cat([part.forces for part in parts]),
        )

    def centred(self) -> Molecules:
        """Each frame moved so that its mean position is the origin, about which frames are turned."""
        return self.shifted(-self.positions.mean(dim=1))

    def tilts(self) -> Tensor:
        """[S] the angle in degrees by which each frame is turned against the first, as its atoms fit best.

        The rotation R that brings the first frame q nearest to a frame p, both centred, is that of W. Kabsch, Acta
        Crystallographica A32, 922 (1976): with Σ_i p_i q_iᵀ = U S Vᵀ, R = U diag(1, 1, det(U V)) Vᵀ.
        """
        centred = self.centred().positions
        left, _, right = torch.linalg.svd(centred.mT @ centred[0])
        left = torch.cat(
            [left[..., :2], left[..., 2:] * torch.linalg.det(left @ right)[:, None, None]], dim=-1
        )
        trace = (left @ right).diagonal(dim1=-2, dim2=-1).sum(-1)
        return torch.rad2deg(torch.arccos(((trace - 1) / 2).clamp(-1, 1)))

    def shifted(self, vectors: Tensor) -> Molecules:
        """Each frame moved by its own vector [S, 3], Å; energies and forces stay."""
        return replace(self, positions=self.positions + vectors[:, None, :])

    def relabelled(self, orders: Tensor) -> Molecules:
        """Each frame with its atoms listed in its own order [S, N], a permutation among atoms of one element.

        Raises:
            ValueError: if an order puts an atom in the place of another element.
        """
        if not torch.equal(self.numbers[orders], self.numbers.expand_as(orders)):
            raise ValueError(
                "an order exchanges atoms of different elements; only identical atoms may change places"
            )
        index = orders[:, :, None].expand_as(self.positions)
        return replace(self, positions=self.positions.gather(1, index), forces=self.forces.gather(1, index))


def random_relabelling(numbers: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """[count, N] int64: random permutations of the atoms, each among the atoms of its own element."""
    orders = torch.arange(len(numbers)).repeat(count, 1)
    for number in numbers.unique():
        places = torch.nonzero(numbers == number)[:, 0]
        for order in orders:
            order[places] = places[torch.randperm(len(places), generator=generator)]
    return orders
