"""`cynosure md`: molecular dynamics with a model."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class OnUncertainty(str, Enum):
    """What to do with a frame whose forces are too uncertain."""

    stop = "stop"
    save = "save"


class Ensemble(str, Enum):
    """What stays constant."""

    nve = "nve"
    nvt = "nvt"
    npt = "npt"


def md(
    model: Annotated[Path, typer.Argument(help="Model file.", show_default=False)],
    structure: Annotated[
        str,
        typer.Argument(
            help="Starting structure: any file that ASE reads; FILE@n for frame n.", show_default=False
        ),
    ],
    ensemble: Annotated[
        Ensemble, typer.Option(help="Keep energy, temperature, or temperature and pressure.")
    ] = (Ensemble.nvt),
    temperature: Annotated[
        float | None,
        typer.Option(
            metavar="K",
            help="Of the starting velocities, and of nvt and npt. nve may do without it.",
            show_default=False,
        ),
    ] = None,
    steps: Annotated[int, typer.Option(help="Number of steps.")] = 1000,
    dt: Annotated[float, typer.Option(metavar="FS", help="Time step, fs.")] = 0.5,
    out: Annotated[
        Path, typer.Option(help="Frames go here (.traj, .xyz, .extxyz), a picture beside them.")
    ] = Path("md.traj"),
    pressure: Annotated[float, typer.Option(metavar="GPA", help="For npt, GPa.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of velocities and thermostat.")] = 0,
    every: Annotated[int, typer.Option(help="Steps between frames.")] = 10,
    device: Annotated[str, typer.Option(help="Where to compute: cpu, cuda, …")] = "cpu",
    dtype: Annotated[
        str | None, typer.Option(help="float32 or float64. [default: the model's own]", show_default=False)
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the files of --out.")] = False,
    max_uncertainty: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="Of an ensemble: the most that a force may be uncertain by, eV/Å.",
            show_default=False,
        ),
    ] = None,
    on_uncertainty: Annotated[
        OnUncertainty, typer.Option(help="Past it: stop, or save the frame beside --out and go on.")
    ] = OnUncertainty.stop,
) -> None:
    """Run molecular dynamics with a model.

    Velocities are drawn at --temperature. The trajectory has energies, forces and velocities, and a run can go on
    from its last frame. The exit status is 1 where --max-uncertainty stopped it.
    """
    from cynosure.deploy import DynamicsDisplay, molecular_dynamics, read_structure

    atoms = read_structure(structure)
    with DynamicsDisplay(steps, dt) as display:
        result = molecular_dynamics(
            model,
            atoms,
            ensemble.value,
            temperature,
            steps,
            dt,
            out,
            pressure=pressure,
            seed=seed,
            every=every,
            device=device,
            dtype=dtype,
            overwrite=overwrite,
            max_uncertainty=max_uncertainty,
            on_uncertainty=on_uncertainty.value,
            on_sample=display,
        )
    print(f"\n{result.summary()}")
    written = [result.trajectory, result.plot, result.uncertain]
    print(f"Written: {', '.join(str(path) for path in written if path is not None)}")
    if result.interrupted:
        raise SystemExit(130)
    if result.verdict:
        raise SystemExit(1)
