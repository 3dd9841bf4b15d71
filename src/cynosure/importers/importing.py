"""From a checkpoint of another package to a model file."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import NamedTuple

import torch

from cynosure.importers.formats import format_of
from cynosure.importers.handover import read
from cynosure.importers.probes import probes
from cynosure.importers.verification import Deviation, compare, largest, require_agreement
from cynosure.potentials import Potential

_DTYPES = {"float32": torch.float32, "float64": torch.float64}


class Imported(NamedTuple):
    """A model that was imported.

    Attributes:
        model: in the dtype of its file.
        package: who wrote it, with the version that read it.
        deviations: from the original, on each probe, both in float64.
        rounded: the largest deviations of the model with weights in the dtype of its file; computed in float64.
    """

    model: Potential
    package: str
    deviations: list[Deviation]
    rounded: dict[str, float]


def import_model(
    source: str | Path,
    out: str | Path,
    *,
    format: str = "auto",
    modality: str | None = None,
    python: str | Path | None = None,
    trust: bool = False,
    dtype: str = "float32",
) -> Imported:
    """Import a checkpoint and write it as a model file, if it computes what the original computes.

    1. The checkpoint's own package reads it, in a process of its own, and hands over numbers (`handover.read`).
    2. A model of ours gets these numbers, in float64.
    3. Its energies, forces and stresses are compared with the original's on structures with every element that the
       model knows (`verification.BOUNDS`).
    4. The file is written.

    Args:
        source: the checkpoint, or a name such as `7net-0` of one that its package carries.
        out: the model file.
        format: one of `formats.FORMATS`, or `auto`.
        modality: the level of theory, for a model of several; or the model, for a file of several.
        python: an interpreter that has the package; the running one if None.
        trust: a checkpoint is a pickle, and reading it runs whatever code is in it; say that you trust this one.
        dtype: of the weights in the file, float32 or float64.

    Raises:
        FileNotFoundError: no such checkpoint, or no such interpreter.
        ValueError: the checkpoint is not trusted, cannot be read or has parts without a counterpart, or the imported
            model does not agree with the original; nothing is written then.
    """
    if dtype not in _DTYPES:
        raise ValueError(f"a model file has float32 or float64, not '{dtype}'")
    found = format_of(str(source), format)
    if not trust:
        raise ValueError(
            f"'{source}' is a pickle: reading it runs whatever code is in it. If you trust those who made it, say "
            f"--trust: the package {found.package} then reads it in a process of its own, and only numbers come back"
        )
    structures = probes()
    handover = read(found.reader, str(source), modality, structures, python)
    exact = found.build(handover)
    deviations = compare(exact, structures, handover.originals)
    require_agreement(deviations)
    model = deepcopy(exact).to(_DTYPES[dtype])
    rounded = largest(compare(deepcopy(model).to(torch.float64), structures, handover.originals))
    words = handover.description
    names = (
        "package",
        "package_version",
        "checkpoint_version",
        "checkpoint",
        "checkpoint_sha256",
        "modality",
    )
    model.provenance = {
        "imported from": {name: words[name] for name in names},
        "deviation from the original": largest(deviations),
    }
    model.save(out)
    return Imported(model, f"{words['package']} {words['package_version']}", deviations, rounded)
