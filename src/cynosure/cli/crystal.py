"""What the verbs on crystals share: their options, and how they end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console

    from cynosure.analysis import Report, ResultFiles

Model = Annotated[Path, typer.Argument(help="Model file.", show_default=False)]
Crystal = Annotated[
    str, typer.Argument(help="A crystal: any file that ASE reads; FILE@n for frame n.", show_default=False)
]
Clamped = Annotated[bool, typer.Option("--clamped", help="Let the atoms keep their fractional coordinates.")]
NoRelax = Annotated[bool, typer.Option("--no-relax", help="Take the crystal as it is given.")]
Fmax = Annotated[float, typer.Option(metavar="EV/Å", help="Largest force that relaxing leaves, eV/Å.")]
Steps = Annotated[int, typer.Option(help="Give relaxing up after so many steps.")]
Out = Annotated[
    Path | None,
    typer.Option(metavar="FILE.png", help="The picture. [default: NAME_VERB.png]", show_default=False),
]
JsonFile = Annotated[
    Path | None,
    typer.Option(
        "--json", metavar="FILE", help="All numbers. [default: beside the picture]", show_default=False
    ),
]
Device = Annotated[str, typer.Option(help="Where to compute: cpu, cuda, …")]
Dtype = Annotated[str, typer.Option(help="float32 or float64; small differences want the latter.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the files of --out and --json.")]


def command(verb: str, model: Path, crystal: str, *options: str, device: str = "cpu") -> str:
    """A command on the same model and crystal, as one would type it."""
    import shlex

    where = [] if device == "cpu" else ["--device", device]
    return shlex.join(["cynosure", verb, str(model), crystal, *options, *where])


def finish(
    report: Report,
    numbers: Mapping[str, Any],
    figure: Figure,
    files: ResultFiles,
    settled: bool,
    console: Console,
) -> None:
    """Write the files, print the report, and leave with status 1 if a relaxation did not come to its end."""
    from cynosure.cli.report import print_report

    files.write(numbers, figure)
    print_report(report, console)
    print(f"\nWritten: {files.picture}, {files.numbers}")
    if not settled:
        raise SystemExit(1)
