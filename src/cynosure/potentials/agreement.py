"""Does the compiled core compute what the potential computes? Asked before it is used."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from cynosure.graph import AtomGraph, from_atoms
from cynosure.potentials.base import Potential
from cynosure.potentials.probe import probe_atoms

CHECKED = ("energies", "forces", "virials")
# How far the core may be from the reference, relative to the largest value: the tables' tolerance and rounding.
_TOLERANCE = {torch.float32: 3e-5, torch.float64: 1e-9}


def probe_graph(model: Potential, species: Collection[int] | None = None) -> AtomGraph:
    """A small structure with every species of the model, or with those of these indices."""
    kinds = model.species if species is None else tuple(model.species[index] for index in sorted(species))
    return from_atoms(probe_atoms(kinds, model.cutoff), model.cutoff)


def check_agreement(
    model: Potential, graph: AtomGraph, found: Mapping[str, Tensor], dtype: torch.dtype
) -> None:
    """Compare what the core found, computing in `dtype`, with the potential itself.

    Args:
        model: the potential, best in float64.
        graph: a structure.
        found: the outputs `CHECKED` for it.
        dtype: which tolerance to take.

    Raises:
        RuntimeError: they differ by more than tables and rounding explain.
    """
    expected = model(graph, CHECKED)
    scale = float(model.per_species(model.index_of(graph.atomic_numbers))[1].abs().max())
    for name, value in expected.items():
        deviation = float((found[name].detach() - value).abs().max())
        allowed = _TOLERANCE[dtype] * (float(value.abs().max()) + scale)
        if name == "energies":  # without E0s, which do not pass through the network
            e0, _, _ = model.per_species(model.index_of(graph.atomic_numbers))
            allowed = _TOLERANCE[dtype] * (float((value - e0).abs().max()) + scale)
        # (Written so that NaN fails, unless the reference is NaN too.)
        if not deviation <= allowed and bool(value.isfinite().all()):
            raise RuntimeError(
                f"the compiled core gives {name} that deviate by {deviation:.2g} from the model's own (tolerance "
                f"{allowed:.2g}): this build computes wrongly here, or `lower` of {type(model).__name__} does not say "
                "what `atomic_energies` does. Set CYNOSURE_CORE=off to work without the core, and please report this"
            )
