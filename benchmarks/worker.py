"""One side of a comparison: a process of its own that prepares one measurement, and takes it when it is told to.

It is spoken to by one JSON object a line. `{"prepare": {"measure": name, …settings}}` is answered by
`{"info": {…}}`, `{"time": true}` by `{"value": number}`: milliseconds, or what the measurement says. What fails is
answered by `{"error": text}`. Between requests the process sleeps in a blocking read, and so leaves the core to
the other side.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from ase import Atoms

from benchmarks.structures import moved

# A measurement as prepared: it takes one value, and has something to say about what it measures.
Measurement = tuple[Callable[[], float], dict[str, Any]]
Prepare = Callable[[Mapping[str, Any]], Measurement]

_SHORTEST = 0.3  # s; fewer evaluations than fill this are not one measurement
_MOST = 200


def evaluations(evaluate: Callable[[], Any]) -> Callable[[], float]:
    """A measurement: the mean milliseconds of so many evaluations in a row that they fill a third of a second."""
    evaluate()
    evaluate()
    began = time.perf_counter()
    evaluate()
    count = min(max(1, round(_SHORTEST / (time.perf_counter() - began))), _MOST)

    def measure() -> float:
        if count > 1:
            evaluate()  # brings its data back into the caches, which the other side has had in between
        began = time.perf_counter()
        for _ in range(count):
            evaluate()
        return (time.perf_counter() - began) / count * 1e3

    return measure


def ase_calls(atoms: Atoms) -> Callable[[], float]:
    """The same of whole ASE calls, with new positions at each: neighbour list, energy, forces."""
    positions, step = moved(atoms), iter(range(10**9))

    def evaluate() -> None:
        atoms.positions = positions[next(step) % len(positions)]
        atoms.get_potential_energy()
        atoms.get_forces()

    return evaluations(evaluate)


def once(evaluate: Callable[[], Any]) -> Callable[[], float]:
    """A measurement: the milliseconds of one evaluation, which can be taken once in a process."""

    def measure() -> float:
        began = time.perf_counter()
        evaluate()
        return (time.perf_counter() - began) * 1e3

    return measure


def memory_growth(evaluate: Callable[[], Any]) -> Callable[[], float]:
    """A measurement: by how many MiB this process's peak exceeds what it holds before its first evaluation.

    It can be taken once in a process. (Free memory that the allocator still holds is given back first: it would be
    taken again without being seen.)
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    before = _resident()

    def measure() -> float:
        import resource  # not on Windows

        evaluate()
        evaluate()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before

    return measure


def serve(measures: Mapping[str, Prepare], versions: Callable[[], dict[str, str]]) -> None:
    """Answer requests until the other end closes. Call it first thing in a process."""
    import torch

    arguments = argparse.ArgumentParser()
    arguments.add_argument("--threads", type=int, required=True)
    threads = arguments.parse_args().threads
    torch.set_num_threads(threads)
    if threads == 1 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    # Libraries print; what they print must not be taken for an answer.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    measure: Callable[[], float] | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "prepare" in request:
                settings = request["prepare"]
                measure, info = measures[settings["measure"]](settings)
                answer: dict[str, Any] = {"info": {**info, "versions": versions()}}
            else:
                assert measure is not None, "a measurement is prepared before it is taken"
                answer = {"value": measure()}
        except Exception as error:  # whatever a library raises is the other process's to report
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")


def _resident() -> float:
    """MiB of memory that this process holds now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
