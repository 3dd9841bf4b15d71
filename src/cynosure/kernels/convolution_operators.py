"""The convolution of the compiled core as torch operators.

The form T(x, Y, R, W, g) = ⟨g, convolve(x, Y, R, W)⟩ is linear in each argument, so two operators close under
differentiation: `convolve` leaves the slot of g open, `convolve_gradients` the other four. The derivative of the
latter along u = (u_x, u_Y, u_R, u_W) is Σ_s T with the argument s replaced by u_s, whose derivatives are these two
operators again.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cynosure.kernels import core, plan
from cynosure.kernels.operators import define, wanted_gradients

_ARGUMENTS = (
    "Tensor x, Tensor harmonics, Tensor radial, Tensor weight, Tensor receivers, Tensor senders, str table"
)


def _call(
    function: str,
    key: str,
    receivers: Tensor,
    senders: Tensor,
    inputs: Sequence[Tensor],
    *more: Tensor | None,
):
    """Run a kernel on x, harmonics, radial, weight and what else it takes; an absent tensor goes in as address 0."""
    module = core.module()
    assert module is not None, "these operators are called only where the core serves"
    x, _, radial, _ = inputs = [tensor.contiguous() for tensor in inputs]
    receivers, senders = receivers.contiguous(), senders.contiguous()
    getattr(module, function)(
        plan.plan_of(key),
        x.dtype == torch.float32,
        x.shape[0],
        receivers.shape[0],
        radial.shape[1],
        receivers.data_ptr(),
        senders.data_ptr(),
        *(tensor.data_ptr() for tensor in inputs),
        *(0 if tensor is None else tensor.data_ptr() for tensor in more),
        torch.get_num_threads(),
    )


def _forward(
    x: Tensor,
    harmonics: Tensor,
    radial: Tensor,
    weight: Tensor,
    receivers: Tensor,
    senders: Tensor,
    table: str,
) -> Tensor:
    out = x.new_empty(x.shape[0], plan.table_of(table).irreps_out.dim)
    _call("convolve_forward", table, receivers, senders, (x, harmonics, radial, weight), out)
    return out


def _forward_fake(
    x: Tensor,
    harmonics: Tensor,
    radial: Tensor,
    weight: Tensor,
    receivers: Tensor,
    senders: Tensor,
    table: str,
) -> Tensor:
    return x.new_empty(x.shape[0], plan.table_of(table).irreps_out.dim)


def _forward_setup(ctx, inputs, output) -> None:
    *tensors, ctx.table = inputs
    ctx.save_for_backward(*tensors)


def _forward_backward(ctx, g: Tensor):
    wanted = wanted_gradients(ctx, 4)
    gradients = torch.ops.cynosure.convolve_gradients(g, *ctx.saved_tensors, ctx.table, wanted)
    return *(value if want else None for value, want in zip(gradients, wanted, strict=True)), None, None, None


def _gradients(
    g: Tensor,
    x: Tensor,
    harmonics: Tensor,
    radial: Tensor,
    weight: Tensor,
    receivers: Tensor,
    senders: Tensor,
    table: str,
    wanted: Sequence[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    inputs = (x, harmonics, radial, weight)
    results = _gradients_fake(g, *inputs, receivers, senders, table, wanted)
    outputs = [result if want else None for result, want in zip(results, wanted, strict=True)]
    _call("convolve_backward", table, receivers, senders, inputs, g.contiguous(), *outputs)
    return results


def _gradients_fake(
    g: Tensor,
    x: Tensor,
    harmonics: Tensor,
    radial: Tensor,
    weight: Tensor,
    receivers: Tensor,
    senders: Tensor,
    table: str,
    wanted: Sequence[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    # An output that is not wanted is empty.
    x, harmonics, radial, weight = (
        tensor.new_empty(tensor.shape if want else (0,))
        for tensor, want in zip((x, harmonics, radial, weight), wanted, strict=True)
    )
    return x, harmonics, radial, weight


def _gradients_setup(ctx, inputs, output) -> None:
    *tensors, ctx.table, ctx.wanted = inputs
    ctx.save_for_backward(*tensors)
    ctx.set_materialize_grads(False)


def _gradients_backward(ctx, *directions: Tensor | None):
    g, *arguments, receivers, senders = ctx.saved_tensors
    needed = wanted_gradients(ctx, 5)
    directions = tuple(
        direction if want else None for direction, want in zip(directions, ctx.wanted, strict=True)
    )
    # Fused where nothing will be differentiated once more and neither u_W nor the derivative to Y comes in: the
    # step of training on forces.
    if not torch.is_grad_enabled() and directions[3] is None and not needed[2]:
        along = [
            torch.zeros_like(argument) if direction is None else direction
            for direction, argument in zip(directions[:3], arguments, strict=False)
        ]
        of_g, of_x, of_radial, of_weight = torch.ops.cynosure.convolve_second(
            g, *arguments, receivers, senders, ctx.table, *along, [needed[0], needed[1], needed[3], needed[4]]
        )
        results = [of_g, of_x, None, of_radial, of_weight]
        return *(value if need else None for value, need in zip(results, needed, strict=True)), *[None] * 4
    return *_gradients_along(g, arguments, receivers, senders, ctx.table, directions, needed), *[None] * 4


def _gradients_along(
    g: Tensor,
    arguments: Sequence[Tensor],
    receivers: Tensor,
    senders: Tensor,
    table: str,
    directions: Sequence[Tensor | None],
    needed: Sequence[bool],
) -> list[Tensor | None]:
    """The derivatives of Σ_s ⟨u_s, ∂T/∂s⟩ with respect to g and the four arguments, as differentiable operators."""
    of_g: Tensor | None = None
    of_arguments: list[Tensor | None] = [None] * 4
    for slot, direction in enumerate(directions):
        if direction is None:
            continue
        replaced = [direction if other == slot else argument for other, argument in enumerate(arguments)]
        if needed[0]:
            term = torch.ops.cynosure.convolve(*replaced, receivers, senders, table)
            of_g = term if of_g is None else of_g + term
        open_slots = [need and other != slot for other, need in enumerate(needed[1:])]
        if any(open_slots):
            terms = torch.ops.cynosure.convolve_gradients(g, *replaced, receivers, senders, table, open_slots)
            for other, is_open in enumerate(open_slots):
                if is_open:
                    before = of_arguments[other]
                    of_arguments[other] = terms[other] if before is None else before + terms[other]
    return [of_g, *of_arguments]


def _second(
    g: Tensor,
    x: Tensor,
    harmonics: Tensor,
    radial: Tensor,
    weight: Tensor,
    receivers: Tensor,
    senders: Tensor,
    table: str,
    along_x: Tensor,
    along_harmonics: Tensor,
    along_radial: Tensor,
    wanted: Sequence[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    inputs = (x, harmonics, radial, weight)
    directions = [tensor.contiguous() for tensor in (along_x, along_harmonics, along_radial)]
    wants = zip((g, x, radial, weight), wanted, strict=True)
    results = tuple(tensor.new_empty(tensor.shape if want else (0,)) for tensor, want in wants)
    outputs = [result if want else None for result, want in zip(results, wanted, strict=True)]
    _call("convolve_second", table, receivers, senders, inputs, g.contiguous(), *directions, *outputs)
    return results[0], results[1], results[2], results[3]


def _second_fake(
    g: Tensor,
    x: Tensor,
    harmonics: Tensor,
    radial: Tensor,
    weight: Tensor,
    receivers: Tensor,
    senders: Tensor,
    table: str,
    along_x: Tensor,
    along_harmonics: Tensor,
    along_radial: Tensor,
    wanted: Sequence[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    g, x, radial, weight = (
        tensor.new_empty(tensor.shape if want else (0,))
        for tensor, want in zip((g, x, radial, weight), wanted, strict=True)
    )
    return g, x, radial, weight


define(f"convolve({_ARGUMENTS}) -> Tensor", _forward, _forward_fake, _forward_backward, _forward_setup)
define(
    f"convolve_gradients(Tensor g, {_ARGUMENTS}, bool[] wanted) -> (Tensor, Tensor, Tensor, Tensor)",
    _gradients,
    _gradients_fake,
    _gradients_backward,
    _gradients_setup,
)
# It is reached only where nothing will be differentiated again, hence has no rule of its own.
define(
    f"convolve_second(Tensor g, {_ARGUMENTS}, Tensor along_x, Tensor along_harmonics, Tensor along_radial, "
    "bool[] wanted) -> (Tensor, Tensor, Tensor, Tensor)",
    _second,
    _second_fake,
)
