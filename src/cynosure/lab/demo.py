"""The demonstration: train a potential on a small molecule, test its symmetries, and run it."""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from ase import Atoms

from cynosure import analysis
from cynosure.analysis import Deviation
from cynosure.data import read_frames
from cynosure.deploy.dynamics import MDResult, molecular_dynamics
from cynosure.lab import demo_page, figures
from cynosure.lab.comparison import Comparison, compare, potential_predictor
from cynosure.lab.demo_data import DEMO_SETTINGS, demo_frames, write_demo_data
from cynosure.lab.molecules import Molecules
from cynosure.lab.one_thread import one_thread
from cynosure.lab.plain import PLAIN, plain_predictor, train_plain_network
from cynosure.o3 import axis_angle_to_matrix
from cynosure.potentials import Potential, load
from cynosure.training import Display, Metrics, evaluate, from_settings, train

OURS, AUGMENTED = "Cynosure", "plain network, trained on turned copies"
_TEMPERATURE = 300.0
_STEP_FS = 0.5
_VALIDATIONS_EVERY = 10.0  # s between those that are shown


@dataclass(frozen=True)
class Plan:
    """How much of everything the demonstration does.

    Attributes:
        train_minutes: wall-clock budget of the training; None to train for `train_epochs`.
        train_epochs: passes over the training frames, where there is no budget.
        plain_epochs: passes over them for each of the plain networks.
        md_steps: steps of 0.5 fs at constant energy.
    """

    train_minutes: float | None = 80 / 60
    train_epochs: int | None = None
    plain_epochs: int = 300
    md_steps: int = 2000


FULL = Plan()
# Every part of the story in seconds. The model is hardly trained; its symmetries hold all the same.
QUICK = Plan(train_minutes=None, train_epochs=1, plain_epochs=3, md_steps=20)


@dataclass(frozen=True)
class DemoResult:
    """What the demonstration found, and where it put it.

    Attributes:
        out: the folder.
        model: the model file.
        training_report: the report of the training run, a page of its own.
        trajectory: the frames of the dynamics.
        metrics: errors on the test frames.
        deviations: from every identity that the model should obey.
        images: the molecule under symmetry operations, as the model in float64 sees it.
        comparison: with the plain networks.
        dynamics: the run at constant energy.
        pictures: name to PNG file.
        report: the page that tells it all.
        seconds: from start to end.
    """

    out: Path
    model: Path
    training_report: Path
    trajectory: Path
    metrics: Metrics
    deviations: Sequence[Deviation]
    images: Sequence[figures.Image]
    comparison: Comparison
    dynamics: MDResult
    pictures: dict[str, Path]
    report: Path
    seconds: float

    def next_steps(self) -> list[tuple[str, str]]:
        """(what it does, command) for what a user may want to do next."""
        model, test = shlex.quote(str(self.model)), shlex.quote(str(self.out / "test.xyz"))
        folder = shlex.quote(str(self.out))
        return [
            ("errors on any labelled file", f"cynosure eval {model} {test}"),
            (
                "dynamics at 300 K",
                f"cynosure md {model} {test} --ensemble nvt --temperature 300 --steps 2000 --dt 0.5 "
                f"--out {folder}/nvt.traj",
            ),
            ("train on your own frames", "cynosure train YOUR_FRAMES.xyz --minutes 20"),
        ]


def run_demo(
    out: str | Path, plan: Plan = FULL, display: Display | None = None, started: float | None = None
) -> DemoResult:
    """Tell the whole story, from training to dynamics, and leave it in a folder.

    1. Train a potential on the packaged frames, within a budget of time, and measure it on test frames from
       another trajectory.
    2. Turn, mirror, move and relabel a molecule, and measure what should not change.
    3. Train a plain network on the same frames, another one on randomly turned copies, and compare.
    4. Run the molecule at constant energy, and measure the drift of the total energy.
    5. Draw the pictures and write the page.

    Args:
        out: the folder; it is made, or it must be empty.
        plan: how much of everything.
        display: shows progress and findings; nothing is shown if None.
        started: when the command began, on the clock of `time.monotonic`; now, if None.

    Raises:
        ValueError: `out` is a file, or a folder that is not empty.
        KeyboardInterrupt: the training was stopped.
        OSError: a file cannot be written.
    """
    started = time.monotonic() if started is None else started
    folder = _empty_folder(Path(out))
    with one_thread():
        return _tell(folder, plan, display or Display(), started)


def _tell(folder: Path, plan: Plan, display: Display, started: float) -> DemoResult:
    """The story itself; the steps are those of `run_demo`."""
    frames = write_demo_data(folder)

    display.say(_heading(1, "Train on 500 frames of (R)-methyloxirane, C3H6O, from GFN2-xTB at 500 K"))
    model_path, training_report = _train(frames["train"], folder, plan, display)
    model = load(model_path)
    metrics = evaluate(model, read_frames(frames["test"]))
    display.say("\n" + metrics.table(f"{metrics.n_structures} test frames, from another trajectory"))

    display.say(_heading(2, "Turn it, mirror it, move it, relabel it"))
    molecule = demo_frames("test")[0]
    deviations = _check(model, molecule, display)
    images = _images(load(model_path, dtype=torch.float64), molecule)
    display.say("\n" + _images_text(images))

    display.say(_heading(3, "Compare with networks that do not know the symmetries"))
    comparison = _compare(model, plan)
    display.say(comparison_table(comparison))

    display.say(_heading(4, f"Run {plan.md_steps * _STEP_FS / 1000:g} ps at constant energy"))
    trajectory = folder / "nve.xyz"
    dynamics = molecular_dynamics(
        model, molecule, "nve", _TEMPERATURE, plan.md_steps, _STEP_FS, out=trajectory, every=5
    )
    display.say(drift_text(dynamics))

    pictures = _draw(folder / "pictures", deviations, images, comparison, dynamics)
    result = DemoResult(
        out=folder,
        model=model_path,
        training_report=training_report,
        trajectory=trajectory,
        metrics=metrics,
        deviations=deviations,
        images=images,
        comparison=comparison,
        dynamics=dynamics,
        pictures=pictures,
        report=folder / "report.html",
        seconds=time.monotonic() - started,
    )
    demo_page.write(result)
    display.say(_farewell(result))
    return result


