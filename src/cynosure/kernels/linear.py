"""A linear map whose matrix depends on the species of the node."""

from __future__ import annotations

import torch
from torch import Tensor


def species_linear(x: Tensor, weight: Tensor, species: Tensor) -> Tensor:
    """Apply to each node the matrix of its species.

    y_i[m, d] = Σ_c x_i[m, c] · weight[species_i, c, d]

    Args:
        x: [N, M, C] features with M components and C channels.
        weight: [S, C, D] one matrix per species.
        species: [N] int64 in 0 … S−1.

    Returns:
        [N, M, D].

    Raises:
        ValueError: when the channels of `x` and `weight` differ or `species` does not have length N.
    """
    if x.dim() != 3 or weight.dim() != 3 or x.shape[2] != weight.shape[1]:
        raise ValueError(
            f"species_linear: 'x' {tuple(x.shape)} must be [N, M, C] and 'weight' {tuple(weight.shape)} "
            "[S, C, D] with the same C"
        )
    if species.shape != (x.shape[0],):
        raise ValueError(
            f"species_linear: 'species' has shape {tuple(species.shape)}; ({x.shape[0]},) was expected"
        )
    return species_linear_reference(x, weight, species)


def species_linear_reference(x: Tensor, weight: Tensor, species: Tensor) -> Tensor:
    """`species_linear` in plain torch: nodes are sorted by species, so that each species is one matrix product."""
    if weight.shape[0] == 1:
        return x @ weight[0]
    order = torch.argsort(species, stable=True)
    counts = torch.bincount(species, minlength=weight.shape[0]).tolist()
    parts = x.index_select(0, order).split(counts)
    products = [part @ matrix for part, matrix in zip(parts, weight.unbind(0), strict=True)]
    return torch.cat(products).index_select(0, torch.argsort(order))
