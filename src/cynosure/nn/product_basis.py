"""The many-body product: polynomials of a node's features that couple to given irreps."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from cynosure.kernels import (
    ContractionTable,
    Derived,
    Program,
    Value,
    Weights,
    contract,
    polynomial_coefficients,
)
from cynosure.o3 import Irreps


class ProductBasis(nn.Module):
    """Symmetric contraction of a node's features with themselves, channel by channel, up to `order` factors.

    Every symmetric equivariant polynomial of x up to that degree, in a basis of them (`o3.equivariant_polynomials`),
    has a weight for each species and channel. With x the sum of messages of the neighbours, products of ν factors are
    terms of ν + 1 bodies (Batatia et al. 2022, equation 10; Drautz 2019).

    Args:
        irreps_in: irreps of x, each once, all with one number of channels.
        irreps_out: irreps of the result, each once, with that number of channels.
        order: the largest number of factors (MACE's correlation).
        num_species: sets of weights.

    Attributes:
        normaliser: a scalar buffer, a factor of the result; one is right for components of x that are independent,
            and a model may refine it once on typical data (`Potential.normalise`).

    Raises:
        ValueError: as `kernels.ContractionTable`.
    """

    def __init__(
        self, irreps_in: Irreps | str, irreps_out: Irreps | str, *, order: int = 3, num_species: int = 1
    ) -> None:
        super().__init__()
        self.irreps_in, self.irreps_out = Irreps(irreps_in), Irreps(irreps_out)
        self.table = ContractionTable(self.irreps_in, self.irreps_out, order)
        self.weight = nn.Parameter(torch.randn(num_species, self.table.tree.num_paths, self.table.channels))
        self.normaliser: Tensor
        self.register_buffer("normaliser", torch.tensor(1.0))

    def forward(self, x: Tensor, species: Tensor) -> Tensor:
        """[N, irreps_in.dim], species [N] int64 -> [N, irreps_out.dim]."""
        return contract(x, self._coefficients(), species, self.table)

    def lower(self, program: Program, x: Value) -> Value:
        """Add this layer to a program of the compiled core."""
        shape = (self.weight.shape[0], self.table.tree.num_nodes, self.table.channels)
        return program.contract(x, self.table, Weights.of(Derived(self._coefficients, shape)))

    def _coefficients(self) -> Tensor:
        # Each path has unit variance; so has the sum of an irrep's paths over the root of their number.
        counts = [1 / math.sqrt(n) for n in self.table.tree.paths for _ in range(n)]
        scale = self.normaliser * self.weight.new_tensor(counts)
        return polynomial_coefficients(self.weight * scale[:, None], self.table)

    def extra_repr(self) -> str:
        return (
            f"{self.irreps_in} -> {self.irreps_out}, order {self.table.order}, {self.table.tree.paths} paths"
        )
