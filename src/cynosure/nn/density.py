"""How crowded an atom is, as a number that messages can be divided by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cynosure.kernels import GateItem, NotLowered, PathTable, Program, RadialLayers, Term, Value, Weights
from cynosure.nn.radial import RadialBasis
from cynosure.o3 import Irrep, Irreps

_SCALAR = Irreps([(1, Irrep(0, 1))])


class NeighbourDensity(nn.Module):
    """ρ_i = Σ_j tanh((w · b(r_ij))²), a smooth and learned number of neighbours.

    Messages over 1 + ρ neither grow with the number of neighbours nor depend on what it was in the training data. b is
    the radial basis, which vanishes at the cutoff. (The normalisation of MACE's interactions that have "Density" in
    their name.)

    Args:
        num_basis: size of the radial basis.
    """

    def __init__(self, num_basis: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(num_basis))

    def forward(self, basis: Tensor, receivers: Tensor, number: int) -> Tensor:
        """Radial basis [E, num_basis] and receivers [E] int64 of the edges of `number` nodes -> ρ [number]."""
        return basis.new_zeros(number).index_add(0, receivers, self.of_edges(basis))

    def of_edges(self, basis: Tensor) -> Tensor:
        """[E, num_basis] -> [E]."""
        return torch.tanh((basis @ (self.weight / math.sqrt(len(self.weight)))).square())

    def lower_division(
        self, program: Program, message: Value, basis: RadialBasis, sizes: Tensor | None, irreps: Irreps
    ) -> Value:
        """Add the division by 1 + ρ to a program of the compiled core.

        Args:
            program: the program.
            message: blocks for ρ of each channel (`gates_of(irreps)`), which are filled here, and `irreps` behind them.
            basis: the radial basis of the edges.
            sizes: [S, S] Å, of pairs of species, where the basis sees them.
            irreps: of what is divided.
        """
        one = program.embed(_SCALAR, Weights.of(torch.ones(program.num_species, 1, dtype=torch.float64)))
        unit = Weights.of(torch.ones(1, 1, dtype=torch.float64))
        density = program.convolve(
            one,
            PathTable.build(_SCALAR, Irreps.spherical_harmonics(program.l_max), {_SCALAR[0][1]}),
            DensityFunction(self, basis, sizes),
            unit,
            basis.cutoff,
            [Term(0, 0, unit)],
            _SCALAR,
        )
        terms = [
            Term(0, block, Weights.of(torch.ones(1, mul, dtype=torch.float64)))
            for block, (mul, _) in enumerate(irreps)
        ]
        program.linear(density, terms, message.irreps, into=message)
        gates = [GateItem("over", 1.0, len(irreps) + block, block, block) for block in range(len(irreps))]
        return program.gate(message, gates, irreps)


def gates_of(irreps: Irreps) -> Irreps:
    """A scalar for each channel of each block."""
    return Irreps([(mul, Irrep(0, 1)) for mul, _ in irreps])


class DensityFunction(NamedTuple):
    """An edge's share of a density as a radial function of a convolution; see `RadialFunctions`."""

    density: NeighbourDensity
    basis: RadialBasis
    sizes: Tensor | None

    def __call__(self, distances: Tensor) -> Tensor:
        """[n] Å -> [n, 1], or [n, pairs, 1]."""
        if self.sizes is not None:
            distances = distances.unsqueeze(1)
        return self.density.of_edges(self.basis(distances, self.sizes)).unsqueeze(-1)

    @property
    def by_pair(self) -> bool:
        return self.sizes is not None and self.sizes.dim() == 2

    def of_pairs(self, pairs: Sequence[tuple[int, int]]) -> DensityFunction:
        assert self.sizes is not None
        return self._replace(sizes=torch.stack([self.sizes[pair] for pair in pairs]))

    @property
    def breaks(self) -> tuple[float, ...]:
        return self.basis.envelope.breaks

    @property
    def exact_from(self) -> float:
        return self.basis.exact_from

    def layers(self) -> RadialLayers:
        """Nothing that training in the core knows.

        Raises:
            NotLowered: always.
        """
        raise NotLowered("a density of neighbours, in training")
