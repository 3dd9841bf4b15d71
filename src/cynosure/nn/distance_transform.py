"""Distances in terms of the sizes of the two atoms: what a radial basis can see instead of the distance itself.

Both transforms and their constants are those of MACE (Batatia et al. 2022, and its package), so that its models can be
run.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Agnesi:
    """A curve that falls from 1 at zero to 0 far away, fastest about the mean radius r_0 of the two atoms.

        x = 1 / (1 + a u^q / (1 + u^(q − p))),   u = r / r_0,   r_0 = (R_i + R_j) / 2

    Witt et al. 2023, J. Chem. Phys. 159, 164101.

    Args:
        q, p: exponents far away and near zero; p > q.
        a: a factor.

    Raises:
        ValueError: unless p > q > 0 and a > 0.
    """

    def __init__(self, q: float = 0.9183, p: float = 4.5791, a: float = 1.0805) -> None:
        if not (p > q > 0 and a > 0):
            raise ValueError(
                f"an Agnesi transform with q = {q}, p = {p}, a = {a}; p > q > 0 and a > 0 were expected"
            )
        self.q, self.p, self.a = float(q), float(p), float(a)

    def __call__(self, distances: Tensor, sizes: Tensor) -> Tensor:
        """Distances and sums of radii R_i + R_j, Å, shapes that broadcast -> x, from 1 to 0."""
        u = 2 * distances / sizes
        # (Numerator and denominator times u^(p − q): no power is negative, and derivatives at zero exist.)
        return 1 / (1 + self.a * u**self.p / (1 + u ** (self.p - self.q)))


class Soft:
    """The distance itself beyond bond lengths, and a constant below them.

        x = p_0 + (r − p_0) (1 + tanh(α (r − (p_0 + p_1)/2) / (p_1 − p_0))) / 2

    with p_0 = 3/4 (R_i + R_j) and p_1 = 4/3 (R_i + R_j).

    Args:
        alpha: α, how steep.

    Raises:
        ValueError: for an α that is not positive.
    """

    def __init__(self, alpha: float = 4.0) -> None:
        if not alpha > 0:
            raise ValueError(f"a soft transform with α = {alpha}; it must be positive")
        self.alpha = float(alpha)

    def __call__(self, distances: Tensor, sizes: Tensor) -> Tensor:
        """Distances and sums of radii R_i + R_j, Å, shapes that broadcast -> x, Å."""
        below, above = 3 / 4 * sizes, 4 / 3 * sizes
        rising = 1 + torch.tanh(self.alpha * (distances - (below + above) / 2) / (above - below))
        return below + (distances - below) * rising / 2


DistanceTransform = Agnesi | Soft
