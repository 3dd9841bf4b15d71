"""`cynosure eos`: the equation of state of a crystal."""

from __future__ import annotations

from typing import Annotated

import typer

from cynosure.cli.crystal import (
    Clamped,
    Crystal,
    Device,
    Dtype,
    Fmax,
    JsonFile,
    Model,
    NoRelax,
    Out,
    Overwrite,
    Steps,
)


def eos(
    model: Model,
    structure: Crystal,
    span: Annotated[
        float, typer.Option("--range", help="Volumes from 1 − this to 1 + this of the crystal's own.")
    ] = 0.06,
    points: Annotated[int, typer.Option(help="Number of volumes.")] = 11,
    clamped: Clamped = False,
    no_relax: NoRelax = False,
    fmax: Fmax = 1e-5,
    steps: Steps = 500,
    out: Out = None,
    json_file: JsonFile = None,
    device: Device = "cpu",
    dtype: Dtype = "float64",
    overwrite: Overwrite = False,
) -> None:
    """Energy and pressure of a crystal against its volume.

    Relaxes atoms and cell, scales the cell (its shape stays) and relaxes the atoms at every volume, and fits the
    equation of Birch and Murnaghan: V₀, E₀, B₀ and B₀′, with the lattice at V₀. Compares the pressure of the stress
    with the slope of the energy. Exits with status 1 if a relaxation did not come to its end.
    """
    from rich.console import Console

    from cynosure.analysis import eos as run
    from cynosure.analysis import result_files
    from cynosure.analysis.crystal_plots import plot_eos
    from cynosure.cli.crystal import command, finish
    from cynosure.cli.progress import working
    from cynosure.deploy import Calculator, read_structure

    console = Console(highlight=False)
    files = result_files(structure, "eos", out, json_file, overwrite)
    atoms, calculator = read_structure(structure), Calculator(model, device, dtype)
    with working(console, "relaxing") as tell:
        found = run(
            calculator, atoms, span, points, clamped, not no_relax, fmax, steps=steps, on_progress=tell
        )
    report = found.report(
        f"Equation of state: {model} on {structure}",
        [command("elastic", model, structure, device=device)],
    )
    finish(report, found.to_json(), plot_eos(found), files, found.settled, console)
