"""Train every network on every number of frames with every seed, and measure each on the same held-out frames."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from cynosure.lab.comparison import errors
from cynosure.lab.curve_frames import CurveFrames
from cynosure.lab.equivariant import Potentials
from cynosure.lab.learning_curve.curve import Curve, Measured
from cynosure.lab.molecules import Molecules
from cynosure.lab.plain import PLAIN, PLAIN_BATCH, plain_predictor, train_plain_network
from cynosure.lab.progress import Progress, Watch
from cynosure.lab.running import Experiment, do_runs
from cynosure.lab.runs import Run
from cynosure.lab.trained import FEWEST_STEPS
from cynosure.training import evaluate


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
        for name, least in (("seeds", 1), ("steps", FEWEST_STEPS), ("epochs", 1)):
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
    potentials = Potentials.prepare(frames, plan.l_max, plan.epochs_of, settings or {}, "learning curve")
    plain, refusal = _plain_frames(frames)
    networks = (*sorted(set(plan.l_max)), *(() if plain is None else (None,)))
    runs = [
        Run(network, count, seed) for seed in range(plan.seeds) for count in sizes for network in networks
    ]

    def measure(run: Run, folder: Path, watch: Watch) -> Measured:
        began = time.monotonic()
        if run.l_max is None:
            assert plain is not None
            measured = _measure_plain(run, frames, plain, plan, watch)
        else:
            measured = _measure_potential(run, frames, potentials, folder, watch)
        return replace(measured, seconds=round(time.monotonic() - began, 3))

    def steps(run: Run) -> int:
        batches = _plain_batches(run) if run.l_max is None else potentials.batches(run)
        return batches * plan.epochs_of(batches)

    setup = {
        "steps": plan.steps,
        "passes": plan.epochs,
        **potentials.setup(),
        "data": frames.content_hash(),
    }
    experiment = Experiment("a learning curve", Measured, setup, steps, measure)
    return Curve(
        source=Path(frames.pool.source).name,
        networks=networks,
        frames=sizes,
        seeds=plan.seeds,
        measured=do_runs(experiment, runs, out, on_progress),
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


def _measure_potential(
    run: Run, frames: CurveFrames, potentials: Potentials, folder: Path, watch: Watch
) -> Measured:
    """Train an equivariant network and measure it; the time is left open."""
    model, steps = potentials.train(run, folder, watch)
    training = frames.pool.subset(frames.chosen(run.frames, run.seed))
    held_out, seen = (evaluate(model, part).errors["forces"].rmse for part in (frames.held_out, training))
    return Measured(run, held_out, seen, steps, 0.0)


def _plain_frames(
    frames: CurveFrames,
) -> tuple[tuple[Molecules, Molecules, Molecules] | None, tuple[str, ...]]:
    """Pool, validation and held-out frames for the plain network, or None and a note why it cannot take them."""
    try:
        return frames.molecules(), ()
    except ValueError as error:
        return None, (f"The {PLAIN} is left out: {error}.",)


def _measure_plain(
    run: Run,
    frames: CurveFrames,
    data: tuple[Molecules, Molecules, Molecules],
    plan: Plan,
    watch: Watch,
) -> Measured:
    """As `_measure_potential`, for the plain network."""
    pool, validation, held_out = data
    training = pool.select(torch.as_tensor(frames.chosen(run.frames, run.seed)))
    epochs = plan.epochs_of(_plain_batches(run))
    network = train_plain_network(
        training,
        epochs,
        validation=validation,
        batch_size=PLAIN_BATCH,
        seed=run.seed,
        on_progress=watch.advance,
    )
    predict = plain_predictor(network)
    unseen, seen = (errors(predict(part), part).forces for part in (held_out, training))
    return Measured(run, unseen, seen, epochs * _plain_batches(run), 0.0)


def _plain_batches(run: Run) -> int:
    return -(-run.frames // PLAIN_BATCH)
