"""The labels of a batch, ready to be compared with predictions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from cynosure.graph import AtomGraph

# Those that every potential can have.
LABELS = ("energy", "forces", "stress")


@dataclass(frozen=True)
class Target:
    """What one label says about a batch, for the owners (structures, atoms, …) that have it.

    A label that is not there is left out by indexing: NaN times zero is still NaN, in the gradient too.

    Attributes:
        owners: [n] int64, the structures, atoms, … with the label; None if all have it.
        values: [n, ...] float64, the label.
        per_atom: [n, 1...] float64, the factor to an energy per atom: 1/N for the energy, V/N for the stress
            (whose product with it is the virial per atom). None for forces and declared targets.
    """

    owners: Tensor | None
    values: Tensor
    per_atom: Tensor | None

    def predicted(self, prediction: Tensor) -> Tensor:
        """[n, ...] float64, the rows of a model's output that `values` has labels for."""
        rows = prediction if self.owners is None else prediction.index_select(0, self.owners)
        return rows.to(torch.float64)

    def residual(self, prediction: Tensor, *, per_atom: bool) -> Tensor:
        """[n, ...] prediction less label, times `per_atom` where that is asked for and there is one."""
        difference = self.predicted(prediction) - self.values
        return difference * self.per_atom if per_atom and self.per_atom is not None else difference

    def to(self, device: torch.device | str) -> Target:
        """The same on another device."""
        owners = None if self.owners is None else self.owners.to(device)
        per_atom = None if self.per_atom is None else self.per_atom.to(device)
        return Target(owners, self.values.to(device), per_atom)


def targets_of(graph: AtomGraph, names: Iterable[str] | None = None) -> dict[str, Target]:
    """The targets of a batch by label; a label that nothing in the batch has is left out.

    Call it before the batch goes to an accelerator: which labels are there decides shapes, and asking a device
    for a shape makes the host wait for it.

    Args:
        graph: the batch. A stress label on a structure without volume counts as absent.
        names: the labels of interest; all, if None.
    """
    targets = {}
    sizes = graph.atoms_per_structure.to(torch.float64)
    for name in graph.quantities if names is None else names:
        label = graph.labels.get(name)
        if label is None:
            continue
        known = torch.isfinite(label.flatten(1) if label.ndim > 1 else label.unsqueeze(1)).all(dim=1)
        per_atom = None
        if name == "energy":
            per_atom = 1.0 / sizes
        elif name == "stress":
            volume = graph.volume
            known = known & (volume > 0)
            per_atom = (volume / sizes).view(-1, 1, 1)
        if bool(known.all()):
            targets[name] = Target(None, label, per_atom)
        elif bool(known.any()):
            owners = known.nonzero().squeeze(1)
            factor = None if per_atom is None else per_atom.index_select(0, owners)
            targets[name] = Target(owners, label.index_select(0, owners), factor)
    return targets
