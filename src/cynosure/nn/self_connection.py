"""What an atom keeps of itself when its neighbours speak: a map of its own features, by species."""

from __future__ import annotations

import math
from dataclasses import replace

from torch import Tensor

from cynosure.kernels import Program, Value
from cynosure.nn import layout
from cynosure.nn.linear import Linear
from cynosure.o3 import Irreps


class SelfConnection(Linear):
    """A `Linear` of the features before a layer, by species, added to what the layer makes of the neighbours.

    It feeds the blocks whose irrep the features have; the others hold what came from the neighbours alone. Where two
    independent terms of unit variance come together, 1/√2 keeps the variance of their sum at one.

    Args:
        irreps_in: irreps of the features.
        irreps_to: irreps of what it is added to.
        num_species: sets of weights; None for one that serves every species.

    Attributes:
        scales: for each block of `irreps_to`, the factor of what was there: 1/√2 or 1.
    """

    def __init__(self, irreps_in: Irreps | str, irreps_to: Irreps | str, num_species: int | None) -> None:
        irreps_in, self.irreps_to = Irreps(irreps_in), Irreps(irreps_to)
        present = {ir for _, ir in irreps_in}
        self._fed = [block for block, (_, ir) in enumerate(self.irreps_to) if ir in present]
        fed = Irreps([self.irreps_to[block] for block in self._fed])
        super().__init__(irreps_in, fed, num_species=num_species)
        self.scales = [1 / math.sqrt(2) if ir in present else 1.0 for _, ir in self.irreps_to]

    def add(self, x: Tensor, species: Tensor, neighbours: Tensor) -> Tensor:
        """x [N, irreps_in.dim], species [N] int64, neighbours [N, irreps_to.dim] -> [N, irreps_to.dim]."""
        blocks = layout.split(self.irreps_to, neighbours)
        own = layout.split(self.irreps_out, self(x, None if self.num_species is None else species))
        for block, mine in zip(self._fed, own, strict=True):
            blocks[block] = (blocks[block] + mine) / math.sqrt(2)
        return layout.join(blocks)

    def lower_into(self, program: Program, x: Value, neighbours: Value) -> None:
        """Add the map of x to `neighbours`, a value of `irreps_to` that has the factors `scales` already."""
        terms = [replace(term, block_out=self._fed[term.block_out]) for term in self.terms(1 / math.sqrt(2))]
        by_species = self.num_species is not None
        program.linear(x, terms, self.irreps_out, by_species=by_species, into=neighbours)
