"""Training a network of an experiment through the public door, where an interrupted run goes on."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import ase.io
from ase import Atoms

from cynosure.lab.progress import Watch
from cynosure.potentials import Potential, build, flatten, load
from cynosure.training import TrainConfig, train
from cynosure.training.interrupt import Interrupted

# Settings that every experiment decides itself; each has some more of its own.
OWN = (
    "data.train",
    "data.val",
    "data.keys",
    "data.units",
    "finetune",
    "seed",
    "epochs",
    "minutes",
    "patience",
)
# And what is put in their place before a run has its own.
PLACES = (("data.train", "train.xyz"), ("data.val", "validation.xyz"), ("patience", None))
FEWEST_STEPS = 20  # fewer leave no room for a learning rate that rises and falls
_VALIDATIONS = 50  # in a run, about


def validations_every(epochs: int) -> int:
    """Epochs between validations, for a run of so many."""
    return max(1, epochs // _VALIDATIONS)


def in_common(config: TrainConfig, own: Collection[str]) -> dict[str, Any]:
    """What runs must have in common to be compared, as plain values: all but what the experiment decides itself."""
    plain = flatten(config.to_json())
    return {key: value for key, value in plain.items() if key not in (*own, "val_every", "device")}


def require_settable(settings: Mapping[str, Any], own: Collection[str], experiment: str) -> None:
    """Raise if settings are among those that an experiment decides itself.

    Args:
        settings: of training, nested.
        own: dotted names of what the experiment decides.
        experiment: what it is, for the message.

    Raises:
        ValueError: names the setting.
    """
    for key, value in flatten(settings).items():
        # Neither the setting itself, nor a part of it, nor a whole section in place of its parts.
        if value != {} and any(f"{key}.".startswith(f"{one}.") or one.startswith(f"{key}.") for one in own):
            raise ValueError(f"'{key}' cannot be set: the {experiment} decides it itself")


def require_possible(
    config: TrainConfig, models: Mapping[str, Mapping[str, Any]], species: Sequence[int]
) -> None:
    """Build each network once, so that what one of them cannot have is said before another is trained.

    Args:
        config: the settings that they share.
        models: settings of the model in which they differ, by name.
        species: atomic numbers.

    Raises:
        ValueError: a target that symmetry forbids, or other settings that make no network.
    """
    for name, model in models.items():
        try:
            build({**config.model, **model}, species)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None


def train_in(
    folder: Path,
    config: TrainConfig,
    training: Sequence[Atoms],
    validation: Sequence[Atoms],
    watch: Watch,
    name: object,
) -> tuple[Potential, int]:
    """Train, going on with what an interrupted run left in the folder; the network and its steps.

    Args:
        folder: for what is needed meanwhile; gone afterwards.
        config: settings, but for the files.
        training, validation: frames with their labels.
        watch: is told of the progress.
        name: of the run, for messages.

    Raises:
        ValueError: training that diverges, or data that it refuses.
        Interrupted: stopped by a signal; a checkpoint is kept.
    """
    goes_on = (folder / "training" / "checkpoint.safetensors").exists()
    if not goes_on:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    data = {
        "train": _write(training, folder / "train.xyz"),
        "val": _write(validation, folder / "validation.xyz"),
    }
    config = config.model_copy(update={"data": config.data.model_copy(update=data)})
    try:
        result = train(config, out=folder / "training", resume=goes_on, display=watch)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    if result.signal is not None:
        raise Interrupted(result.signal)
    assert result.model is not None
    model = load(result.model)
    shutil.rmtree(folder)
    return model, result.steps


def _write(frames: Sequence[Atoms], path: Path) -> str:
    ase.io.write(path, frames, format="extxyz")
    return str(path)
