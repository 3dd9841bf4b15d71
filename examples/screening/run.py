"""Polymorphs of TiO2 and SiO2 relaxed and ranked by a pretrained model, beside DFT and calorimetry, by one command.

    python -m examples.screening.run --model sevennet-0.safetensors [--out FOLDER]
    python -m examples.screening.run --quick

It is run from the root of the repository. The folder (`runs/screening`) gets `numbers.json`, `screening.png`, the
crystals as files, and in `screen/` what `cynosure screen` leaves. `--quick` takes a few crystals and a small model with
random weights, whose numbers mean nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.io import write
from examples.running import Clock, command_line, parsed
from examples.screening.comparison import compared, table, verdict
from examples.screening.crystals import candidates
from examples.screening.figure import draw
from rich.console import Console

import cynosure
from cynosure.analysis import screen
from cynosure.cli.progress import working
from cynosure.cli.report import print_report

# Silica frameworks are soft: a force ten times as large leaves some of them a meV/atom from their minimum.
FMAX, STEPS = 0.005, 1000
_QUICK = ("rutile", "anatase", "α-quartz", "α-cristobalite", "stishovite")
_QUICK_STEPS = 30
_SMALL = {
    "model": "nequip",
    "layers": 2,
    "l_max": 1,
    "channels": 4,
    "radial_hidden": [8, 4],
    "cutoff": 3.5,
    "zbl": True,
}


def main() -> None:
    """Parse the command line, and go the whole way."""
    parser = command_line(
        "screening",
        "Relax and rank polymorphs of TiO2 and SiO2.",
        "a few crystals, and a model that means nothing",
    )
    parser.add_argument(
        "--model", type=Path, help="a model file that knows Ti, Si and O (cynosure import 7net-0)"
    )
    arguments = parsed(parser)
    if arguments.model is None and not arguments.quick:
        parser.error("name a model by --model: cynosure import 7net-0 --trust --out sevennet-0.safetensors")
    if arguments.model is not None and not arguments.model.is_file():
        parser.error(f"there is no file '{arguments.model}'")
    arguments.out.mkdir(parents=True, exist_ok=True)
    run(arguments.out, arguments.model, quick=arguments.quick)


def run(out: Path, model: Path | None, *, quick: bool) -> Mapping[str, Any]:
    """Everything, in the order of the README; returns what `numbers.json` holds."""
    clock, console = Clock(), Console(highlight=False)
    crystals = candidates()
    if quick:
        crystals = {name: crystals[name] for name in _QUICK}
    write_crystals(out / "crystals", crystals)
    if model is None:
        model = out / "model.safetensors"
        cynosure.build(_SMALL, ["O", "Si", "Ti"], scale=0.3, avg_neighbours=12.0, seed=0).save(model)
    with working(console, "relaxing") as tell:
        found = screen(
            model,
            crystals,
            out / "screen",
            fmax=FMAX,
            steps=_QUICK_STEPS if quick else STEPS,
            on_progress=tell,
            on_note=lambda line: console.print(line, markup=False),
        )
    clock.lap("screening")
    print_report(found.report(f"{model.name} on {len(found.outcomes)} crystals"), console)
    rows = compared(found)
    numbers = {
        "model": model.name,
        **rows,
        "verdict": {formula: verdict(rows[formula]) for formula in rows},
        "seconds": clock.laps,
    }
    (out / "numbers.json").write_text(
        json.dumps(numbers, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    draw(out / "screening.png", found, rows)
    print(f"\n{table(rows)}\n\nWritten: {out / 'numbers.json'}, {out / 'screening.png'}, {out / 'screen'}")
    return numbers


def write_crystals(folder: Path, crystals: Mapping[str, Atoms]) -> None:
    """The crystals as they go into the screening, for `cynosure screen`, each in a file of its own."""
    folder.mkdir()
    for name, atoms in crystals.items():
        named = atoms.copy()
        named.info["name"] = name
        write(folder / f"{name.replace(', ', '-')}.extxyz", named)


if __name__ == "__main__":
    main()
