"""A network as a list of steps that the compiled core can run as a whole.

A layer adds its steps to a `Program` (its method `lower`) in the order of the forward pass. `CompiledProgram` runs
them for energies and forces, `TrainingProgram` for the derivatives with respect to weights; `lowering` is what both
share. Weights are not copied here: a `Weights` says which part of which parameter a step uses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cynosure.kernels.contraction_table import ContractionTable
from cynosure.kernels.paths import PathTable
from cynosure.o3 import Irreps

Numbers = NDArray[np.float64]


class NotLowered(ValueError):
    """A layer has no counterpart in the core; the message says which. The network runs through autograd instead."""


@dataclass(eq=False)
class Value:
    """Features of the nodes that some step computes, one block per entry of `irreps`."""

    irreps: Irreps


@dataclass(frozen=True, eq=False)
class Derived:
    """Numbers that follow from parameters by torch operations, differentiably.

    Attributes:
        function: takes nothing and gives them, from the parameters as they are.
        shape: of the result.
    """

    function: Callable[[], Tensor]
    shape: tuple[int, ...]


def tensor_of(parameter: Tensor | Derived) -> Tensor:
    """A parameter itself, or what follows from parameters now."""
    return parameter.function() if isinstance(parameter, Derived) else parameter


@dataclass(frozen=True)
class Weights:
    """scale · parameter[…, rows, columns].

    Attributes:
        parameter: [rows, columns], or [species, rows, columns].
        rows, columns: which of them, int64.
        scale: a factor.
    """

    parameter: Tensor | Derived
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    scale: float = 1.0

    @classmethod
    def of(cls, parameter: Tensor | Derived, scale: float = 1.0) -> Weights:
        """All rows and columns of a parameter."""
        return cls(parameter, np.arange(parameter.shape[-2]), np.arange(parameter.shape[-1]), scale)

    def values(self) -> Numbers:
        """[…, rows, columns] in float64."""
        whole = tensor_of(self.parameter).detach().numpy().astype(np.float64)
        return self.scale * whole[..., self.rows[:, None], self.columns]

    def places(self) -> NDArray[np.int64]:
        """[…, rows, columns], where the numbers lie in the flattened parameter."""
        shape = tuple(self.parameter.shape)
        return np.arange(math.prod(shape)).reshape(shape)[..., self.rows[:, None], self.columns]


@dataclass(frozen=True)
class Term:
    """One pair of blocks that a linear map joins, and the weights [C_in, C_out] or [species, C_in, C_out]."""

    block_in: int
    block_out: int
    weights: Weights


@dataclass(frozen=True)
class RadialLayers:
    """Radial functions as the core computes them in training: a basis of the distance and a network that mixes it.

    Attributes:
        basis: `bessel`, `gaussian` or `chebyshev`, as in `nn.RadialBasis`.
        power: of the polynomial envelope.
        cutoff: Å.
        factors: of each function of the basis.
        layers: of the network, y = factor f(x W).
        function: f.
        factor: the factor.
    """

    basis: str
    power: int
    cutoff: float
    factors: tuple[float, ...]
    layers: tuple[Weights, ...]
    function: str
    factor: float


class Radial(Protocol):
    """The radial functions R of a convolution."""

    def __call__(self, distances: Tensor) -> Tensor:
        """[n] Å -> [n, B]."""
        ...

    @property
    def by_pair(self) -> bool:
        """Whether they differ from pair to pair of species; only those of some pairs can be called then."""
        ...

    def of_pairs(self, pairs: Sequence[tuple[int, int]]) -> Radial:
        """Those of some pairs of species, by their index: [n] Å -> [n, pairs, B]."""
        ...

    @property
    def breaks(self) -> tuple[float, ...]:
        """Å, where their curvature jumps, between zero and the cutoff."""
        ...

    @property
    def exact_from(self) -> float:
        """Å: what they are at smaller distances need not be exact."""
        ...

    def layers(self) -> RadialLayers:
        """What they are made of."""
        ...


@dataclass(frozen=True)
class GateItem:
    """out = factor f(in[gate]) for scalars (`block` is None), in[block] · factor f(in[gate]) for tensors."""

    function: str
    factor: float
    block: int | None
    gate: int
    block_out: int


@dataclass(frozen=True)
class Embed:
    out: Value
    table: Weights
    source: None = None


@dataclass(frozen=True)
class Linear:
    source: Value
    out: Value
    terms: tuple[Term, ...]
    by_species: bool


@dataclass(frozen=True)
class Convolve:
    source: Value
    out: Value
    terms: tuple[Term, ...]  # block_in is the number of a path
    table: PathTable
    radial: Radial
    weights: Weights
    cutoff: float


@dataclass(frozen=True)
class Contract:
    source: Value
    out: Value
    table: ContractionTable
    coefficients: Weights


@dataclass(frozen=True)
class Gate:
    source: Value
    out: Value
    items: tuple[GateItem, ...]


Step = Embed | Linear | Convolve | Contract | Gate


@dataclass
class Program:
    """The steps of a network, in order.

    Args:
        num_species: rows of embeddings and of maps by species.
        l_max: largest degree of the edges' harmonics.
    """

    num_species: int
    l_max: int
    steps: list[Step] = field(default_factory=list)

    def embed(self, irreps: Irreps, table: Weights) -> Value:
        """Each node gets the row of its species in `table` [species, irreps.dim]."""
        out = Value(irreps)
        self.steps.append(Embed(out, table))
        return out

    def linear(
        self,
        x: Value,
        terms: Sequence[Term],
        irreps: Irreps,
        *,
        by_species: bool = False,
        into: Value | None = None,
    ) -> Value:
        """Mix channels. With `into` the result is added to that value, whose blocks the terms then count."""
        out = Value(irreps) if into is None else into
        self.steps.append(Linear(x, out, tuple(terms), by_species))
        return out

    def convolve(
        self,
        x: Value,
        table: PathTable,
        radial: Radial,
        weights: Weights,
        cutoff: float,
        terms: Sequence[Term],
        irreps: Irreps,
    ) -> Value:
        """`kernels.convolve` with path weights radial(r) @ weights, and the linear map `terms` of its paths."""
        out = Value(irreps)
        self.steps.append(Convolve(x, out, tuple(terms), table, radial, weights, cutoff))
        return out

    def contract(self, x: Value, table: ContractionTable, coefficients: Weights) -> Value:
        """`kernels.contract`, the coefficients [species, nodes of the trees, channels]."""
        out = Value(table.irreps_out)
        self.steps.append(Contract(x, out, table, coefficients))
        return out

    def gate(self, x: Value, items: Sequence[GateItem], irreps: Irreps) -> Value:
        out = Value(irreps)
        self.steps.append(Gate(x, out, tuple(items)))
        return out
