"""Which settings train the most accurate potential in a given time: `python -m benchmarks.ablation`.

Every variant changes something of the preset `small`, and is trained for the same time on the same split of each data
set. The time is that of the processor, on one thread (`trainer.py`), so that several can run at once (`--jobs`). What
an architecture costs in use is measured too, on the first frame, which makes the table one of error against time. A
finished run is kept in `results.jsonl` of the folder and not repeated: the command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import ase.io
from ase import Atoms

from benchmarks import finished_runs
from benchmarks.sides import ROOT, environment

# What variants change something of, unless they are of the other architecture.
_BASE = "model.preset=small"
# Name to what differs, as for `cynosure train --set`.
VARIANTS: dict[str, tuple[str, ...]] = {
    "default": (),
    "last layer read only": ("model.layer_weight=0",),
    "16 channels": ("model.channels=16",),
    "64 channels": ("model.channels=64",),
    "2 layers": ("model.layers=2",),
    "4 layers": ("model.layers=4",),
    "l_max 1": ("model.l_max=1",),
    "l_max 3": ("model.l_max=3",),
    "mace, 32x0e+32x1o, l_max 3": ("model.model=mace",),
    "mace, one layer": ("model.model=mace", "model.layers=1"),
    "mace, 64x0e+64x1o, l_max 3": ("model.model=mace", "model.channels=64"),
    "Adam": ("optimiser.kind=adam",),
    "SOAP": (),
    "schedule-free Adam": ("schedule.warmup=0", "schedule.final=1", "ema.decay=0"),
    "learning rate 0.01": ("optimiser.lr=0.01",),
    "learning rate 0.03": ("optimiser.lr=0.03",),
    "momentum 0.95": ("optimiser.momentum=0.95",),
    "learning rate to zero": ("schedule.final=0",),
    "average of 1,000 steps": ("ema.decay=0.999",),
    "batches of 368 edges": ("batch.max_edges=368",),
    "batches of 1,472 edges": ("batch.max_edges=1472",),
    "double precision": ("dtype=float64",),
    "no stress": ("loss.stress=0",),
    "energy weight 10": ("loss.energy=10",),
    "energy weight rising from 1 to 50": ("loss.energy=50", "loss.energy_rise=50"),
    "weight decay": ("optimiser.weight_decay=0.02",),
    "squared loss": ("loss.kind=squared",),
    "Huber delta 0.01": ("loss.delta=0.01",),
    "cutoff 4 Å": ("model.cutoff=4",),
    "cutoff 6 Å": ("model.cutoff=6",),
    "16 radial functions": ("model.num_basis=16",),
    "wider radial network": ("model.radial_hidden=[64,64]",),
    "Chebyshev basis": ("model.radial_basis=chebyshev",),
    "layer norm": ("model.layer_norm=true",),
    "features of both parities": ("model.parity=true",),
}
# Of the frames: more than the default, because differences between variants are small.
_HELD_OUT = 0.2
# Those whose optimiser is not the package's own (trainer.py).
OTHER_OPTIMISERS = {"SOAP": "soap", "schedule-free Adam": "schedule-free"}


@dataclass(frozen=True)
class Run:
    variant: str
    data: str
    seed: int
    minutes: float


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes:
        forces, energy: root mean square errors on held-out frames at the best validation, eV/Å and eV per atom.
        steps: of the optimiser.
        step_of_atom: µs of a step of molecular dynamics, per atom, on one thread.
    """

    forces: float
    energy: float
    steps: int
    step_of_atom: float


def main() -> None:
    arguments = _arguments()
    data = {path.parent.name: path.resolve() for path in arguments.data}
    chosen = [name for name in VARIANTS if not arguments.only or any(word in name for word in arguments.only)]
    runs = [
        Run(variant, name, seed, arguments.minutes)
        for seed in range(arguments.seeds)
        for variant in chosen
        for name, path in data.items()
        if speaks_of(variant, path)
    ]
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    log = out / "results.jsonl"
    done = finished_runs.read(log, Run, Outcome)

    def finish(numbered: tuple[int, Run]) -> None:
        number, run = numbered
        what = f"{number} of {len(runs)}: {run.variant}, {run.data}, seed {run.seed}"
        print(what, file=sys.stderr, flush=True)
        done[run] = train(run, data[run.data], out / "runs" / str(number))
        finished_runs.keep(log, run, done[run])

    with ThreadPoolExecutor(arguments.jobs) as pool:
        # (As a list: an error of a run is raised when its result is asked for.)
        list(pool.map(finish, [numbered for numbered in enumerate(runs, start=1) if numbered[1] not in done]))
    print("\n".join(table(runs, done)))


