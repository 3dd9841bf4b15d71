"""`cynosure lab`: the symmetry experiments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from cynosure.cli.labels import Keys, Units, number_or_path, pairs

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from rich.console import Console

    from cynosure.analysis import Report
    from cynosure.lab.progress import ProgressDisplay

Result = TypeVar("Result")
Plan = TypeVar("Plan", bound="DataclassInstance")

lab = typer.Typer(
    name="lab",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Experiments on what symmetry is worth.",
)


@lab.callback()
def _group() -> None:
    """Experiments on what symmetry is worth."""


@lab.command("learning-curve")
def learning_curve(
    data: Annotated[
        str | None,
        typer.Argument(
            help="File with labelled frames. [default: those of the demonstration]", show_default=False
        ),
    ] = None,
    frames: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,…", help="Numbers of training frames. [default: 10,20,40,… as far as DATA goes]"
        ),
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="How many runs for each point. [default: 3]")] = None,
    l_max: Annotated[str | None, typer.Option(metavar="L,L,…", help="Networks. [default: 0,1,2,3]")] = None,
    steps: Annotated[
        int | None, typer.Option(help="Fewest optimiser steps of a run. [default: 10000]")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Fewest passes of a run through its frames. [default: 250]")
    ] = None,
    held_out: Annotated[
        str | None,
        typer.Option(help="Frames to measure with: a file, or a fraction of DATA. [default: 0.2]"),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="The whole way in a minute or two, hardly trained.")
    ] = False,
    key: Keys = None,
    unit: Units = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Any setting of `cynosure train`.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for everything; a curve in it is gone on with.")] = Path(
        "learning-curve"
    ),
) -> None:
    """Measure the held-out force error against the number of training frames, and whether l_max changes the slope.

    Equivariant networks of every --l-max, and the plain network on coordinates where the frames are of one molecule,
    with nested sets of training frames. The same command goes on with a curve that was interrupted.
    """
    from rich.console import Console

    from cynosure.lab import DEMO_SETTINGS
    from cynosure.lab import learning_curve as curves
    from cynosure.training.config import merge, parse_assignment

    given = {"frames": _numbers("--frames", frames), "seeds": seeds, "l_max": _numbers("--l-max", l_max)}
    given |= {"steps": steps, "epochs": epochs}
    plan = _given(curves.QUICK if quick else curves.FULL, given)
    settings = merge({} if data else DEMO_SETTINGS, [parse_assignment(text) for text in set_ or []])
    chosen, notes = curves.read_curve_frames(data, number_or_path(held_out), pairs(key), pairs(unit))
    console = Console(highlight=False)

    def measure(show):
        return curves.measure_learning_curve(
            chosen, out, plan, settings=settings, notes=notes, on_progress=show
        )

    curve = _measured(measure, curves.run_text, out, console)
    written = curves.write_curve(curve, out)
    _tell(curves.describe(curve), (*curves.findings(curve), curves.conclusion(curve)), written, console)


@lab.command("pencil")
def pencil(
    data: Annotated[
        str | None,
        typer.Argument(
            help="File with labelled frames of one molecule, upright. [default: those of the demonstration]",
            show_default=False,
        ),
    ] = None,
    frames: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,…", help="Numbers of training frames. [default: 10,40,160,… and all of DATA]"
        ),
    ] = None,
    copies: Annotated[
        str | None,
        typer.Option(
            metavar="K,K,…", help="Turned copies of each frame, a plain network each. [default: 1,10,100]"
        ),
    ] = None,
    l_max: Annotated[str | None, typer.Option(metavar="L,L,…", help="Other networks. [default: 0,2]")] = None,
    seeds: Annotated[int | None, typer.Option(help="How many runs for each number. [default: 1]")] = None,
    steps: Annotated[
        int | None, typer.Option(help="Fewest optimiser steps of a run. [default: 8000]")
    ] = None,
    error: Annotated[
        str | None,
        typer.Option(
            metavar="E,E,…",
            help="Force errors to be reached, meV/Å. [default: 1/2, 1/4, … of answering zero]",
        ),
    ] = None,
    held_out: Annotated[
        str | None,
        typer.Option(help="Frames to measure with: a file, or a fraction of DATA. [default: 0.2]"),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="The whole way in less than a minute, hardly trained.")
    ] = False,
    key: Keys = None,
    unit: Units = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Any setting of `cynosure train`.")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for everything; an experiment in it is gone on with.")
    ] = Path("pencil"),
) -> None:
    """Train upright, then turn, move and relabel: what a network does not know that a turned pencil is the same.

    A plain network on coordinates, the same shown turned copies, and networks with the symmetries built in; their
    errors, and how many frames each needs to reach the same error. Some ten minutes on one core. The same command goes
    on with an experiment that was interrupted.
    """
    from rich.console import Console

    from cynosure.lab import DEMO_SETTINGS
    from cynosure.lab import pencil as pencils
    from cynosure.lab.curve_frames import read_curve_frames
    from cynosure.training.config import merge, parse_assignment

    given = {"frames": _numbers("--frames", frames), "copies": _numbers("--copies", copies)}
    given |= {"l_max": _numbers("--l-max", l_max), "seeds": seeds, "steps": steps}
    given |= {"targets": _milli("--error", error)}
    plan = _given(pencils.QUICK if quick else pencils.FULL, given)
    settings = merge({} if data else DEMO_SETTINGS, [parse_assignment(text) for text in set_ or []])
    chosen, notes = read_curve_frames(data, number_or_path(held_out), pairs(key), pairs(unit))
    console = Console(highlight=False)

    def measure(show):
        return pencils.measure_pencil(chosen, out, plan, settings=settings, notes=notes, on_progress=show)

    found = _measured(measure, pencils.run_text, out, console)
    written = pencils.write_pencil(found, out)
    _tell(pencils.describe(found), pencils.conclusion(found), written, console)


@lab.command("forces")
def forces(
    data: Annotated[
        str | None,
        typer.Argument(
            help="File with labelled frames of one molecule. [default: those of the demonstration]",
            show_default=False,
        ),
    ] = None,
    frames: Annotated[int | None, typer.Option(help="Number of training frames. [default: all]")] = None,
    steps: Annotated[
        int | None, typer.Option(help="Fewest optimiser steps of a network. [default: 5000]")
    ] = None,
    picoseconds: Annotated[float | None, typer.Option(help="Length of the dynamics. [default: 3]")] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Of the starting velocities, K. [default: 500]")
    ] = None,
    trajectories: Annotated[int | None, typer.Option(help="How many of each way. [default: 8]")] = None,
    seed: Annotated[int | None, typer.Option(help="Of frames and initial weights. [default: 0]")] = None,
    held_out: Annotated[
        str | None,
        typer.Option(help="Frames to measure with: a file, or a fraction of DATA. [default: 0.2]"),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="The whole way in less than a minute, hardly trained.")
    ] = False,
    key: Keys = None,
    unit: Units = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Any setting of `cynosure train`.")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for everything; an experiment in it is gone on with.")
    ] = Path("forces"),
) -> None:
    """Forces from an energy, from a vector of each atom, and from three numbers in fixed axes: what each way breaks.

    The same network, frames and steps for all. Errors on turned frames, net force and torque, curl, work around closed
    loops, and the energy in dynamics. Some seven minutes on one core. The same command goes on with an experiment that
    was interrupted.
    """
    from rich.console import Console

    from cynosure.lab import DEMO_SETTINGS
    from cynosure.lab import forces as ways
    from cynosure.lab.curve_frames import read_curve_frames
    from cynosure.training.config import merge, parse_assignment

    given = {"frames": frames, "steps": steps, "picoseconds": picoseconds, "temperature": temperature}
    given |= {"trajectories": trajectories, "seed": seed}
    plan = _given(ways.QUICK if quick else ways.FULL, given)
    settings = merge({} if data else DEMO_SETTINGS, [parse_assignment(text) for text in set_ or []])
    chosen, notes = read_curve_frames(data, number_or_path(held_out), pairs(key), pairs(unit))
    console = Console(highlight=False)

    def measure(show):
        return ways.compare_forces(chosen, out, plan, settings=settings, notes=notes, on_progress=show)

    found = _measured(measure, ways.run_text, out, console)
    written = ways.write_forces(found, out)
    _tell(ways.describe(found), ways.conclusion(found), written, console)


@lab.command("mirror")
def mirror(
    molecules: Annotated[
        int | None, typer.Option(help="How many each network is trained on. [default: 400]")
    ] = None,
    measured: Annotated[
        int | None, typer.Option(help="How many of each sort to measure with. [default: 210]")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Fewest optimiser steps of a network. [default: 3000]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of molecules and initial weights. [default: 0]")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="The whole way in less than a minute, hardly trained.")
    ] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Any setting of `cynosure train`.")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for everything; an experiment in it is gone on with.")
    ] = Path("mirror"),
) -> None:
    """Left and right hands: which networks tell mirror images of chiral molecules apart, and which energies differ.

    Networks of O(3) and of SO(3), trained on the hand or the energy, of left hands alone or of both. Some four minutes
    on one core. The same command goes on with an experiment that was interrupted.
    """
    from rich.console import Console

    from cynosure.lab import mirror as mirrors
    from cynosure.training.config import merge, parse_assignment

    given = {"molecules": molecules, "measured": measured, "steps": steps, "seed": seed}
    plan = _given(mirrors.QUICK if quick else mirrors.FULL, given)
    settings = merge({}, [parse_assignment(text) for text in set_ or []])
    console = Console(highlight=False)

    def measure(show):
        return mirrors.measure_mirror(out, plan, settings=settings, on_progress=show)

    found = _measured(measure, mirrors.run_text, out, console)
    written = mirrors.write_mirror(found, out)
    _tell(mirrors.describe(found), mirrors.conclusion(found), written, console)


@lab.command("look")
def look(
    irreps: Annotated[str, typer.Option(help="Features to look at, such as 2x1o+2e.")] = "1o+2e",
    molecule: Annotated[str, typer.Option(help="A name of ase.build.molecule.")] = "CH3CH2OH",
    path: Annotated[
        str,
        typer.Option(
            metavar="IR,IR,IR", help="Clebsch-Gordan coefficients: two irreps and one of their product."
        ),
    ] = "1o,1o,1e",
    l_max: Annotated[int, typer.Option(help="Highest degree of the spherical harmonics, at most 4.")] = 3,
    seed: Annotated[int, typer.Option(help="Of the weights and the rotation.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Coarser surfaces.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for the pictures and report.html.")] = Path("look"),
) -> None:
    """Look at spherical harmonics, at features of a network on a turned molecule, and at Clebsch-Gordan coefficients.

    The network has random weights. Its features on the turned molecule are compared with its features on the molecule,
    turned by the Wigner matrix.
    """
    from rich.console import Console
    from rich.progress import Progress

    from cynosure.lab import look as looking

    seen = looking.look(irreps, molecule, path, l_max, seed)
    console = Console(highlight=False)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("drawing", total=1.0)
        written = looking.write_look(
            seen,
            out,
            quick,
            lambda name, part: bar.update(task, description=f"drawing {name}", completed=part),
        )
    _tell(looking.describe(seen), looking.sentences(seen), written, console)


def _measured(
    measure: Callable[[ProgressDisplay], Result], run_text: Callable[[Any], str], out: Path, console: Console
) -> Result:
    """Measure with a progress bar over all runs; who stops it is told that the same command goes on."""
    from cynosure.lab.progress import ProgressDisplay
    from cynosure.training.interrupt import Interrupted

    try:
        with ProgressDisplay(run_text, console) as show:
            return measure(show)
    except Interrupted as stop:
        print(f"Stopped; the finished runs are kept in {out}. The same command goes on.")
        raise SystemExit(128 + stop.signal) from None


def _given(plan: Plan, options: Mapping[str, Any]) -> Plan:
    """A plan in which the options that were given have their values."""
    from dataclasses import replace

    return replace(plan, **{name: value for name, value in options.items() if value is not None})


def _tell(report: Report, sentences: Iterable[str], written: Mapping[str, Path], console: Console) -> None:
    """Print what came out: tables, sentences, and where it is written."""
    from cynosure.cli.report import print_report

    print_report(report, console)
    for sentence in sentences:
        print(f"\n{sentence}")
    print(f"\nWritten: {', '.join(map(str, written.values()))}")


def _milli(option: str, text: str | None) -> tuple[float, ...] | None:
    """Numbers in meV separated by commas, as eV."""
    try:
        return None if text is None else tuple(float(part) / 1e3 for part in text.split(","))
    except ValueError:
        raise ValueError(f"{option} is a list of numbers in meV/Å, such as 100,50; got '{text}'") from None


def _numbers(option: str, text: str | None) -> tuple[int, ...] | None:
    """Whole numbers separated by commas."""
    try:
        return None if text is None else tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{option} is a list of whole numbers, such as 1,2,3; got '{text}'") from None
