"""The settings that every potential has, and what the data fix of it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from cynosure.graph import Declared, Points, Quantity
from cynosure.graph.points import MOST_KINDS
from cynosure.potentials.config import Config
from cynosure.potentials.declared import DirectionConfig, InputConfig, TargetConfig
from cynosure.potentials.responses import DerivativeConfig, quantity_of
from cynosure.potentials.zbl import ZBLConfig

OUTPUTS = ("energy", "energies", "forces", "stress", "virials")
# What one derivative of the energy gives: all that the compiled core knows of.
PLAIN = frozenset(OUTPUTS)
# What an ensemble gives besides (`Committee`), and the output that each is about.
UNCERTAINTIES = {"energy_uncertainty": "energy", "forces_uncertainty": "forces"}


class PointsConfig(Config):
    """What the points are, where they are not chemical elements in eV and Å.

    Attributes:
        names: of the kinds of points, in the order of the integers from 1 by which they are kept; empty for elements.
        key: the column with the name of each point. Where there is none, atomic numbers (or symbols of elements) are
            those integers.
        energy, length: what tables and pictures call the units; nothing is converted.
    """

    names: tuple[str, ...] = Field(default=(), max_length=MOST_KINDS)
    key: str | None = Field(default=None, min_length=1)
    energy: str = Field(default="eV", min_length=1)
    length: str = Field(default="Å", min_length=1)

    @field_validator("names")
    @classmethod
    def _can_be_told_apart(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"two kinds of points have one name: {', '.join(value)}")
        if any(not name.strip() or name.isdecimal() for name in value):
            raise ValueError("a kind of points has a name that is not a number")
        return value

    @property
    def points(self) -> Points:
        """The same for those that read and tell."""
        return Points(self.names, self.key, self.energy, self.length)


class PotentialConfig(Config):
    """Settings that every architecture has.

    Attributes:
        model: the architecture's name in the registry.
        cutoff: Å; atoms farther apart do not see each other directly.
        zbl: add the short-range repulsion of `zbl_energies`, with its own constants or with these.
        members: how many networks; more than one are an ensemble (`Committee`).
        points: what the points are, if they are not elements in eV and Å.
        energy: whether there is an energy at all, with what follows from it.
        inputs: what the model is told besides elements and positions, by name.
        targets: what it tells besides the energy, by name.
        directions: arrays [N, 3] of a structure that derivatives can be taken along, by name; see `responses`.
        derivatives: of the energy, by name, besides those that every potential has; see `responses`.
    """

    model: str
    cutoff: float = Field(default=5.0, gt=0, le=100)
    zbl: bool | ZBLConfig = False
    members: int = Field(default=1, ge=1, le=100)
    points: PointsConfig = PointsConfig()
    energy: bool = True
    inputs: dict[str, InputConfig] = Field(default_factory=dict)
    targets: dict[str, TargetConfig] = Field(default_factory=dict)
    directions: dict[str, DirectionConfig] = Field(default_factory=dict)
    derivatives: dict[str, DerivativeConfig] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_fit(self) -> PotentialConfig:
        if self.zbl and self.points != PointsConfig():
            raise ValueError(
                "'zbl' is a repulsion of nuclei in eV and Å, and 'points' says that these are not"
            )
        taken = {*OUTPUTS, *UNCERTAINTIES, "hessian", "positions", "strain", "virial"}
        for name in (*self.inputs, *self.directions, *self.targets, *self.derivatives):
            if not name.isidentifier():
                raise ValueError(f"'{name}' cannot be a name; use letters, digits and _")
            if name in taken:
                raise ValueError(
                    f"the name '{name}' is taken; call it something else, and name its column by 'key'"
                )
            taken.add(name)
        for name, derivative in self.derivatives.items():
            if not self.energy:
                raise ValueError(f"'{name}' is a derivative of the energy, which is off")
            try:
                quantity_of(derivative, self.told)
            except ValueError as error:
                raise ValueError(f"derivatives.{name}: {error}") from None
        if not self.energy and not self.targets:
            raise ValueError("without an energy and without targets there is nothing to learn")
        for name, target in self.targets.items():
            if target.odd and not any(one.odd for one in self.inputs.values()):
                raise ValueError(
                    f"targets.{name} is odd under reversal of time, and no input is: symmetry forbids it"
                )
            if isinstance(target.total, str) and target.total not in self.inputs:
                raise ValueError(f"targets.{name}.total: there is no input '{target.total}'")
            if isinstance(target.total, str) and self.told[target.total] != Quantity("structure"):
                raise ValueError(
                    f"targets.{name}.total: '{target.total}' is not one number for each structure"
                )
        return self

    @property
    def outputs(self) -> dict[str, Quantity]:
        """What the model tells besides the outputs that every potential has."""
        derived = {name: quantity_of(one, self.told) for name, one in self.derivatives.items()}
        return {**{name: one.quantity for name, one in self.targets.items()}, **derived}

    @property
    def columns(self) -> tuple[Declared, ...]:
        """How a structure's columns are read for the inputs, targets and derivatives."""
        found = [
            Declared(name, one.quantity, one.key or name, "input", default=one.default)
            for name, one in self.given.items()
        ]
        for name, one in self.targets.items():
            key = one.key or name
            ends = (one.ends or f"{key}_ends") if one.per == "edge" else None
            found.append(Declared(name, one.quantity, key, "target", ends=ends))
        outputs = self.outputs
        found += [
            Declared(name, outputs[name], one.key or name, "target") for name, one in self.derivatives.items()
        ]
        return tuple(found)

    @property
    def given(self) -> dict[str, InputConfig]:
        """What comes with a structure besides elements and positions: inputs, and directions that no network sees."""
        return {**self.inputs, **{name: one.as_input for name, one in self.directions.items()}}

    @property
    def told(self) -> dict[str, Quantity]:
        """The same as arrays of a graph."""
        return {name: one.quantity for name, one in self.given.items()}