def settings_of(variant: str) -> tuple[str, ...]:
    """All settings of a variant, as for `--set`."""
    own = VARIANTS[variant]
    return own if "model.model=mace" in own else (_BASE, *own)


def speaks_of(variant: str, frames: Path) -> bool:
    """Whether frames have the label that a variant is about (those of stress alone need one)."""
    if not any(setting.startswith("loss.stress") for setting in VARIANTS[variant]):
        return True
    first = ase.io.read(frames, index=0)
    assert isinstance(first, Atoms)
    return first.calc is not None and "stress" in first.calc.results


def train(run: Run, frames: Path, folder: Path) -> Outcome:
    """Train as a user would, read what the run wrote, and measure how fast the model is.

    Raises:
        subprocess.CalledProcessError: the training failed, or the measurement.
    """
    settings = [word for setting in settings_of(run.variant) for word in ("--set", setting)]
    limits = ["--minutes", str(run.minutes), "--seed", str(run.seed), "--val", str(_HELD_OUT)]
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was cut off
    command = [sys.executable, "-m", "benchmarks.trainer", OTHER_OPTIMISERS.get(run.variant, "own"), "train"]
    subprocess.run(
        [*command, str(frames), *limits, "--out", str(folder), *settings],
        cwd=ROOT,
        env=environment(threads=1),
        check=True,
        stdout=subprocess.DEVNULL,
    )
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    best = [line for line in lines if line["kind"] == "validation" and line["best"]][-1]
    steps = max(line["step"] for line in lines if line["kind"] == "step")
    errors = best["errors"]
    speed = folder / "speed.json"
    command = [sys.executable, "-m", "cynosure", "bench", str(folder / "model.safetensors"), f"{frames}@0"]
    subprocess.run(
        [*command, "--threads", "1", "--json", str(speed)],
        env=environment(threads=1),
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (timing,) = json.loads(speed.read_text(encoding="utf-8"))["timings"]
    return Outcome(errors["forces"]["rmse"], errors["energy_per_atom"]["rmse"], steps, timing["us_per_atom"])


def table(runs: Sequence[Run], done: Mapping[Run, Outcome]) -> list[str]:
    """Markdown: for each variant and data set the means over seeds, and the forces beside those of the default."""
    sets = list(dict.fromkeys(run.data for run in runs))
    heads = [
        f"{name}: forces, meV/Å | of default | energy, meV/atom | steps | µs/atom in use" for name in sets
    ]
    lines = ["| variant | " + " | ".join(heads) + " |", "|---" * (1 + 5 * len(sets)) + "|"]
    for variant in dict.fromkeys(run.variant for run in runs):
        cells = [variant]
        for name in sets:
            own = [done[run] for run in runs if (run.variant, run.data) == (variant, name)]
            plain = [done[run] for run in runs if (run.variant, run.data) == ("default", name)]
            if not own:
                cells += 5 * ["–"]
                continue
            forces = mean(outcome.forces for outcome in own)
            beside = f"{forces / mean(o.forces for o in plain):.2f}" if plain else "–"
            cells += [
                " / ".join(f"{1000 * outcome.forces:.1f}" for outcome in own),
                beside,
                f"{1000 * mean(outcome.energy for outcome in own):.2f}",
                f"{mean(outcome.steps for outcome in own):,.0f}",
                f"{min(outcome.step_of_atom for outcome in own):.0f}",
            ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablation", description=__doc__)
    parser.add_argument(
        "data", nargs="+", type=Path, help="files with labelled frames, each in a folder of its name"
    )
    parser.add_argument("--minutes", type=float, default=4.0, help="of each run (4)")
    parser.add_argument("--seeds", type=int, default=2, help="runs of each variant and data set (2)")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once, each on one thread (1)")
    parser.add_argument(
        "--only", action="append", metavar="WORD", help="variants whose name contains this; repeatable"
    )
    parser.add_argument("--out", type=Path, default=Path("ablation"), help="folder of the results (ablation)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
