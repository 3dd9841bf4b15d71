"""Equivariant message passing: gather, tensor product, sum over neighbours."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cynosure.kernels import PathTable, Program, Value, Weights, convolve
from cynosure.nn.linear import Linear
from cynosure.nn.radial import RadialBasis, RadialFunctions, RadialNetwork
from cynosure.o3 import Irreps


class Convolution(nn.Module):
    """One equivariant convolution over the edges of a graph.

    1. Mix the channels of x with a `Linear`.
    2. Sum over neighbours j of i the channel-wise tensor product of x_j with the harmonics Y_ij, each path and
       channel weighted by learned functions of the distance (`kernels.convolve`).
    3. Multiply by `normaliser`, 1/√(mean number of neighbours), so that variance does not grow with coordination.
    4. Mix paths and channels with a `Linear`.

    Args:
        irreps_in: irreps of x.
        irreps_edge: irreps of Y, each once.
        irreps_out: irreps of the result, each of which some path must reach.
        num_basis: size of the radial basis.
        radial_hidden: sizes of the radial network's hidden layers; the last is the number of functions R.
        avg_neighbours: mean number of edges per node, > 0.
        bias: add one to the invariant scalars that either `Linear` gives.

    Attributes:
        normaliser: a scalar buffer. 1/√(mean number of neighbours) is right for neighbours that are independent;
            a model may refine it once on typical data, where neighbours are alike (`Potential.normalise`).

    Raises:
        ValueError: when an output irrep is out of reach, or `avg_neighbours` is not positive.
    """

    def __init__(
        self,
        irreps_in: Irreps | str,
        irreps_edge: Irreps | str,
        irreps_out: Irreps | str,
        *,
        num_basis: int = 8,
        radial_hidden: Sequence[int] = (64, 16),
        avg_neighbours: float = 1.0,
        bias: bool = False,
    ) -> None:
        super().__init__()
        if not avg_neighbours > 0:
            raise ValueError(f"avg_neighbours is {avg_neighbours}; it must be positive")
        self.irreps_in, self.irreps_edge = Irreps(irreps_in), Irreps(irreps_edge)
        self.irreps_out = Irreps(irreps_out)
        self.table = PathTable.build(self.irreps_in, self.irreps_edge, {ir for _, ir in self.irreps_out})
        self.mix_in = Linear(self.irreps_in, self.irreps_in, bias=bias)
        self.radial = RadialNetwork(num_basis, radial_hidden)
        self.weight = nn.Parameter(torch.randn(self.radial.number_out, self.table.num_weights))
        self.mix_out = Linear(self.table.irreps_out, self.irreps_out, bias=bias)
        self.normaliser: Tensor
        self.register_buffer("normaliser", torch.tensor(1 / math.sqrt(avg_neighbours)))

    def forward(
        self, x: Tensor, harmonics: Tensor, basis: Tensor, receivers: Tensor, senders: Tensor
    ) -> Tensor:
        """Features [N, irreps_in.dim] -> [N, irreps_out.dim].

        Args:
            x: [N, irreps_in.dim].
            harmonics: [E, irreps_edge.dim], component-normalised.
            basis: [E, num_basis], radial basis of each edge; must vanish at the cutoff.
            receivers: [E] int64.
            senders: [E] int64.
        """
        radial = self.radial(basis)
        message = convolve(
            self.mix_in(x), harmonics, radial, self._scaled_weight(), receivers, senders, self.table
        )
        return self.mix_out(message)

    def lower(
        self,
        program: Program,
        x: Value,
        basis: RadialBasis,
        scales: float | Sequence[float] = 1.0,
        *,
        sizes: Tensor | None = None,
        room: Irreps | None = None,
    ) -> Value:
        """Add this layer to a program of the compiled core.

        Args:
            program: the program.
            x: features with `irreps_in`.
            basis: the radial basis of the edges.
            scales: a factor, or one for each block of `irreps_out`.
            sizes: [S, S] Å, of pairs of species, where the basis sees them.
            room: blocks behind the result, which are left for other steps to fill.
        """
        mixed = self.mix_in.lower(program, x)
        message = program.convolve(
            mixed,
            self.table,
            RadialFunctions(basis, self.radial, sizes),
            Weights.of(self.weight, float(self.normaliser) / math.sqrt(self.weight.shape[0])),
            basis.cutoff,
            self.mix_out.terms(scales),
            self.irreps_out if room is None else self.irreps_out + room,
        )
        self.mix_out.lower_bias(program, message, scales)
        return message

    def _scaled_weight(self) -> Tensor:
        # Both normalisations are folded into the small weight instead of the large message.
        return self.weight * (self.normaliser / math.sqrt(self.weight.shape[0]))
