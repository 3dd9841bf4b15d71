"""Train every network on every number of frames with every seed, and measure each on the same held-out frames."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
import torch

from cynosure.data import Frames, GraphDataset, epoch_batches
from cynosure.lab.comparison import errors
from cynosure.lab.learning_curve.curve import Curve
from cynosure.lab.learning_curve.frames import CurveFrames
from cynosure.lab.learning_curve.progress import Progress, Watch
from cynosure.lab.learning_curve.runs import Measured, Run, RunLog
from cynosure.lab.molecules import Molecules
from cynosure.lab.plain import PLAIN, plain_predictor, train_plain_network
from cynosure.potentials import flatten, load
from cynosure.training import TrainConfig, evaluate, from_settings, train
from cynosure.training.config import merge
from cynosure.training.interrupt import Interrupted, StopRequest
from cynosure.training.setup import resolve_model, resolve_sizes

# What the experiment itself decides.
_OWN = (
    "data.train",
    "data.val",
    "data.keys",
    "data.units",
    "model.l_max",
    "finetune",
    "seed",
    "epochs",
    "minutes",
    "patience",
)
_VALIDATIONS = 50  # in a run, about
_FEWEST_STEPS = 20  # fewer leave no room for a learning rate that rises and falls
# Frames: as many as make a batch of the equivariant networks, if their settings say nothing else.
_PLAIN_BATCH = 4


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        frames: numbers of training frames; chosen from the data if None.
        seeds: how many: 0, 1, 2, ….
        l_max: of the equivariant networks.
        steps, epochs: every run, of whatever network, takes at least so many optimiser steps and goes at least so
            many times through its frames, and a whole number of times.
    """

    frames: tuple[int, ...] | None = None
    seeds: int = 3
    l_max: tuple[int, ...] = (0, 1, 2, 3)
    steps: int = 10_000
    epochs: int = 250

    def __post_init__(self) -> None:
        if self.frames is not None and (len(set(self.frames)) < 2 or min(self.frames) < 2):
            raise ValueError(
                f"a curve needs at least two different numbers of frames, each 2 or more; got {list(self.frames)}"
            )
        if not self.l_max or min(self.l_max) < 0:
            raise ValueError(f"l_max is a list of numbers from 0 upwards; got {list(self.l_max)}")
        for name, least in (("seeds", 1), ("steps", _FEWEST_STEPS), ("epochs", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"the number of {name} must be at least {least}; got {getattr(self, name)}")

    def epochs_of(self, batches: int) -> int:
        """Passes through the frames for a run with so many batches, and so many steps, in each."""
        return max(self.epochs, -(-self.steps // batches))


FULL = Plan()
# The whole way in a minute or two; what comes out says nothing, since hardly anything is trained.
QUICK = Plan(frames=(10, 20, 40), seeds=2, l_max=(0, 1), steps=100, epochs=1)


def measure_learning_curve(
    frames: CurveFrames,
    out: str | Path,
    plan: Plan = FULL,
    *,
    settings: Mapping[str, Any] | None = None,
    notes: tuple[str, ...] = (),
    on_progress: Callable[[Progress], None] | None = None,
) -> Curve:
    """Measure a learning curve.

    1. Look at everything that can be wrong before anything is trained.
    2. For every seed, number of frames and network, in this order, unless it is there already: train, measure on
       the held-out frames, and keep the result in `results.jsonl`.

    A run that was interrupted goes on where it stopped, and finished ones are never repeated. Numbers of frames,
    seeds and networks may be added later.

    Args:
        frames: what to train on and to measure with.
        out: the folder; one that holds a curve with the same data and settings is gone on with.
        plan: how much is measured.
        settings: of training, as `from_settings` takes them; the same for every equivariant network.
        notes: about the data, for the reader.
        on_progress: called now and then, and after each run.

    Raises:
        ValueError: too few frames; an element that a small run would not see; bad settings, or some that the
            experiment decides itself; a folder with something else in it; training that diverges.
        Interrupted: stopped by a signal; what is finished is kept.
        OSError: a file cannot be written.
    """
    sizes = tuple(sorted(set(plan.frames or frames.sizes())))
    if len(sizes) < 2:
        raise ValueError(f"{len(frames.pool)} training frames are too few for a curve; give more")
    frames.require(sizes, plan.seeds)
    potentials = _Potentials.prepare(frames, plan, settings or {})
    plain, refusal = _plain_frames(frames)
    networks = (*sorted(set(plan.l_max)), *(() if plain is None else (None,)))
    runs = [
        Run(network, count, seed) for seed in range(plan.seeds) for count in sizes for network in networks
    ]
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"'{folder}' is a file; --out names a folder")
    folder.mkdir(parents=True, exist_ok=True)
    log = RunLog(folder / "results.jsonl", {**potentials.setup(), "data": frames.content_hash()})
    progress = Watch(runs, potentials.steps, log.measured, on_progress)
    with StopRequest() as stop:
        for run in runs:
            stop.check()
            if run in log.measured:
                continue
            progress.begin(run)
            began = time.monotonic()
            if run.l_max is None:
                assert plain is not None
                held_out, training, steps = _measure_plain(run, frames, plain, plan)
            else:
                held_out, training, steps = potentials.measure(run, folder / "running", progress)
            log.add(Measured(run, held_out, training, steps, round(time.monotonic() - began, 3)))
            progress.finished(run)
    shutil.rmtree(folder / "running", ignore_errors=True)
    return Curve(
        source=Path(frames.pool.source).name,
        networks=networks,
        frames=sizes,
        seeds=plan.seeds,
        measured={run: log.measured[run] for run in runs},
        silence=frames.silence(),
        method=_method(frames, plan),
        notes=(*notes, *refusal),
    )


def _method(frames: CurveFrames, plan: Plan) -> str:
    return (
        f"Every network was trained with {plan.seeds} seed{'s' if plan.seeds > 1 else ''}, each with its own choice of "
        f"training frames (those of a smaller set are among those of a larger one), initial weights and order. Every "
        f"run took at least {plan.steps:,} optimiser steps and went at least {plan.epochs} times through its frames. "
        f"Its best weights were chosen by {len(frames.validation)} validation frames, the same for all runs, and "
        f"measured once on {len(frames.held_out)} other held-out frames. The equivariant networks differ in nothing "
        "but l_max."
    )


@dataclass(frozen=True)
class _Potentials:
    """Trains equivariant networks that differ in nothing but l_max, frames and seed."""

    frames: CurveFrames
    plan: Plan
    config: TrainConfig
    pool: GraphDataset

    @classmethod
    def prepare(cls, frames: CurveFrames, plan: Plan, settings: Mapping[str, Any]) -> _Potentials:
        """Check the settings, and choose from the pool what would else be chosen from the frames of each run."""
        for key, value in flatten(settings).items():
            # Neither the setting itself, nor a part of it, nor a whole section in place of its parts.
            if value != {} and any(
                f"{key}.".startswith(f"{own}.") or own.startswith(f"{key}.") for own in _OWN
            ):
                raise ValueError(f"'{key}' cannot be set: the learning curve decides it itself")
        chosen = merge(
            settings, [("data.train", "train.xyz"), ("data.val", "validation.xyz"), ("patience", None)]
        )
        for l_max in plan.l_max:  # each must be one that the architecture knows
            config = resolve_model(from_settings(merge(chosen, [("model.l_max", l_max)])), base=None)
        pool = GraphDataset(frames.pool, float(config.model["cutoff"]))
        return cls(frames, plan, resolve_sizes(config, pool), pool)

    def setup(self) -> dict[str, Any]:
        """What two runs must have in common to be compared, as plain values."""
        plain = flatten(self.config.to_json())
        kept = {
            key: value
            for key, value in plain.items()
            if key not in _OWN and key not in ("val_every", "device")
        }
        return {"steps": self.plan.steps, "passes": self.plan.epochs, **kept}

    def steps(self, run: Run) -> int:
        """How many optimiser steps a run takes, of whatever network."""
        batches = _plain_batches(run) if run.l_max is None else self._batches(run)
        return batches * self.plan.epochs_of(batches)

    def measure(self, run: Run, parent: Path, progress: Watch) -> tuple[float, float, int]:
        """Train through the public door and return errors held out and on the training frames, and the steps."""
        folder = parent / f"l{run.l_max}-{run.frames}-seed{run.seed}"
        goes_on = (folder / "training" / "checkpoint.safetensors").exists()
        if not goes_on:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        training = self.frames.pool.subset(self.frames.chosen(run.frames, run.seed))
        config = self._config(run, _write(training, folder / "train.xyz"))
        _write(self.frames.validation, folder / "validation.xyz")
        try:
            result = train(config, out=folder / "training", resume=goes_on, display=progress)
        except ValueError as error:
            raise ValueError(f"{run}: {error}") from error
        if result.signal is not None:
            raise Interrupted(result.signal)
        assert result.model is not None
        model = load(result.model)
        held_out, seen = (
            evaluate(model, frames).errors["forces"].rmse for frames in (self.frames.held_out, training)
        )
        shutil.rmtree(folder)
        return held_out, seen, result.steps

    def _batches(self, run: Run) -> int:
        edges = self.pool.edge_counts()[self.frames.chosen(run.frames, run.seed)]
        return len(epoch_batches(edges, int(self.config.batch.max_edges), run.seed, 0))

    def _config(self, run: Run, path: Path) -> TrainConfig:
        epochs = self.plan.epochs_of(self._batches(run))
        data = {"train": str(path), "val": str(path.with_name("validation.xyz"))}
        own = {
            "data": self.config.data.model_copy(update=data),
            "model": {**self.config.model, "l_max": run.l_max},
            "seed": run.seed,
            "epochs": epochs,
            "val_every": max(1, epochs // _VALIDATIONS),
        }
        return self.config.model_copy(update=own)


def _write(frames: Frames, path: Path) -> Path:
    ase.io.write(path, [frame.to_atoms() for frame in frames], format="extxyz")
    return path


def _plain_frames(
    frames: CurveFrames,
) -> tuple[tuple[Molecules, Molecules, Molecules] | None, tuple[str, ...]]:
    """Pool, validation and held-out frames for the plain network, or None and a note why it cannot take them."""
    try:
        return frames.molecules(), ()
    except ValueError as error:
        return None, (f"The {PLAIN} is left out: {error}.",)


def _measure_plain(
    run: Run, frames: CurveFrames, data: tuple[Molecules, Molecules, Molecules], plan: Plan
) -> tuple[float, float, int]:
    """As `_Potentials.measure`, for the plain network."""
    pool, validation, held_out = data
    training = pool.select(torch.as_tensor(frames.chosen(run.frames, run.seed)))
    epochs = plan.epochs_of(_plain_batches(run))
    network = train_plain_network(
        training, epochs, validation=validation, batch_size=_PLAIN_BATCH, seed=run.seed
    )
    predict = plain_predictor(network)
    unseen, seen = (errors(predict(part), part).forces for part in (held_out, training))
    return unseen, seen, epochs * _plain_batches(run)


def _plain_batches(run: Run) -> int:
    return -(-run.frames // _PLAIN_BATCH)
