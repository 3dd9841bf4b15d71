"""How fast a model runs on this machine, on a structure of the user's own."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms, units
from ase.md.verlet import VelocityVerlet

from cynosure.analysis.memory import Memory, estimate_memory, free_memory, memory_rows
from cynosure.analysis.report import Report, Table
from cynosure.deploy import Calculator
from cynosure.potentials import Potential

# A round is long enough to average over what the system does beside it; the median of some is robust against the rest.
_ROUNDS, _FEWEST_ROUNDS = 5, 3
_WARM_UP_STEPS = 3
# Atoms swing about their places with the speeds of this temperature (K) and a period (fs) as of bonds and phonons.
_TEMPERATURE, _PERIOD = 300.0, 60.0
# A thread that saves less than this part of the time is better left to others.
_WORTH = 0.05
# Where the slowest round takes this many times as long as the fastest, something else was running.
_RESTLESS = 1.5
# More threads that take this many times as long as fewer are worth a word.
_SLOWED = 1.2
_OUTPUTS = ("energy", "energies", "forces")

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Timing:
    """Times with one number of threads.

    Attributes:
        threads: of torch and the compiled core.
        step: s, of a whole step of molecular dynamics: integrator, neighbour list, model; median of the rounds.
        fastest: s, of the fastest round.
        slowest: s, of the slowest round.
        model: s, of the model alone on a graph that is there already; median of the rounds.
        builds: neighbour lists built per step.
    """

    threads: int
    step: float
    fastest: float
    slowest: float
    model: float
    builds: float


@dataclass(frozen=True)
class Benchmark:
    """What `bench` has measured.

    Attributes:
        atoms: number of atoms.
        edges: directed edges within the cutoff.
        cutoff: Å.
        engine: `core` or `autograd`.
        instruction_set: of the core; None with autograd.
        why_not: why the core does not serve; None where it does.
        device: of the model.
        dtype: of the model, `float32` or `float64`.
        dt_fs: time step, fs.
        cores: that this process may use.
        timings: one for each number of threads, in the order asked for.
        memory: estimate at the peak of a simulation; None with autograd.
        memory_rows: the same for reading, with what is free.
        largest: number of atoms that fit in the memory that was free at the start; None where either is unknown.
    """

    atoms: int
    edges: int
    cutoff: float
    engine: str
    instruction_set: str | None
    why_not: str | None
    device: str
    dtype: str
    dt_fs: float
    cores: int
    timings: tuple[Timing, ...]
    memory: Memory | None
    memory_rows: tuple[tuple[str, str], ...]
    largest: int | None

    @property
    def best(self) -> Timing:
        """The fewest threads that are nearly as fast as any."""
        limit = min(timing.step for timing in self.timings) * (1 + _WORTH)
        return min((one for one in self.timings if one.step <= limit), key=lambda one: one.threads)

    def us_per_atom(self, timing: Timing) -> float:
        """Time of a step for each atom, µs."""
        return 1e6 * timing.step / self.atoms

    def ns_per_day(self, timing: Timing) -> float:
        """Simulated time in a day, ns."""
        return self.dt_fs * 1e-6 * 86400 / timing.step

    def report(self, title: str, command: str) -> Report:
        """The figures as tables, in plain words at the end what to do with them.

        Args:
            title: what was measured, such as `model.safetensors on water.xyz`.
            command: the next one to type, without the number of threads.
        """
        return Report(title, self._tables(), self._warnings(), self._next_steps(command))

    def to_json(self) -> dict[str, Any]:
        """All figures, times in s, for `json.dump`."""
        found = {name: getattr(self, name) for name in _IN_JSON}
        found["timings"] = [
            asdict(one) | {"us_per_atom": self.us_per_atom(one), "ns_per_day": self.ns_per_day(one)}
            for one in self.timings
        ]
        found["best_threads"] = self.best.threads
        found["bytes_per_atom"] = None if self.memory is None else self.memory.per_atom
        return found

    def _tables(self) -> tuple[Table, ...]:
        engine = "autograd" if self.instruction_set is None else f"compiled core ({self.instruction_set})"
        system = (
            ("atoms", f"{self.atoms:,}"),
            ("edges", f"{self.edges:,} ({self.edges / self.atoms:.1f} per atom, within {self.cutoff:g} Å)"),
            ("engine", f"{engine}, {self.dtype} on {self.device}"),
        )
        heads = ("threads", "step", "min", "max", "model", "share", "µs/atom", "ns/day", "speed-up")
        rows = tuple(
            (
                str(one.threads),
                _figure(1e3 * one.step),
                _figure(1e3 * one.fastest),
                _figure(1e3 * one.slowest),
                _figure(1e3 * one.model),
                f"{one.model / one.step:.0%}",
                _figure(self.us_per_atom(one)),
                _figure(self.ns_per_day(one)),
                f"{self.timings[0].step / one.step:.2f}×",
            )
            for one in self.timings
        )
        if len(self.timings) == 1:
            heads, rows = heads[:-1], (rows[0][:-1],)
        return (
            Table("System", ("", ""), system),
            Table(
                f"Time, ms, of an MD step of {self.dt_fs:g} fs and of the model in it (medians)", heads, rows
            ),
            Table("Memory (estimate for the peak of a simulation)", ("", ""), self.memory_rows),
        )

    def _warnings(self) -> tuple[str, ...]:
        found = []
        if self.edges == 0:
            found.append(
                f"no two atoms are within the cutoff of {self.cutoff:g} Å: this is the time of lone atoms"
            )
        if self.why_not is not None:
            found.append(
                f"the network runs through autograd, not in the faster compiled core: {self.why_not}"
            )
        slowed = self._slowed()
        if slowed is not None:
            found.append(
                f"{_threads(slowed.threads)} take longer than fewer: other programs want the same cores, or the "
                "structure is too small to share"
            )
        restless = max(one.slowest / one.fastest for one in self.timings)
        if restless > _RESTLESS:
            found.append(
                f"the slowest round took {restless:.1f} times as long as the fastest: other programs use this machine, "
                "or the rounds are too short (--seconds)"
            )
        return tuple(found)

    def _slowed(self) -> Timing | None:
        """The first of the timings that is clearly slower than with fewer threads."""
        for one in self.timings:
            fewer = [other.step for other in self.timings if other.threads < one.threads]
            if fewer and one.step > _SLOWED * min(fewer):
                return one
        return None

    def _next_steps(self, command: str) -> tuple[str, ...]:
        best = self.best
        if len(self.timings) == 1:
            lines = ["# with other numbers of threads: add --threads all"] if self.cores > 1 else []
        else:
            lines = [f"# {_threads(best.threads)}: more would save less than {_WORTH:.0%}, or nothing"]
            if best.threads == max(one.threads for one in self.timings):
                lines = [f"# {_threads(best.threads)}: the fastest of those tried"]
        return (*lines, f"OMP_NUM_THREADS={best.threads} {command}")


_IN_JSON = (
    "atoms",
    "edges",
    "cutoff",
    "engine",
    "instruction_set",
    "why_not",
    "device",
    "dtype",
    "dt_fs",
    "cores",
    "largest",
)


def bench(
    model: Potential | str | Path,
    atoms: Atoms,
    threads: Sequence[int] | None = None,
    dt_fs: float = 0.5,
    seconds: float = 3.0,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype | str | None = None,
    on_progress: Progress | None = None,
) -> Benchmark:
    """Measure the time of molecular dynamics with a model on a structure, and what memory it needs.

    For each number of threads, after a warm-up:

    1. Steps of velocity Verlet through the ASE calculator. The atoms swing about their places as at 300 K, whatever
       the forces are, so that the neighbour list is filtered at every step and built anew now and then, and a model
       that has not been trained cannot blow up.
    2. The model alone on the graph of the structure as it was given.
    3. 1 and 2 alternate, in rounds, so that what else the machine does falls on both.

    Args:
        model: the potential or its file; it is not changed.
        atoms: the structure; it is not changed. Constraints are left out.
        threads: the numbers of threads to measure with; by default the number that torch uses now, to which it is
            set again afterwards.
        dt_fs: time step, fs, of the movement and of ns/day.
        seconds: s, of each of the two measurements; longer where a few steps take longer.
        device: by default where the potential is, the CPU for a file.
        dtype: by default the model's own.
        on_progress: called with the part done, from 0 to 1, and what is being done.

    Raises:
        ValueError: a number of threads below 1 or beyond the cores of this machine; a time that is not positive; an
            unknown device or dtype; a structure that cannot be evaluated: an element the model does not know, two
            atoms on one spot.
        FileNotFoundError: if there is no such file.
    """
    threads = (torch.get_num_threads(),) if threads is None else _checked(threads)
    for name, value in (("time step (fs)", dt_fs), ("seconds", seconds)):
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name}: {value:g}; a positive number was expected")
    tell = on_progress or (lambda done, what: None)
    tell(0.0, "preparing")
    free = free_memory()
    calculator = Calculator(model, device, dtype)
    evaluator = calculator.evaluator
    simulation = _Simulation(atoms, calculator, dt_fs)
    graph = calculator.model.graph_of(atoms).to(calculator.model.device)

    def evaluate() -> None:
        # Reading the number waits for a device that computes in its own time.
        float(evaluator.evaluate(graph, _OUTPUTS)["energy"].detach())

    timings = []
    for number, count in enumerate(threads):
        what = _threads(count)
        with _torch_threads(count):
            timings.append(
                _measure(
                    simulation,
                    evaluate,
                    seconds,
                    lambda part, number=number, what=what: tell((number + part) / len(threads), what),
                )
            )
    pairs = calculator.num_pairs / len(atoms)
    memory = estimate_memory(evaluator, graph.num_edges / len(atoms), pairs)
    return Benchmark(
        atoms=len(atoms),
        edges=graph.num_edges,
        cutoff=calculator.model.cutoff,
        engine=evaluator.engine,
        instruction_set=evaluator.instruction_set,
        why_not=evaluator.why_not,
        device=str(calculator.model.device),
        dtype=str(calculator.model.dtype).removeprefix("torch."),
        dt_fs=dt_fs,
        cores=usable_cores(),
        timings=tuple(timings),
        memory=memory,
        memory_rows=memory_rows(evaluator, memory, len(atoms), free),
        largest=None if memory is None or free is None else memory.largest(free),
    )


def usable_cores() -> int:
    """The cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


