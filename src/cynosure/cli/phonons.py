"""`cynosure phonons`: the vibrations of a crystal."""

from __future__ import annotations

from typing import Annotated

import typer

from cynosure.cli.crystal import Crystal, Device, Dtype, Fmax, JsonFile, Model, NoRelax, Out, Overwrite, Steps


def phonons(
    model: Model,
    structure: Crystal,
    length: Annotated[
        float, typer.Option(metavar="Å", help="Least length of the supercell along each vector, Å.")
    ] = 10.0,
    supercell: Annotated[
        str | None,
        typer.Option(metavar="N,N,N", help="Repetitions along each vector, instead.", show_default=False),
    ] = None,
    displacement: Annotated[float, typer.Option(metavar="Å", help="Of an atom, Å.")] = 0.01,
    no_relax: NoRelax = False,
    fmax: Fmax = 1e-5,
    steps: Steps = 500,
    out: Out = None,
    json_file: JsonFile = None,
    device: Device = "cpu",
    dtype: Dtype = "float64",
    overwrite: Overwrite = False,
) -> None:
    """Phonons of a crystal, by displaced atoms in a supercell (needs phonopy).

    Relaxes atoms and cell, then gives bands along the path between points of high symmetry, their density, frequencies
    at Γ, whether any is imaginary and where, zero-point energy, free energy, entropy and heat capacity. Exits with
    status 1 if the relaxation did not come to its end.
    """
    from rich.console import Console

    from cynosure.analysis import phonons as run
    from cynosure.analysis import result_files
    from cynosure.analysis.crystal_plots import plot_phonons
    from cynosure.analysis.phonons import longer, parse_supercell
    from cynosure.cli.crystal import command, finish
    from cynosure.cli.progress import working
    from cynosure.deploy import Calculator, read_structure

    console = Console(highlight=False)
    repeats = parse_supercell(supercell)
    files = result_files(structure, "phonons", out, json_file, overwrite)
    atoms, calculator = read_structure(structure), Calculator(model, device, dtype)
    with working(console, "relaxing") as tell:
        found = run(
            calculator, atoms, length, repeats, displacement, not no_relax, fmax, steps, on_progress=tell
        )
    report = found.report(
        f"Phonons: {model} on {structure}",
        [f"{command('phonons', model, structure, *longer(found), device=device)}  # until nothing changes"],
    )
    finish(report, found.to_json(), plot_phonons(found), files, found.settled, console)
