"""What an atom makes of what it is told: products of its features with given tensors."""

from __future__ import annotations

import math

from torch import Tensor, nn

from cynosure.nn import layout
from cynosure.nn.linear import Linear
from cynosure.nn.tensor_product import TensorProduct
from cynosure.o3 import Irreps


class Conditioning(nn.Module):
    """y = x + (a species-dependent linear map of x ⊗ t), with t tensors that the atom is given, such as its spin.

    Where t is zero, y is x. Sums over neighbours are linear in what the neighbours are told; this is where an atom's
    own tensors meet theirs, so that a scalar such as S_i · Σ_j S_j can be made. With only one factor of t for each
    application, k of them in a row make polynomials of degree k in t.

    Args:
        irreps_in: irreps of x.
        irreps_given: irreps of t.
        irreps_out: irreps of y: those of x that are among them pass; others, that the product reaches, start there.
        num_species: sets of weights.

    Attributes:
        irreps_out: the irreps of y, without those of `irreps_out` that are out of reach.
    """

    def __init__(self, irreps_in: Irreps, irreps_given: Irreps, irreps_out: Irreps, num_species: int) -> None:
        super().__init__()
        self.irreps_in = irreps_in
        product = {ir for _, a in irreps_in for _, b in irreps_given for ir in a * b}
        own = {ir: block for block, (_, ir) in enumerate(irreps_in)}
        self.irreps_out = Irreps([(mul, ir) for mul, ir in irreps_out if ir in own or ir in product])
        made = Irreps([(mul, ir) for mul, ir in self.irreps_out if ir in product])
        self.product = TensorProduct(irreps_in, irreps_given, keep=[ir for _, ir in made], weights=None)
        self.mix = Linear(self.product.irreps_out, made, num_species=num_species)
        # For each block of y: the block of x that passes, and the block that is made; None where there is none.
        made_at = {ir: block for block, (_, ir) in enumerate(made)}
        self._parts = [(own.get(ir), made_at.get(ir)) for _, ir in self.irreps_out]

    def forward(self, x: Tensor, given: Tensor, species: Tensor) -> Tensor:
        """x [N, irreps_in.dim], t [N, irreps_given.dim], species [N] int64 -> [N, irreps_out.dim]."""
        own = layout.split(self.irreps_in, x)
        made = layout.split(self.mix.irreps_out, self.mix(self.product(x, given), species))
        blocks = []
        for passes, new in self._parts:
            parts = [own[passes]] if passes is not None else []
            parts += [made[new] / math.sqrt(2)] if new is not None else []
            blocks.append(sum(parts[1:], parts[0]))
        return layout.join(blocks)