def thread_counts(text: str | None) -> tuple[int, ...] | None:
    """What a user asks for: `1,2`, or `all` for 1, 2, 4, … and every core; None stays None.

    Raises:
        ValueError: a text that is neither, or a number that this machine does not have.
    """
    if text is None:
        return None
    if text.strip() == "all":
        cores = usable_cores()
        return (*(2**power for power in range(cores.bit_length()) if 2**power < cores), cores)
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(
            f"'{text}' is not a list of numbers of threads; write --threads 1,2 or --threads all"
        ) from None
    return _checked(counts)


def _checked(threads: Sequence[int]) -> tuple[int, ...]:
    cores = usable_cores()
    if not threads:
        raise ValueError("no number of threads is given; one at least was expected")
    for count in threads:
        if not 1 <= count <= cores:
            raise ValueError(f"{count} threads: this process may use {cores} cores; ask for 1 to {cores}")
    return tuple(dict.fromkeys(threads))


@contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    """Let torch use so many threads, and as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Simulation:
    """Velocity Verlet whose atoms swing about their places: x(t) = x₀ + v/ω sin ωt, with v of a temperature.

    A step of ASE's integrator from a point of that motion, with no forces at its start, costs all that a step of a
    simulation does: one evaluation, one neighbour list, the integrator's own arithmetic.
    """

    def __init__(self, atoms: Atoms, calculator: Calculator, dt_fs: float) -> None:
        self._atoms = atoms.copy()
        self._atoms.set_constraint()
        self._atoms.calc = self.calculator = calculator
        masses = self._atoms.get_masses()[:, None]
        if not (masses > 0).all():
            raise ValueError(f"atom {int(np.argmin(masses))} has no mass; molecular dynamics needs one")
        noise = np.random.default_rng(0).standard_normal((len(atoms), 3))
        self._momenta = noise * np.sqrt(masses * units.kB * _TEMPERATURE)
        self._places = self._atoms.get_positions()
        self._angle = 2 * np.pi * dt_fs / _PERIOD
        self._reach = self._momenta / masses * _PERIOD * units.fs / (2 * np.pi)
        self._no_forces = np.zeros_like(self._places)
        self._verlet = VelocityVerlet(self._atoms, timestep=dt_fs * units.fs)
        self._steps = 0

    def step(self) -> None:
        angle = self._angle * self._steps
        self._atoms.set_positions(self._places + np.sin(angle) * self._reach)
        self._atoms.set_momenta(np.cos(angle) * self._momenta)
        self._verlet.step(self._no_forces)
        self._atoms.get_potential_energy()
        self._steps += 1


def _measure(
    simulation: _Simulation, evaluate: Callable[[], None], seconds: float, tell: Callable[[float], None]
) -> Timing:
    """Times of a step and of the model alone, with the threads that torch has now."""
    tell(0.0)
    for _ in range(_WARM_UP_STEPS):
        duration = _mean_time(simulation.step, 1)
    evaluation = _mean_time(evaluate, 1)
    rounds = max(_FEWEST_ROUNDS, min(_ROUNDS, int(seconds / duration)))
    steps = max(1, round(seconds / rounds / duration))
    evaluations = max(1, round(seconds / rounds / evaluation))
    builds = simulation.calculator.neighbour_list_builds
    of_step, of_model = [], []
    for done in range(rounds):
        of_step.append(_mean_time(simulation.step, steps))
        of_model.append(_mean_time(evaluate, evaluations))
        tell((done + 1) / rounds)
    return Timing(
        threads=torch.get_num_threads(),
        step=statistics.median(of_step),
        fastest=min(of_step),
        slowest=max(of_step),
        model=statistics.median(of_model),
        builds=(simulation.calculator.neighbour_list_builds - builds) / (rounds * steps),
    )


def _mean_time(work: Callable[[], None], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times


def _threads(count: int) -> str:
    return f"{count} thread{'s' if count > 1 else ''}"


def _figure(value: float) -> str:
    """Three digits, and no exponent where a person would not write one."""
    return f"{value:,.0f}" if value >= 99.95 else f"{value:.3g}"
