"""Nuclear pasta with a learned interaction: data, training, tests, dynamics and a figure by one command.

    python -m examples.nuclear.run [--quick] [--out FOLDER]

It is run from the root of the repository. The folder (`runs/nuclear`) gets `numbers.json`, `nuclear.png`, the frames,
and the run of training in `model/`. `--quick` goes the whole way in less than a minute, hardly trained.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.io import read
from examples.nuclear.dynamics import Motion
from examples.nuclear.figure import draw
from examples.nuclear.interaction import Reference
from examples.nuclear.make_data import FRICTION, Chain, make_data, start
from examples.nuclear.measure import UNITS, Comparison, Conserved, PairCorrelation, symmetry
from examples.running import Clock, command_line, parsed

import cynosure
from cynosure.training import from_settings, train
from cynosure.training.config import load_settings, merge

SETTINGS = Path(__file__).with_name("settings.json")


class Size(NamedTuple):
    """How much is done.

    Attributes:
        epochs: of training.
        pasta: the matter whose pair correlation is measured.
        settle: steps of the exact interaction from a lattice to what everything starts from.
        relax, steps, every: steps until measuring begins, that it lasts, and from frame to frame.
        cluster: in free space, for what motion conserves.
        free_steps: of its motion.
    """

    epochs: int
    pasta: Chain
    settle: int
    relax: int
    steps: int
    every: int
    cluster: Chain
    free_steps: int


FULL = Size(16, Chain(160, 0.3, 0.05, 1.0), 2000, 100, 800, 10, Chain(24, 0.5, 0.16, 1.0, False), 400)
QUICK = Size(25, Chain(32, 0.4, 0.05, 1.0), 50, 5, 20, 5, Chain(8, 0.5, 0.16, 1.0, False), 20)


def main() -> None:
    """Parse the command line, and go the whole way."""
    parser = command_line("nuclear", "Learn the interaction of nucleons, and make nuclear pasta with it.")
    arguments = parsed(parser)
    arguments.out.mkdir(parents=True, exist_ok=True)
    run(arguments.out, quick=arguments.quick)


def run(out: Path, *, quick: bool) -> Mapping[str, Any]:
    """Everything, in the order of the README; returns what `numbers.json` holds."""
    size, clock = QUICK if quick else FULL, Clock()
    training, testing = make_data(out, quick=quick)
    frames: list[Atoms] = read(testing, ":")  # pyright: ignore[reportAssignmentType] (a list, for a slice)
    clock.lap("data")

    settings = merge(load_settings(SETTINGS), [("data.train", str(training)), ("epochs", size.epochs)])
    result = train(from_settings(settings), out=out / "model")
    if result.signal is not None or result.model is None:
        raise SystemExit("training was stopped, and nothing comes of it; start again in another folder")
    print(f"{result.model}: {result.steps} steps of training in {result.seconds:.0f} s")
    clock.lap("training")

    learned = cynosure.Calculator(result.model)
    exact = cynosure.Calculator(result.model, dtype="float64")
    comparison = Comparison.of(learned, frames)
    deviations = symmetry(exact, frames[0], np.random.default_rng(1))
    clock.lap("evaluation")

    settled = condensed(size.pasta, size.settle, seed=2)
    reference, _ = pasta(Reference(), settled, size, seed=3)
    again, _ = pasta(Reference(), settled, size, seed=4)
    clock.lap("pasta, reference")
    model, matter = pasta(learned, settled, size, seed=5)
    clock.lap("pasta, model")
    conserved = cluster(exact, size, seed=6)
    clock.lap("cluster")

    numbers = {
        "errors": comparison.to_json(),
        "symmetry": deviations,
        "pair correlation": {
            "model": model.to_json(),
            "reference": reference.to_json(),
            "reference again": again.to_json(),
        },
        "cluster": conserved.to_json(),
        "seconds": clock.laps,
    }
    (out / "numbers.json").write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    draw(out / "nuclear.png", comparison, matter, model, reference, conserved)
    print(table(numbers))
    print(f"Written: {out / 'numbers.json'}, {out / 'nuclear.png'}")
    return numbers


def condensed(chain: Chain, steps: int, seed: int) -> Atoms:
    """Matter that has come from a lattice to rest with the exact interaction and a thermostat."""
    rng = np.random.default_rng(seed)
    atoms = start(chain, rng)
    Motion(atoms, chain.temperature, rng, friction=FRICTION).run(steps)
    return atoms


def pasta(calculator: Calculator, settled: Atoms, size: Size, seed: int) -> tuple[PairCorrelation, Atoms]:
    """The pair correlation of matter with a thermostat, and its last frame.

    Drops and rods change in times much longer than a run. So runs that are compared start from the same matter, with
    momenta and random forces of their own; two with the exact interaction tell how far chance alone takes them.
    """
    rng = np.random.default_rng(seed)
    atoms = settled.copy()
    atoms.calc = calculator
    motion = Motion(atoms, size.pasta.temperature, rng, friction=FRICTION)
    motion.run(size.relax)
    side = float(atoms.cell.lengths().min())
    correlation = PairCorrelation(min(7.0, side / 2))
    for _ in range(size.steps // size.every):
        motion.run(size.every)
        correlation.add(atoms)
    return correlation, atoms


def cluster(calculator: Calculator, size: Size, seed: int) -> Conserved:
    """A cluster that forms with the exact interaction and a thermostat, and then moves freely with the learned one."""
    atoms = condensed(size.cluster, size.settle, seed)
    atoms.calc = calculator
    rng = np.random.default_rng(seed + 1)
    every = max(1, size.free_steps // 100)
    return Conserved.of(Motion(atoms, size.cluster.temperature, rng), size.free_steps, every)


def table(numbers: Mapping[str, Any]) -> str:
    """The numbers in words, in MeV and fm."""
    lines = [f"{'held-out frames':28s}{'RMSE':>10s}{'spread':>10s}{'of it':>9s}"]
    for name, one in numbers["errors"].items():
        lines.append(
            f"{name + ', ' + UNITS[name]:28s}{one['rmse']:10.4f}{one['spread']:10.3f}{one['relative']:9.2%}"
        )
    runs = numbers["pair correlation"]
    lines += ["", f"{'first peak of g(r)':18s}" + "".join(f"{who:>25s}" for who in runs)]
    for name in runs["model"]:
        peaks = [run[name] for run in runs.values()]
        texts = [
            f"{one['height']:.2f} ± {one['height error']:.2f} at {one['position']:.2f} fm" for one in peaks
        ]
        lines.append(f"{name:18s}" + "".join(f"{text:>25s}" for text in texts))
    lines += ["", "off symmetry, float64"]
    lines += [f"  {name:26s}{value:10.1e}" for name, value in numbers["symmetry"].items()]
    lines += ["", "free cluster, float64"]
    lines += [f"  {name:34s}{value:10.2e}" for name, value in numbers["cluster"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
