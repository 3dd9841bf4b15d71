"""Straw men: networks without the symmetries, to show what the symmetries are worth."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class RawCoordinateNetwork(nn.Module):
    """A plain multilayer perceptron from the list of all coordinates to the energy of one molecule.

    It shows what a network does not know unless it is built in. Energy conservation it has, since its forces are
    the derivative of its energy; but a molecule that is turned, shifted, mirrored, or listed in another order
    is a new molecule to it, and one with another number of atoms does not fit in at all. On frames that look
    like its training frames it is a fair regressor: coordinates are taken as displacements from the mean
    training frame, in units of their root mean square, and energies are scaled too, so

        E(r) = ε + s · MLP((r − r̄) / d),   F = −∂E/∂r.

    Args:
        reference: [N, 3] Å, the mean training frame r̄.
        length: Å, the root mean square displacement d of a coordinate; positive.
        energy: eV, the mean energy ε.
        scale: eV, the size s of energy differences; positive.
        hidden: widths of the hidden layers, each followed by SiLU.
        seed: of the initial weights.

    Raises:
        ValueError: if `reference` is not [N, 3], or `length` or `scale` is not positive.
    """

    def __init__(
        self,
        reference: Tensor,
        length: float,
        energy: float,
        scale: float,
        hidden: Sequence[int] = (256, 256),
        seed: int = 0,
    ) -> None:
        super().__init__()
        if reference.ndim != 2 or reference.shape[1] != 3:
            raise ValueError(f"reference has shape {tuple(reference.shape)}; (atoms, 3) was expected")
        if not (length > 0 and scale > 0):
            raise ValueError(f"length is {length} Å and scale is {scale} eV; both must be positive")
        self.reference: Tensor
        self.register_buffer("reference", reference.clone())
        self.length, self.energy, self.scale = float(length), float(energy), float(scale)
        widths = (reference.numel(), *hidden)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            layers: list[nn.Module] = []
            for fan_in, fan_out in zip(widths[:-1], widths[1:], strict=True):
                layers += [nn.Linear(fan_in, fan_out), nn.SiLU()]
            self.network = nn.Sequential(*layers, nn.Linear(widths[-1], 1)).to(reference.dtype)

    def forward(self, positions: Tensor, *, differentiable: bool = False) -> dict[str, Tensor]:
        """Energy and forces of molecules that have their atoms in the order of the training frames.

        Args:
            positions: [S, N, 3] Å.
            differentiable: keep what training on forces needs to differentiate them.

        Returns:
            `energy` [S] float64, eV, and `forces` [S, N, 3], eV/Å.

        Raises:
            ValueError: if the molecules do not have the N atoms of the training frames.
        """
        if positions.ndim != 3 or positions.shape[1:] != self.reference.shape:
            raise ValueError(
                f"positions have shape {tuple(positions.shape)}; (structures, {len(self.reference)}, 3) was "
                f"expected: this network knows one molecule only"
            )
        with torch.enable_grad():
            r = positions.detach().to(self.reference.dtype).requires_grad_()
            learned = self.network(((r - self.reference) / self.length).flatten(1))[:, 0]
            (slope,) = torch.autograd.grad(learned.sum(), r, create_graph=differentiable)
        if not differentiable:
            learned = learned.detach()
        # The mean is added in float64: next to the energy of all electrons, float32 would round the rest away.
        return {"energy": self.energy + self.scale * learned.double(), "forces": -self.scale * slope}
