"""How a typed feature lies in memory. This file alone knows it.

A feature of irreps `64x0e+32x1o` is one flat axis of length 64·1 + 32·3. Each irrep block is stored
[component m, channel]: channels are contiguous, so that one SIMD lane is one channel. e3nn stores
[channel, component]; `from_e3nn` and `to_e3nn` convert.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cynosure.o3 import Irreps, wigner_D


def check(irreps: Irreps, x: Tensor, name: str = "x") -> None:
    """Raise unless the last axis of `x` fits `irreps`.

    Raises:
        ValueError: names the argument, the axis, its size and the size that `irreps` asks for.
    """
    if x.dim() == 0 or x.shape[-1] != irreps.dim:
        got = "no axis" if x.dim() == 0 else f"size {x.shape[-1]}"
        raise ValueError(
            f"'{name}' has {got} on its last axis (shape {tuple(x.shape)}); {irreps} has size {irreps.dim}"
        )


def split(irreps: Irreps, x: Tensor) -> list[Tensor]:
    """[..., irreps.dim] -> for each block a view [..., 2l+1, channels]."""
    # One `split` instead of a slice per block: its backward pass is one concatenation, not a sum of padded copies.
    parts = x.split([mul * ir.dim for mul, ir in irreps], dim=-1)
    return [part.unflatten(-1, (ir.dim, mul)) for part, (mul, ir) in zip(parts, irreps, strict=True)]


def join(blocks: Sequence[Tensor]) -> Tensor:
    """Blocks [..., 2l+1, channels] -> [..., dim], the inverse of `split`."""
    return torch.cat([block.flatten(-2) for block in blocks], dim=-1)


def from_e3nn(irreps: Irreps | str, x: Tensor) -> Tensor:
    """[..., dim] with blocks [channel, component] (e3nn) -> blocks [component, channel]."""
    irreps = Irreps(irreps)
    check(irreps, x)
    slices = zip(irreps, irreps.slices(), strict=True)
    return join(
        [x[..., columns].unflatten(-1, (mul, ir.dim)).transpose(-1, -2) for (mul, ir), columns in slices]
    )


def to_e3nn(irreps: Irreps | str, x: Tensor) -> Tensor:
    """[..., dim] with blocks [component, channel] -> blocks [channel, component] (e3nn)."""
    irreps = Irreps(irreps)
    check(irreps, x)
    return join([block.transpose(-1, -2) for block in split(irreps, x)])


def transform(irreps: Irreps | str, x: Tensor, matrix: Tensor) -> Tensor:
    """Act on features with a rotation or rotoinversion: x -> D(matrix) x.

    Args:
        irreps: what `x` is.
        x: [..., irreps.dim].
        matrix: [3, 3] orthogonal. Unlabelled irreps (parity `False`) take proper rotations only.

    Returns:
        [..., irreps.dim].
    """
    irreps = Irreps(irreps)
    check(irreps, x)
    if not len(irreps):
        return x
    return join(
        [
            wigner_D(ir, matrix).to(x.dtype) @ block
            for (_, ir), block in zip(irreps, split(irreps, x), strict=True)
        ]
    )
