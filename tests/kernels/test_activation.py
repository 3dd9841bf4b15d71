"""Scalar functions along a direction: the compiled core against plain torch."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck

from cynosure.kernels import activation_along, activation_along_reference

NAMES = ("identity", "silu", "tanh", "sigmoid")
TOLERANCE = {torch.float64: 1e-13, torch.float32: 1e-6}


def draw(count: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Numbers of every size, the largest where exp would overflow; and a direction."""
    generator = torch.Generator().manual_seed(count)
    x = torch.randn(count, generator=generator, dtype=torch.float64) * torch.logspace(-3, 2.5, count).double()
    return x.to(dtype), torch.randn(count, generator=generator, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("count", [1, 7, 16, 33, 1000])
def test_agrees_with_the_reference(name, dtype, count):
    x, u = (value.requires_grad_() for value in draw(count, dtype))
    exact = [value.detach().double().requires_grad_() for value in (x, u)]
    found, expected = activation_along(name, 1.3, x, u), activation_along_reference(name, 1.3, *exact)
    weights = [
        torch.linspace(-1, 2, count, dtype=torch.float64),
        torch.linspace(3, -1, count, dtype=torch.float64),
    ]
    gradients = torch.autograd.grad(found, (x, u), [w.to(dtype) for w in weights])
    exact_gradients = torch.autograd.grad(expected, exact, weights)
    for value, reference in zip((*found, *gradients), (*expected, *exact_gradients), strict=True):
        assert value.dtype == dtype
        torch.testing.assert_close(
            value.detach().double(), reference.detach(), rtol=3 * TOLERANCE[dtype], atol=TOLERANCE[dtype]
        )


@pytest.mark.parametrize("name", NAMES)
def test_gradcheck(name):
    x, u = (value.reshape(2, 3).requires_grad_() for value in draw(6, torch.float64))
    assert gradcheck(lambda x, u: activation_along(name, 0.7, x.clamp(-3, 3), u), (x, u))


def test_the_second_result_is_the_derivative_along_u():
    x, u = draw(50, torch.float64)
    x = x.clamp(-5, 5)
    step = 1e-6
    ends = [activation_along("silu", 1.7, x + sign * step * u, u)[0] for sign in (1, -1)]
    torch.testing.assert_close(
        activation_along("silu", 1.7, x, u)[1], (ends[0] - ends[1]) / (2 * step), rtol=1e-8, atol=1e-8
    )


def test_strided_and_empty_input():
    x, u = (value.reshape(10, 10).t() for value in draw(100, torch.float64))
    for value, reference in zip(
        activation_along("silu", 1.0, x, u), activation_along_reference("silu", 1.0, x, u), strict=True
    ):
        torch.testing.assert_close(value, reference)
    assert activation_along("silu", 1.0, x[:0], u[:0])[0].shape == (0, 10)


def test_wrong_arguments_are_named():
    x, u = draw(5, torch.float64)
    with pytest.raises(ValueError, match="no activation 'relu'"):
        activation_along("relu", 1.0, x, u)
    with pytest.raises(ValueError, match=r"'u' has shape \(4,\)"):
        activation_along("silu", 1.0, x, u[:4])
