"""`cynosure screen`: many candidate structures relaxed and ranked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cynosure.cli.crystal import Device, Model


def screen(
    model: Model,
    structures: Annotated[
        list[str],
        typer.Argument(
            help="Files that ASE reads, all their frames; FILE@n or FILE@start:stop:step for some; or folders.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="For all results. A run that was stopped goes on there.")
    ] = Path("screen"),
    fmax: Annotated[float, typer.Option(metavar="EV/Å", help="Largest force to leave, eV/Å.")] = 0.01,
    steps: Annotated[int, typer.Option(help="Give a structure up after so many steps.")] = 500,
    pressure: Annotated[
        float, typer.Option(metavar="GPA", help="On every cell, GPa. Ranks by enthalpy.")
    ] = 0.0,
    fixed_cell: Annotated[bool, typer.Option("--fixed-cell", help="Relax positions alone.")] = False,
    device: Device = "cpu",
    dtype: Annotated[
        str | None, typer.Option(help="float32 or float64. [default: the model's own]", show_default=False)
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start anew in a folder of another model or other settings.")
    ] = False,
) -> None:
    """Relax many structures, cells too, and rank those of each composition.

    Structures whose cell is not periodic in all three directions keep it. The same command goes on where a run was
    stopped, and computes nothing again. Exits with status 1 if a structure could not be read or did not come to rest.
    """
    from rich.console import Console

    from cynosure.analysis import screen as run
    from cynosure.analysis.screen_result import PICTURE, STRUCTURES, TABLE
    from cynosure.cli import fail
    from cynosure.cli.crystal import command
    from cynosure.cli.progress import working
    from cynosure.cli.report import print_report

    console = Console(highlight=False)
    try:
        with working(console, "reading") as tell:
            found = run(
                model,
                structures,
                out,
                fmax,
                steps,
                pressure,
                fixed_cell,
                device=device,
                dtype=dtype,
                overwrite=overwrite,
                on_progress=tell,
                on_note=lambda line: console.print(line, markup=False, soft_wrap=True),
            )
    except KeyboardInterrupt:
        fail("interrupted; what is finished is kept, and the same command goes on", code=130)
    written = [path for name in (TABLE, STRUCTURES, PICTURE) if (path := out / name).exists()]
    next_steps = (
        [command("phonons", model, f"{out / STRUCTURES}@0", device=device)] if len(written) > 1 else []
    )
    console.print()
    print_report(found.report(f"Screening: {model} on {len(found.outcomes)} structures", next_steps), console)
    print(f"\nWritten: {', '.join(map(str, written))}")
    if not found.settled:
        raise SystemExit(1)
