"""The many-body product of a node's features: polynomials of typed features, as data.

Every output component of a symmetric contraction is a polynomial of the input's components, the same for all channels
but for its coefficients. The polynomials of one component are a tree: a node stands for the product of the variables
on the way to it from the root, and

    value(node) = coefficient(node) + Σ_children value(child) · x[variable(child)]

is Horner's rule. The value of the root is the result.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cynosure.o3 import Irreps, equivariant_polynomials


@dataclass(frozen=True)
class ContractionTable:
    """What a symmetric contraction couples.

    Attributes:
        irreps_in: irreps of x, each once, all with the same number of channels.
        irreps_out: irreps of the result, each once, with that number of channels too.
        order: the largest degree of the polynomials (MACE's correlation).
        key: the table as text, which is how an operator takes it: the same in every process.
        tree: the polynomials, without channels.

    Raises:
        ValueError: an irrep that comes twice, channels that differ, an order below one, or an output that no
            polynomial reaches.
    """

    irreps_in: Irreps
    irreps_out: Irreps
    order: int
    # Made once and kept: they are read at every call.
    key: str = field(init=False, repr=False, compare=False)
    tree: PolynomialTree = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.order < 1:
            raise ValueError(f"a contraction of order {self.order}; at least 1 was expected")
        for name, irreps in (("input", self.irreps_in), ("output", self.irreps_out)):
            if len({ir for _, ir in irreps}) != len(irreps):
                raise ValueError(f"a contraction: the {name} {irreps} has an irrep twice")
            if any(mul != self.channels for mul, _ in irreps):
                raise ValueError(
                    f"a contraction: the {name} {irreps}; {self.channels} channels of each irrep were expected"
                )
        object.__setattr__(self, "key", f"{self.irreps_in}|{self.irreps_out}|{self.order}")
        tree = _tree(_single(self.irreps_in), _single(self.irreps_out), self.order)
        object.__setattr__(self, "tree", tree)
        for (_, ir), paths in zip(self.irreps_out, tree.paths, strict=True):
            if not paths:
                raise ValueError(f"no polynomial of {self.irreps_in} up to degree {self.order} leads to {ir}")

    @classmethod
    def parse(cls, key: str) -> ContractionTable:
        """The table that `key` was made from."""
        irreps_in, irreps_out, order = key.split("|")
        return cls(Irreps(irreps_in), Irreps(irreps_out), int(order))

    @property
    def channels(self) -> int:
        """Channels of every irrep."""
        return self.irreps_in[0][0] if len(self.irreps_in) else 0


class PolynomialTree(NamedTuple):
    """The trees of all output components one after the other, every node before its children, leaves first.

    Attributes:
        variable: [n] int32, the component of x that a node multiplies; 0 at a root.
        parent: [n] int32; −1 at a root.
        depth: [n] int32, 0 at a root.
        leaves: [n] int32, how many of the nodes right behind it are its children without children.
        children: [n] int32, how many children with children follow these, each with its own tree.
        roots: [components out] int32.
        paths: polynomials of each output irrep.
        basis: [n, Σ paths] float64: coefficients of the nodes from weights of the paths.
    """

    variable: NDArray[np.int32]
    parent: NDArray[np.int32]
    depth: NDArray[np.int32]
    leaves: NDArray[np.int32]
    children: NDArray[np.int32]
    roots: NDArray[np.int32]
    paths: tuple[int, ...]
    basis: NDArray[np.float64]

    @property
    def num_nodes(self) -> int:
        return len(self.variable)

    @property
    def num_paths(self) -> int:
        return sum(self.paths)


def _single(irreps: Irreps) -> Irreps:
    return Irreps([(1, ir) for _, ir in irreps])


@lru_cache(maxsize=64)
def _tree(irreps_in: Irreps, irreps_out: Irreps, order: int) -> PolynomialTree:
    rows: list[tuple[int, int, int, int, int]] = []
    roots: list[int] = []
    paths: list[int] = []
    columns: list[tuple[int, int, NDArray[np.float64]]] = []  # node, first path, coefficients of the paths
    for _, ir in irreps_out:
        bases = [equivariant_polynomials(irreps_in, ir, degree) for degree in range(1, order + 1)]
        starts = np.cumsum([sum(paths), *(len(basis.coefficients) for basis in bases)]).tolist()
        for component in range(ir.dim):
            top: dict = {}
            terms: list[tuple[tuple[int, ...], int, NDArray[np.float64]]] = []
            for start, basis in zip(starts, bases, strict=False):
                for monomial, numbers in zip(
                    basis.monomials.tolist(), basis.coefficients[:, component].T, strict=True
                ):
                    if numbers.any():
                        terms.append((tuple(monomial), start, numbers))
                        branch = top
                        for variable in monomial:
                            branch = branch.setdefault(variable, {})
            number: dict[tuple[int, ...], int] = {}
            roots.append(_lay_out(top, (), -1, rows, number))
            columns += [(number[monomial], start, numbers) for monomial, start, numbers in terms]
        paths.append(starts[-1] - sum(paths))
    basis = np.zeros((len(rows), sum(paths)))
    for node, start, numbers in columns:
        basis[node, start : start + len(numbers)] = numbers
    variable, parent, depth, leaves, children = np.array(rows, dtype=np.int32).reshape(-1, 5).T
    return PolynomialTree(
        variable, parent, depth, leaves, children, np.array(roots, dtype=np.int32), tuple(paths), basis
    )


def _lay_out(
    branches: dict,
    path: tuple[int, ...],
    parent: int,
    rows: list[tuple[int, int, int, int, int]],
    number: dict[tuple[int, ...], int],
) -> int:
    """Append a node and everything below it; returns its number."""
    me = len(rows)
    number[path] = me
    leaves = sorted(variable for variable, below in branches.items() if not below)
    others = sorted(variable for variable, below in branches.items() if below)
    rows.append((path[-1] if path else 0, parent, len(path), len(leaves), len(others)))
    for variable in (*leaves, *others):
        _lay_out(branches[variable], (*path, variable), me, rows, number)
    return me


@lru_cache(maxsize=256)
def contraction_of(key: str) -> ContractionTable:
    """`ContractionTable.parse`, kept."""
    return ContractionTable.parse(key)


@lru_cache(maxsize=256)
def basis_tensor(key: str, dtype: torch.dtype, device: torch.device) -> Tensor:
    """`PolynomialTree.basis` as a tensor [n, Σ paths]."""
    with torch.inference_mode(False):
        return torch.tensor(contraction_of(key).tree.basis, dtype=dtype, device=device)


class Level(NamedTuple):
    """The nodes of one depth, for the plain-torch reference."""

    nodes: list[int]
    parents: list[int]
    variables: list[int]


@lru_cache(maxsize=256)
def levels(key: str) -> tuple[Level, ...]:
    """From the deepest nodes to those below the roots."""
    tree = contraction_of(key).tree
    found = (np.flatnonzero(tree.depth == depth) for depth in range(int(tree.depth.max()), 0, -1))
    return tuple(
        Level(nodes.tolist(), tree.parent[nodes].tolist(), tree.variable[nodes].tolist()) for nodes in found
    )
