"""Silicon from DFT frames to a crystal: training, tests, elasticity, phonons, a vacancy, dynamics, by one command.

    python -m examples.materials.run [--quick] [--out FOLDER] [--data FILE]

It is run from the root of the repository. The folder (`runs/materials`) gets `numbers.json`, `materials.png`, the
crystal, the divided frames, and the run of training in `model/`. `--quick` goes the whole way in less than a minute,
hardly trained.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ase.build
from ase import Atoms
from ase.io import write
from benchmarks.elastic import ground_state
from examples.materials.comparison import at, checks, table, verdicts
from examples.materials.figure import Pairs, draw
from examples.materials.frames import DATA, FromFrames, divide, read, with_vacancy
from examples.materials.measure import HotCrystal, Vacancy, correction, moduli_of_sound, vacancy
from examples.running import Clock, command_line, parsed
from rich.console import Console

from cynosure import Calculator, load
from cynosure.analysis import Elastic, EquationOfState, Phonons, elastic, eos, phonons
from cynosure.cli.progress import working
from cynosure.data import read_frames
from cynosure.deploy import DynamicsDisplay, molecular_dynamics
from cynosure.potentials import Evaluator
from cynosure.training import Metrics, display_for, evaluate, from_settings, train
from cynosure.training.config import load_settings, merge
from cynosure.training.parity import ParitySample

SETTINGS = Path(__file__).with_name("settings.json")
BAR = 1e-4  # GPa
TIME_STEP = 2.0  # fs: a thirtieth of the fastest vibration


class Size(NamedTuple):
    """How much is done.

    Attributes:
        epochs: of training.
        settings: that go over those of the file.
        every: of the training frames one in so many is used.
        length: of the supercell for phonons, Å.
        vacancies: repetitions of the cubic cell that an atom is taken out of.
        relax: steps of a relaxation with a vacancy at most.
        temperatures: of the runs at constant pressure, K.
        repeats: of the cubic cell in these.
        steps: of each.
        settle: ps of it that are left out.
    """

    epochs: int
    settings: tuple[tuple[str, Any], ...]
    every: int
    length: float
    vacancies: tuple[int, ...]
    relax: int
    temperatures: tuple[float, ...]
    repeats: int
    steps: int
    settle: float


FULL = Size(160, (), 1, 30.0, (2, 3), 500, (300.0, 900.0), 3, 4000, 1.0)
_SMALL = (("model.channels", 8), ("model.layers", 2), ("model.l_max", 1))
QUICK = Size(40, _SMALL, 3, 10.0, (2,), 20, (300.0,), 2, 100, 0.04)


def main() -> None:
    """Parse the command line, and go the whole way."""
    parser = command_line("materials", "Train on frames of silicon, and ask the crystal of the model.")
    parser.add_argument(
        "--data",
        type=Path,
        default=DATA,
        help="the frames [shared/data/silicon/train.extxyz beside the repository]",
    )
    arguments = parsed(parser)
    if importlib.util.find_spec("phonopy") is None:
        parser.error("phonons need phonopy, which is not installed: pip install 'cynosure[phonons]'")
    try:
        frames = read(arguments.data)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    arguments.out.mkdir(parents=True, exist_ok=True)
    run(arguments.out, frames, quick=arguments.quick)


def run(out: Path, frames: Sequence[Atoms], *, quick: bool) -> Mapping[str, Any]:
    """Everything, in the order of the README; returns what `numbers.json` holds."""
    size, clock, console = QUICK if quick else FULL, Clock(), Console(highlight=False)
    kept, held = divide(frames)
    write(out / "train.xyz", kept[:: size.every])
    write(out / "test.xyz", held)
    labels = FromFrames.of(frames)

    model = trained(out, size)
    clock.lap("training")
    errors, pairs = tested(model, out / "test.xyz")
    clock.lap("evaluation")

    exact = Calculator(model, dtype="float64")
    found = ask(exact, size, console)
    crystal = found.energies.rest.atoms
    write(out / "silicon.xyz", crystal)
    clock.lap("crystal")
    with working(console, "relaxing around a vacancy"):
        vacancies = {
            name: [vacancy(exact, crystal, n, paired=paired, steps=size.relax) for n in size.vacancies]
            for name, paired in (("paired", True), ("tetrahedral", False))
        }
    raised = correction(exact, with_vacancy(frames), ground_state(frames))
    clock.lap("vacancy")
    hot = [warm(Calculator(model), crystal, temperature, size) for temperature in size.temperatures]
    clock.lap("dynamics")

    numbers = {
        "labels": {**labels.__dict__, "bulk": labels.bulk},
        "errors": errors.to_json(),
        **crystal_numbers(found),
        "vacancy": vacancy_numbers(vacancies, raised),
        "hot": [one.to_json(found.lattice) for one in hot],
    }
    verdict = checks(numbers, labels)
    numbers |= {"checks": {name: one.to_json() for name, one in verdict.items()}, "seconds": clock.laps}
    (out / "numbers.json").write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    draw(out / "materials.png", found.energies, found.phonons, pairs, errors, hot, found.lattice)
    print(f"\n{errors.table(f'{errors.n_structures} held-out frames')}\n")
    print(f"{table(numbers, labels)}\n\n{verdicts(verdict)}")
    print(f"\nWritten: {out / 'numbers.json'}, {out / 'materials.png'}, {model}")
    return numbers


def trained(out: Path, size: Size) -> Path:
    """Train, and return the model file."""
    given = [("data.train", str(out / "train.xyz")), ("epochs", size.epochs), *size.settings]
    result = train(
        from_settings(merge(load_settings(SETTINGS), given)), out=out / "model", display=display_for()
    )
    if result.signal is not None or result.model is None:
        raise SystemExit("training was stopped, and nothing comes of it; start again in another folder")
    return result.model


def tested(model: Path, held: Path) -> tuple[Metrics, Pairs]:
    """Errors on held-out frames, and labels beside predictions."""
    potential, parity = load(model), ParitySample()
    errors = evaluate(potential, read_frames(held), engine=Evaluator(potential), observers=[parity])
    return errors, parity.pairs()


class Crystal(NamedTuple):
    """What the verbs `cynosure eos`, `elastic` and `phonons` say of the crystal."""

    energies: EquationOfState
    clamped: Elastic
    relaxed: Elastic
    phonons: Phonons

    @property
    def lattice(self) -> float:
        """Edge of the cubic cell at rest, Å."""
        return float(self.energies.rest.atoms.cell.lengths()[0])


def ask(calculator: Calculator, size: Size, console: Console) -> Crystal:
    """Each verb's question to the cubic cell of diamond, which each relaxes first."""
    start = ase.build.bulk("Si", cubic=True)
    with working(console, "relaxing") as tell:
        return Crystal(
            eos(calculator, start, on_progress=tell),
            elastic(calculator, start, clamped=True, on_progress=tell),
            elastic(calculator, start, on_progress=tell),
            phonons(calculator, start, length=size.length, on_progress=tell),
        )


