"""What Cynosure and its peers learn from the same frames in the same time: `python -m benchmarks.equal_time DATA`.

Every side trains on the same frames, is validated on the same others, has the same number of threads, and is timed
from the start of its process to its end. Cynosure is its default for the time, and once more its preset `small`, which
is made for speed in use as Allegro is; the peers are what their documentation recommends, one side for each file in
`configs` (`MODEL.yaml`, `MODEL-VARIANT.yaml`). Their schedules are counted in epochs, so two short runs first find what
an epoch and what starting and ending take, and the epochs are chosen to end with the time; these two do not count. The
errors are those of the model that each side itself found best in validation, on the validation frames, by one piece of
code (`equal_time_errors.py`).

A finished side is kept in `results.jsonl` of the folder and not repeated. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import ase.io
from ase import Atoms

from benchmarks import finished_runs
from benchmarks.equal_time_errors import MARK
from benchmarks.sides import ROOT, environment
from cynosure.data import read_frames, split

CONFIGS = Path(__file__).resolve().parent / "configs"
# The package that trains a model of `configs`, and reads it again.
_ENGINES = {"allegro": "nequip", "mace": "mace", "nequip": "nequip"}
# Of the epochs, before MACE's stage two: 1200 of 1500 in its README.
_STAGE_TWO = 0.8
# Epochs of the two runs that find what an epoch takes.
_PILOTS = (2, 4)


@dataclass(frozen=True)
class Side:
    """Who trains: the package, the interpreter of its environment, and its settings: a file, or words of a command."""

    name: str
    engine: str
    python: str
    config: Path | None = None
    options: tuple[str, ...] = ()


_OWN = (
    Side("cynosure", "cynosure", sys.executable),
    Side("cynosure-small", "cynosure", sys.executable, options=("--preset", "small")),
)


@dataclass(frozen=True)
class Run:
    side: str
    data: str
    minutes: float
    seed: int
    threads: int


@dataclass(frozen=True)
class Outcome:
    """Errors in eV (of a frame) and eV/Å; how long the process took, s; epochs, where they were set."""

    energy_rmse: float
    energy_mae: float
    forces_rmse: float
    forces_mae: float
    seconds: float
    epochs: int | None


def main() -> None:
    arguments = _arguments()
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    training, validation = write_split(arguments.data, arguments.val, arguments.seed, out)
    log = out / "results.jsonl"
    done = finished_runs.read(log, Run, Outcome)
    runs = []
    for side in sides(arguments.peers, arguments.mace, arguments.only):
        run = Run(side.name, arguments.data.name, arguments.minutes, arguments.seed, arguments.threads)
        runs.append(run)
        if run in done:
            continue
        print(f"{side.name}: {arguments.minutes:g} minutes", file=sys.stderr, flush=True)
        trainer = Trainer(side, training, validation, out / side.name, run)
        done[run] = trainer.outcome()
        finished_runs.keep(log, run, done[run])
    lines = table(runs, done)
    (out / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def sides(nequip: str | None, mace: str | None, only: Sequence[str] | None) -> list[Side]:
    """Cynosure, twice, and each file of settings whose engine has an interpreter."""
    pythons = {"nequip": nequip, "mace": mace}
    found = list(_OWN)
    for config in sorted(CONFIGS.glob("*.yaml")):
        engine = _ENGINES[config.stem.split("-")[0]]
        if python := pythons[engine]:
            found.append(Side(config.stem, engine, python, config))
    return [side for side in found if not only or side.name in only]


def write_split(data: Path, val: float, seed: int, folder: Path) -> tuple[Path, Path]:
    """The training and the validation frames as two extxyz files, the same for every side."""
    frames, labelled = ase.io.read(data, index=":"), read_frames(str(data))
    assert isinstance(frames, list)
    paths = folder / f"training-{seed}.xyz", folder / f"validation-{seed}.xyz"
    chosen = split(len(frames), val, seed, (labelled.groups, labelled.force_sizes))
    for path, indices in zip(paths, chosen, strict=True):
        ase.io.write(path, [frames[index] for index in indices], format="extxyz")
    return paths


class Trainer:
    """Trains one side in processes of its own.

    Args:
        side: who trains.
        training, validation: labelled frames.
        folder: of everything that the side writes; emptied.
        run: for how long, from which seed, on how many threads.
    """

    def __init__(self, side: Side, training: Path, validation: Path, folder: Path, run: Run) -> None:
        self.side, self.training, self.validation, self.folder, self.run = (
            side,
            training,
            validation,
            folder,
            run,
        )
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def outcome(self) -> Outcome:
        """Train for the time of the run, and measure.

        Raises:
            RuntimeError: a process failed; the message ends with what it said last.
        """
        epochs = None if self.side.engine == "cynosure" else self._affordable()
        folder = self.folder / "run"
        seconds = self._timed(
            command(self.side, self.training, self.validation, folder, self.run, epochs), "run"
        )
        model = {
            "cynosure": folder / "model.safetensors",
            "mace": folder / "run_stagetwo.model",
            "nequip": folder / "best.ckpt",
        }[self.side.engine]
        words = [self.side.python, "-m", "benchmarks.equal_time_errors", self.side.engine]
        self._timed([*words, str(model), str(self.validation)], "errors")
        lines = (self.folder / "errors.log").read_text(encoding="utf-8").splitlines()
        errors = json.loads(
            next(line for line in reversed(lines) if line.startswith(MARK)).removeprefix(MARK)
        )
        return Outcome(**errors, seconds=seconds, epochs=epochs)

    def _affordable(self) -> int:
        """Epochs that fit into the time, by two short runs."""
        seconds = []
        for epochs in _PILOTS:
            name = f"pilot-{epochs}"
            words = command(self.side, self.training, self.validation, self.folder / name, self.run, epochs)
            seconds.append(self._timed(words, name))
        return affordable(60 * self.run.minutes, seconds)

    def _timed(self, words: Sequence[str], name: str) -> float:
        log = self.folder / f"{name}.log"
        start = time.perf_counter()
        with log.open("w", encoding="utf-8") as file:
            code = subprocess.run(
                words, cwd=ROOT, env=self._environment(), stdout=file, stderr=subprocess.STDOUT, check=False
            ).returncode
        if code != 0:
            said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-5:]
            raise RuntimeError(
                f"{self.side.name}, {name}: it ended with {code}; {log} has all of\n" + "\n".join(said)
            )
        return time.perf_counter() - start

    def _environment(self) -> dict[str, str]:
        variables = environment(self.run.threads)
        if self.side.engine != "cynosure":
            variables.pop("PYTHONPATH", None)  # it is for our interpreter
        if self.side.engine == "mace":
            # The e3nn that MACE pins reads its own constants so, as MACE does its models.
            variables["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"
        return variables


def affordable(budget: float, pilots: Sequence[float]) -> int:
    """How many epochs end with a budget (s), from what `_PILOTS` took; never fewer than the first of them."""
    epoch = max((pilots[1] - pilots[0]) / (_PILOTS[1] - _PILOTS[0]), 1e-3)
    constant = max(pilots[0] - _PILOTS[0] * epoch, 0.0)
    return max(int((budget - constant) / epoch), _PILOTS[0])


def command(
    side: Side, training: Path, validation: Path, folder: Path, run: Run, epochs: int | None
) -> list[str]:
    """What trains a side, as its users would call it."""
    if side.engine == "cynosure":
        words = ["-m", "cynosure", "train", str(training), "--val", str(validation), "--out", str(folder)]
        return [side.python, *words, "--minutes", str(run.minutes), "--seed", str(run.seed), *side.options]
    assert side.config is not None
    assert epochs is not None
    if side.engine == "mace":
        options = {
            "config": side.config,
            "name": "run",
            "work_dir": folder,
            "model_dir": folder,
            "train_file": training,
            "valid_file": validation,
            "seed": run.seed,
            "max_num_epochs": epochs,
            "start_swa": max(1, int(_STAGE_TWO * epochs)),
        }
        return [
            side.python,
            "-m",
            "mace.cli.run_train",
            *(f"--{name}={value}" for name, value in options.items()),
        ]
    overrides = {
        "hydra.run.dir": folder,
        "data.train_file_path": training,
        "data.val_file_path": validation,
        "chemical_symbols": f"[{','.join(_elements(training))}]",
        "seed": run.seed,
        "trainer.max_epochs": epochs,
    }
    words = ["-m", "nequip.scripts.train", "-cp", str(side.config.parent), "-cn", side.config.stem]
    return [side.python, *words, *(f"{name}={value}" for name, value in overrides.items())]


def _elements(frames: Path) -> list[str]:
    symbols: set[str] = set()
    for frame in ase.io.iread(frames, index=":"):
        assert isinstance(frame, Atoms)
        symbols.update(frame.get_chemical_symbols())
    return sorted(symbols)


def table(runs: Sequence[Run], done: Mapping[Run, Outcome]) -> list[str]:
    """Markdown: a line for each side."""
    heads = ["", "energy RMSE, meV", "MAE", "forces RMSE, meV/Å", "MAE", "epochs", "minutes"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for run in runs:
        outcome = done[run]
        errors = (outcome.energy_rmse, outcome.energy_mae, outcome.forces_rmse, outcome.forces_mae)
        cells = [run.side, *(f"{1000 * error:.1f}" for error in errors)]
        cells += ["–" if outcome.epochs is None else str(outcome.epochs), f"{outcome.seconds / 60:.1f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.equal_time", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    names = [*(side.name for side in _OWN), *sorted(config.stem for config in CONFIGS.glob("*.yaml"))]
    parser.add_argument("data", type=Path, help="labelled frames, of any kind that ASE reads")
    parser.add_argument("--minutes", type=float, default=20.0, help="for each side (20)")
    parser.add_argument(
        "--val", type=float, default=0.1, help="fraction of the frames that is held out (0.1)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the split, the weights, the order of frames (0)"
    )
    parser.add_argument("--threads", type=int, default=1, help="of every side (1)")
    parser.add_argument(
        "--peers", metavar="PYTHON", help="the interpreter of NequIP's and Allegro's environment"
    )
    parser.add_argument("--mace", metavar="PYTHON", help="the interpreter of MACE's environment")
    parser.add_argument("--only", action="append", choices=names, help="these sides alone; repeatable")
    parser.add_argument(
        "--out", type=Path, default=Path("equal-time"), help="folder of the results (equal-time)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
