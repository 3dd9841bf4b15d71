"""What tests of kernels against their references share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor


def _draw(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def _differentiate(function: Callable[..., Tensor], inputs: Sequence[Tensor], order: int = 3) -> list[Tensor]:
    inputs = [value.clone().requires_grad_() for value in inputs]
    found = [[function(*inputs)]]
    for level in range(order):
        outputs = found[-1]
        cotangents = [
            _draw(*output.shape, seed=10 * level + i, dtype=output.dtype).requires_grad_()
            for i, output in enumerate(outputs)
        ]
        found.append(
            list(
                torch.autograd.grad(
                    outputs, inputs, cotangents, create_graph=True, allow_unused=True, materialize_grads=True
                )
            )
        )
        inputs = [*cotangents, *inputs]
    return [value.detach() for values in found for value in values]


@pytest.fixture
def differentiate() -> Callable[..., list[Tensor]]:
    """The value of a function; its derivatives to its inputs; those of these, to cotangents and inputs; up to `order`.

    Cotangents are drawn by number, so that a kernel and its reference get the same.
    """
    return _differentiate
