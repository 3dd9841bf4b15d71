"""What came of each run of the pencil experiment, and how many frames a network needs to reach an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cynosure.lab.runs import Run, network_name

UPRIGHT, TURNED = "as it is", "turned"  # versions of the held-out frames, of `comparison.versions`


class Network(NamedTuple):
    """A network of the experiment.

    Attributes:
        l_max: of an equivariant network; None for the plain one.
        copies: of each frame, turned at random, that the plain network is shown besides.
    """

    l_max: int | None
    copies: int = 0

    @property
    def name(self) -> str:
        """What it is called."""
        name = network_name(self.l_max, self.copies)
        return name if self.l_max is None else f"{name} ({'equivariant' if self.l_max else 'invariant'})"

    @property
    def short(self) -> str:
        """The same for tables and pictures."""
        if self.l_max is not None:
            return self.name
        return (
            f"plain + {self.copies} turned {'copy' if self.copies == 1 else 'copies'}"
            if self.copies
            else "plain"
        )


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes:
        run: which one.
        forces: version of the held-out frames -> eV/Å, root mean square error of the force components.
        energies: version of the held-out frames -> eV/atom, mean absolute error.
        training: eV/Å, as `forces`, on the frames that it was trained on, their copies among them.
        steps: how many were done.
        seconds: s of processor time, for training alone.
    """

    run: Run
    forces: Mapping[str, float]
    energies: Mapping[str, float]
    training: float
    steps: int
    seconds: float


@dataclass(frozen=True)
class Reached:
    """Where the line of errors against numbers of training frames comes down to an error.

    Attributes:
        frames: how many it takes; None where it never does.
        or_fewer: the smallest number of frames that was tried is enough already.
    """

    frames: float | None
    or_fewer: bool = False


def reached(counts: Sequence[int], errors: Sequence[float], target: float) -> Reached:
    """The smallest number of frames at which the errors, joined by straight lines on logarithmic scales, are as low.

    Nothing is said of fewer or more frames than were tried.

    Args:
        counts: ascending numbers of frames.
        errors: positive, one for each.
        target: positive, in the same unit.
    """
    if errors[0] <= target:
        return Reached(float(counts[0]), or_fewer=True)
    for k in range(1, len(counts)):
        if errors[k] <= target:
            part = np.log(errors[k - 1] / target) / np.log(errors[k - 1] / errors[k])
            return Reached(float(counts[k - 1] * (counts[k] / counts[k - 1]) ** part))
    return Reached(None)


@dataclass(frozen=True)
class Pencil:
    """Errors of every network, at every number of training frames, on every version of the held-out frames.

    Attributes:
        source: what the frames are, in words.
        networks: the plain ones first.
        frames: ascending numbers of training frames.
        seeds: how many.
        outcomes: what came of each run.
        silence: eV/Å, the root mean square force component held out, which is the error of answering zero.
        targets: eV/Å, descending: the errors that networks should reach on turned frames.
        method: how it was measured, in words.
        notes: what a reader should know about the data, one sentence each.
    """

    source: str
    networks: tuple[Network, ...]
    frames: tuple[int, ...]
    seeds: int
    outcomes: Mapping[Run, Outcome]
    silence: float
    targets: tuple[float, ...]
    method: str = ""
    notes: tuple[str, ...] = ()

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions of the held-out frames, the untouched one first."""
        return tuple(next(iter(self.outcomes.values())).forces)

    @property
    def total_seconds(self) -> float:
        """s of processor time, the training of all runs together."""
        return sum(outcome.seconds for outcome in self.outcomes.values())

    def forces(self, network: Network, version: str) -> NDArray[np.float64]:
        """[frames] eV/Å, force error on a version of the held-out frames; the geometric mean over the seeds."""
        return self._means(network, lambda one: one.forces[version])

    def energies(self, network: Network, version: str) -> NDArray[np.float64]:
        """[frames] eV/atom, energy error on a version of the held-out frames; the geometric mean over the seeds."""
        return self._means(network, lambda one: one.energies[version])

    def training(self, network: Network) -> NDArray[np.float64]:
        """[frames] eV/Å, force error on what it was trained on; the geometric mean over the seeds."""
        return self._means(network, lambda one: one.training)

    def seconds(self, network: Network) -> NDArray[np.float64]:
        """[frames] s of processor time for one training; the geometric mean over the seeds."""
        return self._means(network, lambda one: one.seconds)

    def steps(self, network: Network) -> int:
        """Optimiser steps of a run with the most frames."""
        return self.outcomes[Run(network.l_max, self.frames[-1], 0, network.copies)].steps

    def reached(self, network: Network, target: float, version: str = TURNED) -> Reached:
        """How many frames a network needs to reach an error, eV/Å; see `reached`."""
        return reached(self.frames, self.forces(network, version).tolist(), target)

    def _means(self, network: Network, value: Callable[[Outcome], float]) -> NDArray[np.float64]:
        table = [
            [value(self.outcomes[Run(network.l_max, count, seed, network.copies)]) for count in self.frames]
            for seed in range(self.seeds)
        ]
        return np.exp(np.log(np.array(table, dtype=float)).mean(axis=0))
