"""A running average of a model's weights."""

from __future__ import annotations

from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

# The average starts as a mean of few steps and becomes as slow as the decay asks for after about
# 10/(1 − decay) steps; a fixed decay would keep the random initial weights in it for as long.
_RAMP = 10.0


ModelT = TypeVar("ModelT", bound=nn.Module)


class Average(Generic[ModelT]):
    """The exponential moving average of a module's parameters, held by a second module.

    At step t (from 1) each averaged parameter moves by 1 − d of the way to the current one, with
    d = min(decay, (1 + t)/(10 + t)).

    Args:
        model: what is averaged. It must not gain or lose parameters.
        averaged: a module of the same architecture that holds the average.
        decay: the final d.
    """

    def __init__(self, model: ModelT, averaged: ModelT, decay: float) -> None:
        self.decay = decay
        self.model = averaged
        self._averaged: list[Tensor] = list(averaged.parameters())
        self._current: list[Tensor] = list(model.parameters())

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after optimiser step `step`, counted from 1."""
        decay = min(self.decay, (1.0 + step) / (_RAMP + step))
        torch._foreach_lerp_(self._averaged, self._current, 1.0 - decay)  # pyright: ignore[reportPrivateImportUsage]
