"""What a simulation shows of itself in a terminal: a table that grows, and a bar with the rate and time left."""

from __future__ import annotations

import math
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from cynosure.deploy.dynamics import Sample
from cynosure.deploy.relaxation import RelaxStep

_MD_HEAD = f"{'step':>9} {'time':>9} {'E_pot':>14} {'E_kin':>10} {'E_tot':>13} {'T':>8} {'pressure':>10}"
_MD_UNITS = f"{'':>9} {'ps':>9} {'eV':>14} {'eV':>10} {'eV/atom':>13} {'K':>8} {'GPa':>10}"
_RELAX_HEAD = f"{'step':>6} {'energy':>16} {'fmax':>10} {'stress':>10} {'volume':>11}"
_RELAX_UNITS = f"{'':>6} {'eV':>16} {'eV/Å':>10} {'GPa':>10} {'Å³':>11}"


class DynamicsDisplay:
    """Shows the samples of `molecular_dynamics`: `with DynamicsDisplay(steps, dt_fs) as show: …(on_sample=show)`.

    Args:
        steps: how many steps the run has.
        dt_fs: its time step, fs, for the rate in ns per day.
        rows: about how many lines the table is to have, however long the run.
        console: where to print; the standard output by default. Without a terminal there is no bar.
    """

    def __init__(self, steps: int, dt_fs: float, rows: int = 20, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self._steps, self._dt_fs = steps, dt_fs
        self._stride = max(1, steps // rows)
        self._next_row = 0
        self._bar = Progress(
            TextColumn("{task.completed:>9.0f} of {task.total:.0f} steps"),
            BarColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._task: TaskID = self._bar.add_task("", total=max(steps, 1), rate="")
        self._started = time.monotonic()

    def __enter__(self) -> DynamicsDisplay:
        self._bar.start()
        self._started = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, sample: Sample) -> None:
        """Show one sample: always in the bar, and now and then as a line of the table."""
        self._bar.update(self._task, completed=sample.step, rate=self.rate(sample.step))
        if sample.step < self._next_row and sample.step != self._steps:
            return
        uncertain = not math.isnan(sample.uncertainty)
        if self._next_row == 0:
            self.console.print(_MD_HEAD + uncertain * f" {'max σ(F)':>9}", style="bold", soft_wrap=True)
            self.console.print(_MD_UNITS + uncertain * f" {'eV/Å':>9}", style="dim", soft_wrap=True)
        self._next_row = sample.step + self._stride
        pressure = "" if math.isnan(sample.pressure) else f"{sample.pressure:.3f}"
        uncertainty = f" {sample.uncertainty:>9.4f}" if uncertain else ""
        # (Soft: a terminal that is too narrow breaks the line itself, and a file keeps it whole.)
        self.console.print(
            f"{sample.step:>9} {sample.time:>9.4f} {sample.potential:>14.5f} {sample.kinetic:>10.4f} "
            f"{sample.total_per_atom:>13.6f} {sample.temperature:>8.1f} {pressure:>10}{uncertainty}",
            soft_wrap=True,
        )

    def rate(self, step: int) -> str:
        """Steps a second, and what that comes to in a day."""
        seconds = time.monotonic() - self._started
        if step == 0 or seconds <= 0:
            return ""
        per_second = step / seconds
        return f"{per_second:.1f} steps/s, {per_second * self._dt_fs * 86400 * 1e-6:.3g} ns/day"


class RelaxDisplay:
    """Shows the steps of `relax` as a table.

    Args:
        console: where to print; the standard output by default.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)

    def __call__(self, state: RelaxStep) -> None:
        """Show one step."""
        if state.step == 0:
            self.console.print(_RELAX_HEAD, style="bold")
            self.console.print(_RELAX_UNITS, style="dim")
        periodic = not math.isnan(state.stress)
        stress, volume = (f"{state.stress:.3f}", f"{state.volume:.2f}") if periodic else ("", "")
        self.console.print(
            f"{state.step:>6} {state.energy:>16.6f} {state.fmax:>10.5f} {stress:>10} {volume:>11}"
        )
