"""`cynosure demo`: the whole story in one command."""

from __future__ import annotations

from pathlib import Path

import typer


def demo(
    out: Path = typer.Option(Path("cynosure-demo"), "--out", help="Folder for everything; new or empty."),
    quick: bool = typer.Option(
        False,
        "--quick",
        hidden=True,
        help="Every part in seconds, with a model that has hardly been trained.",
    ),
) -> None:
    """Train a potential in front of your eyes, test its symmetries, and run it. Takes less than three minutes."""
    from cynosure.cli import process_start
    from cynosure.lab.demo import FULL, QUICK, run_demo
    from cynosure.training import display_for

    run_demo(out, QUICK if quick else FULL, display_for(), started=process_start())