def warm(calculator: Calculator, crystal: Atoms, temperature: float, size: Size) -> HotCrystal:
    """The crystal at a temperature and a pressure of one bar."""
    print(f"\nConstant pressure, {temperature:.0f} K:", flush=True)
    with DynamicsDisplay(size.steps, TIME_STEP, rows=10) as display:
        result = molecular_dynamics(
            calculator,
            crystal.repeat(size.repeats),
            "npt",
            temperature,
            size.steps,
            TIME_STEP,
            pressure=BAR,
            every=5,
            on_sample=display,
        )
    return HotCrystal.of(result, temperature, size.repeats, size.settle)


def crystal_numbers(found: Crystal) -> dict[str, Any]:
    """What `numbers.json` says of the crystal at rest: Å, eV, GPa, THz.

    Raises:
        SystemExit: its elastic constants are not those of a cubic crystal.
    """
    relaxed, clamped = found.relaxed.tensor.cubic(), found.clamped.tensor.cubic()
    if relaxed is None or clamped is None:
        raise SystemExit(
            "the elastic constants are not those of a cubic crystal; the model is hardly trained"
        )
    transverse, longitudinal = moduli_of_sound(found.phonons)
    waves = found.phonons
    return {
        "lattice constant": found.lattice,
        "equation of state": {
            "bulk modulus": found.energies.bulk_modulus,
            "derivative": found.energies.derivative,
            "residual per atom": found.energies.residual,
        },
        "elastic": {
            "C11": relaxed.c11,
            "C12": relaxed.c12,
            "C44": relaxed.c44,
            "C44 clamped": clamped.c44,
            "asymmetry": found.relaxed.asymmetry,
        },
        "phonons": {
            "supercell": waves.supercell_atoms,
            "acoustic without the sum rule": waves.sum_rule[0].acoustic,
            "acoustic": waves.sum_rule[1].acoustic,
            "optical": float(waves.gamma[-1]),
            "X": at(waves, "X"),
            "L": at(waves, "L"),
            "lowest": waves.lowest.words(),
            "imaginary": waves.imaginary,
            "zero-point energy": waves.thermal.zero_point_energy,
            "C11 of sound": longitudinal,
            "C44 of sound": transverse,
        },
    }


def vacancy_numbers(found: Mapping[str, Sequence[Vacancy]], raised: tuple[float, float]) -> dict[str, Any]:
    """What `numbers.json` says of the vacancy, eV and Å."""
    numbers: dict[str, Any] = {name: [one.to_json() for one in each] for name, each in found.items()}
    numbers["correction by labels"] = list(raised)
    numbers["of labels"] = numbers["paired"][-1]["formation energy"] + raised[0]
    return numbers


if __name__ == "__main__":
    main()
