"""The processes that measure, and their turns."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.cases import Case, Side

ROOT = Path(__file__).resolve().parent.parent
# Shrunk settings, for a test that everything runs: nothing is learned from the times.
_TINY = {
    "nodes": 10,
    "neighbours": 4,
    "frames": 2,
    "channels": 4,
    "irreps_in": "4x0e+4x1o+4x2e",
    "hidden": "4x0e",
}


def environment(threads: int) -> dict[str, str]:
    """That of this process, for one that computes on so many threads."""
    return os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}


class SideFailed(RuntimeError):
    """A side could not prepare its measurement, or take it; the message says why."""


class Measured:
    """What a case gave: for each side its values in the order of the rounds, or why there are none."""

    def __init__(self, case: Case, threads: int) -> None:
        self.case, self.threads = case, threads
        self.values: dict[str, list[float]] = {side.label: [] for side in case.sides}
        self.info: dict[str, dict[str, Any]] = {}
        self.missing: dict[str, str] = {}
        self.failed = False


class Process:
    """The process of one side.

    Args:
        python: the interpreter that runs it.
        side: what it measures.
        threads: of torch, OpenMP and MKL in it.
        cache: where compiled peers are kept.
        tiny: shrink everything, for a test.
    """

    def __init__(self, python: str, side: Side, threads: int, cache: Path, tiny: bool) -> None:
        self.side = side
        variables = environment(threads) | {
            "TORCHINDUCTOR_CACHE_DIR": str(cache / "inductor"),
            "TORCHINDUCTOR_COMPILE_THREADS": "1",
        }
        if side.worker != "cynosure":
            variables.pop("PYTHONPATH", None)  # it is for our interpreter
            variables["PYTHONWARNINGS"] = "ignore"
            # NequIP's own check of a compiled model asks for more agreement than float32 gives.
            variables["NEQUIP_SKIP_AOTI_MODEL_CHECK"] = "1"
            # The e3nn that MACE pins reads its own constants so.
            variables["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"
        self._process = subprocess.Popen(
            [python, "-m", f"benchmarks.worker_{side.worker}", "--threads", str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=variables,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._answers = self._process.stdin, self._process.stdout
        settings = {"measure": side.measure, "cache": str(cache), **side.settings}
        self._request = {"prepare": shrunk(settings) if tiny else settings}

    def prepare(self) -> dict[str, Any]:
        return self._ask(self._request)["info"]

    def measure(self) -> float:
        return self._ask({"time": True})["value"] / self.side.per

    def close(self) -> None:
        self._requests.close()
        self._process.wait()
        self._answers.close()

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        # A broken pipe shows in the empty answer too.
        with contextlib.suppress(BrokenPipeError):
            self._requests.write(json.dumps(request) + "\n")
            self._requests.flush()
        # (What a package prints when it is imported comes before any answer.)
        while (line := self._answers.readline()) and not line.startswith("{"):
            pass
        if not line:
            raise SideFailed("its process ended; what it wrote last stands above")
        answer = json.loads(line)
        if "error" in answer:
            raise SideFailed(answer["error"])
        return answer


def measure(
    case: Case,
    threads: int,
    rounds: int,
    *,
    peers: Mapping[str, str | None],
    cache: Path,
    tiny: bool,
    say: Callable[[str], None],
) -> Measured:
    """Take every side's measurement in turn, A, B, A, B, …; while one measures the others wait.

    A side that fails is left out of the rest, with its reason. `peers` has the interpreter of each worker that is not
    ours; None where there is none.
    """
    result = Measured(case, threads)
    open_sides: dict[str, Process] = {}
    try:
        for turn in range(1, rounds + 1):
            for side in case.sides:
                if side.label in result.missing:
                    continue
                python = sys.executable if side.worker == "cynosure" else peers[side.worker]
                if python is None:
                    option = "--mace" if side.worker == "mace" else "--peers"
                    result.missing[side.label] = f"not measured ({option})"
                    continue
                say(f"{case.name}: {side.label}, round {turn} of {rounds}")
                try:
                    process = open_sides.get(side.label)
                    if process is None:
                        count = threads if side.threads is None else side.threads
                        process = open_sides[side.label] = Process(python, side, count, cache, tiny)
                        result.info[side.label] = process.prepare()
                    result.values[side.label].append(process.measure())
                    if case.fresh:
                        open_sides.pop(side.label).close()
                except SideFailed as error:
                    open_sides.pop(side.label).close()
                    result.missing[side.label] = f"failed: {error}"
                    result.values[side.label] = []
                    result.failed = True
    finally:
        for process in open_sides.values():
            process.close()
    return result


def shrunk(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The same measurement, as small as it gets."""
    small = {key: _TINY.get(key, value) for key, value in settings.items()}
    if "structure" in small:
        small["structure"] = "si8"
    if "config" in small:
        small["config"] = {**small["config"], "layers": 2, "channels": 4, "radial_hidden": (4,)}
    return small
