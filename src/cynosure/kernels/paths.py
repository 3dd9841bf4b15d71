"""The path list of an equivariant convolution: which irreps couple to which, as data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cynosure.o3 import Irrep, Irreps, clebsch_gordan


class Path(NamedTuple):
    """One coupling: block `block_in` of the input ⊗ block `block_edge` of the edge attribute -> `ir_out`."""

    block_in: int
    block_edge: int
    ir_out: Irrep


@dataclass(frozen=True)
class PathTable:
    """The paths of a channel-wise product x ⊗ Y, in canonical order, with the constants they need.

    Each path keeps the channels of its input block, so the product's output has one block per path:
    `irreps_out[p] = (channels of block_in, ir_out)`. Paths are sorted by (block_in, block_edge, ir_out),
    therefore the paths of one input block are neighbours in every array that has a path axis.

    Attributes:
        irreps_in: irreps of x.
        irreps_edge: irreps of Y, every multiplicity 1.
        paths: the couplings.
        key: the table as text, which is how an operator takes it: the same in every process.
        max_degree: the largest l of any irrep in it.
    """

    irreps_in: Irreps
    irreps_edge: Irreps
    paths: tuple[Path, ...]
    # Made once and kept: they are read at every call, and `torch.compile` reads an attribute as a constant.
    key: str = field(init=False, repr=False, compare=False)
    max_degree: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        paths = ",".join(f"{path.block_in}/{path.block_edge}/{path.ir_out}" for path in self.paths)
        object.__setattr__(self, "key", f"{self.irreps_in}|{self.irreps_edge}|{paths}")
        degrees = [ir.l for irreps in (self.irreps_in, self.irreps_edge) for _, ir in irreps]
        degrees += [path.ir_out.l for path in self.paths]
        object.__setattr__(self, "max_degree", max(degrees, default=0))

    @classmethod
    def parse(cls, key: str) -> PathTable:
        """The table that `key` was made from."""
        irreps_in, irreps_edge, listed = key.split("|")
        items = [item.split("/") for item in listed.split(",")]
        paths = [Path(int(block_in), int(block_edge), Irrep.parse(ir)) for block_in, block_edge, ir in items]
        return cls(Irreps(irreps_in), Irreps(irreps_edge), tuple(paths))

    @classmethod
    def build(
        cls, irreps_in: Irreps | str, irreps_edge: Irreps | str, keep: Iterable[Irrep | str]
    ) -> PathTable:
        """Every path whose output irrep is in `keep`.

        Raises:
            ValueError: when an edge irrep has a multiplicity other than 1, or when no path is left.
        """
        irreps_in, irreps_edge = Irreps(irreps_in), Irreps(irreps_edge)
        wanted = {ir if isinstance(ir, Irrep) else Irrep.parse(ir) for ir in keep}
        for mul, ir in irreps_edge:
            if mul != 1:
                raise ValueError(f"the edge attribute has {mul}x{ir}; each of its irreps must come once")
        paths = [
            Path(i, j, ir)
            for i, (_, ir_in) in enumerate(irreps_in)
            for j, (_, ir_edge) in enumerate(irreps_edge)
            for ir in sorted(ir_in * ir_edge)
            if ir in wanted
        ]
        if not paths:
            names = ", ".join(sorted(str(ir) for ir in wanted)) or "nothing"
            raise ValueError(f"no path leads from {irreps_in} x {irreps_edge} to {names}")
        return cls(irreps_in, irreps_edge, tuple(paths))

    @property
    def irreps_out(self) -> Irreps:
        """One block per path."""
        return Irreps([(self.irreps_in[path.block_in][0], path.ir_out) for path in self.paths])

    @property
    def num_weights(self) -> int:
        """Path weights of one edge: Σ_p channels(p)."""
        return sum(self.irreps_in[path.block_in][0] for path in self.paths)

    def groups(self) -> tuple[PathGroup, ...]:
        """The paths gathered by input block; blocks with no path are left out."""
        return _groups(self)


class PathGroup(NamedTuple):
    """The paths that read one input block."""

    block_in: int
    channels: int
    dim_in: int  # 2 l_in + 1
    dims_out: tuple[int, ...]  # 2 l_out + 1 of each path

    @property
    def rows(self) -> int:
        """Σ_p (2 l_out + 1): components that leave this group, per channel."""
        return sum(self.dims_out)

    @property
    def num_weights(self) -> int:
        """Path weights that this group uses; groups follow each other in the weight axis."""
        return self.channels * len(self.dims_out)


@lru_cache(maxsize=256)
def _groups(table: PathTable) -> tuple[PathGroup, ...]:
    groups = []
    for block, (channels, ir) in enumerate(table.irreps_in):
        dims = tuple(path.ir_out.dim for path in table.paths if path.block_in == block)
        if dims:
            groups.append(PathGroup(block, channels, ir.dim, dims))
    return tuple(groups)


@lru_cache(maxsize=1024)
def coupling(table: PathTable, block_in: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """[dim(Y), rows · (2 l_in + 1)]: Y @ coupling is the matrix M[k, m] of every path of an input block.

    The Clebsch-Gordan numbers are those of `o3.clebsch_gordan`: orthonormal, so that unit-variance x and
    component-normalised Y give a unit-variance product on every path.
    """
    dim_in = table.irreps_in[block_in][1].dim
    slices = table.irreps_edge.slices()
    columns = []
    for path in table.paths:
        if path.block_in == block_in:
            ir_in, ir_edge = table.irreps_in[block_in][1], table.irreps_edge[path.block_edge][1]
            block = np.zeros((table.irreps_edge.dim, path.ir_out.dim, dim_in))
            numbers = clebsch_gordan(ir_in.l, ir_edge.l, path.ir_out.l)  # [m, n, k]
            block[slices[path.block_edge]] = numbers.transpose(1, 2, 0)
            columns.append(block)
    dense = np.concatenate(columns, axis=1).reshape(table.irreps_edge.dim, -1)
    with torch.inference_mode(False):  # kept for later calls, which may want derivatives
        return torch.tensor(dense, dtype=dtype, device=device)


@lru_cache(maxsize=1024)
def clebsch_gordan_tensor(l1: int, l2: int, l3: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """`o3.clebsch_gordan` as a tensor. Constants are made per dtype instead of kept as buffers, which a module
    that goes through float32 and back would round: the symmetry would then hold to 1e-8 only."""
    with torch.inference_mode(False):
        return torch.tensor(clebsch_gordan(l1, l2, l3), dtype=dtype, device=device)


@lru_cache(maxsize=1024)
def path_of_row(table: PathTable, block_in: int, device: torch.device) -> Tensor:
    """[rows] int64: the path, counted within its input block, that each output row belongs to."""
    dims = [path.ir_out.dim for path in table.paths if path.block_in == block_in]
    with torch.inference_mode(False):
        return torch.tensor([p for p, dim in enumerate(dims) for _ in range(dim)], device=device)
