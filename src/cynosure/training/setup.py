"""From settings to everything a run starts with: data, resolved settings, and a fresh model."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from cynosure.data import (
    Frames,
    GraphDataset,
    Statistics,
    epoch_batches,
    fit_e0s,
    parse_e0s,
    read_frames,
    require_e0s,
    split,
)
from cynosure.graph import batch
from cynosure.potentials import Potential, build, resolve
from cynosure.potentials.committee import SHARED
from cynosure.training.base_model import BaseModel
from cynosure.training.config import DataConfig, LossConfig, TrainConfig
from cynosure.training.declared import Scales, check_labels
from cynosure.training.evaluation import require_known_elements
from cynosure.training.loss import positive_weights, resolve_weights
from cynosure.training.targets import LABELS

DTYPES = {"float32": torch.float32, "float64": torch.float64}

# A run without a length gets about this many steps, within these numbers of epochs.
_DEFAULT_STEPS = 10_000
_FEWEST_EPOCHS, _MOST_EPOCHS = 10, 2000
# An automatic batch holds this many typical frames, so that small sets still make many steps, but no more edges
# than this unless one frame has them.
_BATCH_FRAMES, _BATCH_EDGES = 4, 2048
# Frames that are held out, if nothing is said: this part, or more where it would be too few to choose weights by.
_PART_HELD_OUT, _LARGEST_PART_HELD_OUT, _FEWEST_HELD_OUT = 0.05, 0.1, 15
# s, of one core on one edge of a batch, when the preset `medium` trains. Only the choice of a preset hangs on it.
_SECONDS_OF_EDGE = 30e-6
# With fewer steps of `medium`, `small` is better, which makes almost four times as many. (On acetylacetone,
# `python -m benchmarks.trainer own train FRAMES --val 0.2 --minutes 2 --set model.preset=small`; the two cross between
# two and five minutes.) From so many on, the time is better spent on four members with a quarter of the steps each.
_STEPS_FOR_MEDIUM, _STEPS_FOR_MEMBERS = 8_000, 50_000
# As many edges are enough to see how large the features of a fresh network are.
_EXAMPLE_EDGES = 4096


@dataclass(frozen=True)
class Data:
    """The frames of a run.

    Attributes:
        train, validation: the frames with a label that training uses.
        notes: what the reader should know about them, in words.
        identity: content hashes and counts, by which a resumed run knows its data again.
    """

    train: Frames
    validation: Frames
    notes: tuple[str, ...]
    identity: Mapping[str, Any]


@dataclass(frozen=True)
class Calibrated:
    """What the data, or a base model, fix of a model, as plain values: `build` takes them as they are.

    Attributes:
        species: atomic numbers.
        e0s: atomic number, as text, to eV.
        e0_kind: `fitted`, `isolated` or `given`.
        scale: eV/Å, the scale of the loss.
        scales: atomic number, as text, to eV per unit of the network's output.
        shifts: atomic number, as text, to eV.
        avg_neighbours: edges per atom.
        ranges: of declared inputs and targets, by name, as of `potentials.Range`.
        target_scales: the scale of the loss for each declared target and derivative, in its own unit.
    """

    species: tuple[int, ...]
    e0s: Mapping[str, float]
    e0_kind: str
    scale: float
    scales: Mapping[str, float]
    shifts: Mapping[str, float]
    avg_neighbours: float
    ranges: Mapping[str, Mapping[str, Any]]
    target_scales: Mapping[str, float]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Calibrated:
        """From the plain values that a checkpoint keeps."""
        return cls(**{**values, "species": tuple(values["species"])})

    def build(
        self, config: TrainConfig, base: BaseModel | None, example: GraphDataset | None = None
    ) -> Potential:
        """The model with the weights of `base`, or else fresh ones, brought into range on a few graphs of `example`."""
        model = build(
            config.model,
            self.species,
            e0s=_by_number(self.e0s),
            e0_kind=self.e0_kind,  # pyright: ignore[reportArgumentType] (a Literal, checked by build)
            scale=_by_number(self.scales),
            shift=_by_number(self.shifts),
            avg_neighbours=self.avg_neighbours,
            ranges=self.ranges,
            example=None if example is None or base is not None else _example(example),
            seed=config.seed,
            dtype=DTYPES[config.dtype],
        )
        if base is not None:
            model.load_state_dict(base.model.state_dict())
        return model


def read_data(
    config: TrainConfig, base: BaseModel | None, say: Callable[[str], None]
) -> tuple[TrainConfig, Data]:
    """Read and divide the frames, and resolve the weights of the loss.

    Raises:
        FileNotFoundError: no such file.
        ValueError: whatever `read_frames` refuses; a loss without its label; a set without useful labels; an
            element in the validation set only, or one that the base model does not know.
    """
    architecture = resolve(config.model)
    points = architecture.points.points
    if config.data.units:
        points.require_atomic_units("data.units")
    read = partial(
        read_frames,
        keys=config.data.keys,
        units=config.data.units,
        declared=architecture.columns,
        points=points,
    )
    frames = read(config.data.train)
    say(str(frames.summary()))
    if config.data.val == "auto":
        held_out = config.data.model_copy(update={"val": _held_out(len(frames))})
        config = config.model_copy(update={"data": held_out})
    if not isinstance(config.data.val, str):
        train, validation = divide(frames, config.data.val, config.seed)
    else:
        train = frames
        validation = read(config.data.val)
        say(str(validation.summary()))
    for each in (train, validation):
        check_labels(each, architecture, say)
    if architecture.targets and not any(train.label_counts()[name] for name in LABELS):
        say(
            "No frame has an energy, forces or stress: the model has the declared targets only, and no energy."
        )
        config = config.model_copy(update={"model": {**config.model, "energy": False}})
        resolve(config.model)  # (derivatives need an energy)
    loss = resolve_weights(config.loss, train, energy=bool(config.model.get("energy", True)))
    labels = list(positive_weights(loss))
    notes = _notes(loss, train)
    train, notes_train = _useful(train, labels, "training")
    validation, notes_validation = _useful(validation, labels, "validation")
    if base is None:
        require_known_elements(validation, train.species())
    else:
        base.require_elements(train)
        base.require_elements(validation)
    identity = {
        "train": train.content_hash(),
        "validation": validation.content_hash(),
        "train_frames": len(train),
        "validation_frames": len(validation),
    }
    notes = (*notes, *notes_train, *notes_validation)
    return config.model_copy(update={"loss": loss}), Data(train, validation, notes, identity)


def divide(frames: Frames, fraction: float, seed: int) -> tuple[Frames, Frames]:
    """Training and validation frames: of each group, and of forces of each size, as many as there are of them.

    Raises:
        ValueError: as `split`.
    """
    kept, held_out = split(len(frames), fraction, seed, (frames.groups, frames.force_sizes))
    return frames.subset(kept), frames.subset(held_out)


def read_base(config: TrainConfig) -> BaseModel | None:
    """The model to start from, if there is one.

    Raises:
        FileNotFoundError, ValueError: as `cynosure.load`.
    """
    path = config.finetune.base
    return None if path is None else BaseModel.read(path, DTYPES[config.dtype])


def calibrate(
    config: TrainConfig, base: BaseModel | None, dataset: GraphDataset, say: Callable[[str], None]
) -> Calibrated:
    """E0s, scale, shift and number of neighbours from the training data, or from the base model.

    The scale of the loss comes from the data in any case, and so may the E0s.

    Raises:
        ValueError: E0s that cannot be read, or that lack an element of the data.
    """
    if base is not None:
        own = base.model.calibration
        e0s, kind = base.e0s(config.data, dataset, say)
        return Calibrated(
            species=own.species,
            e0s=_by_text(e0s),
            e0_kind=kind,
            scale=Statistics.of(dataset, e0s).scale,
            scales=_by_text(dict(zip(own.species, own.scale, strict=True))),
            shifts=_by_text(dict(zip(own.species, own.shift, strict=True))),
            avg_neighbours=own.avg_neighbours,
            ranges={name: one.model_dump(mode="json") for name, one in own.ranges.items()},
            target_scales=Scales.of(dataset.frames, base.model.config).labels,
        )
    species = dataset.frames.species()
    architecture = resolve(config.model)
    if architecture.energy:
        e0s, kind = _e0s(config.data, dataset.frames, say)
    else:
        e0s, kind = dict.fromkeys(species, 0.0), "fitted"
    require_e0s(e0s, species, dataset.frames.points)
    statistics = Statistics.of(dataset, e0s)
    declared = Scales.of(dataset.frames, architecture)
    return Calibrated(
        species=tuple(species),
        e0s=_by_text({z: e0s[z] for z in species}),
        e0_kind=kind,
        scale=statistics.scale,
        scales=_by_text(statistics.scales),
        shifts=_by_text(statistics.shifts),
        avg_neighbours=statistics.avg_neighbours,
        ranges=declared.ranges,
        target_scales=declared.labels,
    )


def resolve_model(config: TrainConfig, base: BaseModel | None) -> TrainConfig:
    """The settings with every default of the architecture, where E0s come from, and the device filled in.

    Raises:
        ValueError: an unknown model or key, one that contradicts the base model, E0s to keep without a base model, or a
            device that this machine does not have.
    """
    e0s = config.data.e0s
    if e0s == "auto":
        e0s = "fit" if base is None else "keep"
    elif e0s == "keep" and base is None:
        raise ValueError(
            "--e0s keep: there is no base model whose E0s could be kept; name it by --from MODEL"
        )
    return config.model_copy(
        update={
            "data": config.data.model_copy(update={"e0s": e0s}),
            "model": resolve(config.model).model_dump(mode="json")
            if base is None
            else base.settings(config.model),
            "device": resolve_device(config.device),
        }
    )


def resolve_sizes(config: TrainConfig, dataset: GraphDataset) -> TrainConfig:
    """The settings with batch size, length of the run and validation interval chosen from the training data."""
    counts = np.maximum(dataset.edge_counts(), 1)
    max_edges = config.batch.max_edges
    if max_edges == "auto":
        typical = float(np.quantile(counts, 0.75))
        max_edges = max(math.ceil(typical), min(math.ceil(_BATCH_FRAMES * typical), _BATCH_EDGES))
    update: dict[str, Any] = {"batch": config.batch.model_copy(update={"max_edges": max_edges})}
    epochs = config.epochs
    if epochs is None and config.minutes is None:
        batches = len(epoch_batches(counts, max_edges, config.seed, 0))
        epochs = update["epochs"] = min(max(_DEFAULT_STEPS // batches, _FEWEST_EPOCHS), _MOST_EPOCHS)
    if config.val_every == "auto":
        update["val_every"] = max(1, (epochs or 0) // 100)
    return config.model_copy(update=update)


def choose_preset(config: TrainConfig, given: Mapping[str, Any], say: Callable[[str], None]) -> TrainConfig:
    """The settings with the preset that gets farthest in the minutes there are, if the architecture is left open.

    Args:
        config: resolved settings.
        given: settings of the architecture before they were resolved.
        say: is told what was chosen, and why.
    """
    if config.minutes is None or config.finetune.base is not None or not given.keys() <= set(SHARED):
        return config
    threads = torch.get_num_threads()
    steps = 60.0 * config.minutes * threads / (_SECONDS_OF_EDGE * int(config.batch.max_edges))
    name = "small" if steps < _STEPS_FOR_MEDIUM else "medium" if steps < _STEPS_FOR_MEMBERS else "large"
    say(
        f"Model: preset '{name}', for {config.minutes:g} minutes on {threads} thread{'s' if threads > 1 else ''} with "
        "these data; --preset chooses another."
    )
    # (Whether there is an energy may have come out of the data.)
    settings = {"preset": name, **given, "energy": config.model["energy"]}
    return config.model_copy(update={"model": resolve(settings).model_dump(mode="json")})


def training_sample(dataset: GraphDataset, size: int, seed: int) -> GraphDataset:
    """At most `size` frames of a training set, drawn at random, to see its errors beside those of validation."""
    if len(dataset) <= size:
        return dataset
    indices = np.sort(np.random.default_rng(seed).permutation(len(dataset))[:size])
    return GraphDataset(dataset.frames, dataset.cutoff, indices)


def _held_out(frames: int) -> float:
    """The part of so many frames that is held out: enough to choose weights by, and all others to learn from.

    (Every frame that is held out is one that is not learned from.)
    """
    return max(_PART_HELD_OUT, min(_LARGEST_PART_HELD_OUT, _FEWEST_HELD_OUT / frames))


def _e0s(data: DataConfig, frames: Frames, say: Callable[[str], None]) -> tuple[dict[int, float], str]:
    if data.e0s != "fit":
        text = json.dumps(data.e0s) if isinstance(data.e0s, dict) else data.e0s
        return parse_e0s(text, data.keys, data.units, frames.points)
    if not frames.label_counts()["energy"]:
        say("No frame has an energy: the model learns forces only, and its energies have an arbitrary zero.")
        return dict.fromkeys(frames.species(), 0.0), "given"
    fit = fit_e0s(frames)
    say(str(fit))
    # The fit sees labelled frames only; an element that is in none of them has no energy to tell.
    return {**dict.fromkeys(frames.species(), 0.0), **fit.e0s}, "fitted"


def _notes(loss: LossConfig, frames: Frames) -> tuple[str, ...]:
    counts = frames.label_counts()
    if counts["energy"] and not counts["forces"]:
        return (
            "There are no forces: training on energies alone, which say far less per frame. Forces and curves of "
            "energy will be rougher than the energy errors suggest.",
        )
    if counts["forces"] and not loss.forces:
        return ("The loss on forces is off although the data have forces.",)
    return ()


def _useful(frames: Frames, labels: list[str], what: str) -> tuple[Frames, tuple[str, ...]]:
    """The frames with at least one of the labels, and a note if others were left out."""
    has_label = np.array([not frame.label_names().isdisjoint(labels) for frame in frames], dtype=bool)
    if not has_label.any():
        raise ValueError(f"no {what} frame of {frames.source} has a label for the loss ({', '.join(labels)})")
    if has_label.all():
        return frames, ()
    without = int((~has_label).sum())
    note = f"{without} of {len(frames)} {what} frames have none of {', '.join(labels)} and are not used."
    return frames.subset(np.flatnonzero(has_label)), (note,)


def _by_text(values: Mapping[int, float]) -> dict[str, float]:
    """JSON has text for keys only."""
    return {str(number): value for number, value in values.items()}


def _by_number(values: Mapping[str, float]) -> dict[str | int, float]:
    return {int(number): value for number, value in values.items()}


def _example(dataset: GraphDataset):
    """The first frames of a data set, up to a number of edges."""
    total = np.cumsum(dataset.edge_counts())
    count = max(1, int(np.searchsorted(total, _EXAMPLE_EDGES)))
    return batch([dataset[index] for index in range(min(count, len(dataset)))])


def resolve_device(name: str) -> str:
    """The name of a device that torch can use; `auto` is the first GPU, else the CPU.

    Raises:
        ValueError: this machine, or this torch, does not have it.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros((), device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device '{name}' cannot be used: {reason}; try --set device=cpu") from None
    return name
