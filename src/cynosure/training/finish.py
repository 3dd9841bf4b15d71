"""What is kept of a run: the best model, its errors, and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from cynosure import __version__
from cynosure.data import GraphDataset
from cynosure.training.config import TrainConfig
from cynosure.training.display import Display, duration
from cynosure.training.evaluation import DEFAULT_MAX_EDGES, Observer, evaluate
from cynosure.training.interrupt import StopRequest
from cynosure.training.loop import Trainer
from cynosure.training.metrics import Metrics
from cynosure.training.metrics_log import read_log
from cynosure.training.parity import ParitySample
from cynosure.training.setup import Data
from cynosure.training.stress_order import StressOrder


@dataclass(frozen=True)
class TrainResult:
    """What came of a run.

    Attributes:
        out: its folder.
        model: the model file; None if training was stopped before the first validation.
        report: the report; None if training was stopped.
        metrics: heading to errors: on held-out frames first, then on (a sample of) the training frames.
        steps, epochs: how many are done.
        seconds: s, from the start of the command, over all sessions.
        ended_by: what training came to; empty if it was stopped.
        signal: the number of the signal that stopped it, None if it came to its end.
    """

    out: Path
    model: Path | None
    report: Path | None
    metrics: Mapping[str, Metrics] = field(default_factory=dict)
    steps: int = 0
    epochs: int = 0
    seconds: float = 0.0
    ended_by: str = ""
    signal: int | None = None

    def next_steps(self) -> list[str]:
        """Commands that a user may want next."""
        if self.signal is not None:
            return [f"cynosure train --resume --out {self.out}"]
        return [
            f"cynosure eval {self.model} NEW_FRAMES.xyz",
            f"cynosure check {self.model} STRUCTURE.xyz",
            f"cynosure md {self.model} STRUCTURE.xyz --ensemble nvt --temperature 300 --steps 1000 --out md.traj",
        ]


def keep_best(trainer: Trainer, folder: Path, data: Data) -> Path:
    """Write the best averaged weights as a model file, and return its path.

    Raises:
        OSError: it cannot be written.
    """
    path = folder / "model.safetensors"
    trainer.best_model().save(path, provenance=_provenance(trainer, data))
    return path


def kept_after_stop(trainer: Trainer, folder: Path, data: Data, signal: int) -> TrainResult:
    """The result of a run that was told to stop. Its checkpoint is already written."""
    state = trainer.state
    return TrainResult(
        out=folder,
        model=keep_best(trainer, folder, data) if trainer.best else None,
        report=None,
        steps=state.step,
        epochs=state.epoch,
        seconds=state.wall,
        signal=signal,
    )


def wrap_up(
    trainer: Trainer,
    sample: GraphDataset,
    folder: Path,
    data: Data,
    display: Display,
    stop: StopRequest,
    until: float | None,
) -> TrainResult:
    """Keep the best model, evaluate it on held-out and on training frames, and write the report.

    Args:
        trainer: after training.
        sample: the training frames to evaluate.
        folder: the run's folder.
        data: the run's frames.
        display: shows the evaluation.
        stop: asked between batches.
        until: evaluation ends, done or not, at this moment on the clock of `time.monotonic`; None for no limit.

    Raises:
        Interrupted: a stop was asked for.
        OSError: a file cannot be written.
    """
    path = keep_best(trainer, folder, data)

    def progress(done: int, total: int) -> None:
        stop.check()
        display.evaluating("evaluation", done, total)

    def errors(dataset: GraphDataset, observers: Sequence[Observer]) -> Metrics:
        return evaluate(
            trainer.average.model,
            dataset,
            max_edges=max(DEFAULT_MAX_EDGES, int(trainer.config.batch.max_edges)),
            progress=progress,
            until=until,
            observers=observers,
        )

    try:
        if trainer.best_validation is None:
            parity = ParitySample()
            held_out = errors(trainer.validation, [parity])
        else:
            held_out, parity = trainer.best_validation
        order = StressOrder(sample.frames.groups)
        seen = errors(sample, [order])
    finally:
        display.close()
    notes = order.notes()
    for note in notes:
        display.say(f"Note: {note}")
    state = trainer.state
    result = TrainResult(
        out=folder,
        model=path,
        report=folder / "report.html",
        metrics={
            _heading("Held-out frames", held_out.n_structures, len(trainer.validation)): held_out,
            _heading("Training frames", seen.n_structures, len(trainer.train)): seen,
        },
        steps=state.step,
        epochs=state.epoch,
        ended_by=state.ended_by,
    )
    _write_report(result, trainer, (*data.notes, *notes), data, parity)
    trainer.read_clock()
    return replace(result, seconds=state.wall)


def _heading(what: str, evaluated: int, total: int) -> str:
    return f"{what} ({total})" if evaluated == total else f"{what} ({evaluated} of {total}, drawn at random)"


def _write_report(
    result: TrainResult, trainer: Trainer, notes: Sequence[str], data: Data, parity: ParitySample
) -> None:
    from cynosure.training.report import ReportContent, versions, write_report  # matplotlib is slow to import

    config, state = trainer.config, trainer.state
    words = [
        f"{_architecture(config)}, trained on {len(data.train)} frames of {Path(config.data.train).name} and measured "
        f"on {len(data.validation)} that it never saw.",
        *([] if trainer.base is None else [f"It started from the weights of {trainer.base['name']}."]),
        f"Training came to {state.ended_by} after {state.step:,} steps ({state.epoch:,} epochs) and "
        f"{duration(state.elapsed)}. The best model is the one of step {state.best_step:,}.",
        *notes,
    ]
    assert result.report is not None
    write_report(
        result.report,
        ReportContent(
            title=f"Training report: {result.out.resolve().name}",
            words=words,
            tables=result.metrics,
            pairs=parity.pairs(),
            next_steps=result.next_steps(),
            footer=versions(trainer.model),
            run=(config, read_log(result.out / "metrics.jsonl")),
        ),
    )


def _architecture(config: TrainConfig) -> str:
    model = config.model
    kinds = [_kind(one) for one in model.get("of", [model])]
    what = "A model" if model["members"] == 1 else f"An ensemble of {model['members']} models"
    return f"{what} ({'; '.join([*kinds, 'cutoff {} Å'.format(model['cutoff'])])})"


def _kind(model: Mapping[str, Any]) -> str:
    sizes = {key: model[key] for key in ("layers", "channels") if isinstance(model.get(key), int)}
    known = [f"{size} {key if size > 1 else key[:-1]}" for key, size in sizes.items()]
    known += [f"l ≤ {model['l_max']}"] if "l_max" in model else []
    return f"{model['model']} of {', '.join(known)}" if known else model["model"]


def _provenance(trainer: Trainer, data: Data) -> dict[str, Any]:
    """Where a model comes from. File names only: a model is shared, the folders of its maker are not."""
    config = trainer.config.to_json()
    config["data"]["train"] = Path(config["data"]["train"]).name
    if isinstance(config["data"]["val"], str):
        config["data"]["val"] = Path(config["data"]["val"]).name
    if isinstance(config["data"]["e0s"], str):
        config["data"]["e0s"] = Path(config["data"]["e0s"]).name
    if trainer.base is not None:
        config["finetune"]["base"] = trainer.base["name"]
    state = trainer.state
    metrics = None if trainer.best_validation is None else trainer.best_validation[0].to_json()
    return {
        "cynosure": __version__,
        "torch": torch.__version__,
        "config": config,
        "data": dict(data.identity),
        "base": trainer.base,
        "steps": state.step,
        "best_step": state.best_step,
        "validation": metrics,
    }
