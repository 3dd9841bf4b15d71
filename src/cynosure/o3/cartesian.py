"""Cartesian tensors as irreps and back: which geometric quantities a physical tensor is made of.

A tensor of rank r with index symmetries, such as a stress (ij=ji) or an elastic tensor (ijkl=jikl=klij),
spans a representation of O(3). An orthonormal change of basis takes it apart into irreps, so that a network
that outputs those irreps outputs the tensor with its symmetry built in.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cynosure.o3.clebsch_gordan import clebsch_gordan
from cynosure.o3.irreps import Irrep, Irreps

_TERM = re.compile(r"([+-]?)([a-z]+)", re.ASCII)
# The change of basis of the full tensor space has 9^rank entries: 4 MB at rank 6, which third-order elastic
# constants need, and 0.3 GB at rank 8.
_MAX_RANK = 6
# A column of a projector is linearly independent of those before it above this residual; residuals are roots
# of small rational numbers or rounding.
_INDEPENDENT = 1e-6

# (permutation, sign): T[x_0, x_1, …] = sign · T[x_permutation[0], x_permutation[1], …] for all indices x.
SignedPermutation = tuple[tuple[int, ...], int]


@dataclass(frozen=True)
class CartesianTensor:
    """A kind of Cartesian tensor: its rank, the symmetries of its indices, its parity.

        i                  vector, 1o                         force, dipole
        i, axial           axial vector, 1e                   magnetic moment
        ij                 any matrix, 0e+1e+2e               Born effective charge
        ij=ji              symmetric, 0e+2e                   stress, polarisability
        ij=-ji             antisymmetric, 1e                  rotation rate
        ijk=ikj            2x1o+2o+3o                         piezoelectric tensor
        ijkl=jikl=klij     2x0e+2x2e+4e                       elastic tensor

    Args:
        formula: terms joined by "=", each the same letters in some order with an optional sign, read as
            "equal for all values of the indices". What follows from the symmetries written is understood.
        axial: False: every index is that of a polar vector and the parity is (−1)^rank. True: a pseudotensor,
            with the opposite parity.

    Raises:
        ValueError: the formula is malformed, only the zero tensor obeys it, or its rank is above 6.
    """

    formula: str
    axial: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "formula", "".join(self.formula.split()))
        if not self.irreps.dim:
            raise ValueError(f"only the zero tensor obeys '{self.formula}'; check the signs")

    @property
    def rank(self) -> int:
        """The number of indices."""
        return len(self.symmetries[0][0])

    @property
    def parity(self) -> int:
        """The sign under inversion of space: (−1)^rank, or the opposite for a pseudotensor."""
        return (-1) ** (self.rank + self.axial)

    @property
    def symmetries(self) -> tuple[SignedPermutation, ...]:
        """The group of index symmetries, the identity first: T[x_0, …] = sign · T[x_permutation[0], …]."""
        return _symmetry_group(self.formula)

    @property
    def irreps(self) -> Irreps:
        """The irreps of the tensor, by ascending degree."""
        degrees = _decompose(self.formula)[0]
        return Irreps([(mul, Irrep(degree, self.parity)) for degree, mul in degrees])

    @property
    def basis(self) -> np.ndarray:
        """[irreps.dim, 3, …, 3] float64, read-only: the tensor of each irrep component, orthonormal.

        Components stand as in `irreps`: block by block, and within a block [multiplicity, component].
        """
        return _decompose(self.formula)[1]

    def to_irreps(self, tensor: Tensor) -> Tensor:
        """The irrep components of `tensor`, as Σ basis[a, i, j, …] tensor[i, j, …]: Frobenius norm = 2-norm.

        What disobeys the symmetry is projected out; ask `symmetry_error` where it might not be zero.

        Args:
            tensor: [..., 3, …, 3] float32 or float64, with `rank` trailing axes.

        Returns:
            [..., irreps.dim], the same dtype and device, in the component order of `basis`.

        Raises:
            ValueError: the shape or dtype is wrong.
        """
        lead = self._leading_shape(tensor)
        return tensor.reshape(*lead, 3**self.rank) @ self._flat_basis(tensor).t()

    def to_cartesian(self, components: Tensor) -> Tensor:
        """The tensor with the given irrep components; the inverse of `to_irreps`.

        Args:
            components: [..., irreps.dim] float32 or float64, in the component order of `basis`.

        Returns:
            [..., 3, …, 3], the same dtype and device.

        Raises:
            ValueError: the last axis or the dtype is wrong.
        """
        dim = self.irreps.dim
        if components.ndim == 0 or components.shape[-1] != dim:
            raise ValueError(
                f"components of '{self.formula}' are [..., {dim}], namely {self.irreps}; "
                f"got shape {tuple(components.shape)}"
            )
        _check_dtype(components)
        flat = components @ self._flat_basis(components)
        return flat.reshape(*components.shape[:-1], *[3] * self.rank)

    def symmetry_error(self, tensor: Tensor) -> Tensor:
        """How far `tensor` is from obeying the formula: |T − projection of T| / |T| in Frobenius norms.

        Args:
            tensor: [..., 3, …, 3] float32 or float64, with `rank` trailing axes.

        Returns:
            [...] in 0 … 1; 0 for a zero tensor.

        Raises:
            ValueError: the shape or dtype is wrong.
        """
        flat = tensor.reshape(*self._leading_shape(tensor), 3**self.rank)
        basis = self._flat_basis(tensor)
        outside = torch.linalg.vector_norm(flat - flat @ basis.t() @ basis, dim=-1)
        norm = torch.linalg.vector_norm(flat, dim=-1)
        return outside / torch.where(norm == 0, torch.ones_like(norm), norm)

    def _flat_basis(self, like: Tensor) -> Tensor:
        return torch.from_numpy(self.basis.reshape(self.irreps.dim, -1).copy()).to(like)

    def _leading_shape(self, tensor: Tensor) -> torch.Size:
        split = tensor.ndim - self.rank
        if split < 0 or tuple(tensor.shape[split:]) != (3,) * self.rank:
            expected = ", ".join(["..."] + ["3"] * self.rank)
            raise ValueError(f"a tensor '{self.formula}' is [{expected}]; got shape {tuple(tensor.shape)}")
        _check_dtype(tensor)
        return tensor.shape[:split]


def _check_dtype(values: Tensor) -> None:
    if values.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"tensors and components are float32 or float64; got {values.dtype}, convert them first"
        )


@functools.cache
def _symmetry_group(formula: str) -> tuple[SignedPermutation, ...]:
    """Every symmetry that follows from those in `formula`, by ascending permutation, the identity first."""
    terms = [_parse_term(piece, formula) for piece in formula.split("=")]
    first_sign, indices = terms[0]
    if len(set(indices)) != len(indices):
        raise ValueError(
            f"'{indices}' in the formula '{formula}' repeats an index; a contraction is not a tensor kind"
        )
    if len(indices) > _MAX_RANK:
        raise ValueError(
            f"the formula '{formula}' has rank {len(indices)}; the highest supported is {_MAX_RANK}"
        )
    generators = []
    for sign, letters in terms[1:]:
        if sorted(letters) != sorted(indices):
            raise ValueError(f"'{letters}' in the formula '{formula}' is not a reordering of '{indices}'")
        generators.append((tuple(indices.index(letter) for letter in letters), sign * first_sign))
    identity = tuple(range(len(indices)))
    group = {identity: 1}
    queue = [identity]
    for known in queue:  # grows while it is walked, until the group is closed
        for permutation, sign in generators:
            product = tuple(known[index] for index in permutation)
            if product not in group:
                group[product] = group[known] * sign
                queue.append(product)
            elif group[product] != group[known] * sign:
                raise ValueError(f"only the zero tensor obeys '{formula}': its signs contradict each other")
    return tuple(sorted(group.items()))


def _parse_term(piece: str, formula: str) -> tuple[int, str]:
    match = _TERM.fullmatch(piece)
    if match is None:
        raise ValueError(
            f"'{piece}' in the formula '{formula}' is malformed; write lower-case indices with an optional "
            "sign, joined by '=', as in 'ij=ji' or 'ijkl=jikl=klij'"
        )
    return -1 if match[1] == "-" else 1, match[2]


@functools.cache
def _decompose(formula: str) -> tuple[tuple[tuple[int, int], ...], np.ndarray]:
    """The (degree, multiplicity) pairs of the tensors that obey `formula`, and their orthonormal basis.

    1. All tensors of the rank: vectors coupled one after another, every path a copy of its degree.
    2. The projector onto the symmetry, the signed mean over the group, commutes with rotations; on the paths
       of one degree it is a small matrix times the identity on components.
    3. Its columns, orthonormalised in order, are the combinations of paths to keep: no eigenvectors, whose
       choice within a degenerate space would depend on the machine.
    """
    group = _symmetry_group(formula)
    rank = len(group[0][0])
    degrees, bases = [], []
    for degree, paths in sorted(_coupling_paths(rank).items()):
        top = paths[:, 0]  # one component of each path says it all
        symmetric = np.zeros_like(top)
        for permutation, sign in group:  # which holds the inverse of each, so either reading of one will do
            symmetric += sign / len(group) * top.transpose(0, *(1 + axis for axis in permutation))
        projector = np.tensordot(top, symmetric, axes=(range(1, rank + 1), range(1, rank + 1)))
        kept = _orthonormal_columns(projector)
        if len(kept):
            degrees.append((degree, len(kept)))
            bases.append(np.tensordot(kept, paths, axes=1).reshape(-1, *[3] * rank))
    basis = np.concatenate(bases) if bases else np.zeros((0, *[3] * rank))
    basis.setflags(write=False)
    return tuple(degrees), basis


def _coupling_paths(rank: int) -> dict[int, np.ndarray]:
    """For each degree, [paths, 2·degree + 1, 3, …, 3]: ((r_1 ⊗ r_2) ⊗ r_3) … coupled to it in every way."""
    paths = {1: np.eye(3)[None]}
    for _ in range(1, rank):
        coupled: dict[int, list[np.ndarray]] = {}
        for below, tensors in sorted(paths.items()):
            for degree in range(abs(below - 1), below + 2):
                # [path, m_below, …] × [m_below, index, m] -> [path, …, index, m]
                product = np.tensordot(tensors, clebsch_gordan(below, 1, degree), axes=(1, 0))
                coupled.setdefault(degree, []).append(np.moveaxis(product, -1, 1))
        paths = {degree: np.concatenate(tensors) for degree, tensors in coupled.items()}
    return paths


def _orthonormal_columns(projector: np.ndarray) -> np.ndarray:
    """[rank, n]: the columns of an [n, n] projector, orthonormalised in order, dependent ones left out."""
    kept = np.zeros((0, len(projector)))
    for column in projector.T:
        residual = column - kept.T @ (kept @ column)
        residual -= kept.T @ (kept @ residual)  # twice, so that orthogonality is exact to rounding
        norm = np.linalg.norm(residual)
        if norm > _INDEPENDENT:
            kept = np.vstack([kept, residual / norm])
    return kept
