"""Spherical harmonics of all degrees up to lmax, with first and second derivatives in the compiled core.

For vectors r, cotangents g of the harmonics and a direction u, three operators:

    harmonics           Y_ni = Y_i(r_n)
    harmonics_gradient  v_n = Σ_i g_ni ∇Y_i(r_n)
    harmonics_second    the derivatives of Σ_n u_n · v_n with respect to g and r

Each is the derivative of the one before. Derivatives beyond them go through the plain-torch reference.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence

import torch
from torch import Tensor

from cynosure import o3
from cynosure.kernels import core
from cynosure.kernels.operators import backward_by_reference, define, wanted_gradients

# The largest degree that the core's loops hold (csrc/harmonics.h).
MAX_DEGREE = 12


def spherical_harmonics(lmax: int, vectors: Tensor, normalize: bool = True) -> Tensor:
    """The real spherical harmonics of `vectors`, all degrees 0 … lmax side by side.

    The conventions, the zero vector's included, are those of `o3.spherical_harmonics`.

    Args:
        lmax: the largest degree, ≥ 0.
        vectors: [n, 3] float32 or float64, components (x, y, z); in any unit if normalized.
        normalize: True takes the direction r/|r| alone, False gives the solid harmonics |r|^l Y_l(r/|r|).

    Returns:
        [n, (lmax + 1)²] of the same dtype and device. Differentiable to any order. The compiled core does the work on
        the CPU up to degree 12, derivatives up to the second included; elsewhere, and for derivatives beyond,
        `spherical_harmonics_reference` does.

    Raises:
        ValueError: `lmax` is negative, `vectors` is not [n, 3], or its dtype is not float32 or float64.
    """
    lmax = operator.index(lmax)
    if lmax < 0:
        raise ValueError(f"spherical_harmonics: 'lmax' is {lmax}; a degree ≥ 0 was expected")
    if vectors.dim() != 2 or vectors.shape[1] != 3:
        raise ValueError(
            f"spherical_harmonics: 'vectors' has shape {tuple(vectors.shape)}; (any, 3) was expected"
        )
    if vectors.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"spherical_harmonics: 'vectors' is {vectors.dtype}; convert it to torch.float32 or torch.float64"
        )
    if lmax <= MAX_DEGREE and core.serves(vectors):
        return torch.ops.cynosure.harmonics(vectors, lmax, normalize)
    return spherical_harmonics_reference(lmax, vectors, normalize)


def spherical_harmonics_reference(lmax: int, vectors: Tensor, normalize: bool = True) -> Tensor:
    """The same in plain torch, any device: the oracle of the tests and the path where the core does not serve."""
    return o3.spherical_harmonics(range(lmax + 1), vectors, normalize)


def _run(function: str, lmax: int, normalize: bool, vectors: Tensor, *more: Tensor | None) -> None:
    """Run a kernel; an absent tensor goes in as address 0."""
    module = core.module()
    assert module is not None, "these operators are called only where the core serves"
    getattr(module, function)(
        vectors.dtype == torch.float32,
        lmax,
        normalize,
        vectors.shape[0],
        vectors.data_ptr(),
        *(0 if tensor is None else tensor.data_ptr() for tensor in more),
        torch.get_num_threads(),
    )


def _forward(vectors: Tensor, lmax: int, normalize: bool) -> Tensor:
    result = _forward_fake(vectors, lmax, normalize)
    _run("harmonics_forward", lmax, normalize, vectors.contiguous(), result)
    return result


def _forward_fake(vectors: Tensor, lmax: int, normalize: bool) -> Tensor:
    return vectors.new_empty(vectors.shape[0], (lmax + 1) ** 2)


def _forward_setup(ctx, inputs, output) -> None:
    vectors, ctx.lmax, ctx.normalize = inputs
    ctx.save_for_backward(vectors)


def _forward_backward(ctx, g: Tensor):
    (vectors,) = ctx.saved_tensors
    return torch.ops.cynosure.harmonics_gradient(g, vectors, ctx.lmax, ctx.normalize), None, None


def _gradient(g: Tensor, vectors: Tensor, lmax: int, normalize: bool) -> Tensor:
    result = _gradient_fake(g, vectors, lmax, normalize)
    _run("harmonics_backward", lmax, normalize, vectors.contiguous(), g.contiguous(), result)
    return result


def _gradient_fake(g: Tensor, vectors: Tensor, lmax: int, normalize: bool) -> Tensor:
    return vectors.new_empty(vectors.shape)


def _gradient_setup(ctx, inputs, output) -> None:
    g, vectors, ctx.lmax, ctx.normalize = inputs
    ctx.save_for_backward(g, vectors)


def _gradient_backward(ctx, u: Tensor):
    g, vectors = ctx.saved_tensors
    want_g, want_vectors = wanted_gradients(ctx, 2)
    of_g, of_vectors = torch.ops.cynosure.harmonics_second(
        u, g, vectors, ctx.lmax, ctx.normalize, want_vectors
    )
    return of_g if want_g else None, of_vectors if want_vectors else None, None, None


def _second(
    u: Tensor, g: Tensor, vectors: Tensor, lmax: int, normalize: bool, want_vectors: bool
) -> tuple[Tensor, Tensor]:
    of_g, of_vectors = _second_fake(u, g, vectors, lmax, normalize, want_vectors)
    inputs = (vectors.contiguous(), g.contiguous(), u.contiguous())
    _run("harmonics_second", lmax, normalize, *inputs, of_g, of_vectors if want_vectors else None)
    return of_g, of_vectors


def _second_fake(
    u: Tensor, g: Tensor, vectors: Tensor, lmax: int, normalize: bool, want_vectors: bool
) -> tuple[Tensor, Tensor]:
    # The derivative that is not wanted is empty.
    return vectors.new_empty(g.shape), vectors.new_empty(vectors.shape if want_vectors else (0,))


def _second_setup(ctx, inputs, output) -> None:
    u, g, vectors, ctx.lmax, ctx.normalize, ctx.want_vectors = inputs
    ctx.save_for_backward(u, g, vectors)
    ctx.set_materialize_grads(False)


def _second_backward(ctx, of_g: Tensor | None, of_vectors: Tensor | None):
    """The third derivative, through the reference."""

    def reference(u: Tensor, g: Tensor, vectors: Tensor) -> Sequence[Tensor | None]:
        harmonics = spherical_harmonics_reference(ctx.lmax, vectors, ctx.normalize)
        (gradient,) = torch.autograd.grad(harmonics, vectors, g, create_graph=True)
        of_g, of_vectors = torch.autograd.grad(
            gradient, (g, vectors), u, create_graph=True, allow_unused=True, materialize_grads=True
        )
        return of_g, of_vectors if ctx.want_vectors else None

    found = backward_by_reference(ctx, ctx.saved_tensors, reference, (of_g, of_vectors))
    return *found, None, None, None


define(
    "harmonics(Tensor vectors, int lmax, bool normalize) -> Tensor",
    _forward,
    _forward_fake,
    _forward_backward,
    _forward_setup,
)
define(
    "harmonics_gradient(Tensor g, Tensor vectors, int lmax, bool normalize) -> Tensor",
    _gradient,
    _gradient_fake,
    _gradient_backward,
    _gradient_setup,
)
define(
    "harmonics_second(Tensor u, Tensor g, Tensor vectors, int lmax, bool normalize, bool want_vectors) "
    "-> (Tensor, Tensor)",
    _second,
    _second_fake,
    _second_backward,
    _second_setup,
)
