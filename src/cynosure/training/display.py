"""What a run shows while it works: a bar on a terminal, a plain line now and then elsewhere, or nothing."""

from __future__ import annotations

import math
import sys
import time
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from cynosure.training.metrics import Metrics


class Display:
    """Shows nothing. The base of the displays below, and the one for use as a library."""

    def say(self, text: str) -> None:
        """A sentence or a block of text for the reader."""

    def step(self, *, step: int, epoch: int, progress: float, loss: float, rate: float, left: float) -> None:
        """A training step is done.

        Args:
            step, epoch: how many are done.
            progress: from 0 to 1.
            loss: of this step.
            rate: structures per second.
            left: s, an estimate; infinite when there is none yet.
        """

    def validation(self, *, step: int, score: float, best: bool, metrics: Metrics) -> None:
        """A validation is done: its loss, whether it is the best so far, and its errors in eV and Å."""

    def evaluating(self, what: str, done: int, total: int) -> None:
        """So many structures of a set are evaluated."""

    def close(self) -> None:
        """Nothing more is to be shown."""


class LineDisplay(Display):
    """Plain lines, for a file or a pipe: one for each validation, and one for training every few seconds.

    Args:
        stream: where to; standard output if None.
        interval: s between two lines about training.
    """

    def __init__(self, stream: TextIO | None = None, interval: float = 20.0) -> None:
        self._stream = stream or sys.stdout
        self._interval = interval
        self._last = time.monotonic()

    def say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def step(self, *, step: int, epoch: int, progress: float, loss: float, rate: float, left: float) -> None:
        now = time.monotonic()
        if now - self._last >= self._interval:
            self._last = now
            self.say(
                f"step {step}, epoch {epoch}, {100 * progress:.0f} %: loss {loss:.4g}, "
                f"{rate:.3g} structures/s, {duration(left)} left"
            )

    def validation(self, *, step: int, score: float, best: bool, metrics: Metrics) -> None:
        now = time.monotonic()
        if best or now - self._last >= self._interval:
            self._last = now
            self.say(f"validation at step {step}: {metrics.in_words()}{', the best so far' if best else ''}")


class BarDisplay(Display):
    """A progress bar with the time left and, below it, the rate, the loss and the best validation so far.

    Args:
        console: where to; a new one on standard output if None.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._validation = ""
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[left]}"),
        )
        self._task = self._bar.add_task("", total=1.0, left="")
        self._details = Text(no_wrap=True, overflow="ellipsis")
        self._live: Live | None = None

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def step(self, *, step: int, epoch: int, progress: float, loss: float, rate: float, left: float) -> None:
        text = f"epoch {epoch}, {rate:.3g} structures/s, loss {loss:.3g}{self._validation}"
        self._update("training", progress, text, f"{duration(left)} left")

    def validation(self, *, step: int, score: float, best: bool, metrics: Metrics) -> None:
        if best:
            self._validation = f"; held out: {metrics.in_words()}"

    def evaluating(self, what: str, done: int, total: int) -> None:
        # A validation in the course of training is too short to change what is shown.
        if self._live is None or self._bar.tasks[0].description == what:
            self._update(what, done / total, f"{done} of {total} structures", "")

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _update(self, what: str, fraction: float, text: str, left: str) -> None:
        if self._live is None:
            shown = Group(self._bar, self._details)
            self._live = Live(shown, console=self._console, refresh_per_second=4, transient=True)
            self._live.start()
        self._details.plain = text
        self._bar.update(self._task, description=what, completed=fraction, left=left)


def display_for(stream: TextIO | None = None) -> Display:
    """A bar if the stream (standard output if None) is a terminal, else plain lines."""
    target: TextIO = stream or sys.stdout
    return BarDisplay(Console(file=target)) if target.isatty() else LineDisplay(target)


def duration(seconds: float) -> str:
    """`7 s`, `3 min 20 s`, `2 h 5 min`; `?` where it is not known."""
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
