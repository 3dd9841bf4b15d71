"""`cynosure eval`: a model's errors on labelled frames."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cynosure.cli.labels import Keys, Units, pairs


def eval(
    model: Annotated[Path, typer.Argument(help="Model file.", show_default=False)],
    data: Annotated[str, typer.Argument(help="File with labelled frames.", show_default=False)],
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the errors, in eV and Å, here too.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE.html", help="Write a page with pictures here too."),
    ] = None,
    key: Keys = None,
    unit: Units = None,
    device: Annotated[str, typer.Option(help="Where to compute: auto, cpu, cuda, …")] = "auto",
) -> None:
    """Measure a model's errors on labelled frames.

    The JSON has `n_structures` and, for each of energy (eV), energy_per_atom (eV), forces (eV/Å) and stress (eV/Å³)
    that the frames have labels for, `mae`, `rmse`, `max` and `n`; forces by element and errors by group besides.
    """
    import json

    from cynosure.data import read_frames
    from cynosure.potentials import Evaluator, load, write_atomically
    from cynosure.training import display_for, evaluate
    from cynosure.training.parity import ParitySample
    from cynosure.training.setup import resolve_device
    from cynosure.training.stress_order import StressOrder

    potential = load(model, device=resolve_device(device))
    frames = read_frames(
        data, pairs(key), pairs(unit), declared=potential.config.columns, points=potential.points
    )
    print(frames.summary())
    display, order, parity = display_for(), StressOrder(frames.groups), ParitySample()
    try:
        metrics = evaluate(
            potential,
            frames,
            engine=Evaluator(potential),
            observers=[order] if report is None else [order, parity],
            progress=lambda done, total: display.evaluating("evaluation", done, total),
        )
    finally:
        display.close()
    print("\n" + metrics.table())
    for note in order.notes():
        print(f"\nNote: {note}")
    if json_file is not None:
        write_atomically(json_file, (json.dumps(metrics.to_json(), indent=2) + "\n").encode())
        print(f"\nWritten: {json_file}")
    if report is not None:
        # (matplotlib is slow to import)
        from cynosure.training.report import ReportContent, versions, write_report

        name = Path(data).name
        content = ReportContent(
            title=f"Errors of {model.name} on {name}",
            words=[f"{metrics.n_structures} frames of {name}, as the model sees them.", *order.notes()],
            tables={f"Errors ({metrics.n_structures} frames)": metrics},
            pairs=parity.pairs(),
            next_steps=[f"cynosure check {model} STRUCTURE.xyz"],
            footer=versions(potential),
        )
        write_report(report, content)
        print(f"\nWritten: {report}")
