"""What came of each way to get forces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cynosure.lab.forces.ways import WAYS, Way
from cynosure.lab.runs import Run


@dataclass(frozen=True)
class Outcome:
    """What was measured of one way. A list is of plain numbers, so that a file can keep it.

    Attributes:
        run: which one.
        error: eV/Å, root mean square error of the force components on the held-out frames.
        turned: eV/Å, the same on these frames turned, each in its own way.
        equivariance: `measures.equivariance_error` on the held-out frames.
        net_force: eV/Å, root mean square of |Σ F|.
        net_torque: eV, root mean square of |Σ s × F|.
        curl: root mean square of `measures.curl`.
        loop: eV, root mean square work around a small circle in the space of configurations.
        turn: eV, root mean square work of a full turn of the rigid molecule.
        drift: eV/atom/ps, of the total energy; None if no trajectory held together.
        heating: K/ps, of the temperature; None likewise.
        survived: ps, how long the trajectories held together, in the mean.
        fell_apart: how many did not reach the end.
        times: [K] ps.
        totals: [K] eV/atom, the total energy from the start, the mean over the trajectories that hold together.
        steps: optimiser steps of its network; some, where it uses another's.
        seconds: s of processor time, training and measuring.
    """

    run: Run
    error: float
    turned: float
    equivariance: float
    net_force: float
    net_torque: float
    curl: float
    loop: float
    turn: float
    drift: float | None
    heating: float | None
    survived: float
    fell_apart: int
    times: list[float]
    totals: list[float]
    steps: int
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """The ways beside each other.

    Attributes:
        source: what the frames are, in words.
        frames: how many were trained on.
        outcomes: way to what came of it.
        silence: eV/Å, the root mean square force component held out, which is the error of answering zero.
        trajectories: how many there were of each way.
        temperature: K, that they started with.
        picoseconds: how long they are.
        method: how it was measured, in words.
        notes: what a reader should know about the data, one sentence each.
    """

    source: str
    frames: int
    outcomes: Mapping[str, Outcome]
    silence: float
    trajectories: int
    temperature: float
    picoseconds: float
    method: str = ""
    notes: tuple[str, ...] = ()

    @property
    def ways(self) -> tuple[Way, ...]:
        """The ways, in their order."""
        return tuple(way for way in WAYS if way.key in self.outcomes)

    @property
    def total_seconds(self) -> float:
        """s of processor time, all together."""
        return sum(outcome.seconds for outcome in self.outcomes.values())
