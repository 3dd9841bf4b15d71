"""What was measured, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cynosure.lab.learning_curve.power_law import Estimate, PowerLaw, fit
from cynosure.lab.runs import Run

# Where the error on the training frames is more than this part of the held-out one, the frames are not what limits.
_LIMITED = 1 / 3
# Parts of the error of answering zero: above the one, nothing is learnt; below the other, much is.
_SILENT, _LEARNT = 0.95, 0.5


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


@dataclass(frozen=True)
class Curve:
    """Errors of every network at every number of frames with every seed.

    Attributes:
        source: what the frames are, in words.
        networks: l_max of each, or None for the plain one.
        frames: ascending numbers of training frames.
        seeds: how many.
        measured: what came of each run.
        silence: eV/Å, the root mean square force component held out, which is the error of answering zero.
        method: how it was measured, in words.
        notes: what a reader should know about the data, one sentence each.
    """

    source: str
    networks: tuple[int | None, ...]
    frames: tuple[int, ...]
    seeds: int
    measured: Mapping[Run, Measured]
    silence: float
    method: str = ""
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """s, all runs together."""
        return sum(one.seconds for one in self.measured.values())

    def errors(self, network: int | None) -> NDArray[np.float64]:
        """[seeds, frames] eV/Å, root mean square error of the held-out force components."""
        return self._table(network, "held_out")

    def training_errors(self, network: int | None) -> NDArray[np.float64]:
        """[seeds, frames] eV/Å, the same on the frames that a run was trained on."""
        return self._table(network, "training")

    def law(self, network: int | None) -> PowerLaw:
        """The power law through the errors of a network."""
        return fit(self.frames, self.errors(network))

    def baseline(self) -> int | None:
        """The network that the others are compared with: the one of least l_max, best of all an invariant one."""
        return min((network for network in self.networks if network is not None), default=None)

    def change_of_exponent(self, network: int | None) -> Estimate:
        """How much larger the exponent is than that of the baseline, seed by seed on the same frames."""
        return self.law(network).exponent - self.law(self.baseline()).exponent

    def ratio(self, network: int | None) -> float:
        """Its error over that of the baseline, at the most frames; the geometric mean over the seeds."""
        ratios = self.errors(network)[:, -1] / self.errors(self.baseline())[:, -1]
        return float(np.exp(np.log(ratios).mean()))

    def as_good_as_silence(self) -> list[tuple[int | None, int]]:
        """(network, number of frames) of the points that are no better than answering zero, or hardly."""
        return [point for point, unseen, _ in self._points() if unseen > _SILENT * self.silence]

    def limited_by_more_than_frames(self) -> list[tuple[int | None, int]]:
        """(network, number of frames) of the points that more steps or a larger network may lower.

        There the error on the training frames is a large part of that on the held-out frames. (It is so too where
        validation chose weights that had hardly learnt; there more steps would not help.)
        """
        return [
            point
            for point, unseen, seen in self._points()
            if unseen < _LEARNT * self.silence and seen > _LIMITED * unseen
        ]

    def _points(self) -> list[tuple[tuple[int | None, int], float, float]]:
        """(network, number of frames), error held out and on the training frames, mean over the seeds, eV/Å."""
        return [
            ((network, count), float(unseen), float(seen))
            for network in self.networks
            for count, unseen, seen in zip(
                self.frames,
                self.errors(network).mean(axis=0),
                self.training_errors(network).mean(axis=0),
                strict=True,
            )
        ]

    def _table(self, network: int | None, what: str) -> NDArray[np.float64]:
        return np.array(
            [
                [getattr(self.measured[Run(network, count, seed)], what) for count in self.frames]
                for seed in range(self.seeds)
            ]
        )
