"""A potential for peptides from two small ones: data, training, tests and a figure by one command.

    python -m examples.biology.run [--quick] [--out FOLDER]

It is run from the root of the repository. The folder (`runs/biology`) gets `numbers.json`, `biology.png`, the frames,
the two maps in `maps.json` (eV above the lowest point, φ along the first axis), trajectories of longer peptides in
`walks/`, and the run of training in `model/`. `--quick` goes the whole way in less than a minute, hardly trained.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from ase import Atoms
from ase.io import read
from examples.biology.figure import draw
from examples.biology.make_data import make_data, processes
from examples.biology.measure import (
    Hands,
    Landscape,
    Walk,
    compare,
    errors,
    minima,
    mirror,
    reference_landscape,
    walk,
)
from examples.running import Clock, command_line, parsed
from rich.progress import track

import cynosure
from cynosure.training import display_for, from_settings, train
from cynosure.training.config import load_settings, merge

SETTINGS = Path(__file__).with_name("settings.json")


class Size(NamedTuple):
    """How much is done.

    Attributes:
        epochs: of training.
        points: of the Ramachandran map along φ, and as many along ψ.
        walks: the peptides that run freely with the model.
        steps, frames: of each of them.
    """

    epochs: int
    points: int
    walks: tuple[str, ...]
    steps: int
    frames: int


FULL = Size(60, 24, ("L", "LD", "LDL", "LLDD", "LDLLDD", "LDLLDDLD"), 4000, 16)
QUICK = Size(12, 3, ("L", "LD"), 16, 2)


def main() -> None:
    """Parse the command line, and go the whole way."""
    parser = command_line(
        "biology", "Learn the energies of two small peptides, and see what they say of others."
    )
    arguments = parsed(parser)
    arguments.out.mkdir(parents=True, exist_ok=True)
    # (A molecule is too small for threads; processes share the work.)
    torch.set_num_threads(1)
    with processes() as workers:
        run(arguments.out, workers, quick=arguments.quick)


def run(out: Path, workers: Executor, *, quick: bool) -> Mapping[str, Any]:
    """Everything, in the order of the README; returns what `numbers.json` holds."""
    size, clock = QUICK if quick else FULL, Clock()
    training, testing = make_data(out, workers, quick=quick)
    frames: list[Atoms] = read(testing, ":")  # pyright: ignore[reportAssignmentType] (a list, for a slice)
    clock.lap("data")

    # The map by GFN2 needs no model; another process makes it meanwhile.
    grid = np.linspace(-180, 180, size.points, endpoint=False, dtype=np.float64)
    awaited = workers.submit(reference_landscape, grid)
    settings = merge(load_settings(SETTINGS), [("data.train", str(training)), ("epochs", size.epochs)])
    result = train(from_settings(settings), out=out / "model", display=display_for())
    if result.signal is not None or result.model is None:
        raise SystemExit("training was stopped, and nothing comes of it; start again in another folder")
    clock.lap("training")

    learned = cynosure.Calculator(result.model)
    exact = cynosure.Calculator(result.model, dtype="float64")
    hands = Hands.of(learned, frames)
    numbers: dict[str, Any] = {
        "errors": errors(learned, frames),
        "hands": hands.to_json(),
        "mirror images": mirror(exact, frames),
    }
    clock.lap("errors")

    model = Landscape.of(learned, grid)
    clock.lap("map, model")
    reference = awaited.result()
    maps = {"φ and ψ": grid, "model": model.relative.round(4), "GFN2": reference.relative.round(4)}
    (out / "maps.json").write_text(
        json.dumps({name: values.tolist() for name, values in maps.items()}) + "\n"
    )
    clock.lap("map, GFN2")
    rows = minima(model, reference, learned)
    numbers["map"] = compare(model, reference)
    numbers["minima"] = [row._asdict() for row in rows]
    clock.lap("minima")

    (out / "walks").mkdir()
    walks = [Walk(each, size.steps, size.frames, 300.0, seed) for seed, each in enumerate(size.walks)]
    own = partial(walk, result.model, out=out / "walks")
    numbers["lengths"] = list(track(workers.map(own, walks), "longer peptides", len(walks)))
    clock.lap("longer peptides")

    numbers["seconds"] = clock.laps
    (out / "numbers.json").write_text(
        json.dumps(numbers, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    draw(out / "biology.png", model, reference, rows, hands, numbers)
    print(table(numbers))
    print(f"Written: {out / 'numbers.json'}, {out / 'biology.png'}")
    return numbers


def table(numbers: Mapping[str, Any]) -> str:
    """The numbers in words."""
    own, hands, images, scan = (numbers[name] for name in ("errors", "hands", "mirror images", "map"))
    lines = [
        "",
        f"{own['frames']} held-out frames of Ace-Ala-Nme, every other chain D (only L was trained on):",
        f"  energy {own['energy']:.2f} meV/atom of a spread of {own['energy spread']:.1f}, "
        f"forces {own['forces']:.1f} meV/Å of {own['forces spread']:.0f}",
        f"  sign of the hand right in {hands['right']:.1%} of {hands['residues']} residues; "
        f"|E(L) − E(D)| of mirror images at most {images['energy']:.1e} eV (float64)",
        f"Ramachandran map, {scan['points']} points: model and GFN2 differ by {scan['rmse below 0.5 eV']:.1f} meV "
        f"(RMSE below 0.5 eV; {scan['rmse']:.1f} over all)",
        "",
        f"{'minimum':10s}{'GFN2':>22s}{'model':>24s}",
    ]
    for row in numbers["minima"]:
        texts = [
            f"({row[who][0]:4.0f}°, {row[who][1]:4.0f}°) {row[who + '_energy']:6.1f} meV"
            for who in ("reference", "model")
        ]
        lines.append(f"{row['name']:10s}" + "".join(f"{text:>24s}" for text in texts))
    lines += [
        "",
        f"{'residues':10s}{'atoms':>6s}{'forces, meV/Å':>16s}{'energy, meV/atom':>18s}{'hands right':>13s}",
    ]
    for row in numbers["lengths"]:
        if "unstable" in row:
            lines.append(f"{row['hands']:10s}{row['atoms']:6d}  {row['unstable']}")
            continue
        broken = "" if row["whole"] else "  (a bond or a hand was lost)"
        lines.append(
            f"{row['hands']:10s}{row['atoms']:6d}{row['forces']:16.1f}{row['energy']:18.2f}"
            f"{row['hand']['right']:13.1%}{broken}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
