"""The runs of a learning curve, and the file that keeps what came of each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cynosure.lab.plain import PLAIN
from cynosure.potentials import write_atomically


def network_name(l_max: int | None) -> str:
    """What a network is called: by its l_max, or the plain one for None."""
    return PLAIN if l_max is None else f"l_max {l_max}"


@dataclass(frozen=True)
class Run:
    """One network to be trained.

    Attributes:
        l_max: of the equivariant network; None for the plain one.
        frames: how many it is trained on.
        seed: of the choice of frames, the initial weights and the order of frames.
    """

    l_max: int | None
    frames: int
    seed: int

    def __str__(self) -> str:
        return f"{network_name(self.l_max)}, {self.frames} frames, seed {self.seed}"


@dataclass(frozen=True)
class Measured:
    """What came of a run.

    Attributes:
        run: which one.
        held_out: eV/Å, the root mean square error of the force components on the held-out frames.
        training: eV/Å, the same on the frames it was trained on.
        steps: how many were done.
        seconds: s, for training and measuring.
    """

    run: Run
    held_out: float
    training: float
    steps: int
    seconds: float


class RunLog:
    """results.jsonl: a line with the setup, which all runs share, and a line for each finished run.

    The file is written anew, and atomically, with each run: it is short, and so no line is ever torn.

    Args:
        path: the file; made if it is not there.
        setup: plain values. A file with another setup is refused, since its runs cannot be compared with these.

    Raises:
        ValueError: another setup, or a line that is not a run; the message names it.
        OSError: the file cannot be read or written.
    """

    def __init__(self, path: Path, setup: Mapping[str, Any]) -> None:
        self.path = path
        # As JSON has them, so that a setup equals what is read back.
        self._setup: dict[str, Any] = json.loads(json.dumps(setup))
        self.measured: dict[Run, Measured] = {}
        if path.exists():
            self._read()
        else:
            self._write()

    def add(self, measured: Measured) -> None:
        """Keep what came of a run, on the disk.

        Raises:
            OSError: it cannot be written.
        """
        self.measured[measured.run] = measured
        self._write()

    def _write(self) -> None:
        lines: list[dict[str, Any]] = [{"kind": "setup", **self._setup}]
        for measured in self.measured.values():
            values = asdict(measured)
            lines.append({"kind": "run", **values.pop("run"), **values})
        text = "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines)
        write_atomically(self.path, text.encode())

    def _read(self) -> None:
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                values = json.loads(line)
                kind = values.pop("kind")
                if number == 1 and kind == "setup":
                    self._require_same(values)
                elif number > 1 and kind == "run":
                    run = Run(values.pop("l_max"), values.pop("frames"), values.pop("seed"))
                    self.measured[run] = Measured(run, **values)
                else:
                    raise TypeError
            except (json.JSONDecodeError, AttributeError, KeyError, TypeError):
                raise ValueError(
                    f"'{self.path}', line {number}, is not a result of a learning curve; remove the file, or name "
                    "another folder with --out"
                ) from None

    def _require_same(self, before: Mapping[str, Any]) -> None:
        changed = [key for key in {**before, **self._setup} if before.get(key) != self._setup.get(key)]
        if changed:
            lines = ", ".join(f"{key} was {before.get(key)} and is {self._setup.get(key)}" for key in changed)
            raise ValueError(
                f"'{self.path}' has results of another setup ({lines}), which cannot be compared; name another folder "
                "with --out"
            )
