"""The training loop: steps, validations and checkpoints, in the order that a pace asks for."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cynosure.data import GraphDataset, epoch_batches
from cynosure.graph import AtomGraph, batch
from cynosure.potentials import Potential, UncertaintyFactors
from cynosure.training.checkpoint import Checkpoint, RunState, save_checkpoint
from cynosure.training.config import TrainConfig
from cynosure.training.display import Display
from cynosure.training.ema import Average
from cynosure.training.evaluation import DEFAULT_MAX_EDGES, Predicted, evaluate
from cynosure.training.interrupt import Interrupted, StopRequest
from cynosure.training.learner import Learner
from cynosure.training.loss import Loss, Term
from cynosure.training.metrics import Metrics
from cynosure.training.metrics_log import MetricsLog
from cynosure.training.pace import Finish, Pace, Settle, Validate
from cynosure.training.parity import ParitySample
from cynosure.training.schedule import learning_rate_factor
from cynosure.training.side_by_side import SideBySide
from cynosure.training.targets import Target, targets_of

# A validation is worth a checkpoint, but not every tenth of a second.
_SHORTEST_CHECKPOINT_SECONDS = 5.0
_DISPLAY_SECONDS = 0.2
# While a run settles its newest weights are kept if their score is at most this many times the best: energies gain
# most then, and are a small part of it.
_TOLERATED = 1.05


class Diverged(ValueError):
    """The loss or its gradient became infinite or NaN."""


class Trainer:
    """One model in training.

    The members of an ensemble see the same batches, as one graph. Each has its own loss and gradient, and moves as it
    would alone, beside the others where there are threads for it; average, validation and choice of the best are of the
    ensemble.

    Args:
        model: with the weights to start from, on its device.
        learners: its members in training.
        config: resolved settings.
        scale: eV/Å, the scale of the loss.
        target_scales: the same of declared targets and derivatives, by name.
        train, validation: graphs.
        out: the run's folder.
        setup: plain values to keep in each checkpoint.
        display: what is shown meanwhile.
        stop: asked between steps whether to go on.
        started: when this session began, on the clock of `time.monotonic`.
        checkpoint_seconds: s between checkpoints. It has no influence on the result.
        previous: the checkpoint to go on from.
    """

    def __init__(
        self,
        model: Potential,
        learners: Sequence[Learner],
        config: TrainConfig,
        *,
        scale: float,
        target_scales: Mapping[str, float],
        train: GraphDataset,
        validation: GraphDataset,
        out: Path,
        setup: Mapping[str, Any],
        display: Display,
        stop: StopRequest,
        started: float,
        checkpoint_seconds: float,
        previous: Checkpoint | None = None,
    ) -> None:
        self.model, self.config = model, config
        self.train, self.validation = train, validation
        self.average = Average(model, deepcopy(model), config.ema.decay)
        self.best: dict[str, Tensor] = {}
        self.best_validation: tuple[Metrics, ParitySample] | None = None
        self.state = RunState() if previous is None else previous.state
        self.loss = Loss(config.loss, scale, target_scales)
        self.base: Mapping[str, str] | None = setup["base"]
        self._learners = learners
        self._at_once = SideBySide(len(learners) if model.device.type == "cpu" else 1)
        if previous is not None:
            self._restore(previous)
        self._checkpoint_path = out / "checkpoint.safetensors"
        self._setup, self._display, self._stop = setup, display, stop
        self._log = MetricsLog(out / "metrics.jsonl", self.state.log_bytes)
        now = time.monotonic()
        self._wall_before, self._started = self.state.wall, started
        self._elapsed_before, self._loop_began = self.state.elapsed, now
        self._checkpoint_seconds, self._saved, self._shown = checkpoint_seconds, now, now
        self._rate = 0.0

    def run(self, pace: Pace) -> None:
        """Train until the pace, or a lack of progress, ends it.

        Raises:
            Interrupted: a stop was asked for; the checkpoint is saved.
            Diverged: the loss is no longer finite; the checkpoint is left as it was.
            OSError: a file cannot be written.
        """
        epoch, batches = -1, []
        if self.state.step == 0:
            self.save()
        try:
            # The base model is the first candidate: training that only makes it worse leaves it as it is.
            if self.base is not None and self.state.validations == 0:
                self._validate(pace)
            while not self.state.finished:
                self._stop.check()
                if epoch != self.state.epoch:
                    epoch, batches = self.state.epoch, self._batches(self.state.epoch)
                self.read_clock()
                action = pace.next(self.state, len(batches))
                if isinstance(action, Finish):
                    self._finish(pace.end)
                elif isinstance(action, Validate):
                    self._validate(pace)
                elif isinstance(action, Settle):
                    self._settle(action.progress)
                else:
                    self._step(batches[self.state.position], action.progress, pace)
                    self.state.position += 1
                    if self.state.position == len(batches):
                        self.state.epoch, self.state.position = self.state.epoch + 1, 0
                if time.monotonic() - self._saved > self._checkpoint_seconds:
                    self.save()
        except Interrupted:
            self.save()
            raise
        finally:
            self._at_once.close()
            self._display.close()

    def save(self) -> None:
        """Write the checkpoint; the metrics file is brought to the disk first, so that it is never behind."""
        self.read_clock()
        self.state.log_bytes = self._log.flush()
        tensors = {f"model/{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"average/{name}": tensor for name, tensor in self.average.model.named_parameters()}
        tensors |= {f"best/{name}": tensor for name, tensor in self.best.items()}
        for learner in self._learners:
            tensors |= learner.tensors()
        save_checkpoint(self._checkpoint_path, Checkpoint(self.state, self._setup, tensors))
        self._saved = time.monotonic()

    def read_clock(self) -> float:
        """Bring `elapsed` and `wall` of the state up to now, and return `elapsed`, s."""
        now = time.monotonic()
        self.state.elapsed = self._elapsed_before + now - self._loop_began
        self.state.wall = self._wall_before + now - self._started
        return self.state.elapsed

    def best_model(self) -> Potential:
        """The averaged model at its best validation, calibrated there, or as it is now if none has taken place."""
        model = self.average.model
        factors = UncertaintyFactors(**self.state.best_uncertainty)
        model.calibration = model.calibration.model_copy(update={"uncertainty": factors})
        if self.best:
            self._take_best(model)
        return model

    def _restore(self, previous: Checkpoint) -> None:
        self.model.load_state_dict(previous.part("model"))
        # The average starts as a copy for what is not a parameter and has no average of its own.
        self.average.model.load_state_dict({**previous.part("model"), **previous.part("average")})
        self.best = {name: tensor.to(self.model.device) for name, tensor in previous.part("best").items()}
        for learner in self._learners:
            learner.load(previous)

    def _batches(self, epoch: int) -> list[NDArray[np.int64]]:
        budget = self.config.batch.max_edges
        return epoch_batches(self.train.edge_counts(), int(budget), self.config.seed, epoch)

    def _load(self, indices: NDArray[np.int64]) -> tuple[AtomGraph, dict[str, Target]]:
        graph = batch([self.train[index] for index in indices])
        targets = targets_of(graph, self.loss.outputs)
        device = self.model.device
        if device.type == "cpu":
            return graph, targets
        return graph.to(device), {name: target.to(device) for name, target in targets.items()}

    def _step(self, indices: NDArray[np.int64], progress: float, pace: Pace) -> None:
        """One optimiser step.

        1. The learning rate follows from progress alone.
        2. Each member predicts, compares, differentiates; a gradient that is too long is shortened.
        3. Look at the numbers (means over the members), once: if one is not finite, the weights stay as they are.
        4. Move the weights, and the average after them.
        """
        began = time.monotonic()
        lr = self.config.optimiser.lr * learning_rate_factor(progress, self.config.schedule)
        graph, targets = self._load(indices)

        def differentiate(learner: Learner) -> Tensor:
            total, terms, norm = learner.differentiate(graph, targets, self.loss, progress)
            means = [term.total.detach() / term.count for term in terms.values()]
            return torch.stack([total, norm.to(total.dtype), *means])

        names = [name for name in self.loss.outputs if name in targets]
        numbers = self._at_once.map(differentiate, self._learners)
        loss, gradient, *parts = torch.stack(numbers).mean(dim=0).tolist()
        if not (math.isfinite(loss) and math.isfinite(gradient)):
            raise Diverged(self._divergence(loss))
        self._at_once.map(lambda learner: learner.move(lr), self._learners)
        self.state.step += 1
        self.average.update(self.state.step)
        self._log.append(
            {
                "kind": "step",
                "step": self.state.step,
                "epoch": self.state.epoch,
                "progress": progress,
                "lr": lr,
                "loss": loss,
                **dict(zip(names, parts, strict=True)),
                "gradient": gradient,
                "elapsed": round(self.read_clock(), 4),
            }
        )
        seconds = time.monotonic() - began
        pace.note_step(seconds, graph.num_edges)
        self._show(loss, progress, graph.num_structures / seconds, pace)

    def _validate(self, pace: Pace) -> None:
        """Evaluate the average on the validation set, and keep its weights if they are the best."""
        began = time.monotonic()
        sums, sample = _LossSums(self.loss), ParitySample()
        metrics = evaluate(
            self.average.model,
            self.validation,
            max_edges=max(DEFAULT_MAX_EDGES, int(self.config.batch.max_edges)),
            progress=self._during_validation,
            observers=(sums, sample),
        )
        state, score = self.state, sums.mean()
        lowest = math.inf if state.best_score is None else state.best_score
        best = score < lowest * (1.0 if state.settling is None else _TOLERATED)
        if best:
            state.best_score, state.best_step, state.without_gain = min(score, lowest), state.step, 0
            self.best = {
                name: tensor.detach().clone() for name, tensor in self.average.model.named_parameters()
            }
            metrics, state.best_uncertainty = metrics.calibrated()
            self.best_validation = metrics, sample
        else:
            state.without_gain += 1
        state.validated_at, state.validations = state.step, state.validations + 1
        errors = {name: stats.to_json() for name, stats in metrics.errors.items()}
        self._log.append(
            {
                "kind": "validation",
                "step": state.step,
                "epoch": state.epoch,
                "score": score,
                "best": best,
                "errors": errors,
                "elapsed": round(self.read_clock(), 4),
            }
        )
        self._display.validation(step=state.step, score=score, best=best, metrics=metrics)
        pace.note_validation(time.monotonic() - began)
        if self.config.patience is not None and state.without_gain >= self.config.patience:
            self._finish(f"{state.without_gain} validations in a row without a better score")
        elif time.monotonic() - self._saved > min(_SHORTEST_CHECKPOINT_SECONDS, self._checkpoint_seconds):
            self.save()

    @torch.no_grad()
    def _take_best(self, model: Potential) -> None:
        """Give a model the weights of the best validation."""
        for name, parameter in model.named_parameters():
            parameter.copy_(self.best[name])

    def _settle(self, progress: float) -> None:
        """Take up the best weights, and the average from there; see `pace.ByClock`."""
        self._take_best(self.model)
        self._take_best(self.average.model)
        self.state.settling, self.state.without_gain = (self.read_clock(), progress), 0
        self._log.append({"kind": "settle", "step": self.state.step})
        self._display.say(
            f"Validation has not improved since step {self.state.best_step}: back to the weights of that step, which "
            "settle from there. (More frames will help, more time will not.)"
        )

    def _finish(self, reason: str) -> None:
        self.state.finished, self.state.ended_by = True, reason
        self.save()

    def _during_validation(self, done: int, total: int) -> None:
        self._stop.check()
        self._display.evaluating("validation", done, total)

    def _show(self, loss: float, progress: float, rate: float, pace: Pace) -> None:
        self._rate = rate if self._rate == 0.0 else 0.95 * self._rate + 0.05 * rate
        now = time.monotonic()
        if now - self._shown > _DISPLAY_SECONDS:
            self._shown = now
            self._display.step(
                step=self.state.step,
                epoch=self.state.epoch,
                progress=progress,
                loss=loss,
                rate=self._rate,
                left=pace.time_left(self.state, progress),
            )

    def _divergence(self, loss: float) -> str:
        lower = self.config.optimiser.lr / 5
        return (
            f"the loss became {loss:g} at step {self.state.step + 1} (or its gradient was not finite): the training "
            f"has diverged. Lower the learning rate (--set optimiser.lr={lower:g}) or the clipping length "
            f"(--set optimiser.clip={self.config.optimiser.clip / 10:g}), and look for frames with extreme forces"
        )


class _LossSums:
    """The loss over a whole set, gathered batch by batch."""

    def __init__(self, loss: Loss) -> None:
        self._loss = loss
        self._totals: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def __call__(self, predicted: Predicted) -> None:
        for name, term in self._loss.terms(predicted.outputs, predicted.targets).items():
            self._totals[name] = self._totals.get(name, 0.0) + float(term.total)
            self._counts[name] = self._counts.get(name, 0) + term.count

    def mean(self) -> float:
        totals = {name: torch.tensor(value, dtype=torch.float64) for name, value in self._totals.items()}
        return float(self._loss({name: Term(total, self._counts[name]) for name, total in totals.items()}))