class UncertaintyFactors(Config):
    """By what the spread of an ensemble's members is multiplied to give its uncertainty; both 1 before calibration.

    Attributes:
        energy: for the energy.
        forces: for the forces.
    """

    energy: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    forces: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class Range(Config):
    """Where the numbers of an input or a target lie: value = shift + scale · number of the network.

    Attributes:
        scale: root mean square, of what is left when `shift` is taken away.
        shift: of its invariant components, one list for each species (for an input the same for all); none for those
            that have no invariant component.
    """

    scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    shift: tuple[tuple[float, ...], ...] = ()


class Calibration(Config):
    """What the data, not the architecture, fixes. Everything per species is in the order of `species`.

    Attributes:
        species: atomic numbers, ascending.
        e0s: eV, the energy that each species brings along.
        e0_kind: where the E0s come from. `fitted`: from least squares, they carry the mean binding energy too.
            `isolated` or `given`: energies of lone atoms; the network's energy of an atom without neighbours
            is subtracted, so that a lone atom has exactly its E0.
        scale: eV per unit of network output.
        shift: eV, added to each atom; with energies of lone atoms it is switched on by the neighbours.
        avg_neighbours: mean number of edges per atom in the training data.
        uncertainty: of an ensemble, the factors that make its spread the size of its errors.
        ranges: of inputs and targets, by name.
    """

    species: tuple[int, ...] = Field(min_length=1)
    e0s: tuple[float, ...]
    e0_kind: Literal["fitted", "isolated", "given"] = "fitted"
    scale: tuple[float, ...]
    shift: tuple[float, ...]
    avg_neighbours: float = Field(default=1.0, gt=0)
    uncertainty: UncertaintyFactors = UncertaintyFactors()
    ranges: dict[str, Range] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> Calibration:
        if list(self.species) != sorted(set(self.species)):
            raise ValueError(f"species {self.species} must be distinct atomic numbers in ascending order")
        if not all(0 < z <= MOST_KINDS for z in self.species):
            raise ValueError(f"species {self.species} must be atomic numbers from 1 to {MOST_KINDS}")
        for name in ("e0s", "scale", "shift"):
            values = getattr(self, name)
            if len(values) != len(self.species):
                raise ValueError(f"'{name}' has {len(values)} values for {len(self.species)} species")
        return self
