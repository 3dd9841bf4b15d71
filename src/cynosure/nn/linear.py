"""Equivariant linear maps: by Schur's lemma they mix channels of equal irreps and nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from cynosure.kernels import Derived, Program, Term, Value, Weights, species_linear
from cynosure.nn import layout
from cynosure.o3 import Irrep, Irreps


class Linear(nn.Module):
    """y[ir] = W[ir]ᵀ x[ir] / √(channels in), plus a bias on the scalars 0e if asked.

    All input blocks of one irrep, neighbours or not, feed every output block of that irrep. Weights are drawn
    from a unit normal and divided by √(channels in) in the forward pass: unit variance in gives unit variance
    out, and a learning rate means the same at every width.

    Args:
        irreps_in: irreps of the input.
        irreps_out: irreps of the output, each of which the input must contain.
        bias: add a learnable bias (zero at first) to the invariant scalars: no other bias is equivariant.
        num_species: with a number, one set of weights per species; `forward` then takes the species too.

    Raises:
        ValueError: when an output irrep is not in the input (its output could only be zero).
    """

    def __init__(
        self,
        irreps_in: Irreps | str,
        irreps_out: Irreps | str,
        *,
        bias: bool = False,
        num_species: int | None = None,
    ) -> None:
        super().__init__()
        self.irreps_in, self.irreps_out = Irreps(irreps_in), Irreps(irreps_out)
        self.num_species = num_species
        # One matrix per distinct output irrep; output blocks of one irrep are columns of the same matrix.
        self._irreps: tuple[Irrep, ...] = tuple(dict.fromkeys(ir for _, ir in self.irreps_out))
        weights = []
        for ir in self._irreps:
            channels_in, channels_out = self.irreps_in.count(ir), self.irreps_out.count(ir)
            if channels_in == 0:
                raise ValueError(
                    f"Linear: no {ir} in the input {self.irreps_in}, so the output {ir} could only be zero"
                )
            shape = (
                (channels_in, channels_out)
                if num_species is None
                else (num_species, channels_in, channels_out)
            )
            weights.append(nn.Parameter(torch.randn(shape)))
        self.weights = nn.ParameterList(weights)
        scalars = sum(mul for mul, ir in self.irreps_out if ir.is_scalar())
        self.bias = nn.Parameter(torch.zeros(scalars)) if bias and scalars else None

    def forward(self, x: Tensor, species: Tensor | None = None) -> Tensor:
        """[..., irreps_in.dim] -> [..., irreps_out.dim]; with `num_species`, x is [N, dim] and species [N] int64.

        Raises:
            ValueError: when the last axis does not fit, or `species` is missing or not wanted.
        """
        layout.check(self.irreps_in, x)
        if (species is None) != (self.num_species is None):
            state = "needs" if species is None else "was built without num_species and takes no"
            raise ValueError(f"this Linear {state} 'species'")
        blocks_in = layout.split(self.irreps_in, x)
        mixed: dict[Irrep, list[Tensor]] = {}
        for ir, weight in zip(self._irreps, self.weights, strict=True):
            same = [block for block, (_, ir_in) in zip(blocks_in, self.irreps_in, strict=True) if ir_in == ir]
            features = same[0] if len(same) == 1 else torch.cat(same, dim=-1)
            matrix = weight / math.sqrt(weight.shape[-2])
            product = features @ matrix if species is None else species_linear(features, matrix, species)
            sizes = [mul for mul, ir_out in self.irreps_out if ir_out == ir]
            mixed[ir] = list(product.split(sizes, dim=-1))
        blocks = [mixed[ir].pop(0) for _, ir in self.irreps_out]
        return layout.join(self._add_bias(blocks))

    @property
    def maps(self) -> dict[Irrep, nn.Parameter]:
        """The weights W of each irrep of the output, [(species,) channels in, channels out]."""
        return dict(zip(self._irreps, self.weights, strict=True))

    def terms(self, scale: float | Sequence[float] = 1.0) -> list[Term]:
        """The map, without its bias, as terms of a program of the compiled core, block by block: y = scale · W x.

        Args:
            scale: a factor, or one for each block of `irreps_out`.
        """
        scales = self._scales(scale)
        terms = []
        for ir, weight in zip(self._irreps, self.weights, strict=True):
            assert isinstance(weight, Tensor)
            row = 0
            for block_in, (mul_in, ir_in) in enumerate(self.irreps_in):
                if ir_in != ir:
                    continue
                column = 0
                for block_out, (mul_out, ir_out) in enumerate(self.irreps_out):
                    if ir_out == ir:
                        rows, columns = np.arange(row, row + mul_in), np.arange(column, column + mul_out)
                        factor = scales[block_out] / math.sqrt(weight.shape[-2])
                        terms.append(Term(block_in, block_out, Weights(weight, rows, columns, factor)))
                        column += mul_out
                row += mul_in
        return terms

    def lower(self, program: Program, x: Value) -> Value:
        """Add this layer to a program of the compiled core."""
        by_species = self.num_species is not None
        y = program.linear(x, self.terms(), self.irreps_out, by_species=by_species)
        self.lower_bias(program, y)
        return y

    def lower_bias(self, program: Program, y: Value, scale: float | Sequence[float] = 1.0) -> None:
        """Add scale · bias, if there is one, to a value of `irreps_out`: a linear map of the number one."""
        if self.bias is None:
            return
        bias, terms, column = self.bias, [], 0
        row = Derived(lambda: bias.unsqueeze(0), (1, len(bias)))
        for block, ((mul, ir), factor) in enumerate(zip(self.irreps_out, self._scales(scale), strict=True)):
            if ir.is_scalar():
                weights = Weights(row, np.arange(1), np.arange(column, column + mul), factor)
                terms.append(Term(0, block, weights))
                column += mul
        scalar = next(ir for _, ir in self.irreps_out if ir.is_scalar())
        ones = Derived(lambda: bias.new_ones(program.num_species, 1), (program.num_species, 1))
        one = program.embed(Irreps([(1, scalar)]), Weights.of(ones))
        program.linear(one, terms, self.irreps_out, into=y)

    def _scales(self, scale: float | Sequence[float]) -> Sequence[float]:
        return [scale] * len(self.irreps_out) if isinstance(scale, int | float) else scale

    def _add_bias(self, blocks: list[Tensor]) -> list[Tensor]:
        if self.bias is None:
            return blocks
        sizes = [mul for mul, ir in self.irreps_out if ir.is_scalar()]
        biases = iter(self.bias.split(sizes))
        return [
            block + next(biases) if ir.is_scalar() else block
            for block, (_, ir) in zip(blocks, self.irreps_out, strict=True)
        ]
