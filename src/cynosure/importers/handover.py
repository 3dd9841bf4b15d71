"""What a reader hands over, and the process in which it runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from torch import Tensor

from cynosure.importers.probes import Probe

_READERS = Path(__file__).parent / "readers"


class Original(NamedTuple):
    """What the original model says of a probe.

    Attributes:
        numbers: [N] atomic numbers.
        energy: eV.
        forces: [N, 3] eV/Å.
        stress: [3, 3] eV/Å³.
    """

    numbers: Tensor
    energy: Tensor
    forces: Tensor
    stress: Tensor


class Handover(NamedTuple):
    """A model as its own package has it, in numbers and words (`readers/handing_over.py`).

    Attributes:
        description: what is not numbers.
        tensors: by name, float64.
        originals: what the model says of each probe, in float64.
    """

    description: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    originals: tuple[Original, ...]


def read(
    reader: str, source: str, modality: str | None, probes: Sequence[Probe], python: str | Path | None = None
) -> Handover:
    """Let a reader read a checkpoint in a process of its own. What comes back is a safetensors file, not a pickle.

    Args:
        reader: its file in `readers`.
        source: the checkpoint, or a name that its package knows.
        modality: which level of theory, where a model has several; or which model, where a file has.
        probes: what the original model is to evaluate.
        python: the interpreter that has the package; the running one if None.

    Raises:
        FileNotFoundError: no such interpreter.
        ValueError: the reader refused, or failed; the message says why.
    """
    command, variables = str(python or sys.executable), dict(os.environ)
    if python is not None:
        variables.pop("PYTHONPATH", None)  # it is for the running interpreter
    with tempfile.TemporaryDirectory(prefix="cynosure-import-") as folder:
        out, request = Path(folder) / "model.safetensors", Path(folder) / "request.json"
        structures = [probe.request for probe in probes]
        content = {"source": source, "modality": modality, "structures": structures, "out": str(out)}
        request.write_text(json.dumps(content), encoding="utf-8")
        try:
            done = subprocess.run(
                [command, str(_READERS / reader), str(request)],
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                env=variables,
            )
        except OSError as error:
            raise FileNotFoundError(
                f"cannot run the Python '{command}' (--python): {error.strerror}"
            ) from None
        refusal = Path(f"{out}.refused")
        if refusal.is_file():
            raise ValueError(refusal.read_text(encoding="utf-8"))
        if done.returncode or not out.is_file():
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise ValueError(
                f"reading '{source}' failed in {command} (exit status {done.returncode}): {last}"
            )
        return _load(out, len(probes))


def _load(path: Path, probes: int) -> Handover:
    with safe_open(path, framework="pt") as file:
        description = json.loads(file.metadata()["description"])
        # (Cloned: the file is gone soon.)
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    originals = tuple(
        Original(*(tensors.pop(f"structures.{number}.{name}") for name in Original._fields))
        for number in range(probes)
    )
    assert all(tensor.dtype == torch.float64 for tensor in tensors.values())
    return Handover(description, tensors, originals)
