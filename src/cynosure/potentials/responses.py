"""Derivatives of the energy by name, once or twice: with respect to positions, strain, or anything that was declared.

A formula is `energy/x` or `energy/x/y`, with a minus sign before it if asked, and x and y each one of

    positions    of the atoms, Å
    strain       ε of a structure, symmetric: r -> (1 + ε) r
    an input     by its name
    turn(input)  the angles, in radians, by which an input that is a vector is turned about the three axes
    along(v)     the length of a step of all positions along a direction v [N, 3] that was declared

so that, with a declared electric `field`, `spins`, and a direction v,

    forces           -energy/positions               [N, 3]
    Hessian          energy/positions/positions      [pairs, 3, 3]
    dipole           -energy/field                   [S, 3]
    polarizability   -energy/field/field             [S, 3, 3]
    Born charges     -energy/field/positions         [N, 3 (field), 3 (position)]
    torque           -energy/turn(spins)             [N, 3]
    Hessian · v      energy/along(v)/positions       [N, 3]
    v · Hessian · v  energy/along(v)/along(v)        [S]

Axes come in the order of the formula. Rows are atoms if one of the two is of atoms, pairs of atoms of a structure if
both are (`graph.Owner`), else structures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor

from cynosure.graph import AtomGraph, Owner, Quantity
from cynosure.potentials.config import Config
from cynosure.potentials.derivatives import require_gradient

_FORMULA = re.compile(r"(-?)energy((?:/(?:\w+|turn\(\w+\)|along\(\w+\)))+)", re.ASCII)
_POSITIONS, _STRAIN = "positions", "strain"


@dataclass(frozen=True)
class Variable:
    """What the energy is differentiated by.

    Attributes:
        name: `positions`, `strain`, or that of an input or a direction.
        how: by its components; `turn`, by the angles of a rotation of it; `along`, by the length of a step along it.
    """

    name: str
    how: Literal["", "turn", "along"] = ""


class DerivativeConfig(Config):
    """A derivative of the energy with a name of its own, by which it is asked for and trained on.

    Attributes:
        formula: see this module.
        key: the column of a file that holds its labels; its name if nothing is said.
        unit: what tables and plots call its unit; nothing is converted.
    """

    formula: str
    key: str | None = Field(default=None, min_length=1)
    unit: str = ""

    @field_validator("formula", mode="before")
    @classmethod
    def _readable(cls, value: object) -> object:
        text = "".join(str(value).split())
        match = _FORMULA.fullmatch(text)
        if match is None or text.count("/") > 2:
            raise ValueError(
                f"'{value}' is no derivative; write energy/x or energy/x/y, with a minus sign before it if asked; "
                "x and y are positions, strain, an input, turn(input), or along(direction)"
            )
        return text

    @property
    def sign(self) -> int:
        return -1 if self.formula.startswith("-") else 1

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """What it is differentiated by, one or two."""
        return tuple(map(_variable_of, self.formula.split("/")[1:]))


def _variable_of(part: str) -> Variable:
    """From the text between two strokes of a formula."""
    how, bracket, name = part.rstrip(")").partition("(")
    return Variable(name, "turn" if how == "turn" else "along") if bracket else Variable(part)


HESSIAN = DerivativeConfig(formula="energy/positions/positions")


def quantity_of(derivative: DerivativeConfig, inputs: Mapping[str, Quantity]) -> Quantity:
    """Rows and shape of a derivative.

    Raises:
        ValueError: a variable that is neither `positions` nor `strain` nor an input; a rotation of what is no vector; a
            step along what is not a vector for each atom.
    """
    kinds = [_variable(variable, inputs) for variable in derivative.variables]
    shape = tuple(axis for kind in kinds for axis in kind.shape)
    owners = [kind.owner for kind in kinds]
    owner: Owner = "pair" if owners == ["atom", "atom"] else "atom" if "atom" in owners else "structure"
    return Quantity(owner, shape)


def _variable(variable: Variable, inputs: Mapping[str, Quantity]) -> Quantity:
    own = {_POSITIONS: Quantity("atom", (3,)), _STRAIN: Quantity("structure", (3, 3))}
    kind = {**inputs, **own}.get(variable.name)
    if kind is None:
        known = ", ".join([*own, *inputs])
        raise ValueError(f"the energy cannot be differentiated by '{variable.name}'; it can by {known}")
    if variable.how and (variable.name in own or kind.shape != (3,)):
        raise ValueError(f"only an input that is a vector can be turned; '{variable.name}' is not")
    if variable.how == "along":
        if kind.owner != "atom":
            raise ValueError(
                f"a step is along a vector for each atom; '{variable.name}' is one for a {kind.owner}"
            )
        return Quantity("structure")
    return kind


class Leaves:
    """The variables that derivatives are taken by, as tensors that stand in the way from a graph to its energy.

    Args:
        graph: the structures.
        derivatives: what is wanted.
        dtype: in which the network computes.

    Raises:
        ValueError: the graph lacks an input or a direction.

    Attributes:
        graph: the same structures, with inputs that depend on the variables.
        vectors: [E, 3] Å in `dtype`: edge vectors that depend on the variables.
    """

    def __init__(
        self, graph: AtomGraph, derivatives: Mapping[str, DerivativeConfig], dtype: torch.dtype
    ) -> None:
        self._given, self._derivatives = graph, derivatives
        wanted = {variable for one in derivatives.values() for variable in one.variables}
        self._of: dict[Variable, Tensor] = {}
        inputs = dict(graph.inputs)
        missing = sorted({one.name for one in wanted} - {_POSITIONS, _STRAIN, *inputs})
        if missing:
            raise ValueError(
                f"a derivative by {', '.join(missing)} needs what the graph does not have; give it as an input of the "
                "graph (Potential.graph_of reads it from the structure's columns)"
            )
        for variable in sorted(wanted, key=lambda variable: (variable.how, variable.name)):
            if variable.name in (_POSITIONS, _STRAIN) or variable.how == "along":
                kind = _variable(variable, graph.quantities)
                leaf = graph.positions.new_zeros(graph.rows_of(kind.owner), *kind.shape, dtype=dtype)
            elif variable.how == "turn":
                leaf = torch.zeros_like(graph.inputs[variable.name])
            else:
                leaf = graph.inputs[variable.name].detach().clone()
            leaf.requires_grad_()
            self._of[variable] = leaf
            if variable.how == "turn":
                inputs[variable.name] = _turned(inputs[variable.name], leaf)
            elif not variable.how and variable.name in inputs:
                inputs[variable.name] = leaf
        self.graph = replace(graph, inputs=inputs)
        self.vectors = self._vectors(graph.edge_vectors().to(dtype))

    def _vectors(self, vectors: Tensor) -> Tensor:
        positions, strain = self._of.get(Variable(_POSITIONS)), self._of.get(Variable(_STRAIN))
        graph = self._given
        steps = [
            length.index_select(0, graph.structure).unsqueeze(1)
            * graph.inputs[variable.name].to(length.dtype)
            for variable, length in self._of.items()
            if variable.how == "along"
        ]
        for moved in steps if positions is None else [*steps, positions]:
            vectors = vectors + moved.index_select(0, graph.senders) - moved.index_select(0, graph.receivers)
        if strain is not None:
            symmetric = (strain + strain.transpose(1, 2)) / 2
            of_edge = symmetric.index_select(0, graph.structure.index_select(0, graph.receivers))
            vectors = vectors + torch.einsum("ea,eab->eb", vectors, of_edge)
        return vectors if vectors.requires_grad else vectors.detach().requires_grad_()

    def differentiate(
        self, energies: Tensor, *, by_edges: bool, differentiable: bool
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        """The edge gradient (see `derivatives.edge_gradient`), if it is asked for, and the derivatives by name.

        All first derivatives come from one backward pass, which keeps its graph of operations only if something is
        differentiated once more.

        Args:
            energies: [N] eV, computed from `graph` and `vectors`.
            by_edges: whether the edge gradient is asked for.
            differentiable: keep the graph of operations, to train on the results.

        Raises:
            RuntimeError: the energy does not depend on what it is differentiated by.
        """
        again = differentiable or any(len(one.variables) == 2 for one in self._derivatives.values())
        wanted = list(dict.fromkeys(self._in_order(one)[0] for one in self._derivatives.values()))
        leaves = [self._of[variable] for variable in wanted] + ([self.vectors] if by_edges else [])
        gradients: list[Tensor | None] = [None] * len(leaves)
        if energies.requires_grad:
            gradients = list(
                torch.autograd.grad(energies.sum(), leaves, create_graph=again, allow_unused=True)
            )
        of_edges = None
        if by_edges:
            of_edges = gradients.pop()
            no_edges = not self._given.num_edges
            of_edges = torch.zeros_like(self.vectors) if no_edges else require_gradient(of_edges)
        first = {
            variable: self._required(variable, gradient)
            for variable, gradient in zip(wanted, gradients, strict=True)
        }
        found = {}
        for name, derivative in self._derivatives.items():
            one, *rest = self._in_order(derivative)
            value = first[one]
            if rest:
                value = self._second(value, one, rest[0], differentiable)
                if one != derivative.variables[0]:  # axes are put back in order
                    value = _swapped(value, self._of[one].ndim - 1, self._of[rest[0]].ndim - 1)
            found[name] = derivative.sign * value
        return of_edges, found

    def _in_order(self, derivative: DerivativeConfig) -> tuple[Variable, ...]:
        """The variables in the order in which it is differentiated by them: few components of a structure, a pass for
        each, before those of atoms."""
        one, *rest = derivative.variables
        if rest and self._is_of_atoms(one) and not self._is_of_atoms(rest[0]):
            return rest[0], one
        return derivative.variables

    def _is_of_atoms(self, variable: Variable) -> bool:
        return _variable(variable, self._given.quantities).owner == "atom"

    def _required(self, variable: Variable, gradient: Tensor | None) -> Tensor:
        """[rows, *shape]: ∂E/∂variable; independence is a mistake, except of positions where no atom has neighbours."""
        if gradient is not None:
            return gradient
        moves = variable.name in (_POSITIONS, _STRAIN) or variable.how == "along"
        if not moves or self._given.num_edges:
            raise RuntimeError(f"the energy does not depend on '{variable.name}'; check the model")
        return torch.zeros_like(self._of[variable])

    def _second(self, first: Tensor, a: Variable, b: Variable, differentiable: bool) -> Tensor:
        """Rows × shape of a × shape of b: the derivative of ∂E/∂a by b.

        One pass for each component of a; all structures at once, because none depends on another.
        """
        flat, leaf = first.reshape(len(first), -1), self._of[b]
        shape = (*first.shape[1:], *leaf.shape[1:])

        def by_b(numbers: Tensor) -> Tensor:
            # (The first derivative may well be constant.)
            gradient = _gradient(numbers.sum(), leaf, create_graph=differentiable)
            return torch.zeros_like(leaf) if gradient is None else gradient

        if not self._is_of_atoms(a):
            columns = [by_b(flat[:, component]) for component in range(flat.shape[1])]
            return torch.stack(columns, dim=1).reshape(len(leaf), *shape)
        # Of the n-th atoms of all structures at once.
        sizes = self._given.atoms_per_structure
        firsts = torch.cumsum(sizes, 0) - sizes
        blocks = []
        for number in range(int(sizes.max()) if len(sizes) else 0):
            atoms = (firsts + number)[sizes > number]
            columns = [by_b(flat[atoms, component]) for component in range(flat.shape[1])]
            blocks.append(torch.stack(columns, dim=1))
        if not blocks:
            return first.new_zeros(0, *shape)
        # [first atom of a pair, second atom (of all structures), shape of a, shape of b]
        every = torch.stack(blocks)
        pairs = [
            (number, atom)
            for size, start in zip(sizes.tolist(), firsts.tolist(), strict=True)
            for number in range(size)
            for atom in range(start, start + size)
        ]
        index = torch.tensor(pairs, device=sizes.device).reshape(-1, 2)
        return every[index[:, 0], index[:, 1]].reshape(len(index), *shape)


def _gradient(total: Tensor, leaf: Tensor, *, create_graph: bool) -> Tensor | None:
    """The derivative; None where there is no dependence at all."""
    if not total.requires_grad:
        return None
    (gradient,) = torch.autograd.grad(
        total, leaf, create_graph=create_graph, retain_graph=True, allow_unused=True
    )
    return gradient


def _turned(vectors: Tensor, angles: Tensor) -> Tensor:
    """Vectors turned by small angles: to second order, which is as far as derivatives go."""
    once = torch.linalg.cross(angles, vectors)
    return vectors + once + torch.linalg.cross(angles, once) / 2


def _swapped(value: Tensor, first: int, second: int) -> Tensor:
    """[rows, first axes, second axes] -> [rows, second axes, first axes]."""
    axes = list(range(1, 1 + first + second))
    return value.permute(0, *axes[first:], *axes[:first])
