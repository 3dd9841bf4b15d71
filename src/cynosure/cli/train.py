"""`cynosure train`: labelled frames in, a potential out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cynosure.cli import process_start
from cynosure.cli.labels import Keys, Units, number_or_path, pairs

if TYPE_CHECKING:
    from cynosure.training import TrainResult


def train(
    data: Annotated[
        str | None,
        typer.Argument(help="File with labelled frames, of any kind that ASE reads.", show_default=False),
    ] = None,
    val: Annotated[
        str | None,
        typer.Option(help="Held-out frames: a file, or a fraction of DATA. [default: 0.1 or less]"),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="MODEL", help="Fine-tune: start from the weights of this model file."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Architecture: small, medium or large, from fast to accurate. [default: by data and minutes]",
        ),
    ] = None,
    ensemble: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            help="Train K members that differ in their initial weights: their spread tells errors.",
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Settings in a .json or .toml file.")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Be done, report included, after so many minutes.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Go through the data so many times.")] = None,
    e0s: Annotated[
        str | None,
        typer.Option(
            help='Energies of isolated atoms: `fit`, a file, JSON such as {"H": -13.6}, or, with --from, `keep`.'
        ),
    ] = None,
    key: Keys = None,
    unit: Units = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run. [default: runs/NAME-OF-DATA]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    replay: Annotated[
        Path | None, typer.Option(metavar="LOG", help="Repeat a run step by step from its metrics.jsonl.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of the split, the weights and the order of frames.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Any setting, as in model.layers=4.")
    ] = None,
) -> None:
    """Train an interatomic potential on labelled frames.

    With nothing but DATA, it trains a sensible model. It prints every setting first, and at the end the errors on
    frames that it held out; the folder of the run has the model, the report and all that is needed to resume.
    """
    started = process_start()
    from cynosure.training import config as settings
    from cynosure.training import display_for
    from cynosure.training import train as run

    folder = out or _default_folder(data, config, resume)
    given: dict[str, Any] = {}
    if config is not None:
        given = settings.load_settings(config)
    elif resume and (folder / "config.json").exists():
        given = settings.load_settings(folder / "config.json")
    chosen = {"data.train": data, "data.val": number_or_path(val), "data.e0s": _json_or_text(e0s)}
    chosen |= {
        "finetune.base": from_,
        "model.preset": preset,
        "model.members": ensemble,
        "minutes": minutes,
        "epochs": epochs,
        "seed": seed,
    }
    assignments = [(name, value) for name, value in chosen.items() if value is not None]
    assignments += [("data.keys." + name, column) for name, column in pairs(key).items()]
    assignments += [("data.units." + name, text) for name, text in pairs(unit).items()]
    assignments += [settings.parse_assignment(text) for text in set_ or []]
    merged = settings.merge(given, assignments)
    if not isinstance(merged.get("data"), str) and "train" not in merged.get("data", {}):
        raise ValueError("which frames? name a file: cynosure train DATA")
    result = run(
        settings.from_settings(merged),
        out=folder,
        resume=resume,
        replay=replay,
        started=started,
        display=display_for(),
    )
    _print_result(result)
    if result.signal is not None:
        raise SystemExit(128 + result.signal)


def _default_folder(data: str | None, config: Path | None, resume: bool) -> Path:
    source = data or config
    if source is None:
        what = "which run? name its folder: cynosure train --resume --out runs/NAME"
        raise ValueError(what if resume else "which frames? name a file: cynosure train DATA")
    return Path("runs") / Path(source).stem


def _json_or_text(text: str | None) -> Any:
    if text is None or not text.lstrip().startswith("{"):
        return text
    from cynosure.training.config import parse_assignment

    return parse_assignment(f"e0s={text}")[1]


def _print_result(result: TrainResult) -> None:
    from cynosure.training.display import duration

    print()
    if result.signal is not None:
        print(f"Stopped after step {result.steps}; nothing is lost. Go on with:")
    else:
        for heading, metrics in result.metrics.items():
            print(metrics.table(heading) + "\n")
        print(f"Training came to {result.ended_by}: {result.steps} steps, {result.epochs} epochs, ", end="")
        print(f"{duration(result.seconds)}. Written: {result.model}, {result.report}")
        print("\nNext:")
    for command in result.next_steps():
        print(f"  {command}")
