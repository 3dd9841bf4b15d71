"""Training the equivariant networks of an experiment, which differ in nothing but l_max, frames and seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cynosure.data import GraphDataset, epoch_batches
from cynosure.lab.curve_frames import CurveFrames
from cynosure.lab.progress import Watch
from cynosure.lab.runs import Run
from cynosure.lab.trained import OWN, PLACES, in_common, require_settable, train_in, validations_every
from cynosure.potentials import Potential
from cynosure.training import TrainConfig, from_settings
from cynosure.training.config import merge
from cynosure.training.setup import resolve_model, resolve_sizes

# What the experiment itself decides.
_OWN = (*OWN, "model.l_max")


@dataclass(frozen=True)
class Potentials:
    """Trains equivariant networks that differ in nothing but l_max, frames and seed.

    Attributes:
        frames: what to train on and to choose the best weights by.
        epochs_of: passes through the frames for a run with so many batches in each.
        config: the settings that all runs share.
        pool: the frames to train on, as graphs.
    """

    frames: CurveFrames
    epochs_of: Callable[[int], int]
    config: TrainConfig
    pool: GraphDataset

    @classmethod
    def prepare(
        cls,
        frames: CurveFrames,
        l_max: Sequence[int],
        epochs_of: Callable[[int], int],
        settings: Mapping[str, Any],
        experiment: str,
    ) -> Potentials:
        """Check the settings, and choose from the pool what would else be chosen from the frames of each run.

        Args:
            frames, epochs_of: see above.
            l_max: of the networks.
            settings: of training, as `from_settings` takes them; the same for every network.
            experiment: what decides some of them itself, for messages.

        Raises:
            ValueError: bad settings, or some that the experiment decides itself.
        """
        require_settable(settings, _OWN, experiment)
        chosen = merge(settings, PLACES)
        for degree in l_max:  # each must be one that the architecture knows
            config = resolve_model(from_settings(merge(chosen, [("model.l_max", degree)])), base=None)
        pool = GraphDataset(frames.pool, float(config.model["cutoff"]))
        return cls(frames, epochs_of, resolve_sizes(config, pool), pool)

    def setup(self) -> dict[str, Any]:
        """What two runs must have in common to be compared, as plain values."""
        return in_common(self.config, _OWN)

    def batches(self, run: Run) -> int:
        """How many optimiser steps one pass through the frames of a run takes."""
        edges = self.pool.edge_counts()[self.frames.chosen(run.frames, run.seed)]
        return len(epoch_batches(edges, int(self.config.batch.max_edges), run.seed, 0))

    def train(self, run: Run, parent: Path, watch: Watch) -> tuple[Potential, int]:
        """Train through the public door, going on with what an interrupted run left; the network and its steps.

        Raises:
            ValueError: training that diverges, or data that it refuses.
            Interrupted: stopped by a signal; a checkpoint is kept.
        """
        training = self.frames.pool.subset(self.frames.chosen(run.frames, run.seed))
        return train_in(
            parent / f"l{run.l_max}-{run.frames}-seed{run.seed}",
            self._config(run),
            [frame.to_atoms() for frame in training],
            [frame.to_atoms() for frame in self.frames.validation],
            watch,
            run,
        )

    def _config(self, run: Run) -> TrainConfig:
        epochs = self.epochs_of(self.batches(run))
        own = {
            "model": {**self.config.model, "l_max": run.l_max},
            "seed": run.seed,
            "epochs": epochs,
            "val_every": validations_every(epochs),
        }
        return self.config.model_copy(update=own)
