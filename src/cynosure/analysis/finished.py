"""The folder of a screening, which keeps what is finished, so that a run that was killed can go on."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from cynosure.analysis.screen_result import PICTURE, STRUCTURES, TABLE
from cynosure.deploy import RelaxResult
from cynosure.potentials import write_atomically

_SETUP, _FINISHED = "setup.json", "finished"
_RESULTS = ("energy", "free_energy", "forces", "stress")


@dataclass(frozen=True)
class Kept:
    """What is kept of a candidate.

    Attributes:
        steps: of its relaxation.
        problem: why it did not come to rest; empty if it did.
        gave_up: whether that is that it had no more steps.
        left: the structure as it was left (`as_plain`), if anything came of it.
    """

    steps: int = 0
    problem: str = ""
    gave_up: bool = False
    left: dict[str, Any] | None = None


class Finished:
    """What is finished, each candidate in a file of its own, which is there whole or not at all.

    A file is named after the setup and the content of the structure, so that it is never taken for that of another
    model, of other settings, or of a structure that has changed.

    Args:
        folder: made if it is not there; None keeps nothing.
        setup: what all candidates have in common, as plain values.
        structures: the content (`content_of`) of each candidate by its name.
        overwrite: whether a folder of another setup may be emptied of what is finished, and other files be replaced.

    Attributes:
        changed: names of candidates that had another content when the folder was last used.

    Raises:
        ValueError: `folder` is a file, or of another setup.
        FileExistsError: it holds files that would be replaced.
        OSError: it cannot be read or written.
    """

    def __init__(
        self, folder: Path | None, setup: Mapping[str, Any], structures: Mapping[str, str], overwrite: bool
    ) -> None:
        self.folder = folder
        # As JSON has them, so that a setup equals what is read back.
        self._setup: dict[str, Any] = json.loads(json.dumps(setup))
        self._content = structures
        self.changed: tuple[str, ...] = ()
        if folder is None:
            return
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"'{folder}' is a file; --out names a folder")
        folder.mkdir(parents=True, exist_ok=True)
        before = self._before(folder, overwrite)
        known: dict[str, str] = before.get("structures", {})
        self.changed = tuple(
            name for name in structures if known.get(name, structures[name]) != structures[name]
        )
        (folder / _FINISHED).mkdir(exist_ok=True)
        manifest = {"setup": self._setup, "structures": {**known, **structures}}
        write_atomically(folder / _SETUP, (json.dumps(manifest, indent=2) + "\n").encode())

    def _before(self, folder: Path, overwrite: bool) -> dict[str, Any]:
        """What the folder says of itself, if it goes on with this setup."""
        path = folder / _SETUP
        if not path.exists():
            there = [name for name in (TABLE, STRUCTURES, PICTURE) if (folder / name).exists()]
            if there and not overwrite:
                raise FileExistsError(
                    f"'{folder}' holds {there[0]}, and no screening that could go on; name another folder (--out), or "
                    "allow overwriting (--overwrite)"
                )
            return {}
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
            changed = _differences(before["setup"], self._setup)
            dict(before["structures"])
        except (ValueError, KeyError, TypeError, AttributeError):
            before, changed = {}, [f"{path.name} is damaged"]
        if not changed:
            return before
        if not overwrite:
            raise ValueError(
                f"'{folder}' has results of another setup ({', '.join(changed)}), which cannot be compared; name "
                "another folder (--out), or start anew in this one (--overwrite)"
            )
        shutil.rmtree(folder / _FINISHED, ignore_errors=True)
        return {}

    def get(self, name: str, steps: int) -> Kept | None:
        """What is kept of a candidate, if so many steps at most would give the same."""
        path = self._path(name)
        if path is None or not path.is_file():
            return None
        try:
            kept = Kept(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            return None
        return kept if kept.steps == steps or (kept.steps < steps and not kept.gave_up) else None

    def put(self, name: str, kept: Kept) -> None:
        """Keep what came of a candidate, on the disk."""
        path = self._path(name)
        if path is not None:
            write_atomically(path, (json.dumps(asdict(kept)) + "\n").encode())

    def _path(self, name: str) -> Path | None:
        if self.folder is None:
            return None
        content = json.dumps([self._setup, self._content[name]], sort_keys=True)
        return self.folder / _FINISHED / f"{hashlib.sha256(content.encode()).hexdigest()[:32]}.json"


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    changed = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    return [
        "the model is another"
        if key == "model"
        else f"{key.replace('_', ' ')} was {before.get(key)} and is {now.get(key)}"
        for key in changed
    ]


def as_plain(result: RelaxResult) -> dict[str, Any]:
    """A relaxed structure as plain values, of which nothing is lost: where its atoms are, and its results."""
    atoms, calculator = result.atoms, result.atoms.calc
    results = {} if calculator is None else calculator.results
    return {
        "positions": atoms.positions.tolist(),
        "cell": atoms.cell.array.tolist(),
        "results": {name: np.asarray(results[name]).tolist() for name in _RESULTS if name in results},
    }


def from_plain(left: Mapping[str, Any], candidate: Atoms) -> Atoms:
    """The relaxed structure of a candidate, with all that the candidate has besides."""
    atoms = candidate.copy()
    # (In place: constraints would have a say otherwise.)
    atoms.positions[:], atoms.cell.array[:] = left["positions"], left["cell"]
    results = {
        name: np.array(value) if isinstance(value, list) else value for name, value in left["results"].items()
    }
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms
