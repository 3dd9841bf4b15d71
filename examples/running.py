"""What the examples' commands have in common: their command line, the folder of a run, and how long each part took."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def command_line(
    name: str, description: str, quick: str = "less than a minute, hardly trained"
) -> argparse.ArgumentParser:
    """A parser that knows `--quick` and `--out`.

    Args:
        name: of the example; its folder is `runs/` and this.
        description: what it does.
        quick: what `--quick` means.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--out", type=Path, default=Path("runs", name), help="folder for what comes of it")
    return parser


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The arguments. Ends the program if there is something in the folder `--out` already."""
    arguments = parser.parse_args()
    if arguments.out.exists() and any(arguments.out.iterdir()):
        parser.error(f"there is something in '{arguments.out}' already; name another folder by --out")
    return arguments


def beside_spread(
    labels: Mapping[str, NDArray[np.float64]], predictions: Mapping[str, NDArray[np.float64]]
) -> dict[str, dict[str, float]]:
    """Of each quantity: root mean square error, spread of the labels (their standard deviation), and their ratio."""
    found = {}
    for name, known in labels.items():
        rmse = float(np.sqrt(np.square(predictions[name] - known).mean()))
        spread = float(known.std())
        found[name] = {"rmse": rmse, "spread": spread, "relative": rmse / spread}
    return found


class Clock:
    """How long each part took, s."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        """A part is done."""
        now = time.monotonic()
        self.laps[name] = round(now - self._last, 1)
        self._last = now
        print(f"{name}: {self.laps[name]:.0f} s", flush=True)
