"""A training run from its settings to its end: data, model, training, and what is kept of it."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cynosure.data import GraphDataset
from cynosure.potentials import flatten, write_atomically
from cynosure.training.base_model import BaseModel
from cynosure.training.checkpoint import Checkpoint, load_checkpoint
from cynosure.training.config import TrainConfig
from cynosure.training.display import Display
from cynosure.training.finish import TrainResult, keep_best, kept_after_stop, wrap_up
from cynosure.training.interrupt import Interrupted, StopRequest
from cynosure.training.learner import Learner
from cynosure.training.loop import Diverged, Trainer
from cynosure.training.metrics_log import parse_log
from cynosure.training.pace import ByClock, ByEpochs, ByLog, Pace
from cynosure.training.setup import (
    Calibrated,
    Data,
    calibrate,
    choose_preset,
    read_base,
    read_data,
    resolve_model,
    resolve_sizes,
    training_sample,
)

CHECKPOINT_SECONDS = 30.0
# Drawing and writing the report, and leaving Python, on a slow core.
_REPORT_SECONDS = 7.0
_RUN_FILES = ("config.json", "checkpoint.safetensors", "metrics.jsonl", "model.safetensors", "report.html")
# Training frames are evaluated at the end only to be set beside the held-out ones; so many are enough.
_TRAINING_SAMPLE = 100
# A resumed run may find its files and its device elsewhere: the files are known by their content.
_MAY_DIFFER = ("data.train", "data.val", "finetune.base", "device")


def train(
    config: TrainConfig,
    *,
    out: str | Path,
    resume: bool = False,
    replay: str | Path | None = None,
    started: float | None = None,
    display: Display | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> TrainResult:
    """Train a potential.

    The folder gets `config.json` (resolved settings), `metrics.jsonl` (a line for every step and validation),
    `checkpoint.safetensors`, `model.safetensors` (the best averaged weights) and `report.html`.

    1. Read the base model, if there is one, and the data; resolve the settings; build the model or take up the
       checkpoint.
    2. Train at the pace of epochs, of the clock, or of a log.
    3. Keep the best model, evaluate it, and write the report.

    Args:
        config: settings; what is `auto` in them is chosen from the data.
        out: the run's folder.
        resume: go on with the run in `out` (from its start if it has no checkpoint yet).
        replay: `metrics.jsonl` of a run to repeat step by step. A resumed run has kept it.
        started: when the command began, on the clock of `time.monotonic`; now, if None. `minutes` count from it.
        display: shows what is going on; nothing is shown if None.
        checkpoint_seconds: s between checkpoints; without influence on the result.

    Raises:
        FileNotFoundError: a file that is not there, or nothing in `out` to resume.
        ValueError: bad settings or data; `out` already holds a run; a resumed run with other settings or data;
            a time budget that is used up before the first step; a loss that is no longer finite.
        OSError: a file cannot be written.
    """
    started = time.monotonic() if started is None else started
    display = display or Display()
    folder = Path(out)
    previous = _enter(folder, resume)
    log = _replayed(folder, replay)
    base = read_base(config)
    config, data, train_set, validation_set = _prepare(config, base, display)
    setup: dict[str, Any] = {
        "config": config.to_json(),
        "data": dict(data.identity),
        "base": None if base is None else base.identity,
        "replay": None if log is None else hashlib.sha256(log).hexdigest(),
    }
    if previous is None:
        calibrated = calibrate(config, base, train_set, display.say)
        model = calibrated.build(config, base, train_set)
    else:
        _require_same(previous.setup, setup)
        calibrated = Calibrated.from_json(previous.setup["calibration"])
        model = calibrated.build(config, base)
    setup["calibration"] = asdict(calibrated)
    model = model.to(config.device)
    learners = Learner.of(model, config)
    _announce(config, data, learners, display)
    _write_settings(folder, config, log)
    with StopRequest() as stop:
        trainer = Trainer(
            model,
            learners,
            config,
            scale=calibrated.scale,
            target_scales=calibrated.target_scales,
            train=train_set,
            validation=validation_set,
            out=folder,
            setup=setup,
            display=display,
            stop=stop,
            started=started,
            checkpoint_seconds=checkpoint_seconds,
            previous=previous,
        )
        sample = training_sample(train_set, max(len(validation_set), _TRAINING_SAMPLE), config.seed)
        deadline = _deadline(config, log, trainer, started)
        pace = _pace(config, log, deadline, validation_set, sample)
        try:
            trainer.run(pace)
            until = None if deadline is None else deadline - _REPORT_SECONDS
            return wrap_up(trainer, sample, folder, data, display, stop, until)
        except Interrupted as interruption:
            return kept_after_stop(trainer, folder, data, interruption.signal)
        except Diverged as error:
            if trainer.best:
                path = keep_best(trainer, folder, data)
                raise Diverged(f"{error}. The best weights until then are in '{path}'") from None
            raise


def _enter(folder: Path, resume: bool) -> Checkpoint | None:
    """Make sure that the folder is there and is the right one, and read its checkpoint if it is to be resumed."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"'{folder}' is a file; --out names a folder")
    holds_run = any((folder / name).exists() for name in _RUN_FILES)
    if resume and not holds_run:
        raise FileNotFoundError(f"there is no run in '{folder}' to resume; --out names the folder of the run")
    if holds_run and not resume:
        raise ValueError(
            f"'{folder}' already holds a run: go on with it by --resume, or name another folder, such as --out "
            f"{free_folder(folder)}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "checkpoint.safetensors"
    return load_checkpoint(path) if path.exists() else None


def free_folder(folder: Path) -> Path:
    """`folder-2`, `folder-3`, …: the first that does not exist."""
    number = 2
    while (candidate := folder.with_name(f"{folder.name}-{number}")).exists():
        number += 1
    return candidate


def _replayed(folder: Path, replay: str | Path | None) -> bytes | None:
    """The log to repeat, as bytes: the one named, else the one that the run keeps; None if there is none."""
    kept = folder / "replay.jsonl"
    if replay is None:
        return kept.read_bytes() if kept.exists() else None
    if not Path(replay).is_file():
        raise FileNotFoundError(f"no log '{replay}' to repeat")
    return Path(replay).read_bytes()


def _prepare(
    config: TrainConfig, base: BaseModel | None, display: Display
) -> tuple[TrainConfig, Data, GraphDataset, GraphDataset]:
    """Resolved settings, the frames, and their graphs for training and validation."""
    given = config.model
    config = resolve_model(config, base)
    config, data = read_data(config, base, display.say)
    cutoff = float(config.model["cutoff"])
    train_set = GraphDataset(data.train, cutoff)
    config = choose_preset(resolve_sizes(config, train_set), given, display.say)
    return config, data, train_set, GraphDataset(data.validation, cutoff)


def _require_same(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise unless a resumed run has the settings, base model, data and log that it was started with."""
    old, new = flatten(before["config"]), flatten(now["config"])
    changed = [key for key in {**old, **new} if key not in _MAY_DIFFER and old.get(key) != new.get(key)]
    if changed:
        lines = ", ".join(f"{key} was {old.get(key)!r} and is {new.get(key)!r}" for key in changed)
        raise ValueError(
            f"a resumed run keeps its settings, but {lines}; start another run with another --out"
        )
    if _checksum(before["base"]) != _checksum(now["base"]):
        raise ValueError(
            "the base model is not the one that the run was started with (its content differs); give the same file to "
            "--from, or start another run with another --out"
        )
    if before["data"] != now["data"]:
        raise ValueError(
            "the frames are not those that the run was started with (their content differs); give the same files, or "
            "start another run with another --out"
        )
    if before["replay"] != now["replay"]:
        raise ValueError("the log to repeat is not the one that the run was started with; leave --replay out")


def _checksum(base: Mapping[str, str] | None) -> str | None:
    return None if base is None else base["sha256"]


def _announce(config: TrainConfig, data: Data, learners: Sequence[Learner], display: Display) -> None:
    for note in data.notes:
        display.say(f"Note: {note}")
    base = config.finetune.base
    kinds = Counter(str(learner.trained) for learner in learners)
    trained = "; ".join(
        text if len(learners) == 1 else f"in each of {n} members {text}" for text, n in kinds.items()
    )
    display.say(
        f"Training on {len(data.train)} frames, validating on {len(data.validation)}"
        f"{'' if base is None else f', from the weights of {base}'}; {trained}. Settings:"
    )
    display.say(config.to_text())


def _write_settings(folder: Path, config: TrainConfig, log: bytes | None) -> None:
    write_atomically(folder / "config.json", (json.dumps(config.to_json(), indent=2) + "\n").encode())
    if log is not None:
        write_atomically(folder / "replay.jsonl", log)


def _deadline(config: TrainConfig, log: bytes | None, trainer: Trainer, started: float) -> float | None:
    """When a run by the clock has to be over; what earlier sessions used is taken off.

    Raises:
        ValueError: there is no time left to take a step.
    """
    if config.minutes is None or log is not None:
        return None
    deadline = started + 60.0 * config.minutes - trainer.state.wall
    now = time.monotonic()
    if trainer.state.step == 0 and deadline - _REPORT_SECONDS < now:
        needed = (now - started + _REPORT_SECONDS) / 60.0
        raise ValueError(
            f"{config.minutes:g} minutes are too few: reading the data and writing the report take {needed:.2g} of "
            f"them; give --minutes {max(0.1, 2 * needed):.1g} or more, or --epochs"
        )
    return deadline


def _pace(
    config: TrainConfig,
    log: bytes | None,
    deadline: float | None,
    validation: GraphDataset,
    sample: GraphDataset,
) -> Pace:
    if log is not None:
        return ByLog(parse_log(log.decode(), "the log to repeat"))
    if deadline is not None:
        return ByClock(
            deadline,
            validation_edges=int(validation.edge_counts().sum()),
            final_edges=int(sample.edge_counts().sum()),
            report_seconds=_REPORT_SECONDS,
            # (What trains from a base model is kept only where it is better.)
            may_settle=config.finetune.base is None,
        )
    return ByEpochs(int(config.epochs or 0), int(config.val_every))
