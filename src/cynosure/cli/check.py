"""`cynosure check`: does a model keep its promises?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def check(
    model: Annotated[Path, typer.Argument(help="Model file.", show_default=False)],
    structure: Annotated[
        str, typer.Argument(help="Any file that ASE reads; FILE@n for frame n.", show_default=False)
    ],
    device: Annotated[str, typer.Option(help="Where to compute: cpu, cuda, …")] = "cpu",
) -> None:
    """Check a model's symmetries and derivatives on a structure.

    Rotation, reflection, translation, wrapping, permutation, batch = single, supercell, force = −dE/dx, stress =
    finite strain, smoothness at the cutoff, lone atoms: each deviation with its tolerance, computed in float64.
    Exits with status 1 if one is too large.
    """
    from rich.console import Console

    from cynosure.analysis import check as run
    from cynosure.analysis import verdict
    from cynosure.deploy import as_potential, read_structure

    console = Console(highlight=False)
    atoms, potential = read_structure(structure), as_potential(model, device)
    marks = {True: "[green]✓[/green]", False: "[red]✗[/red]", None: "[dim]–[/dim]"}
    console.print(f"[bold]  {'check':<28} {'deviation':>10} {'tolerance':>10}  unit[/bold]")
    found = run(
        potential,
        atoms,
        on_deviation=lambda one: console.print(
            f"{marks[one.ok if one.promised else None]} {one.name:<28} {one.value:>10.1e} {one.tolerance:>10.0e}"
            f"  {one.unit}" + (f"  [dim]{one.note}[/dim]" if one.note else ""),
            soft_wrap=True,
        ),
    )
    console.print(f"\n{verdict(found)}", soft_wrap=True)
    if not all(one.ok for one in found):
        raise SystemExit(1)
