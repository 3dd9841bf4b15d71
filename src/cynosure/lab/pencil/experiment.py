"""Train plain, invariant and equivariant networks on upright frames, and measure them on frames in disguise."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cynosure.lab.comparison import Predictor, compare, errors, potential_predictor
from cynosure.lab.curve_frames import CurveFrames
from cynosure.lab.equivariant import Potentials
from cynosure.lab.molecules import Molecules
from cynosure.lab.one_thread import one_thread
from cynosure.lab.pencil.outcome import Network, Outcome, Pencil
from cynosure.lab.plain import PLAIN_BATCH, plain_predictor, train_plain_network
from cynosure.lab.progress import Progress, Watch
from cynosure.lab.running import Experiment, do_runs
from cynosure.lab.runs import Run
from cynosure.lab.trained import FEWEST_STEPS

_FIRST_SIZE, _STRIDE = 10, 4  # numbers of training frames: 10, 40, 160, …
# Errors to be reached, as parts of the error of answering zero.
_TARGETS = (1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32)
_VALIDATION_SEED = 1_000_003  # of the turned validation frames, the same for all runs
_DISGUISE_SEED = 0  # of the disguises of the held-out frames, the same for all runs
_UPRIGHT = 30.0  # degrees; frames that are turned more against each other, in the median, are not upright


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        frames: numbers of training frames; chosen from the data if None.
        seeds: how many: 0, 1, 2, ….
        copies: of each frame, turned at random, that further plain networks are shown.
        l_max: of the networks of the library.
        steps: every run, of whatever network, takes at least so many optimiser steps, and goes a whole number of times
            through its frames.
        targets: eV/Å, errors to be reached; parts of the error of answering zero if None.
    """

    frames: tuple[int, ...] | None = None
    seeds: int = 1
    copies: tuple[int, ...] = (1, 10, 100)
    l_max: tuple[int, ...] = (0, 2)
    steps: int = 8000
    targets: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.frames is not None and (len(set(self.frames)) < 2 or min(self.frames) < 2):
            raise ValueError(
                "data to equal error needs at least two different numbers of frames, each 2 or more; got "
                f"{list(self.frames)}"
            )
        if self.copies and min(self.copies) < 1:
            raise ValueError(f"copies is a list of numbers from 1 upwards; got {list(self.copies)}")
        if not self.l_max or min(self.l_max) < 0:
            raise ValueError(f"l_max is a list of numbers from 0 upwards; got {list(self.l_max)}")
        for name, least in (("seeds", 1), ("steps", FEWEST_STEPS)):
            if getattr(self, name) < least:
                raise ValueError(f"the number of {name} must be at least {least}; got {getattr(self, name)}")
        if self.targets is not None and not (self.targets and min(self.targets) > 0):
            raise ValueError(f"errors to be reached are positive; got {list(self.targets)}")

    def epochs_of(self, batches: int) -> int:
        """Passes through the frames for a run with so many batches, and so many steps, in each."""
        return -(-self.steps // batches)

    def networks(self) -> tuple[Network, ...]:
        """The networks, the plain ones first."""
        plain = [Network(None, copies) for copies in (0, *sorted(set(self.copies)))]
        return (*plain, *(Network(l_max) for l_max in sorted(set(self.l_max))))


FULL = Plan()
# The whole way in less than a minute; hardly anything is learnt, and the symmetries hold all the same.
QUICK = Plan(frames=(10, 40), copies=(1, 10), steps=300)


def measure_pencil(
    frames: CurveFrames,
    out: str | Path,
    plan: Plan = FULL,
    *,
    settings: Mapping[str, Any] | None = None,
    notes: tuple[str, ...] = (),
    on_progress: Callable[[Progress], None] | None = None,
) -> Pencil:
    """Measure what turning, mirroring, moving and relabelling does to networks that were trained upright.

    1. Look at everything that can be wrong before anything is trained, and put every frame's mean position at the
       origin, about which it is turned.
    2. For every seed, number of frames and network, in this order, unless it is there already: train on the frames as
       they stand (and, of some plain networks, on copies of them, each turned at random once and for all), choose the
       best weights by validation frames, and measure on each version of the held-out frames.

    All networks take the same number of steps and see every frame equally often: a step takes four frames, and where
    there are k copies of each, 4·(k + 1). What copies cost is then seen in the time of a step.

    A run that was interrupted begins anew, so that its time is that of all of it; finished ones are never repeated.

    Args:
        frames: what to train on and to measure with, of one molecule, with its atoms in one order.
        out: the folder; one that holds the experiment with the same data and settings is gone on with.
        plan: how much is measured.
        settings: of training, as `from_settings` takes them; the same for every network of the library.
        notes: about the data, for the reader.
        on_progress: called now and then, and after each run.

    Raises:
        ValueError: frames that a plain network cannot take; too few of them; bad settings, or some that the experiment
            decides itself; a folder with something else in it; training that diverges.
        Interrupted: stopped by a signal; what is finished is kept.
        OSError: a file cannot be written.
    """
    try:
        data = _Data(*(part.centred() for part in frames.molecules()))
    except ValueError as error:
        raise ValueError(
            f"{frames.pool.source} cannot be shown to the plain network on coordinates, which the others are compared "
            f"with: {error}"
        ) from None
    sizes = tuple(sorted(set(plan.frames or _sizes(frames))))
    if len(sizes) < 2:
        raise ValueError(
            f"{len(frames.pool)} training frames are too few to compare numbers of them; give more"
        )
    frames.require(sizes, plan.seeds)
    potentials = Potentials.prepare(frames, plan.l_max, plan.epochs_of, settings or {}, "experiment")
    networks = plan.networks()
    runs = [
        Run(network.l_max, count, seed, network.copies)
        for seed in range(plan.seeds)
        for count in sizes
        for network in networks
    ]

    def batches(run: Run) -> int:
        return -(-run.frames // PLAIN_BATCH) if run.l_max is None else potentials.batches(run)

    def measure(run: Run, folder: Path, watch: Watch) -> Outcome:
        training = data.pool.select(torch.as_tensor(frames.chosen(run.frames, run.seed)))
        shown = training.with_turned_copies(run.copies, torch.Generator().manual_seed(run.seed))
        began = time.process_time()
        if run.l_max is None:
            epochs = plan.epochs_of(batches(run))
            predict, steps = _train_plain(run, shown, data.validation, epochs, watch), epochs * batches(run)
        else:
            shutil.rmtree(folder, ignore_errors=True)
            model, steps = potentials.train(run, folder, watch)
            predict = potential_predictor(model)
        seconds = time.process_time() - began
        return measure_disguised(run, predict, data.held_out, shown, steps, seconds)

    setup = {"steps": plan.steps, **potentials.setup(), "data": frames.content_hash()}
    with one_thread():
        experiment = Experiment(
            "the pencil experiment",
            Outcome,
            setup,
            lambda run: batches(run) * plan.epochs_of(batches(run)),
            measure,
        )
        outcomes = do_runs(experiment, runs, out, on_progress)
    silence = frames.silence()
    return Pencil(
        source=Path(frames.pool.source).name,
        networks=networks,
        frames=sizes,
        seeds=plan.seeds,
        outcomes=outcomes,
        silence=silence,
        targets=tuple(sorted(set(plan.targets or _targets(silence)), reverse=True)),
        method=_method(frames, plan),
        notes=(*notes, *not_upright(data.pool)),
    )


def measure_disguised(
    run: Run, predict: Predictor, held_out: Molecules, shown: Molecules, steps: int, seconds: float
) -> Outcome:
    """Measure a trained network on every version of the held-out frames.

    Args:
        run: which one.
        predict: the network.
        held_out: the frames to disguise, in the same way for every run.
        shown: what it was trained on.
        steps, seconds: of its training; see `Outcome`.
    """
    disguised = compare(held_out, {"": predict}, _DISGUISE_SEED).errors
    return Outcome(
        run=run,
        forces={version: table[""].forces for version, table in disguised.items()},
        energies={version: table[""].energy_per_atom for version, table in disguised.items()},
        training=errors(predict(shown), shown).forces,
        steps=steps,
        seconds=round(seconds, 3),
    )


@dataclass(frozen=True)
class _Data:
    """Pool, validation and held-out frames, each frame with its mean position at the origin."""

    pool: Molecules
    validation: Molecules
    held_out: Molecules


def _train_plain(run: Run, shown: Molecules, validation: Molecules, epochs: int, watch: Watch) -> Predictor:
    """A network that is shown turned copies has its weights chosen by turned frames too."""
    generator = torch.Generator().manual_seed(_VALIDATION_SEED)
    network = train_plain_network(
        shown,
        epochs,
        validation=validation.with_turned_copies(min(run.copies, 1), generator),
        batch_size=PLAIN_BATCH * (1 + run.copies),
        seed=run.seed,
        on_progress=watch.advance,
    )
    return plain_predictor(network)


def _sizes(frames: CurveFrames) -> tuple[int, ...]:
    """10, 40, 160, … training frames as far as half the pool reaches, and the whole pool."""
    sizes, size = [], _FIRST_SIZE
    while 2 * size <= len(frames.pool):
        sizes.append(size)
        size *= _STRIDE
    return (*sizes, len(frames.pool)) if sizes else frames.sizes()


def _targets(silence: float) -> tuple[float, ...]:
    """Errors to be reached, eV/Å, to two digits of meV/Å."""
    return tuple(float(f"{1e3 * part * silence:.2g}") / 1e3 for part in _TARGETS)


def not_upright(data: Molecules) -> tuple[str, ...]:
    """A note for the reader if the frames are turned against each other, or nothing."""
    tilt = float(data.tilts().median())
    if tilt <= _UPRIGHT:
        return ()
    return (
        f"The frames do not all stand upright: they are turned against the first by {tilt:.0f}° (median). So the plain "
        "network sees turned frames from the start, and “as it is” is hardly easier for it than “turned”.",
    )


def _method(frames: CurveFrames, plan: Plan) -> str:
    return (
        f"Every run took at least {plan.steps:,} optimiser steps, each with {PLAIN_BATCH} frames and all the copies of "
        "them that the network is shown, so that all networks took as many steps and saw every frame equally often. "
        "The copies of a frame are turned at random once and for all. The frames of a smaller set are among those of a "
        f"larger one. Best weights were chosen by {len(frames.validation)} validation frames (and, for networks that "
        "are shown copies, turned copies of them). The held-out frames are "
        f"{len(frames.held_out)} others; each was turned, moved by some 3 Å, or had its atoms of one element "
        "relabelled, in its own way. Times are those of a processor, for training. The data to equal error are where "
        "straight lines between the measured points, on logarithmic scales, come down to it (— where they never do); "
        "nothing is extrapolated. Since every run takes as many steps, its time depends little on the number of frames."
    )
