"""The runs of an experiment, and the file that keeps what came of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from cynosure.lab.plain import PLAIN
from cynosure.potentials import write_atomically


def network_name(l_max: int | None, copies: int = 0) -> str:
    """What a network is called: by its l_max, or the plain one for None, with the copies that it was shown."""
    if l_max is not None:
        return f"l_max {l_max}"
    return f"{PLAIN}, {copies} turned {'copy' if copies == 1 else 'copies'}" if copies else PLAIN


@dataclass(frozen=True)
class Run:
    """One network to be trained.

    Attributes:
        l_max: of the equivariant network; None for the plain one.
        frames: how many it is trained on.
        seed: of the choice of frames, the initial weights and the order of frames.
        copies: of each frame, turned at random, that the plain network sees besides.
        network: what the network is, where l_max and copies do not say it.
    """

    l_max: int | None
    frames: int
    seed: int
    copies: int = 0
    network: str = ""

    @property
    def name(self) -> str:
        """What its network is called."""
        return self.network or network_name(self.l_max, self.copies)

    def __str__(self) -> str:
        return f"{self.name}, {self.frames} frames, seed {self.seed}"


class Done(Protocol):
    """What every experiment keeps of a run: a dataclass of plain values with at least these."""

    @property
    def run(self) -> Run: ...
    @property
    def steps(self) -> int:
        """Optimiser steps that were done."""
        ...

    @property
    def seconds(self) -> float:
        """s, for training and measuring."""
        ...


Result = TypeVar("Result", bound=Done)


class RunLog(Generic[Result]):
    """results.jsonl: a line with the setup, which all runs share, and a line for each finished run.

    The file is written anew, and atomically, with each run: it is short, and so no line is ever torn.

    Args:
        path: the file; made if it is not there.
        setup: plain values. A file with another setup is refused, since its runs cannot be compared with these.
        kind: the dataclass of the results.
        experiment: what they are results of, for messages.

    Raises:
        ValueError: another setup, or a line that is not a run; the message names it.
        OSError: the file cannot be read or written.
    """

    def __init__(
        self, path: Path, setup: Mapping[str, Any], kind: Callable[..., Result], experiment: str
    ) -> None:
        self.path = path
        self._kind, self._experiment = kind, experiment
        # As JSON has them, so that a setup equals what is read back.
        self._setup: dict[str, Any] = json.loads(json.dumps(setup))
        self.measured: dict[Run, Result] = {}
        if path.exists():
            self._read()
        else:
            self._write()

    def add(self, measured: Result) -> None:
        """Keep what came of a run, on the disk.

        Raises:
            OSError: it cannot be written.
        """
        self.measured[measured.run] = measured
        self._write()

    def _write(self) -> None:
        lines: list[dict[str, Any]] = [{"kind": "setup", **self._setup}]
        for measured in self.measured.values():
            values = asdict(measured)  # pyright: ignore[reportArgumentType] (a dataclass, which no type can say)
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
                    # Files of earlier versions have no copies and no network.
                    more = values.pop("copies", 0), values.pop("network", "")
                    run = Run(values.pop("l_max"), values.pop("frames"), values.pop("seed"), *more)
                    self.measured[run] = self._kind(run=run, **values)
                else:
                    raise TypeError
            except (json.JSONDecodeError, AttributeError, KeyError, TypeError):
                raise ValueError(
                    f"'{self.path}', line {number}, is not a result of {self._experiment}; remove the file, or name "
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
