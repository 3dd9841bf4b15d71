"""The bar of a command that works for more than a moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


@contextmanager
def working(console: Console, first: str) -> Iterator[Callable[[float, str], None]]:
    """A bar while the block runs, where there is a terminal; it is told the part that is done (0 to 1), and of what."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task(first, total=1.0)
        yield lambda done, what: bar.update(task, completed=done, description=what)
