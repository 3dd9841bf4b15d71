"""Tensor products of typed features: a fixed Clebsch-Gordan skeleton with learned weights on its paths."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from cynosure.kernels.paths import clebsch_gordan_tensor
from cynosure.nn import layout
from cynosure.o3 import Irrep, Irreps


class ProductPath(NamedTuple):
    """One coupling of a tensor product: block `first` of x1 ⊗ block `second` of x2 -> `ir_out`."""

    first: int
    second: int
    ir_out: Irrep


class TensorProduct(nn.Module):
    """x1 ⊗ x2, restricted to a list of paths. With C the orthonormal Clebsch-Gordan numbers, each path p gives

        channelwise:  y[p, k, c] = w[p, c] Σ_{mn} C_{mnk} x1[m, c] x2[n, c]      (or x2[n] when x2 has 1 channel)
        full:         y[p, k, d] = Σ_{ab} w[p, a, b, d] Σ_{mn} C_{mnk} x1[m, a] x2[n, b] / √(channels a · b)

    Unit-variance inputs (x2 may be component-normalised spherical harmonics) and unit weights give
    unit-variance outputs on every path.

    Args:
        irreps_in1: irreps of x1.
        irreps_in2: irreps of x2.
        keep: the irreps allowed in the output; all, if None. Ignored where `paths` is given.
        mode: `channelwise` or `full`.
        channels: output channels of each path in `full` mode; those of x1's block if None.
        weights: `internal` (parameters of this module), `external` (given to `forward`, one set per leading
            index, such as one per edge), or None (all one; channelwise only).
        paths: the path list itself, as data: (block of x1, block of x2, output irrep).

    Attributes:
        irreps_out: one block per path, in the order of `paths`.
        num_weights: weights of one application, path after path.

    Raises:
        ValueError: no path left; a path against the selection rules; channel counts that do not fit the mode.
    """

    def __init__(
        self,
        irreps_in1: Irreps | str,
        irreps_in2: Irreps | str,
        keep: Iterable[Irrep | str] | None = None,
        *,
        mode: Literal["channelwise", "full"] = "channelwise",
        channels: int | None = None,
        weights: Literal["internal", "external"] | None = "internal",
        paths: Sequence[tuple[int, int, Irrep | str]] | None = None,
    ) -> None:
        super().__init__()
        if mode not in ("channelwise", "full"):
            raise ValueError(f"TensorProduct: no mode '{mode}'; the modes are channelwise, full")
        if weights not in ("internal", "external", None) or (weights is None and mode == "full"):
            raise ValueError(f"TensorProduct: weights={weights!r} does not go with mode '{mode}'")
        self.irreps_in1, self.irreps_in2 = Irreps(irreps_in1), Irreps(irreps_in2)
        self.mode = mode
        self.paths = self._all_paths(keep) if paths is None else self._checked(paths)
        if not self.paths:
            raise ValueError(f"TensorProduct: no path from {self.irreps_in1} x {self.irreps_in2} to {keep}")
        self._shapes = [self._weight_shape(path, channels) for path in self.paths]
        self.irreps_out = Irreps(
            [(shape[-1], path.ir_out) for path, shape in zip(self.paths, self._shapes, strict=True)]
        )
        self.num_weights = sum(math.prod(shape) for shape in self._shapes) if weights else 0
        self.weight = nn.Parameter(torch.randn(self.num_weights)) if weights == "internal" else None
        self._external = weights == "external"

    def forward(self, x1: Tensor, x2: Tensor, weights: Tensor | None = None) -> Tensor:
        """[..., irreps_in1.dim], [..., irreps_in2.dim] (and weights [..., num_weights]) -> [..., irreps_out.dim].

        Raises:
            ValueError: when a last axis does not fit, or external weights are missing or not wanted.
        """
        layout.check(self.irreps_in1, x1, "x1")
        layout.check(self.irreps_in2, x2, "x2")
        if (weights is not None) != self._external:
            raise ValueError(f"TensorProduct: {'needs' if self._external else 'takes no'} external weights")
        if weights is not None and weights.shape[-1] != self.num_weights:
            raise ValueError(
                f"'weights' has size {weights.shape[-1]} on its last axis; {self.num_weights} was expected"
            )
        flat = self.weight if weights is None else weights
        parts = (
            [None] * len(self.paths)
            if flat is None
            else flat.split([math.prod(s) for s in self._shapes], dim=-1)
        )
        blocks1, blocks2 = layout.split(self.irreps_in1, x1), layout.split(self.irreps_in2, x2)
        outputs = []
        for path, shape, part in zip(self.paths, self._shapes, parts, strict=True):
            coupling = clebsch_gordan_tensor(*(ir.l for ir in self._irreps_of(path)), x1.dtype, x1.device)
            weight = None if part is None else part.unflatten(-1, shape)
            outputs.append(self._product(coupling, blocks1[path.first], blocks2[path.second], weight))
        return layout.join(outputs)

    def _product(self, coupling: Tensor, a: Tensor, b: Tensor, weight: Tensor | None) -> Tensor:
        if self.mode == "full":
            assert weight is not None
            pairs = torch.einsum("mnk,...ma,...nb->...kab", coupling, a, b)
            return torch.einsum("...kab,...abd->...kd", pairs, weight) / math.sqrt(a.shape[-1] * b.shape[-1])
        # A single channel of x2 serves every channel of x1.
        b = b.expand(*b.shape[:-1], a.shape[-1])
        product = torch.einsum("mnk,...mc,...nc->...kc", coupling, a, b)
        return product if weight is None else product * weight.unsqueeze(-2)

    def _irreps_of(self, path: ProductPath) -> tuple[Irrep, Irrep, Irrep]:
        return self.irreps_in1[path.first][1], self.irreps_in2[path.second][1], path.ir_out

    def _all_paths(self, keep: Iterable[Irrep | str] | None) -> tuple[ProductPath, ...]:
        wanted = None if keep is None else {ir if isinstance(ir, Irrep) else Irrep.parse(ir) for ir in keep}
        return tuple(
            ProductPath(i, j, ir)
            for i, (_, ir1) in enumerate(self.irreps_in1)
            for j, (_, ir2) in enumerate(self.irreps_in2)
            for ir in sorted(ir1 * ir2)
            if wanted is None or ir in wanted
        )

    def _checked(self, paths: Sequence[tuple[int, int, Irrep | str]]) -> tuple[ProductPath, ...]:
        checked = []
        for first, second, name in paths:
            path = ProductPath(first, second, name if isinstance(name, Irrep) else Irrep.parse(name))
            if not (0 <= first < len(self.irreps_in1) and 0 <= second < len(self.irreps_in2)):
                raise ValueError(f"TensorProduct: path {tuple(path)} names a block that is not in the inputs")
            ir1, ir2, ir_out = self._irreps_of(path)
            if ir_out not in ir1 * ir2:
                allowed = ", ".join(str(ir) for ir in ir1 * ir2)
                raise ValueError(f"TensorProduct: {ir1} x {ir2} has no {ir_out}; it has {allowed}")
            checked.append(path)
        return tuple(checked)

    def _weight_shape(self, path: ProductPath, channels: int | None) -> tuple[int, ...]:
        mul1, mul2 = self.irreps_in1[path.first][0], self.irreps_in2[path.second][0]
        if self.mode == "full":
            return (mul1, mul2, mul1 if channels is None else channels)
        if mul2 not in (1, mul1):
            raise ValueError(
                f"TensorProduct: a channelwise product needs 1 or {mul1} channels in block {path.second} of x2 "
                f"({self.irreps_in2}), which has {mul2}"
            )
        return (mul1,)
