"""`cynosure bench`: how fast is a model on this machine?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def bench(
    model: Annotated[Path, typer.Argument(help="Model file.", show_default=False)],
    structure: Annotated[
        str,
        typer.Argument(
            help="What to simulate: any file that ASE reads; FILE@n for frame n.", show_default=False
        ),
    ],
    threads: Annotated[
        str | None,
        typer.Option(
            metavar="1,2|all",
            help="Numbers of threads to compare (all: 1, 2, 4, … and every core), otherwise as many as now.",
            show_default=False,
        ),
    ] = None,
    dt: Annotated[float, typer.Option(metavar="FS", help="Time step, fs.")] = 0.5,
    seconds: Annotated[float, typer.Option(metavar="S", help="Length of a measurement, s.")] = 3.0,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures here too.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where to compute: cpu, cuda, …")] = "cpu",
    dtype: Annotated[
        str | None, typer.Option(help="float32 or float64. [default: the model's own]", show_default=False)
    ] = None,
) -> None:
    """Measure the speed of molecular dynamics with a model, and the memory it needs.

    The time of a whole step through the ASE calculator, with atoms that move as at 300 K, and of the model alone. Two
    measurements for each number of threads.
    """
    import json
    import shlex

    from rich.console import Console

    from cynosure.analysis import bench as measure
    from cynosure.analysis import thread_counts
    from cynosure.cli.progress import working
    from cynosure.cli.report import print_report
    from cynosure.deploy import read_structure
    from cynosure.potentials import write_atomically

    counts = thread_counts(threads)
    atoms = read_structure(structure)
    console = Console(highlight=False)
    with working(console, "preparing") as tell:
        found = measure(
            model,
            atoms,
            counts,
            dt,
            seconds,
            device=device,
            dtype=dtype,
            on_progress=tell,
        )
    command = ["cynosure", "md", str(model), structure, "--ensemble", "nvt", "--temperature", "300"]
    command += ["--dt", f"{dt:g}"]
    command += ["--device", device] if device != "cpu" else []
    command += ["--dtype", dtype] if dtype is not None else []
    print_report(found.report(f"{model} on {structure}", shlex.join(command)), console)
    if json_file is not None:
        write_atomically(json_file, (json.dumps(found.to_json(), indent=2) + "\n").encode())
        print(f"\nWritten: {json_file}")
