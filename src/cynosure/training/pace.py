"""What comes next in a run: a step (at which progress), a validation, or the end.

There is one pace for a run of so many epochs, one for a run of so many minutes, and one that repeats a logged run.
The first and the last are functions of the run's state alone, so that such runs repeat exactly.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cynosure.training.checkpoint import RunState


@dataclass(frozen=True)
class Step:
    """Do an optimiser step at this progress, from 0 to 1."""

    progress: float


class Validate:
    """Validate now."""


@dataclass(frozen=True)
class Settle:
    """Go back to the best weights: from there the rest of the run is short, and its steps become small.

    Attributes:
        progress: at which it goes on.
    """

    progress: float


class Finish:
    """The training is over."""


Action = Step | Validate | Settle | Finish


class Pace(Protocol):
    """Decides what comes next, and learns how long things take.

    Attributes:
        end: what a run that it finishes has come to, to be read after "Training came to".
    """

    end: str

    def next(self, state: RunState, batches: int) -> Action:
        """What to do in `state`, in an epoch of `batches` batches."""
        ...

    def time_left(self, state: RunState, progress: float) -> float:
        """s, an estimate of how long the training still takes."""
        ...

    def note_step(self, seconds: float, edges: int) -> None:
        """A step over so many edges took so long."""
        ...

    def note_validation(self, seconds: float) -> None:
        """A validation took so long."""
        ...


class ByEpochs:
    """A run of a number of epochs, validated after every few of them and after the last.

    Args:
        epochs: how many.
        val_every: epochs between validations.
    """

    end = "its last epoch"

    def __init__(self, epochs: int, val_every: int) -> None:
        self._epochs, self._val_every = epochs, val_every

    def next(self, state: RunState, batches: int) -> Action:
        ended_epoch = state.position == 0 and state.step > 0
        due = state.epoch % self._val_every == 0 or state.epoch == self._epochs
        if ended_epoch and due and state.validated_at != state.step:
            return Validate()
        if state.epoch >= self._epochs:
            return Finish()
        return Step((state.epoch + state.position / batches) / self._epochs)

    def time_left(self, state: RunState, progress: float) -> float:
        return state.elapsed * (1.0 - progress) / progress if progress > 0 else math.inf

    def note_step(self, seconds: float, edges: int) -> None:
        pass

    def note_validation(self, seconds: float) -> None:
        pass


class ByLog:
    """A run that repeats another from its log: the same progress at every step, validations after the same steps.

    Args:
        records: the other run's log, see `read_log`.

    Raises:
        ValueError: the log has no steps, or its steps are not 1, 2, 3, ….
    """

    end = "the end of the log"

    def __init__(self, records: Sequence[Mapping[str, Any]]) -> None:
        steps = [record for record in records if record["kind"] == "step"]
        if not steps or [record["step"] for record in steps] != list(range(1, len(steps) + 1)):
            raise ValueError(
                "the log to repeat must have the steps 1, 2, 3, … in order; is it a whole metrics.jsonl?"
            )
        self._progress = [float(record["progress"]) for record in steps]
        self._validated = {int(record["step"]) for record in records if record["kind"] == "validation"}
        self._settled = {int(record["step"]) for record in records if record["kind"] == "settle"}

    def next(self, state: RunState, batches: int) -> Action:
        if state.step in self._validated and state.validated_at != state.step:
            return Validate()
        if state.step >= len(self._progress):
            return Finish()
        progress = self._progress[state.step]
        if state.step in self._settled and state.settling is None:
            return Settle(progress)
        return Step(progress)

    def time_left(self, state: RunState, progress: float) -> float:
        left = len(self._progress) - state.step
        return state.elapsed * left / state.step if state.step else math.inf

    def note_step(self, seconds: float, edges: int) -> None:
        pass

    def note_validation(self, seconds: float) -> None:
        pass


class ByClock:
    """A run that ends at a moment: trains for as long as leaves time to validate, evaluate and report.

    Progress is the accumulated time of training over that time and what is left of it. Validation takes about a
    tenth of the time at most.

    A network that has learned all that such frames can teach goes on to learn their noise. Where validation has come to
    a standstill, the run settles: the rest of its progress takes a fraction of the time so far, from the best weights
    on, because energies in particular are poor until steps have become small. It then ends early.

    Args:
        deadline: the moment to be done by, on the clock of `time.monotonic`.
        validation_edges: edges of the validation set.
        final_edges: edges that are evaluated once more after training.
        report_seconds: s, for what follows the last evaluation.
        may_settle: whether it ends early.
    """

    end = "the end of its time"

    # The share of the time until the deadline that may be held back, and how much worse than measured things go.
    _LARGEST_RESERVE = 0.4
    _CAUTION = 1.2
    _VALIDATIONS = 60
    _VALIDATION_SHARE = 0.1
    # Validations in a row without gain that are a standstill. (Runs that went on to gain more than a hundredth had up
    # to seven, those whose errors only rose from there on, sixteen and more.)
    _STANDSTILL = 8
    # The time that settling takes, beside that of training until then.
    _SETTLING = 0.2

    def __init__(
        self,
        deadline: float,
        *,
        validation_edges: int,
        final_edges: int,
        report_seconds: float,
        may_settle: bool = True,
    ) -> None:
        self.deadline = deadline
        self._may_settle = may_settle
        self._began = time.monotonic()
        self._validation_edges, self._final_edges = validation_edges, final_edges
        self._report = report_seconds
        self._per_edge: float | None = None
        self._longest_step = 0.0
        self._validation: float | None = None
        self._validated = self._began
        self._closing = False
        self._progress = 0.0

    def next(self, state: RunState, batches: int) -> Action:
        now = time.monotonic()
        left = self._training_left(now)
        fresh = state.validated_at == state.step
        # The first step is always taken: until then nothing is known of the speed.
        if self._closing or (state.step > 0 and left < self._longest_step):
            self._closing = True
            fits = now + self._validation_seconds() + self._report < self.deadline
            return Validate() if fits and not fresh else Finish()
        if not fresh and state.step > 0 and now - self._validated > self._interval():
            return Validate()
        if self._may_settle and state.settling is None and state.without_gain >= self._STANDSTILL:
            return Settle(self._progress)
        progress = state.elapsed / (state.elapsed + max(left, 1e-9))
        if state.settling is not None:
            self.end = "a standstill of its validation errors"
            since, reached = state.settling
            part = (state.elapsed - since) / (self._SETTLING * since)
            progress = max(progress, reached + (1.0 - reached) * part)
        self._progress = max(self._progress, min(1.0, progress))
        self._closing = self._progress == 1.0
        return Step(self._progress)

    def time_left(self, state: RunState, progress: float) -> float:
        left = max(0.0, self._training_left(time.monotonic()))
        if state.settling is None:
            return left
        since, _ = state.settling
        return min(left, max(0.0, (1.0 + self._SETTLING) * since - state.elapsed))

    def note_step(self, seconds: float, edges: int) -> None:
        # The longest step so far, slowly forgotten: the first one often pays for what the others have for free.
        self._longest_step = max(seconds, 0.95 * self._longest_step)
        rate = seconds / max(edges, 1)
        self._per_edge = rate if self._per_edge is None else 0.9 * self._per_edge + 0.1 * rate

    def note_validation(self, seconds: float) -> None:
        self._validation = seconds
        self._validated = time.monotonic()

    def _validation_seconds(self) -> float:
        """s. Before the first validation: at the price of training, which is more than it will cost."""
        if self._validation is not None:
            return self._CAUTION * self._validation
        return self._CAUTION * (self._per_edge or 0.0) * self._validation_edges

    def _interval(self) -> float:
        share = self._validation_seconds() * (1.0 / self._VALIDATION_SHARE - 1.0)
        return max(share, (self.deadline - self._began) / self._VALIDATIONS)

    def _training_left(self, now: float) -> float:
        validation = self._validation_seconds()
        evaluation = validation * self._final_edges / max(self._validation_edges, 1)
        reserve = min(validation + evaluation, self._LARGEST_RESERVE * (self.deadline - self._began))
        return self.deadline - self._report - reserve - now
