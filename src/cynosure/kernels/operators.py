"""How a kernel becomes a torch operator: a schema, a CPU implementation, a fake one, and a rule for derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def define(
    schema: str,
    implementation: Callable,
    fake: Callable,
    backward: Callable | None = None,
    setup: Callable | None = None,
) -> None:
    """Register the operator `cynosure::<schema>`.

    Args:
        schema: name, arguments and results in torch's schema language.
        implementation: what runs on the CPU.
        fake: results with the right shapes and dtypes but no values, for tracing and `torch.compile`.
        backward: (ctx, *gradients) -> one gradient or None per argument; made of differentiable operators, so that
            derivatives of any order exist; none where nothing asks for them.
        setup: (ctx, inputs, output), saves what `backward` needs.
    """
    bare, _, signature = schema.partition("(")
    name = f"cynosure::{bare}"
    torch.library.define(name, f"({signature}", tags=(torch.Tag.pt2_compliant_tag,))
    torch.library.impl(name, "CPU", implementation)
    torch.library.register_fake(name, fake)
    if backward is not None:
        torch.library.register_autograd(name, backward, setup_context=setup)


def wanted_gradients(ctx: Any, count: int) -> list[bool]:
    """Which derivatives the running backward pass will use, for the first `count` arguments, all of them tensors.

    `needs_input_grad` is true for everything that could be differentiated when the operator ran; a derivative with
    respect to edge vectors alone would then pay for those of all weights. The engine knows better.
    """
    needs = list(ctx.needs_input_grad[:count])
    nodes = [node for node, _ in getattr(ctx, "next_functions", ())[:count]]
    if len(nodes) != count:  # traced, not run by the engine
        return needs
    return [need and _will_run(node) for need, node in zip(needs, nodes, strict=True)]


def backward_by_reference(
    ctx: Any,
    tensors: Sequence[Tensor],
    reference: Callable[..., Sequence[Tensor | None]],
    cotangents: Sequence[Tensor | None],
) -> list[Tensor | None]:
    """The backward pass of an operator by automatic differentiation of its plain-torch reference.

    Args:
        ctx: of the backward pass.
        tensors: the operator's first arguments, those that can be differentiated.
        reference: takes these, and gives the operator's results; differentiable. None for a result not wanted.
        cotangents: one for each result, or None.

    Returns:
        one derivative for each tensor, None where it is not needed.
    """
    further = torch.is_grad_enabled()
    with torch.enable_grad():
        # Partial derivatives are wanted, and arguments may depend on each other further up: each gets a stand-in, which
        # autograd follows, and behind which it only goes on where results are to be differentiated once more.
        inputs = [
            tensor.view_as(tensor) if further and tensor.requires_grad else tensor.detach().requires_grad_()
            for tensor in tensors
        ]
        given = [
            (result, cotangent)
            for result, cotangent in zip(reference(*inputs), cotangents, strict=True)
            if result is not None and cotangent is not None and result.requires_grad
        ]
        results: list[Tensor | None] = [None] * len(inputs)
        if given:
            outputs, chosen = zip(*given, strict=True)
            results = list(
                torch.autograd.grad(outputs, inputs, chosen, create_graph=further, allow_unused=True)
            )
    needed = ctx.needs_input_grad[: len(inputs)]
    return [value if need else None for value, need in zip(results, needed, strict=True)]


def _will_run(node: Any) -> bool:
    if node is None:
        return False
    try:
        return torch._C._will_engine_execute_node(node)
    except RuntimeError:  # it does not say for a leaf that is itself asked for
        return True
