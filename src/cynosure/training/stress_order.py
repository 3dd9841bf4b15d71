"""Do the shear components of stress labels stand where they should? A model can tell, for it turns with its structure.

Programs write the six components of a stress in different orders: VASP xx yy zz xy yz zx, ASE xx yy zz yz xz xy. Labels
that were converted with two of them exchanged look like any others, but no equivariant model can learn them: its own
stresses stay closer to the labels in the right order.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cynosure.training.evaluation import Predicted

_SHEARS = ("yz", "xz", "xy")
_PLACES = ((1, 2), (0, 2), (0, 1))
_ORDERS = tuple(itertools.permutations(range(3)))  # the first is the order as it should be
_FEWEST_FRAMES = 5
# How much closer another order must be. (Silicon's labels with two exchanged, to a model that learned them: 5 times.)
_CLOSER = 2.0


class StressOrder:
    """Compares predicted stresses with the labels in each order of their shear components, group by group.

    Args:
        groups: of every frame of the data set, its group.
    """

    def __init__(self, groups: Sequence[str]) -> None:
        self._groups = groups
        self._squares: dict[str, NDArray[np.float64]] = {}
        self._frames: dict[str, int] = {}

    def __call__(self, predicted: Predicted) -> None:
        """Take in a batch."""
        target = predicted.targets.get("stress")
        if target is None:
            return
        owners = slice(None) if target.owners is None else target.owners.cpu().numpy()
        label, value = (
            np.stack([stress.cpu().numpy()[:, i, j] for i, j in _PLACES], axis=1)
            for stress in (target.values, target.predicted(predicted.outputs["stress"]))
        )
        for frame, own, found in zip(predicted.indices[owners], label, value, strict=True):
            group = self._groups[int(frame)]
            squares = np.array([np.square(own[list(order)] - found).sum() for order in _ORDERS])
            self._squares[group] = self._squares.get(group, np.zeros(len(_ORDERS))) + squares
            self._frames[group] = self._frames.get(group, 0) + 1

    def rms(self) -> dict[str, list[float]]:
        """By group, eV/Å³: root mean square of label less prediction over the shear components, for each order of what
        stands at yz xz xy: the right one first, then the other permutations as `itertools` has them."""
        return {
            group: np.sqrt(squares / (len(_SHEARS) * self._frames[group])).tolist()
            for group, squares in self._squares.items()
        }

    def notes(self) -> list[str]:
        """A sentence for each group whose labels agree far better in another order."""
        found = []
        for group, sizes in self.rms().items():
            best = int(np.argmin(sizes))
            if self._frames[group] < _FEWEST_FRAMES or sizes[0] <= _CLOSER * sizes[best]:
                continue
            times = f"{sizes[0] / sizes[best]:.1f}" if sizes[best] > 0 else "infinitely many"
            order = " ".join(_SHEARS[component] for component in np.argsort(_ORDERS[best]))
            found.append(
                f"The stress labels{f' of group {group}' if group else ''} are {times} times closer to the model's "
                f"stress if what stands at yz xz xy is {order}: the components seem to have been converted in a wrong "
                "order. Convert them again, or train without them (--set loss.stress=0)"
            )
        return found
