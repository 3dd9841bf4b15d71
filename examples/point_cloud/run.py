"""Which of seven shapes are these points, and which hand? Data, training, test and a figure by one command.

    python -m examples.point_cloud.run [--quick] [--out FOLDER]

It is run from the root of the repository. The folder (`runs/point_cloud`) gets `numbers.json`, `point_cloud.png`, the
frames, and the run of training in `model/`. `--quick` goes the whole way in less than a minute.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.io import write
from examples.running import command_line, parsed
from matplotlib.figure import Figure
from numpy.typing import NDArray

import cynosure
from cynosure.o3 import random_rotation
from cynosure.training import from_settings, train
from cynosure.training.config import load_settings, merge

SETTINGS = Path(__file__).with_name("settings.json")
# Four cubes each, by the places of their centres, as in the game; the screw comes in two hands.
SHAPES = {
    "square": [[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]],
    "line": [[0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0]],
    "corner": [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "L": [[0, 0, 0], [1, 0, 0], [2, 0, 0], [2, 1, 0]],
    "T": [[0, 0, 0], [1, 0, 0], [2, 0, 0], [1, 1, 0]],
    "zigzag": [[0, 0, 0], [1, 0, 0], [1, 1, 0], [2, 1, 0]],
    "screw": [[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]],
}
_NAMES = list(SHAPES)
_NOISE = 0.05


def main() -> None:
    """Parse the command line, and go the whole way."""
    parser = command_line("point_cloud", "Tell shapes and hands of point clouds.", quick="less than a minute")
    arguments = parsed(parser)
    arguments.out.mkdir(parents=True, exist_ok=True)
    run(arguments.out, quick=arguments.quick)


def run(out: Path, *, quick: bool) -> Mapping[str, Any]:
    """Everything, in the order of the README; returns what `numbers.json` holds."""
    rng = np.random.default_rng(0)
    # Upright, and screws of one hand only: what a turn and a mirror do is not for the data to tell.
    training = [cloud(name, rng) for _ in range(12 if quick else 40) for name in _NAMES]
    write(out / "train.xyz", training)
    settings = merge(
        load_settings(SETTINGS), [("data.train", str(out / "train.xyz")), ("epochs", 80 if quick else 100)]
    )
    result = train(from_settings(settings), out=out / "model")
    assert result.model is not None
    calculator = cynosure.Calculator(result.model)
    numbers: dict[str, Any] = {"training_clouds": len(training)}
    confusion = np.zeros((len(_NAMES), len(_NAMES)))
    hands: dict[int, list[float]] = {1: [], -1: [], 0: []}
    count = 20 if quick else 200
    for name in _NAMES:
        for number in range(count):
            hand = (1 if number % 2 else -1) if name == "screw" else 0
            found, pseudoscalar = ask(calculator, anywhere(cloud(name, rng, hand or 1), rng))
            confusion[_NAMES.index(name), found] += 1 / count
            hands[hand].append(pseudoscalar)
    numbers["shapes_right"] = float(np.trace(confusion)) / len(_NAMES)
    screws = [(sign, value) for sign in (1, -1) for value in hands[sign]]
    numbers["hands_right"] = float(np.mean([sign * value > 0 for sign, value in screws]))
    numbers["test_clouds"] = count * len(_NAMES)
    (out / "numbers.json").write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    draw(out / "point_cloud.png", confusion, hands)
    print(
        f"\nOf {numbers['test_clouds']} clouds, turned at random and in any order, "
        f"{100 * numbers['shapes_right']:.1f} % are told their shape. Of the screws, "
        f"{100 * numbers['hands_right']:.1f} % are told their hand, although only right hands were ever shown.\n"
        f"Written: {out / 'numbers.json'}, {out / 'point_cloud.png'}"
    )
    return numbers


def cloud(name: str, rng: np.random.Generator, hand: int = 1) -> Atoms:
    """A shape with noise, upright, its labels in `info`; a screw of one hand (1) or the other (-1)."""
    points = np.array(SHAPES[name], dtype=np.float64)
    if hand < 0:
        points[:, 2] *= -1
    # (Files name points by chemical symbols. All are of one kind here, and which one says nothing.)
    atoms = Atoms("H4", points + rng.normal(scale=_NOISE, size=points.shape))
    atoms.info["shape"] = np.eye(len(_NAMES))[_NAMES.index(name)]
    atoms.info["hand"] = float(hand) if name == "screw" else 0.0
    return atoms


def anywhere(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """The same cloud in another orientation and place, its points in another order."""
    turned = atoms[rng.permutation(len(atoms))]
    assert isinstance(turned, Atoms)
    seed = int(rng.integers(2**31))
    matrix = random_rotation(generator=torch.Generator().manual_seed(seed)).numpy()
    turned.positions = turned.positions @ matrix.T + rng.uniform(-5, 5, 3)
    return turned


def ask(calculator: cynosure.Calculator, atoms: Atoms) -> tuple[int, float]:
    """The number of the shape with the largest score, and the pseudoscalar."""
    scores, hand = (calculator.get_property(name, atoms) for name in ("shape", "hand"))
    assert isinstance(scores, np.ndarray)
    assert isinstance(hand, float)
    return int(np.argmax(scores)), hand


def draw(path: Path, confusion: NDArray[np.float64], hands: Mapping[int, list[float]]) -> None:
    """Which shape was taken for which, and the pseudoscalars of both hands and of the other shapes."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    image = left.imshow(confusion, cmap="Blues", vmin=0, vmax=1)
    left.set(xticks=range(len(_NAMES)), yticks=range(len(_NAMES)), xlabel="told", ylabel="shape")
    left.set_xticklabels(_NAMES, rotation=45, ha="right")
    left.set_yticklabels(_NAMES)
    figure.colorbar(image, ax=left, label="part of the clouds")
    labels = {1: "right-handed screws", -1: "left-handed screws (never shown)", 0: "other shapes"}
    bins = np.linspace(-1.5, 1.5, 61)
    for (sign, label), colour in zip(labels.items(), ("#0072b2", "#d55e00", "#999999"), strict=True):
        right.hist(hands[sign], bins=bins.tolist(), density=True, color=colour, alpha=0.7, label=label)
    right.set(xlabel="pseudoscalar 0o", ylabel="density")
    right.margins(y=0.3)  # room for the legend
    right.legend(fontsize=8)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
