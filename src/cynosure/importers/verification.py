"""Does an imported model say what the original says?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from cynosure.graph import from_atoms
from cynosure.importers.handover import Original
from cynosure.importers.probes import Probe
from cynosure.potentials import Potential

# The largest deviations with which a model is written, both sides in float64.
BOUNDS = {"energy": 1e-6, "forces": 1e-5, "stress": 1e-6}
_UNITS = {"energy": "eV/atom", "forces": "eV/Å", "stress": "eV/Å³"}


class Deviation(NamedTuple):
    """How far an imported model is from the original on one structure, at most.

    Attributes:
        structure: its name.
        atoms: their number.
        energy: eV/atom.
        forces: eV/Å.
        stress: eV/Å³; None where the structure has no volume.
    """

    structure: str
    atoms: int
    energy: float
    forces: float
    stress: float | None


def compare(model: Potential, probes: Sequence[Probe], originals: Sequence[Original]) -> list[Deviation]:
    """The deviations on every probe; the model is evaluated by the reference path, in its own precision."""
    found = []
    for probe, original in zip(probes, originals, strict=True):
        graph = from_atoms(probe.atoms(original.numbers.tolist()), model.cutoff)
        got = model(graph, ("energy", "forces", "stress"))
        stress = None
        if graph.cell.det().abs() > 0:
            stress = float((got["stress"][0] - original.stress).abs().max())
        count = len(original.numbers)
        found.append(
            Deviation(
                probe.name,
                count,
                float((got["energy"][0] - original.energy).abs()) / count,
                float((got["forces"] - original.forces).abs().max()),
                stress,
            )
        )
    return found


def largest(deviations: Sequence[Deviation]) -> dict[str, float]:
    """The largest of each output; NaN if any is."""
    every = {name: [getattr(one, name) for one in deviations] for name in BOUNDS}
    return {
        name: float(torch.tensor([value for value in values if value is not None]).max())
        for name, values in every.items()
    }


def require_agreement(deviations: Sequence[Deviation]) -> None:
    """Raise unless every deviation is within `BOUNDS`.

    Raises:
        ValueError: names the structure, the output and its deviation.
    """
    for one in deviations:
        for name, bound in BOUNDS.items():
            deviation = getattr(one, name)
            # (Written so that NaN fails.)
            if deviation is not None and not deviation <= bound:
                raise ValueError(
                    f"the imported model does not agree with the original: on '{one.structure}' its {name} deviates by "
                    f"{deviation:.2g} {_UNITS[name]} (bound {bound:g}). Nothing was written; please report the "
                    "checkpoint"
                )
