"""One file that holds all of a run: weights, their average, the best of them, and the optimiser's moments.

It is a safetensors file (nothing in it is ever executed) with the run's state as JSON in its metadata, replaced
atomically: whatever happens while it is written, the old file or the new one is there, whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor

from cynosure.potentials import write_atomically

FORMAT = 2
_KEY = "cynosure_checkpoint"


@dataclass
class RunState:
    """Where a run stands; with the tensors of the checkpoint, all that its future depends on.

    Attributes:
        step: optimiser steps done.
        epoch: epochs completed.
        position: batches done in the epoch that has begun.
        elapsed: s, time spent on training and validation, over all sessions.
        wall: s, time since the start of the command, summed over all sessions.
        validated_at: the step at which the last validation took place, -1 before the first.
        best_score: the lowest validation loss so far, None before the first validation.
        best_step: the step it was reached at.
        best_uncertainty: the factors of an ensemble's uncertainties, from that validation.
        validations: how many there were.
        without_gain: validations since the best.
        settling: s and progress, where the run stood when it went back to its best weights to settle there; or None.
        log_bytes: length of the metrics file that belongs to this state.
        finished: the training is over; only evaluation and report may be missing.
        ended_by: why it ended, in words.
    """

    step: int = 0
    epoch: int = 0
    position: int = 0
    elapsed: float = 0.0
    wall: float = 0.0
    validated_at: int = -1
    best_score: float | None = None
    best_step: int = 0
    best_uncertainty: dict[str, float] = field(default_factory=dict)
    validations: int = 0
    without_gain: int = 0
    settling: tuple[float, float] | None = None
    log_bytes: int = 0
    finished: bool = False
    ended_by: str = ""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        state: where the run stands.
        setup: plain values that the run was set up with: settings, calibration, data.
        tensors: name to tensor, with the prefixes `model/`, `average/`, `best/`, `addition/`, `optimiser/<moment>/`; of
            an ensemble, the last two are there for each member, with `members.<n>/` before them.
    """

    state: RunState
    setup: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors under `prefix/`, without it."""
        start = f"{prefix}/"
        return {name[len(start) :]: tensor for name, tensor in self.tensors.items() if name.startswith(start)}


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, atomically.

    Raises:
        OSError: it cannot be written (a full disk, say); the file that was there is still whole.
    """
    # Clones: tied parameters share memory, which the format does not hold.
    tensors = {
        name: tensor.detach().cpu().clone().contiguous() for name, tensor in checkpoint.tensors.items()
    }
    header = {"format": FORMAT, "state": asdict(checkpoint.state), "setup": dict(checkpoint.setup)}
    try:
        write_atomically(path, serialise(tensors, metadata={_KEY: json.dumps(header)}))
    except OSError as error:
        kept = "the checkpoint before it is whole" if path.exists() else "there is none before it"
        raise OSError(
            f"cannot write the checkpoint '{path}' ({error.strerror or error}); {kept}: make room, then go on with "
            f"--resume --out {path.parent}"
        ) from error


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a checkpoint, damaged, or of a newer format.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint '{path}'")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(
            f"'{path}' is not a whole checkpoint ({type(error).__name__}: {error}); start the run anew with another "
            "--out"
        ) from None
    if header.get("format") != FORMAT:
        raise ValueError(
            f"'{path}' has checkpoint format {header.get('format')}; this Cynosure resumes {FORMAT}"
        )
    known = {field.name for field in fields(RunState)}
    if set(header.get("state", {})) != known or not isinstance(header.get("setup"), dict):
        raise ValueError(
            f"the header of the checkpoint '{path}' is damaged; start the run anew with another --out"
        )
    return Checkpoint(RunState(**header["state"]), header["setup"], tensors)
