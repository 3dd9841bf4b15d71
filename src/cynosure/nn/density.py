"""How crowded an atom is, as a number that messages can be divided by."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from cynosure.kernels import GateItem, PathTable, Program, Term, Value, Weights
from cynosure.nn.radial import RadialBasis, RadialFunctions
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
        return basis.new_zeros(number).index_add(0, receivers, self.functions(basis).squeeze(-1))

    def functions(self, basis: Tensor) -> Tensor:
        """What an edge adds, [..., num_basis] -> [..., 1]: its one radial function."""
        weight = self.weight / math.sqrt(len(self.weight))
        return torch.tanh((basis @ weight).square()).unsqueeze(-1)

    def lower_division(
        self, program: Program, message: Value, basis: RadialBasis, sizes: Tensor | None, irreps: Irreps
    ) -> Value:
        """Add the division by 1 + ρ to a program of the compiled core.

        Args:
            program: the program.
            message: blocks of `irreps`, and behind them those for ρ (`gates_of`), which are filled here.
            basis: the radial basis of the edges.
            sizes: [S, S] Å, of pairs of species, where the basis sees them.
            irreps: of what is divided.
        """
        one = program.embed(_SCALAR, Weights.of(torch.ones(program.num_species, 1, dtype=torch.float64)))
        unit = Weights.of(torch.ones(1, 1, dtype=torch.float64))
        density = program.convolve(
            one,
            PathTable.build(_SCALAR, Irreps.spherical_harmonics(program.l_max), {_SCALAR[0][1]}),
            RadialFunctions(basis, self.functions, sizes),
            unit,
            basis.cutoff,
            [Term(0, 0, unit)],
            _SCALAR,
        )
        terms = [
            Term(0, len(irreps) + block, Weights.of(torch.ones(1, mul, dtype=torch.float64)))
            for block, (mul, _) in enumerate(irreps)
        ]
        program.linear(density, terms, message.irreps, into=message)
        gates = [GateItem("over", 1.0, block, len(irreps) + block, block) for block in range(len(irreps))]
        return program.gate(message, gates, irreps)


def gates_of(irreps: Irreps) -> Irreps:
    """A scalar for each channel of each block."""
    return Irreps([(mul, Irrep(0, 1)) for mul, _ in irreps])
