"""Equivariant layer normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cynosure.nn import layout
from cynosure.o3 import Irreps


class LayerNorm(nn.Module):
    """Scale each block to unit mean square over its channels and components; centre the scalars first.

    The mean over the channels of one scalar block, and the mean square of any block, are themselves
    equivariant and invariant, so both operations commute with rotations and reflections. As in Liao &
    Smidt 2023 (Equiformer), section 3.2, with ε inside the root so that every derivative at zero is finite.

    Args:
        irreps: irreps in and out.
        affine: learn one weight per channel, and one bias per invariant scalar.
        epsilon: added to the mean square.
    """

    def __init__(self, irreps: Irreps | str, affine: bool = True, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.irreps_in = self.irreps_out = Irreps(irreps)
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(sum(mul for mul, _ in self.irreps_in))) if affine else None
        scalars = sum(mul for mul, ir in self.irreps_in if ir.is_scalar())
        self.bias = nn.Parameter(torch.zeros(scalars)) if affine and scalars else None

    def forward(self, x: Tensor) -> Tensor:
        """[..., irreps.dim] -> [..., irreps.dim]."""
        layout.check(self.irreps_in, x)
        blocks, weight_at, bias_at = [], 0, 0
        for (mul, ir), block in zip(self.irreps_in, layout.split(self.irreps_in, x), strict=True):
            if ir.l == 0:
                block = block - block.mean(dim=-1, keepdim=True)
            block = block * torch.rsqrt(block.square().mean(dim=(-2, -1), keepdim=True) + self.epsilon)
            if self.weight is not None:
                block = block * self.weight[weight_at : weight_at + mul]
                weight_at += mul
            if self.bias is not None and ir.is_scalar():
                block = block + self.bias[bias_at : bias_at + mul]
                bias_at += mul
            blocks.append(block)
        return layout.join(blocks)
