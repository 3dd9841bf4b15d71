"""An ensemble: networks of one architecture or several, and what their disagreement tells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Literal

import torch
from pydantic import Field, SerializeAsAny, model_validator
from torch import Tensor, nn

from cynosure.graph import AtomGraph
from cynosure.potentials.base import Potential
from cynosure.potentials.settings import UNCERTAINTIES, Calibration, PotentialConfig

# Settings that all members of an ensemble have in common.
SHARED = ("cutoff", "zbl", "points", "energy", "inputs", "targets", "directions", "derivatives")


class MixedConfig(PotentialConfig):
    """Settings of an ensemble whose members are of different architectures.

    Networks of different architectures make different errors, of which more is lost in the mean if none is much worse.

    Attributes:
        of: settings of each architecture, of which the members are in turn: the first, the second, …, and the first
            again. They have those settings of the ensemble that say what goes in and out (`SHARED`).
    """

    model: Literal["mixed"] = "mixed"
    of: tuple[SerializeAsAny[PotentialConfig], ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _consistent(self) -> MixedConfig:
        if self.members < len(self.of):
            raise ValueError(
                f"{len(self.of)} architectures for an ensemble of {self.members}; it has one member of each or more"
            )
        for number, one in enumerate(self.of):
            if one.members != 1:
                raise ValueError(f"of.{number} is an ensemble itself; its members are to be named one by one")
            for name in SHARED:
                own, shared = getattr(one, name), getattr(self, name)
                if own != shared:
                    raise ValueError(
                        f"of.{number} has {name} {own}, the ensemble {shared}; say it of the ensemble, for all"
                    )
        return self


class Committee(Potential):
    """The mean of K members, with an uncertainty from their spread.

    Every output of a single model is the mean over the members, so that forces and stress are derivatives of the mean
    energy. With a_E and a_F the factors of `calibration.uncertainty`, k a member, S a structure, i an atom and c one of
    x, y, z, there are besides

        energy_uncertainty[S]²  =  a_E²  1/(K − 1) Σ_k (E_kS − E_S)²                   [S] eV, float64
        forces_uncertainty[i]²  =  a_F²  1/3 Σ_c 1/(K − 1) Σ_k (F_kic − F_ic)²         [N] eV/Å, the model's dtype

    that is, the standard deviation of the energy of a structure, and of any one component of the force on an atom: the
    root mean square over x, y and z, which does not depend on how the axes lie.

    Args:
        config: the architecture, or architectures; its `members` is K.
        calibration: of the ensemble. Its factors are not used in the members.
        members: K ≥ 2 potentials of the same species and cutoff.

    Attributes:
        members: the potentials. Each is a model of its own.

    Raises:
        ValueError: fewer than two members, or not as many as the settings say.
    """

    def __init__(
        self, config: PotentialConfig, calibration: Calibration, members: Sequence[Potential]
    ) -> None:
        super().__init__(config, calibration)
        if len(members) < 2 or len(members) != config.members:
            raise ValueError(
                f"an ensemble of {len(members)} members where the settings say {config.members}; it takes two or more"
            )
        self.members = nn.ModuleList(members)
        self.uncertainties = UNCERTAINTIES if config.energy else {}

    @property
    def promises_reflection(self) -> bool:
        return all(member.promises_reflection for member in members_of(self))

    @property
    def promises_smooth_forces(self) -> bool:
        return all(member.promises_smooth_forces for member in members_of(self))

    def atomic_energies(self, graph: AtomGraph, species: Tensor, vectors: Tensor) -> Tensor:
        """[N] dimensionless, the mean of the members; see `Potential.atomic_energies`."""
        energies = [member.atomic_energies(graph, species, vectors) for member in members_of(self)]
        return torch.stack(energies).mean(dim=0)

    def forward(
        self, graph: AtomGraph, outputs: Iterable[str] = ("energy", "forces"), *, differentiable: bool = False
    ) -> dict[str, Tensor]:
        """Means and uncertainties; arguments, results and errors as of `Potential.forward`."""
        calls = [partial(member, differentiable=differentiable) for member in members_of(self)]
        return self.combine(self.require_outputs(outputs), calls, graph)

    def combine(
        self, wanted: set[str], calls: Sequence[Callable[..., dict[str, Tensor]]], graph: AtomGraph
    ) -> dict[str, Tensor]:
        """The ensemble's outputs from those of its members.

        Args:
            wanted: names of outputs.
            calls: of each member, what evaluates it: takes the graph and names of outputs.
            graph: the structures, the same for all.
        """
        asked = {UNCERTAINTIES.get(name, name) for name in wanted}
        results = [call(graph, asked) for call in calls]
        every = {name: torch.stack([result[name] for result in results]) for name in asked}
        found = {name: every[name].mean(dim=0) for name in wanted & asked}
        factors = self.calibration.uncertainty
        if "energy_uncertainty" in wanted:
            found["energy_uncertainty"] = factors.energy * every["energy"].std(dim=0)
        if "forces_uncertainty" in wanted:
            found["forces_uncertainty"] = factors.forces * every["forces"].var(dim=0).mean(dim=1).sqrt()
        return found


def members_of(model: Potential) -> list[Potential]:
    """The members of an ensemble; a single model is its own only one."""
    members: list[Any] = list(model.members) if isinstance(model, Committee) else [model]
    return members
