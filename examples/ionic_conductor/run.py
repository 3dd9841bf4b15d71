"""Lithium in Li10GeP2S12 with SevenNet-0: arrangement, relaxation, dynamics, diffusion, by one command.

    python -m examples.ionic_conductor.run [--quick] [--out FOLDER] [--model FILE]

It is run from the root of the repository. The folder (`runs/ionic_conductor`) gets `numbers.json`,
`ionic_conductor.png`, the crystal and the trajectories. `--quick` goes the whole way in less than half a minute with a
network of random weights, whose numbers mean nothing.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from examples.ionic_conductor.comparison import ROOM, ab_initio, checks, table
from examples.ionic_conductor.crystal import CHARGES, lowest
from examples.ionic_conductor.diffusion import Arrhenius, conductivity
from examples.ionic_conductor.figure import draw
from examples.ionic_conductor.measure import Motion, together
from examples.running import Clock, command_line, parsed
from rich.console import Console

from cynosure import Calculator
from cynosure.cli import app
from cynosure.cli.progress import working
from cynosure.deploy import relax
from cynosure.potentials import build, save

MODEL = Path("sevennet-0.safetensors")
TIME_STEP = 2.0  # fs: a 27th of the fastest vibration, that of phosphorus and sulphur


class Size(NamedTuple):
    """How much is done.

    Attributes:
        arrangements: how many of the lowest electrostatic energy are relaxed.
        relax: steps of a relaxation at most.
        temperatures: of the runs, K.
        shown: the one of which a run goes on at constant energy, and which is shown.
        seeds: of the runs at each.
        steps: of each run.
        settle: ps of it that are left out.
        every: steps from frame to frame.
        blocks: into which a run is cut for the errors.
        free: steps at constant energy.
    """

    arrangements: int
    relax: int
    temperatures: tuple[float, ...]
    shown: float
    seeds: tuple[int, ...]
    steps: int
    settle: float
    every: int
    blocks: int
    free: int


FULL = Size(8, 500, (700.0, 850.0, 1000.0, 1200.0), 1000.0, (0, 1), 20000, 5.0, 10, 5, 5000)
QUICK = Size(1, 3, (300.0, 600.0), 600.0, (0, 1), 60, 0.02, 2, 2, 200)


def main() -> None:
    """Parse the command line, and go the whole way."""
    parser = command_line(
        "ionic_conductor",
        "Let lithium move through Li10GeP2S12.",
        quick="less than half a minute, with random weights in place of the model",
    )
    parser.add_argument("--model", type=Path, default=MODEL, help=f"the imported SevenNet-0 [{MODEL}]")
    arguments = parsed(parser)
    if not (arguments.quick or arguments.model.is_file()):
        parser.error(
            f"there is no file '{arguments.model}'; import the model first, cynosure import 7net-0 --trust --out "
            f"{arguments.model} (docs/pretrained.md), or name another by --model"
        )
    arguments.out.mkdir(parents=True, exist_ok=True)
    run(arguments.out, arguments.model, quick=arguments.quick)


def run(out: Path, model: Path, *, quick: bool) -> Mapping[str, Any]:
    """Everything, in the order of the README; returns what `numbers.json` holds."""
    size, clock, started = QUICK if quick else FULL, Clock(), time.process_time()
    if quick:
        model = stand_in(out / "random.safetensors")
    arrangements = arranged(model, out / "crystal.extxyz", size)
    clock.lap("crystal")
    for temperature in size.temperatures:
        for seed in size.seeds:
            options = ("--ensemble", "nvt", "--temperature", f"{temperature:g}", "--seed", str(seed))
            path = hot(out, temperature, seed)
            md(model, out / "crystal.extxyz", path, size.every, size.steps, *options)
        clock.lap(f"{temperature:.0f} K")
    start = hot(out, size.shown, size.seeds[0])
    md(model, start, out / "nve.traj", size.every // 2, size.free, "--ensemble", "nve")
    clock.lap("constant energy")

    numbers = analysed(out, size)
    numbers["crystal"]["arrangements"] = arrangements
    numbers["seconds"] = clock.laps
    numbers["seconds of processor"] = round(time.process_time() - started, 1)
    (out / "numbers.json").write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    print(f"\n{table(numbers)}\n")
    if quick:
        print("The weights were random: these numbers mean nothing.")
    print(f"Written: {out / 'numbers.json'}, {out / 'ionic_conductor.png'}, {out / 'crystal.extxyz'}")
    return numbers


def hot(out: Path, temperature: float, seed: int) -> Path:
    """A trajectory at a temperature."""
    return out / f"{temperature:.0f}K-{seed}.traj"


def arranged(model: Path, out: Path, size: Size) -> list[dict[str, Any]]:
    """Relax the arrangements of lowest electrostatic energy, cell and all, and write the crystal for dynamics.

    Atoms are those of the arrangement of lowest energy. At the temperatures of the runs lithium keeps to no
    arrangement, and the crystal is tetragonal; so its cell is the mean of them all, with two equal sides.

    Returns:
        what `numbers.json` says of each: eV/atom, Å, degrees.
    """
    calculator, relaxed, numbers = Calculator(model), [], []
    tried = lowest(size.arrangements)
    with working(Console(highlight=False), "relaxing") as tell:
        for number, one in enumerate(tried):
            tell(number / len(tried), f"relaxing arrangement {number + 1} of {len(tried)}")
            relaxed.append(relax(calculator, one.atoms, cell=True, steps=size.relax))
            numbers.append(
                {
                    "electrostatic energy": one.energy / len(one.atoms),
                    "energy": relaxed[-1].after.energy / len(one.atoms),
                    "lengths and angles": relaxed[-1].atoms.cell.cellpar().tolist(),
                    "converged": relaxed[-1].converged,
                }
            )
    crystal = min(relaxed, key=lambda result: result.after.energy).atoms.copy()
    first, second, third = np.mean([result.atoms.cell.lengths() for result in relaxed], axis=0).tolist()
    side = (first + second) / 2
    crystal.set_cell([side, side, third], scale_atoms=True)
    crystal.write(out)
    return numbers


def analysed(out: Path, size: Size) -> dict[str, Any]:
    """Read the trajectories, draw the figure, and return what `numbers.json` says of them."""
    runs = {
        wanted: [Motion.of(hot(out, wanted, seed), size.settle) for seed in size.seeds]
        for wanted in size.temperatures
    }
    free = Motion.of(out / "nve.traj")
    atoms = free.atoms
    density = list(atoms.symbols).count("Li") / atoms.get_volume()
    found: list[dict[str, Any]] = [
        {"wanted": wanted, "ab initio": ab_initio(wanted, density)} | together(each, size.blocks)
        for wanted, each in runs.items()
    ]
    values, errors = zip(*(one["diffusion"]["Li"]["coefficient"] for one in found), strict=True)
    fit = Arrhenius.of(size.temperatures, values, errors)
    room, factor = fit.at(ROOM)
    conducted = conductivity(room, ROOM, density)
    numbers: dict[str, Any] = {
        "crystal": {"lengths and angles": atoms.cell.cellpar().tolist(), "density of lithium": density},
        "runs": found,
        "arrhenius": {
            "activation energy": [fit.energy, float(fit.covariance[0, 0] ** 0.5)],
            "conductivity at 300 K": conducted,
            "conductivity at 300 K, range": [conducted / factor, conducted * factor],
        },
        "constant energy": {
            "step": TIME_STEP,
            "time": float(free.times[-1]),
            "temperature": free.temperature,
            **free.conservation(),
        },
    }
    numbers["checks"] = checks(numbers)
    draw(out / "ionic_conductor.png", size.shown, runs[size.shown], free, fit, numbers)
    return numbers


def stand_in(path: Path) -> Path:
    """A small network of random weights with a repulsive core, as a model file."""
    config = {"layers": 1, "l_max": 1, "channels": 4, "radial_hidden": (8, 4), "cutoff": 4.0, "zbl": True}
    save(build(config, list(CHARGES), scale=0.05), path)
    return path


def md(model: Path, start: Path, out: Path, every: int, steps: int, *options: str) -> None:
    """`cynosure md`, as it is typed."""
    words = ["md", str(model), str(start), *options, "--steps", str(steps), "--dt", f"{TIME_STEP:g}"]
    words += ["--every", str(every), "--out", str(out)]
    print(f"\n$ cynosure {shlex.join(words)}", flush=True)
    app(words, prog_name="cynosure", standalone_mode=False)


if __name__ == "__main__":
    main()
