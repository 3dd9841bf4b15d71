"""From matrices of another package to the parameters of our layers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from cynosure.nn import Convolution, Linear
from cynosure.o3 import Irrep


class TheirPath(NamedTuple):
    """A path of their tensor product: features of `ir_in` times harmonics of `ir_edge`, in so many channels."""

    ir_in: Irrep
    ir_edge: Irrep
    ir_out: Irrep
    channels: int


def set_linear(linear: Linear, maps: Mapping[Irrep, Tensor]) -> None:
    """Make y[ir] = maps[ir]ᵀ x[ir]."""
    for ir, weight in linear.maps.items():
        weight.copy_(maps[ir] * math.sqrt(weight.shape[-2]))


def set_radial(
    convolution: Convolution,
    matrices: Sequence[Tensor],
    of_basis: Tensor,
    factor: float,
    paths: Sequence[TheirPath],
) -> dict[Irrep, Tensor]:
    """Take over the radial network of a convolution and the weights of its paths.

    Args:
        convolution: ours.
        matrices: of the layers of their network, the last giving a weight for each path and channel.
        of_basis: [B], their basis over ours.
        factor: of their activation.
        paths: theirs, in the order of their weights.

    Returns:
        For each irrep of the message, where in theirs the rows of ours are.
    """
    # (The activation has another factor here: the ratio goes into the weights behind it.)
    ratio = factor / convolution.radial.activation.factor
    *hidden, last = matrices
    for k, (weight, matrix) in enumerate(zip(convolution.radial.weights, hidden, strict=True)):
        weight.copy_((of_basis.unsqueeze(1) if k == 0 else ratio) * matrix * math.sqrt(len(matrix)))
    columns: dict[tuple[Irrep, Irrep, Irrep], Tensor] = {}
    rows: dict[tuple[Irrep, Irrep, Irrep], Tensor] = {}
    column, row = 0, dict.fromkeys((path.ir_out for path in paths), 0)
    for ir_in, ir_edge, ir_out, channels in paths:
        columns[ir_in, ir_edge, ir_out] = torch.arange(column, column + channels)
        rows[ir_in, ir_edge, ir_out] = torch.arange(row[ir_out], row[ir_out] + channels)
        column += channels
        row[ir_out] += channels
    table = convolution.table
    ours = [
        (table.irreps_in[path.block_in][1], table.irreps_edge[path.block_edge][1], path.ir_out)
        for path in table.paths
    ]
    every = torch.cat([columns[key] for key in ours])
    convolution.weight.copy_(ratio * math.sqrt(len(last)) * last[:, every])
    return {ir: torch.cat([rows[key] for key in ours if key[2] == ir]) for ir in row}


def below(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `name` and a dot, by what follows."""
    prefix = f"{name}."
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def numbered(tensors: Mapping[str, Tensor], name: str) -> list[Tensor]:
    """The tensors `name`.0, `name`.1, …"""
    found = []
    while (tensor := tensors.get(f"{name}.{len(found)}")) is not None:
        found.append(tensor)
    return found
