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
    atoms: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Of a model: estimate the memory that so many atoms need.", show_default=False
        ),
    ] = None,
    density: Annotated[
        float | None,
        typer.Option(
            metavar="D",
            help="For --atoms: atoms per Å³, otherwise 0.1 as in liquid water; silicon has 0.05.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show what a data set or a model file holds.

    A model is loaded, so that its checksums and its probe are verified. Of a data set, what looks wrong is told.
    """
    from rich.console import Console

    from cynosure.analysis import info as describe
    from cynosure.cli.report import print_report

    console = Console(highlight=False)
    with console.status(f"Reading {file.name}"):
        report = describe(file, pairs(key), pairs(unit), atoms=atoms, density=density)
    print_report(report, console, if_nothing_is_wrong="" if report.is_model else "Nothing looks wrong.")
