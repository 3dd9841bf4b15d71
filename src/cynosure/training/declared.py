"""Declared inputs and targets in training: how frames are read for them, checked, and brought to scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cynosure.data import Frames
from cynosure.potentials import InputConfig, PotentialConfig, TargetConfig
from cynosure.potentials.declared import TensorConfig

# |T − its projection on the declared symmetry| / |T| above which a label is refused: more than printed digits lose.
_SYMMETRY_TOLERANCE = 1e-3
# Compositions that hardly differ would divide noise by almost nothing: such directions are left out.
_RANK_TOLERANCE = 1e-3
# Components that vary by less, in the unit of the file, are taken for constant.
_SMALLEST_SCALE = 1e-12


def units_of(config: PotentialConfig) -> dict[str, tuple[str, float]]:
    """Every quantity of a model to its unit in tables and the factor to it; declared ones are as they are."""
    declared = {name: (one.unit, 1.0) for name, one in (*config.targets.items(), *config.derivatives.items())}
    return {**config.points.points.units, **declared}


def check_labels(frames: Frames, config: PotentialConfig, say: Callable[[str], None]) -> None:
    """Look at the labels of declared targets before training.

    Args:
        frames: the training or the validation frames.
        config: settings of the model.
        say: told of frames without a label.

    Raises:
        ValueError: a label that disobeys the symmetry of its declaration; one that is missing where it must not be.
    """
    counts = frames.label_counts()
    for name, target in config.targets.items():
        missing = len(frames) - counts[name]
        if missing and target.missing == "refuse":
            first = next(frame.source for frame in frames if name not in frame.declared)
            raise ValueError(
                f"the target '{name}' is missing in {missing} of {len(frames)} frames, first in {first}; leave these "
                f"frames out, or let them train on what else they have (--set model.targets.{name}.missing=mask)"
            )
        if missing:
            say(
                f"Target '{name}': {missing} of {len(frames)} frames have none, and train on what else they have."
            )
    for name, one in (*config.inputs.items(), *config.targets.items()):
        for frame in frames if one.cartesian is not None else ():
            if name in frame.declared:
                _check_symmetry(name, one, frame.declared[name].values, frame.source)


@dataclass(frozen=True)
class Scales:
    """Of declared inputs and targets, from the training frames.

    Attributes:
        ranges: of inputs and targets, by name, as of `potentials.Range`.
        labels: by what the loss divides the residuals of a target or a derivative: the root mean square of what there
            is to learn of it.
    """

    ranges: Mapping[str, Mapping[str, Any]]
    labels: Mapping[str, float]

    @classmethod
    def of(cls, frames: Frames, config: PotentialConfig) -> Scales:
        """Measure the training frames."""
        ranges, labels = {}, {}
        for name, one in config.inputs.items():
            ranges[name] = _input_range(frames, name, one)
        for name, one in config.targets.items():
            ranges[name], labels[name] = _target_range(frames, name, one)
        for name in config.derivatives:
            labels[name] = _rms(_joined(frames, name))
        return cls(ranges, labels)


def _check_symmetry(name: str, one: TensorConfig, values: NDArray[np.float64], source: str) -> None:
    assert one.cartesian is not None
    rows = torch.from_numpy(values[_known(values)])
    if not len(rows):
        return
    worst = float(one.cartesian.symmetry_error(rows).max())
    if worst > _SYMMETRY_TOLERANCE:
        general = str(one.tensor).split("=")[0]
        raise ValueError(
            f"{source}: '{name}' is declared as {one.tensor}, but {100 * worst:.3g} % of it (by norm) disobeys that; "
            f"correct the column, or declare it as {general}"
        )


def _input_range(frames: Frames, name: str, one: InputConfig) -> dict[str, Any]:
    features = one.to_features(_joined(frames, name))
    shift = features[:, one.invariants].mean(dim=0)
    rest = features.index_add(1, one.invariants, shift.expand(len(features), -1), alpha=-1)
    return {"scale": _rms(rest), "shift": [shift.tolist()] if len(shift) else []}


def _target_range(frames: Frames, name: str, one: TargetConfig) -> tuple[dict[str, Any], float]:
    """The range of a target, and the root mean square of its labels beyond the shift.

    Invariant components of atoms get the mean of each species; of structures, what least squares make of the
    composition, the shortest solution where it leaves something open.
    """
    species = frames.species()
    shares, rows, sizes = [], [], []
    for frame in frames:
        if name not in frame.declared:
            continue
        values = frame.declared[name].values
        known = _known(values)
        rows.append(torch.from_numpy(values[known]))
        sizes.append(len(frame.atomic_numbers))
        of_atoms = (frame.atomic_numbers[:, None] == np.array(species)).astype(np.float64)
        of_structure = of_atoms.sum(axis=0)[None] / (len(of_atoms) if one.reduce == "mean" else 1)
        own = {"atom": of_atoms, "structure": of_structure}.get(
            one.per, np.zeros((len(values), len(species)))
        )
        shares.append(own[known])
    features = one.to_features(torch.cat(rows)).numpy()
    share = np.concatenate(shares)
    columns = one.invariants.numpy()
    shift = np.linalg.lstsq(share, features[:, columns], rcond=_RANK_TOLERANCE)[0]
    features[:, columns] -= share @ shift
    size = _rms(torch.from_numpy(features))
    # A sum of independent numbers of its atoms is larger than each by the root of their number.
    grows = one.per == "structure" and one.reduce == "sum"
    scale = size / math.sqrt(float(np.mean(sizes))) if grows else size
    return {"scale": scale, "shift": shift.tolist() if len(columns) and one.per != "edge" else []}, size


def _joined(frames: Frames, name: str) -> torch.Tensor:
    """[rows, *shape]: all rows that are known."""
    parts = [frame.declared[name].values for frame in frames if name in frame.declared]
    return torch.from_numpy(np.concatenate([values[_known(values)] for values in parts]))


def _known(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """[rows]: whether a row has a label."""
    return np.all(np.isfinite(values).reshape(len(values), -1), axis=1)


def _rms(values: torch.Tensor) -> float:
    """Root mean square, one for what does not vary."""
    size = float(values.square().mean().sqrt()) if values.numel() else 0.0
    return size if size > _SMALLEST_SCALE else 1.0
