"""Muon: matrices move along the orthogonal matrix nearest to their momentum."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from cynosure.kernels import orthogonal

# A matrix with fewer rows or columns is a few vectors, and left to Adam.
_SMALLEST_SIDE = 8


def is_matrix(parameter: Tensor) -> bool:
    """Whether a parameter is a matrix, or a stack of matrices, that Muon is meant for."""
    return parameter.ndim >= 2 and min(parameter.shape[-2:]) >= _SMALLEST_SIDE


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal (Jordan et al. 2024; the size of a step as of Liu et al. 2025, arXiv:2502.16982).

        M <- μ M + (1 − μ) G
        W <- (1 − lr · λ) W − lr · scale · √max(rows, columns) · U Vᵀ,    U Σ Vᵀ = (1 − μ) G + μ M

    An entry of W moves by about lr · scale, whatever the size of the gradient. The weights of a potential are many
    small matrices, for every irrep and path, and stacks of them, for every species; `kernels.orthogonal` takes all of
    them at once. (`torch.optim.Muon` takes no stacks, and several operations of torch for each matrix and round.)

    Args:
        parameters: [..., rows, columns] each, see `is_matrix`.
        lr: learning rate.
        momentum: μ.
        scale: root mean square of an entry's step at lr = 1.
        weight_decay: λ.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        momentum: float,
        scale: float,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "scale": scale, "weight_decay": weight_decay}
        super().__init__(parameters, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Move the parameters that have a gradient; there must be no closure."""
        assert closure is None, "Muon evaluates nothing"
        for group in self.param_groups:
            moving = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not moving:
                continue
            gradients = [parameter.grad for parameter in moving]
            momenta = [self._momentum(parameter) for parameter in moving]
            torch._foreach_lerp_(momenta, gradients, 1.0 - group["momentum"])  # pyright: ignore[reportPrivateImportUsage]
            sources = torch._foreach_lerp(gradients, momenta, group["momentum"])  # pyright: ignore[reportPrivateImportUsage]
            size = -group["lr"] * group["scale"]
            factors = [size * math.sqrt(max(parameter.shape[-2:])) for parameter in moving]
            if group["weight_decay"] > 0:
                torch._foreach_mul_(moving, 1.0 - group["lr"] * group["weight_decay"])  # pyright: ignore[reportPrivateImportUsage]
            torch._foreach_add_(moving, orthogonal(sources, factors))  # pyright: ignore[reportPrivateImportUsage]

    def _momentum(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        return state["momentum"]
