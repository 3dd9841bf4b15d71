"""`cynosure import`: a checkpoint of another package becomes a model file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def import_(
    source: Annotated[
        str,
        typer.Argument(
            help="A checkpoint of SevenNet or NequIP, a package of NequIP (.nequip.zip), a model of MACE (.model), or "
            "the name of a checkpoint that SevenNet's package carries: 7net-0, 7net-l3i5, 7net-mf-0.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The model file to write.")] = Path(
        "model.safetensors"
    ),
    trust: Annotated[
        bool,
        typer.Option(
            "--trust",
            help="A checkpoint is a pickle: reading it runs whatever code is in it. Say that you trust it.",
        ),
    ] = False,
    format: Annotated[
        str, typer.Option(metavar="NAME", help="Who wrote it: auto, sevennet, nequip or mace.")
    ] = "auto",
    modality: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The level of theory (MACE: head) of a model that has several, or the model in a file of several.",
            show_default=False,
        ),
    ] = None,
    python: Annotated[
        Path | None,
        typer.Option(
            metavar="PYTHON",
            help="A Python that has the checkpoint's package, otherwise this one.",
            show_default=False,
        ),
    ] = None,
    dtype: Annotated[
        str, typer.Option(metavar="DTYPE", help="Of the weights: float32 or float64.")
    ] = "float32",
) -> None:
    """Import a model that another package trained.

    The package reads its checkpoint in a process of its own and hands over numbers. The file is written if energies,
    forces and stresses agree with the original's on structures with every element that the model knows.
    """
    from rich.console import Console
    from rich.table import Table

    from cynosure.importers import BOUNDS, import_model

    console = Console(highlight=False)
    with console.status(f"{source} is read by its own package, and compared"):
        found = import_model(
            source, out, format=format, modality=modality, python=python, trust=trust, dtype=dtype
        )
    table = Table("structure", "atoms", "energy, eV/atom", "forces, eV/Å", "stress, eV/Å³", box=None)
    for one in found.deviations:
        stress = "" if one.stress is None else f"{one.stress:.1e}"
        table.add_row(one.structure, str(one.atoms), f"{one.energy:.1e}", f"{one.forces:.1e}", stress)
    console.print(f"Largest deviations from {found.package}, both in float64:")
    console.print(table)
    if dtype == "float32":
        console.print(
            f"Weights in float32, as in the file, change energies by {found.rounded['energy']:.1e} eV/atom and forces "
            f"by {found.rounded['forces']:.1e} eV/Å at most."
        )
    elements = len(found.model.species)
    console.print(
        f"Within the bounds ({BOUNDS['energy']:g} eV/atom, {BOUNDS['forces']:g} eV/Å): {out} is written, "
        f"with {elements} elements."
    )
    if not found.model.promises_reflection:
        console.print("Its features have no parity: mirror images may differ in energy.")
