"""How a report of `cynosure.analysis` looks in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from cynosure.analysis import Report


def print_report(report: Report, console: Console, *, if_nothing_is_wrong: str = "") -> None:
    """Print title, tables, warnings (or the line for there being none), and the commands to type next."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

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
    if not report.warnings and if_nothing_is_wrong:
        console.print(if_nothing_is_wrong)
    if report.next_steps:
        console.print("\nNext:")
    for command in report.next_steps:
        console.print(f"  {escape(command)}", soft_wrap=True)
