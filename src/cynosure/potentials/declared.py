"""Inputs and targets that a user declares: what they are to the group, and where a file has them.

A tensor is declared either by its irreps, `1o` or `2x0e+1x2e`, with components in the order of the irreps (block by
block, and in a block [multiplicity, component]), or by its indices, `ij=ji`, with its Cartesian components.
"""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor

from cynosure.graph import Quantity
from cynosure.nn import layout
from cynosure.o3 import CartesianTensor, Irreps
from cynosure.potentials.config import Config


class TensorConfig(Config):
    """A tensor, by its irreps or by its indices, and the column that holds it.

    Attributes:
        irreps: `0e` for a scalar, `1o` a polar vector, `1e` an axial one, `0o` a pseudoscalar, or any sum.
        tensor: the indices and their symmetry, such as `i`, `ij`, `ij=ji`, `ijk=ikj`, `ijkl=jikl=klij`; instead of
            `irreps`.
        axial: with `tensor`: a pseudotensor, which has the opposite sign under inversion.
        per: whose numbers they are.
        key: the column of a file that holds it; the declared name if nothing is said.
        odd: it changes sign when time runs backwards, as spins and magnetic fields do.
        unit: what tables and plots call its unit; nothing is converted.
    """

    irreps: str | None = None
    tensor: str | None = None
    axial: bool = False
    per: Literal["atom", "structure", "edge"] = "structure"
    key: str | None = Field(default=None, min_length=1)
    odd: bool = False
    unit: str = ""

    @model_validator(mode="after")
    def _one_kind(self) -> TensorConfig:
        if (self.irreps is None) == (self.tensor is None):
            raise ValueError("says what it is either by 'irreps' or by 'tensor'; give one of them")
        if self.irreps is not None and self.axial:
            raise ValueError("'axial' goes with 'tensor'; irreps say their parity themselves (1e is axial)")
        if not self.kind.dim:
            raise ValueError("has no components")
        return self

    @field_validator("irreps")
    @classmethod
    def _readable(cls, value: str | None) -> str | None:
        return None if value is None else str(Irreps(value))

    @cached_property
    def cartesian(self) -> CartesianTensor | None:
        """The Cartesian tensor that it is, if it is declared by indices."""
        return None if self.tensor is None else CartesianTensor(self.tensor, self.axial)

    @cached_property
    def kind(self) -> Irreps:
        """Its irreps."""
        return Irreps(self.irreps or "") if self.cartesian is None else self.cartesian.irreps

    @cached_property
    def invariants(self) -> Tensor:
        """[n] int64: which numbers of its features are invariant, the only ones that can have a mean."""
        columns = zip(self.kind, self.kind.slices(), strict=True)
        found = [range(*own.indices(self.kind.dim)) for (_, ir), own in columns if ir.is_scalar()]
        return torch.tensor([column for own in found for column in own], dtype=torch.int64, device="cpu")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one: (3, …, 3), or (dim,), or () for a lone number."""
        if self.cartesian is not None:
            return (3,) * self.cartesian.rank
        return () if self.kind.dim == 1 else (self.kind.dim,)

    @property
    def quantity(self) -> Quantity:
        """What the array is to a graph."""
        return Quantity(self.per, self.shape)

    def to_features(self, values: Tensor) -> Tensor:
        """[rows, *shape] as it is declared -> [rows, kind.dim] as layers have features (`nn.layout`)."""
        if self.cartesian is not None:
            return layout.from_e3nn(self.kind, self.cartesian.to_irreps(values))
        return layout.from_e3nn(self.kind, values.reshape(len(values), self.kind.dim))

    def from_features(self, features: Tensor) -> Tensor:
        """The inverse of `to_features`."""
        components = layout.to_e3nn(self.kind, features)
        if self.cartesian is not None:
            return self.cartesian.to_cartesian(components)
        return components.reshape(len(features), *self.shape)

    def transform(self, values: Tensor, matrix: Tensor) -> Tensor:
        """[rows, *shape] under a rotation or rotoinversion [3, 3]."""
        return self.from_features(layout.transform(self.kind, self.to_features(values), matrix))


class InputConfig(TensorConfig):
    """What a model is told besides elements and positions.

    Attributes:
        default: what stands for it in a structure whose file has none; None refuses such a structure.
    """

    default: float | tuple[float, ...] | None = None

    @model_validator(mode="after")
    def _not_of_edges(self) -> InputConfig:
        if self.per == "edge":
            raise ValueError("an input is of atoms or of structures, not of edges")
        return self


class DirectionConfig(Config):
    """A direction [N, 3] in which all atoms of a structure move at once; no network sees it.

    Attributes:
        key: the column that holds it; the declared name if nothing is said. A structure without it has zeros.
    """

    key: str | None = Field(default=None, min_length=1)

    @cached_property
    def as_input(self) -> InputConfig:
        """What it is to those who read, turn or write columns."""
        return InputConfig(tensor="i", per="atom", key=self.key, default=0.0)


class TargetConfig(TensorConfig):
    """What a model tells besides the energy.

    Attributes:
        ends: of a target of edges: the column with the two atoms of each, [n, 2], or [n, 5] with the shift of the
            second in cells; the key and `_ends` if nothing is said.
        reduce: of a target of structures: the sum over atoms, for what grows with a structure (a dipole), or their
            mean, for what does not (an elastic tensor).
        total: of scalars of atoms: what they add up to in every structure, a number or the name of an input; the
            difference is shared among the atoms alike.
        missing: whether frames without it train on what else they have (`mask`), or are refused.
    """

    ends: str | None = Field(default=None, min_length=1)
    reduce: Literal["sum", "mean"] = "sum"
    total: float | str | None = None
    missing: Literal["mask", "refuse"] = "mask"

    @model_validator(mode="after")
    def _total_of_scalars(self) -> TargetConfig:
        if self.total is not None and (self.per != "atom" or str(self.kind) != "1x0e"):
            raise ValueError("'total' is of one number for each atom (irreps 0e, per atom)")
        return self


def to_atoms(values: Tensor, per: str, structure: Tensor) -> Tensor:
    """[N, …]: rows of atoms as they are, rows of structures given to each atom of them."""
    return values if per == "atom" else values.index_select(0, structure)
