"""Scalar functions with their derivative along a direction, in one pass over the numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from cynosure.kernels import core

# As the core counts them (csrc/program.h, Function).
FUNCTIONS = {"identity": 0, "silu": 1, "tanh": 2, "sigmoid": 3}


def activation_along(name: str, factor: float, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """c f(x) and c f'(x) u.

    Args:
        name: `silu`, `tanh`, `sigmoid` or `identity`.
        factor: c.
        x: any shape.
        u: of the same shape, dtype and device.

    Returns:
        both, in the shape of x. Differentiable, once where the compiled core serves.

    Raises:
        ValueError: an unknown name, or shapes that differ.
    """
    if name not in FUNCTIONS:
        raise ValueError(f"activation_along: no activation '{name}'; there are {', '.join(FUNCTIONS)}")
    if x.shape != u.shape:
        raise ValueError(f"activation_along: 'u' has shape {tuple(u.shape)}; {tuple(x.shape)} was expected")
    if core.serves(x, u):
        return _Along.apply(x, u, FUNCTIONS[name], factor)
    return activation_along_reference(name, factor, x, u)


def activation_along_reference(name: str, factor: float, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """`activation_along` in plain torch, differentiable to any order."""
    if name == "identity":
        return factor * x, factor * u
    if name == "tanh":
        value = torch.tanh(x)
        return factor * value, factor * (1 - value * value) * u
    sigmoid = torch.sigmoid(x)
    if name == "sigmoid":
        return factor * sigmoid, factor * sigmoid * (1 - sigmoid) * u
    value = x * sigmoid
    return factor * value, factor * (sigmoid + value * (1 - sigmoid)) * u


class _Along(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, u: Tensor, function: int, factor: float) -> Any:
        x, u = x.contiguous(), u.contiguous()
        ctx.save_for_backward(x, u)
        ctx.function, ctx.factor = function, factor
        y, uy = torch.empty_like(x), torch.empty_like(x)
        _run("activation_along", function, factor, x, u, y, uy)
        return y, uy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor, ug: Tensor) -> Any:
        x, u = ctx.saved_tensors
        gx, gu = torch.empty_like(x), torch.empty_like(x)
        _run(
            "activation_along_backward",
            ctx.function,
            ctx.factor,
            x,
            u,
            g.contiguous(),
            ug.contiguous(),
            gx,
            gu,
        )
        return gx, gu, None, None


def _run(name: str, function: int, factor: float, *tensors: Tensor) -> None:
    module = core.module()
    assert module is not None, "called only where the core serves"
    x = tensors[0]
    addresses = [tensor.data_ptr() for tensor in tensors]
    getattr(module, name)(x.dtype == torch.float32, function, factor, x.numel(), *addresses)
