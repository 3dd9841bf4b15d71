"""Scalar activation functions, scaled so that a unit normal input has unit second moment on output."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": torch.nn.functional.silu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}
# f(−x) = −f(x): the functions that keep a pseudoscalar a pseudoscalar.
ODD = frozenset({"tanh"})


class Activation(nn.Module):
    """c · f(x), with c so that ⟨(c f(z))²⟩ = 1 for z ~ N(0, 1).

    Args:
        name: `silu`, `tanh` or `sigmoid`.

    Raises:
        ValueError: for another name.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        if name not in _FUNCTIONS:
            raise ValueError(f"no activation '{name}'; the activations are {', '.join(_FUNCTIONS)}")
        self.name = name
        # Gauss-Hermite quadrature for the weight exp(−z²/2).
        nodes, weights = np.polynomial.hermite_e.hermegauss(64)
        values = _FUNCTIONS[name](torch.from_numpy(nodes)).numpy()
        self.factor = 1 / math.sqrt(float(np.sum(weights * values**2)) / math.sqrt(2 * math.pi))

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, any shape."""
        return self.factor * _FUNCTIONS[self.name](x)

    def extra_repr(self) -> str:
        return self.name
