"""`cynosure info`: what is in a file?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cynosure.cli.labels import Keys, Units, pairs


def info(
    file: Annotated[
        Path, typer.Argument(help="A model file, or a file of structures that ASE reads.", show_default=False)
    ],
    key: Keys = None,
    unit: Units = None,
) -> None:
    """Show what a data set or a model file holds.

    A model is loaded, so that its checksums and its probe are verified. Of a data set, what looks wrong is told.
    """
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from cynosure.analysis import info as describe

    console = Console(highlight=False)
    report = describe(file, pairs(key), pairs(unit))
    console.print(f"[bold]{escape(report.title)}[/bold]", soft_wrap=True)
    for content in report.tables:
        table = Table(
            title=escape(content.title),
            title_justify="left",
            box=box.SIMPLE_HEAD,
            show_header=any(content.columns),
        )
        for column in content.columns:
            table.add_column(escape(column), overflow="fold")
        for row in content.rows:
            table.add_row(*map(escape, row))
        console.print(table)
    for warning in report.warnings:
        console.print(f"[yellow]Look at this:[/yellow] {escape(warning)}", soft_wrap=True)
    if not report.warnings and not report.is_model:
        console.print("Nothing looks wrong.")
    console.print("\nNext:")
    for command in report.next_steps:
        console.print(f"  {escape(command)}", soft_wrap=True)
