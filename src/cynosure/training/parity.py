"""A sample of predictions beside their labels, for parity plots."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cynosure.training.evaluation import Predicted


class ParitySample:
    """Keeps the first numbers it sees of each quantity; evaluation goes through frames in a random order.

    Args:
        limit: how many numbers to keep of each quantity.
    """

    def __init__(self, limit: int = 20_000) -> None:
        self._limit = limit
        self._parts: dict[str, list[tuple[NDArray[np.float64], NDArray[np.float64]]]] = {}
        self._counts: dict[str, int] = {}

    def __call__(self, predicted: Predicted) -> None:
        """Take in a batch: energies per atom (eV), force components (eV/Å), stress components (eV/Å³)."""
        for name, target in predicted.targets.items():
            if self._counts.get(name, 0) >= self._limit:
                continue
            reference, value = target.values, target.predicted(predicted.outputs[name])
            if name == "energy" and target.per_atom is not None:
                reference, value = reference * target.per_atom, value * target.per_atom
            pair = reference.cpu().numpy().ravel(), value.cpu().numpy().ravel()
            self._parts.setdefault(name, []).append(pair)
            self._counts[name] = self._counts.get(name, 0) + pair[0].size

    def pairs(self) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Quantity to (reference, prediction); the energies are per atom."""
        return {
            name: (
                np.concatenate([reference for reference, _ in parts])[: self._limit],
                np.concatenate([value for _, value in parts])[: self._limit],
            )
            for name, parts in self._parts.items()
        }
