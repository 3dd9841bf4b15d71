"""What networks with typed features share: inputs that enter them, and targets that leave them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cynosure.graph import AtomGraph
from cynosure.kernels import NotLowered
from cynosure.nn import Conditioning, EdgeReadout, TensorReadouts
from cynosure.o3 import Irrep, Irreps
from cynosure.potentials.base import Potential
from cynosure.potentials.declared import InputConfig, TargetConfig, TensorConfig, to_atoms
from cynosure.potentials.settings import Calibration, PotentialConfig

# Channels of each end of an edge in the readout of a target per edge.
_EDGE_CHANNELS = 16


class TypedNetwork(Potential):
    """A potential whose atoms have typed features behind each layer.

    A subclass makes the features, and gives `irreps_given` a way into them; `heads` read the targets from them.

    Attributes:
        irreps_given: irreps of what each atom is told, all inputs together, in the order of the settings.
        conditionings: what multiplies it into the features, before the first layer and behind each.
        heads: the readout of each target.
    """

    def __init__(self, config: PotentialConfig, calibration: Calibration, *, labelled: bool = True) -> None:
        super().__init__(config, calibration)
        self._labelled = labelled
        blocks = [block for one in config.inputs.values() for block in self.labels(one)]
        self.irreps_given = Irreps(blocks)
        self.conditionings = nn.ModuleList()
        self.heads = nn.ModuleDict()

    def _conditioned(self, irreps: Irreps, wanted: Irreps) -> Irreps:
        """Add what multiplies the inputs into features of these irreps, if there are inputs; the irreps behind it.

        Raises:
            ValueError: nothing of what is wanted can be made.
        """
        if not self.config.inputs:
            return irreps
        try:
            conditioning = Conditioning(irreps, self.irreps_given, wanted, len(self.species))
        except ValueError as error:
            raise ValueError(
                f"the inputs ({self.irreps_given}) cannot enter features of the architecture '{self.config.model}' "
                f"({wanted}): {error}"
            ) from None
        self.conditionings.append(conditioning)
        return conditioning.irreps_out

    def condition(self, number: int, x: Tensor, given: Tensor | None, species: Tensor) -> Tensor:
        """Features behind the conditioning of this number, or x itself if there are no inputs."""
        return x if given is None else self.conditionings[number](x, given, species)

    def require_plain_energy(self) -> None:
        """Raise unless there is an energy that depends on nothing but elements and positions.

        Raises:
            NotLowered: there is none; the compiled core knows no other.
        """
        if not self.config.energy:
            raise NotLowered("a model without an energy")
        if self.config.inputs:
            raise NotLowered("inputs")

    def labels(self, declared: TensorConfig) -> Irreps:
        """The irreps of an input or a target as features have them: without parity in a network of rotations alone."""
        if self._labelled:
            return declared.kind
        return Irreps([(mul, Irrep(ir.l, 0)) for mul, ir in declared.kind])

    @property
    def irreps_wanted(self) -> set[Irrep]:
        """The irreps of all targets of atoms and structures, which features behind the last layer are read for."""
        every = self.config.targets.values()
        return {ir for one in every if one.per != "edge" for _, ir in self.labels(one)}

    @property
    def highest_degree(self) -> int:
        """Of targets and inputs: features behind the last layer go up to it."""
        every = (*self.config.targets.values(), *self.config.inputs.values())
        return max((ir.l for one in every for _, ir in one.kind), default=0)

    def make_heads(self, behind: Sequence[Irreps], irreps_edge: Irreps, num_basis: int) -> None:
        """The readouts of the targets.

        Args:
            behind: irreps of the features behind each layer.
            irreps_edge: irreps of the edge harmonics.
            num_basis: size of the radial basis.

        Raises:
            ValueError: a target that features of these kinds cannot make.
        """
        for name, target in self.config.targets.items():
            kind = self.labels(target)
            try:
                if target.per == "edge":
                    head = EdgeReadout(behind[-1], irreps_edge, kind, _EDGE_CHANNELS, num_basis)
                else:
                    head = TensorReadouts(behind, kind, len(self.species))
            except ValueError as error:
                raise ValueError(
                    f"targets.{name} is {target.kind}, which symmetry forbids for this network: {error}. More parities "
                    "(--set model.parity=true), degrees (model.l_max) or layers may reach it"
                ) from None
            self.heads[name] = head

    def given(self, graph: AtomGraph, dtype: torch.dtype) -> Tensor | None:
        """[N, irreps_given.dim], what each atom is told, in units of its range; None if there are no inputs.

        Raises:
            ValueError: an input that the graph does not have.
        """
        if not self.config.inputs:
            return None
        parts = []
        for name, one in self.config.inputs.items():
            if name not in graph.inputs:
                raise ValueError(
                    f"the model needs the input '{name}', which the structure does not have "
                    f"(column '{one.key or name}', {one.kind} per {one.per})"
                )
            features = one.to_features(graph.inputs[name])
            own = self.calibration.ranges.get(name)
            if own is not None:
                if own.shift:
                    columns = one.invariants.to(features.device)
                    mean = features.new_tensor(own.shift[0]).expand(len(features), -1)
                    features = features.index_add(1, columns, mean, alpha=-1)
                features = features / own.scale
            parts.append(to_atoms(features, one.per, graph.structure))
        return torch.cat(parts, dim=1).to(dtype)

    def read(
        self,
        targets: Collection[str],
        features: Sequence[Tensor],
        species: Tensor,
        harmonics: Tensor,
        basis: Tensor,
        graph: AtomGraph,
    ) -> dict[str, Tensor]:
        """[N or E, kind.dim], of each target asked for, from the features behind each layer."""
        found = {}
        for name in targets:
            head: Any = self.heads[name]
            if isinstance(head, EdgeReadout):
                found[name] = head(features[-1], harmonics, basis, graph.receivers, graph.senders)
            else:
                found[name] = head(features, species)
        return found


def has_unnatural_parity(settings: Mapping[str, Any]) -> bool:
    """Whether an input or a target has an irrep of another parity than (−1)^l. What cannot be read says no here."""
    for kind, section in ((InputConfig, "inputs"), (TargetConfig, "targets")):
        for one in (settings.get(section) or {}).values():
            try:
                declared = one if isinstance(one, TensorConfig) else kind.model_validate(one)
            except ValueError:
                continue  # it is reported where it belongs
            if any(ir.p != (-1) ** ir.l for _, ir in declared.kind):
                return True
    return False