def _empty_folder(folder: Path) -> Path:
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"'{folder}' is a file; --out names a folder")
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"'{folder}' is not empty; remove it, or name another folder with --out")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class _Progress(Display):
    """Passes on how the training goes, validations now and then; its settings and the rest are in its report."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._last = 0.0
        self.step = display.step
        self.evaluating = display.evaluating
        self.close = display.close

    def validation(self, *, step: int, score: float, best: bool, metrics: Metrics) -> None:
        if time.monotonic() - self._last >= _VALIDATIONS_EVERY:
            self._last = time.monotonic()
            self._display.validation(step=step, score=score, best=best, metrics=metrics)


def _train(frames: Path, folder: Path, plan: Plan, display: Display) -> tuple[Path, Path]:
    """Train, and return the model file and the training's own report."""
    length = {"minutes": plan.train_minutes, "epochs": plan.train_epochs}
    config = from_settings({"data": {"train": str(frames)}, **DEMO_SETTINGS, **length})
    result = train(config, out=folder / "training", display=_Progress(display))
    if result.model is None or result.report is None:
        raise KeyboardInterrupt
    return Path(shutil.copyfile(result.model, folder / "model.safetensors")), result.report


def _check(model: Potential, molecule: Atoms, display: Display) -> list[Deviation]:
    def tell(deviation: Deviation) -> None:
        display.say(
            f"  {deviation.name:27s} {deviation.value:8.1e} {deviation.unit:9s} {_verdict(deviation)}"
        )

    return analysis.check(model, molecule, on_deviation=tell)


def _verdict(deviation: Deviation) -> str:
    return "ok" if deviation.ok else f"TOO LARGE (at most {deviation.tolerance:.0e})"


def _images(model: Potential, molecule: Atoms) -> list[figures.Image]:
    """The molecule, its mirror image and two turned copies, with the model's energies and forces."""
    axes = torch.tensor([[0.2, -0.5, 1.0], [1.0, 0.3, -0.4]], dtype=torch.float64)
    turns = axis_angle_to_matrix(axes, torch.tensor([1.9, 2.6], dtype=torch.float64)).numpy()
    operations = {
        "as it is (R)": np.eye(3),
        "mirrored (S)": np.diag([-1.0, 1.0, 1.0]),
        "turned": turns[0],
        "turned again": turns[1],
    }
    images = []
    for name, matrix in operations.items():
        image = Atoms(molecule.numbers, molecule.positions @ matrix.T)
        evaluation = analysis.evaluate(model, image)
        images.append(figures.Image(name, image, evaluation.energy, evaluation.forces))
    return images


def _images_text(images: Sequence[figures.Image]) -> str:
    lines = [f"  {image.name:27s} {image.energy:.9f} eV" for image in images]
    lines.append(
        "The mirror image is another molecule, no rotation makes one of the other; yet its energy is the same."
    )
    return "\n".join(lines)


def _compare(model: Potential, plan: Plan) -> Comparison:
    train_frames, test_frames = (Molecules.of(demo_frames(split)) for split in ("train", "test"))
    networks = {OURS: potential_predictor(model)}
    for name, augment in ((PLAIN, False), (AUGMENTED, True)):
        networks[name] = plain_predictor(
            train_plain_network(train_frames, plan.plain_epochs, augment=augment)
        )
    return compare(test_frames, networks)


def comparison_table(comparison: Comparison) -> str:
    """Force errors as aligned text, one line for each version of the test set."""
    lines = [["  force error (RMSE), meV/Å", *comparison.networks]]
    for version in comparison.versions:
        errors = comparison.errors[version].values()
        lines.append([f"  test frames {version}", *(f"{1e3 * error.forces:.1f}" for error in errors)])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    rows = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines]
    rows.append(f"  (answering that there are no forces: {1e3 * comparison.silence:.1f})")
    return "\n".join(rows)


def drift_text(dynamics: MDResult) -> str:
    """One line on how well a run conserved its energy."""
    return (
        f"  total energy: drift {1e3 * abs(dynamics.drift()):.3g} meV/atom in {dynamics.times[-1]:.3g} ps, "
        f"never more than {1e3 * dynamics.excursion():.2g} meV/atom from its start"
    )


def _draw(
    folder: Path,
    deviations: Sequence[Deviation],
    images: Sequence[figures.Image],
    comparison: Comparison,
    dynamics: MDResult,
) -> dict[str, Path]:
    folder.mkdir()
    return {
        "hero": figures.save_hero(images, comparison, dynamics, folder / "hero.png"),
        "images": figures.save_images(images, folder / "images.png"),
        "symmetries": figures.save_symmetries(deviations, folder / "symmetries.png"),
        "comparison": figures.save_comparison(comparison, folder / "comparison.png"),
        "energy": figures.save_energy(dynamics, folder / "energy.png"),
    }


def _heading(number: int, text: str) -> str:
    return f"\n{number}. {text}\n"


def _farewell(result: DemoResult) -> str:
    lines = [
        f"\nDone in {result.seconds:.0f} s. The whole story with pictures: {result.report}",
        "\nWhat to type next:",
    ]
    lines += [f"  {command}   # {what}" for what, command in result.next_steps()]
    return "\n".join(lines)
