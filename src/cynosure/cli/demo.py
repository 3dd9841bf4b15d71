"""`cynosure demo`: the whole story in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cynosure.cli import process_start


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything; new or empty.")] = Path("cynosure-demo"),
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Every part in seconds, with a model that has hardly been trained."),
    ] = False,
) -> None:
    """Train a potential in front of your eyes, test its symmetries, and run it, in less than three minutes.

    Nothing else is needed: the frames come with the package. The folder of --out gets the model, the trajectory,
    the pictures, and report.html, which tells the story.
    """
    started = process_start()
    from cynosure.lab.demo import FULL, QUICK, run_demo
    from cynosure.training import display_for

    run_demo(out, QUICK if quick else FULL, display_for(), started)
