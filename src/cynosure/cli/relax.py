"""`cynosure relax`: a structure, and its cell if asked, to the nearest minimum."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def relax(
    model: Annotated[Path, typer.Argument(help="Model file.", show_default=False)],
    structure: Annotated[
        str, typer.Argument(help="Any file that ASE reads; FILE@n for frame n.", show_default=False)
    ],
    cell: Annotated[bool, typer.Option("--cell", help="Relax the lattice vectors too.")] = False,
    fmax: Annotated[float, typer.Option(metavar="EV/Å", help="Largest force to leave, eV/Å.")] = 0.01,
    steps: Annotated[int, typer.Option(help="Give up after so many steps.")] = 500,
    pressure: Annotated[
        float, typer.Option(metavar="GPA", help="With --cell: from outside, GPa. Relaxes E + pV.")
    ] = 0.0,
    out: Annotated[
        Path | None,
        typer.Option(help="The relaxed structure. [default: NAME_relaxed.extxyz]", show_default=False),
    ] = None,
    device: Annotated[str, typer.Option(help="Where to compute: cpu, cuda, …")] = "cpu",
    dtype: Annotated[
        str | None, typer.Option(help="float32 or float64. [default: the model's own]", show_default=False)
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file of --out.")] = False,
) -> None:
    """Relax a structure, and its cell if asked.

    Exits with status 1 if the forces did not come below --fmax; the structure is written all the same.
    """
    from cynosure.deploy import RelaxDisplay, read_structure
    from cynosure.deploy import relax as run

    result = run(
        model,
        read_structure(structure),
        cell,
        fmax,
        steps,
        out or Path(f"{Path(structure.partition('@')[0]).stem}_relaxed.extxyz"),
        device=device,
        dtype=dtype,
        overwrite=overwrite,
        on_step=RelaxDisplay(),
        pressure=pressure,
    )
    print(f"\n{result.summary()}")
    print(f"Written: {result.out}")
    if not result.converged:
        raise SystemExit(1)
