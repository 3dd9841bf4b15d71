"""Doing the runs of an experiment that are not done yet."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

from cynosure.lab.progress import Progress, Watch
from cynosure.lab.runs import Result, Run, RunLog
from cynosure.training.interrupt import StopRequest


@dataclass(frozen=True)
class Experiment(Generic[Result]):
    """What `do_runs` must know of an experiment.

    Attributes:
        name: with its article, for messages.
        kind: the dataclass of what comes of a run.
        setup: what all runs have in common, as plain values; see `RunLog`.
        steps: how many optimiser steps a run takes.
        measure: trains and measures. It is given a folder for what it needs meanwhile, in which an interrupted run
            finds what it left, and whom to tell of its progress, which is also how a wish to stop reaches it.
    """

    name: str
    kind: Callable[..., Result]
    setup: Mapping[str, Any]
    steps: Callable[[Run], int]
    measure: Callable[[Run, Path, Watch], Result]


def do_runs(
    experiment: Experiment[Result],
    runs: Sequence[Run],
    out: str | Path,
    on_progress: Callable[[Progress], None] | None = None,
) -> dict[Run, Result]:
    """Do the runs, in their order, that are not in the folder already, and keep each in `results.jsonl` at once.

    Args:
        experiment: how a run is done.
        runs: which are wanted.
        out: the folder; it is made, or gone on with.
        on_progress: called now and then, and after each run.

    Returns:
        What came of each run.

    Raises:
        ValueError: `out` is a file, or has results of another setup; whatever a run raises.
        Interrupted: stopped by a signal; what is finished is kept.
        OSError: a file cannot be written.
    """
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"'{folder}' is a file; --out names a folder")
    folder.mkdir(parents=True, exist_ok=True)
    log = RunLog(folder / "results.jsonl", experiment.setup, experiment.kind, experiment.name)
    with StopRequest() as stop:
        watch = Watch(runs, experiment.steps, log.measured, on_progress, stop.check)
        for run in runs:
            stop.check()
            if run in log.measured:
                continue
            watch.begin(run)
            log.add(experiment.measure(run, folder / "running", watch))
            watch.finished(run)
    shutil.rmtree(folder / "running", ignore_errors=True)
    return {run: log.measured[run] for run in runs}
