"""`cynosure elastic`: the elastic constants of a crystal."""

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


def elastic(
    model: Model,
    structure: Crystal,
    clamped: Clamped = False,
    strain: Annotated[
        float, typer.Option(help="Step of the differences; strains reach twice as far.")
    ] = 0.005,
    no_relax: NoRelax = False,
    fmax: Fmax = 1e-5,
    steps: Steps = 500,
    out: Out = None,
    json_file: JsonFile = None,
    device: Device = "cpu",
    dtype: Dtype = "float64",
    overwrite: Overwrite = False,
) -> None:
    """All elastic constants of a crystal, its moduli, and whether it is stable.

    Relaxes atoms and cell, then takes the stress under each of the six strains, with the atoms relaxed under each.
    Works for every symmetry. Voigt's notation: 1 xx, 2 yy, 3 zz, 4 yz, 5 xz, 6 xy. Exits with status 1 if a relaxation
    did not come to its end.
    """
    from rich.console import Console

    from cynosure.analysis import elastic as run
    from cynosure.analysis import result_files
    from cynosure.analysis.crystal_plots import plot_elastic
    from cynosure.cli.crystal import command, finish
    from cynosure.cli.progress import working
    from cynosure.deploy import Calculator, read_structure

    console = Console(highlight=False)
    files = result_files(structure, "elastic", out, json_file, overwrite)
    atoms, calculator = read_structure(structure), Calculator(model, device, dtype)
    with working(console, "relaxing") as tell:
        found = run(calculator, atoms, clamped, strain, not no_relax, fmax, steps=steps, on_progress=tell)
    report = found.report(
        f"Elastic constants: {model} on {structure}",
        [command("phonons", model, structure, device=device)],
    )
    finish(report, found.to_json(), plot_elastic(found), files, found.settled, console)
