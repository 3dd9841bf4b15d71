"""How far an experiment has come, over all its runs, and how a terminal shows it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from cynosure.lab.runs import Done, Run
from cynosure.training import Display
from cynosure.training.display import duration

_SHOWN_EVERY = 0.2  # s


@dataclass(frozen=True)
class Progress:
    """Where an experiment stands.

    Attributes:
        run: the one in progress, or just finished.
        measured: what came of it, if it is finished.
        finished, total: numbers of runs.
        fraction: of the time that all of it takes, an estimate.
        left: s, an estimate; infinite when there is none yet.
    """

    run: Run
    measured: Done | None
    finished: int
    total: int
    fraction: float
    left: float


class Watch(Display):
    """Follows the training of each run and tells how far all of them have come.

    A run is expected to take as long, for each step, as the finished ones of the same network, or of all networks
    where there is none yet, or as the one in progress where nothing is finished.

    Args:
        runs: all runs, in their order.
        steps: how many a run takes.
        measured: what is finished; it grows meanwhile.
        tell: called with the progress; nothing is told if None.
        check: called as often as progress is noted; raises if a stop was asked for.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        steps: Callable[[Run], int],
        measured: Mapping[Run, Done],
        tell: Callable[[Progress], None] | None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._runs, self._measured = runs, measured
        self._steps = {run: steps(run) for run in runs}
        self._tell, self._check = tell, check
        self._run = runs[0]
        self._part = (0.0, 1.0)
        self._began = self._told = time.monotonic()

    def begin(self, run: Run) -> None:
        """A run begins."""
        self._run, self._began, self._part = run, time.monotonic(), (0.0, 1.0)
        self._report(0.0)

    def part(self, begin: float, end: float) -> None:
        """What follows is a part of the run, between these; progress from 0 to 1 is that of the part."""
        self._part = begin, end

    def step(self, *, step: int, epoch: int, progress: float, loss: float, rate: float, left: float) -> None:
        self._note(progress)  # training looks itself whether to stop, and saves before it does

    def advance(self, progress: float) -> None:
        """So much of the run in progress is done, from 0 to 1.

        Raises:
            Interrupted: a stop was asked for.
        """
        self._check()
        self._note(progress)

    def _note(self, progress: float) -> None:
        now = time.monotonic()
        if now - self._told >= _SHOWN_EVERY:
            self._told = now
            begin, end = self._part
            self._report(begin + (end - begin) * progress)

    def finished(self, run: Run) -> None:
        """A run is finished, and among the measured ones."""
        self._report(0.0)

    def _report(self, progress: float) -> None:
        if self._tell is None:
            return
        done = [self._measured[run] for run in self._runs if run in self._measured]
        ahead = [run for run in self._runs if run not in self._measured]
        spent, left, current = sum(one.seconds for one in done), 0.0, np.inf
        if self._run in ahead and progress > 0:
            now = time.monotonic() - self._began
            ahead.remove(self._run)
            spent, left = spent + now, now * (1.0 - progress) / progress
            current = now / (progress * self._steps[self._run])
        pace = self._pace(done, current)
        left += sum(self._steps[run] * pace(run) for run in ahead)
        fraction = 1.0 if left == 0 else 0.0 if not np.isfinite(left) else spent / (spent + left)
        measured = self._measured.get(self._run)
        self._tell(Progress(self._run, measured, len(done), len(self._runs), fraction, left))

    def _pace(self, done: Sequence[Done], current: float) -> Callable[[Run], float]:
        """s per step of a run; `current` is that of the run in progress."""
        paces: dict[str, list[float]] = {}
        for one in done:
            paces.setdefault(one.run.name, []).append(one.seconds / one.steps)
        means = {network: float(np.mean(values)) for network, values in paces.items()}
        default = float(np.mean(list(means.values()))) if means else current
        return lambda run: means.get(run.name, default)


class ProgressDisplay:
    """Shows the progress: `with ProgressDisplay(run_text) as show: measure_learning_curve(…, on_progress=show)`.

    A line for each finished run and, on a terminal, a bar over all of them with the time left.

    Args:
        describe: what came of a finished run, in words.
        console: where to print; the standard output by default.
    """

    def __init__(self, describe: Callable[[Any], str], console: Console | None = None) -> None:
        self._describe = describe
        self.console = console or Console(highlight=False)
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[left]}"),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._task = self._bar.add_task("", total=1.0, left="")

    def __enter__(self) -> ProgressDisplay:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, progress: Progress) -> None:
        """Show where the experiment stands."""
        left = f"{duration(progress.left)} left"
        number = progress.finished + (progress.measured is None)
        counted = f"run {number} of {progress.total}: {progress.run}"
        self._bar.update(self._task, description=counted, completed=progress.fraction, left=left)
        if progress.measured is not None:
            one = progress.measured
            self.console.print(
                f"{counted}: {self._describe(one)}; {duration(one.seconds)}, {left}",
                soft_wrap=True,
                markup=False,
            )
