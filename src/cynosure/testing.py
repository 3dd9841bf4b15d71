"""Checks that a user can run on a layer of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from cynosure.nn import layout
from cynosure.o3 import Irreps, random_rotation


def assert_equivariant(
    module: Callable[..., Any],
    irreps_in: Irreps | str | Sequence[Irreps | str],
    irreps_out: Irreps | str | Sequence[Irreps | str],
    *,
    arguments: Sequence[Any] = (),
    batch: int = 7,
    tolerance: float = 1e-10,
    seed: int = 0,
) -> None:
    """Assert that f(D_in(g) x) = D_out(g) f(x) for rotations g and, where parity is labelled, rotoinversions.

    The module is copied to float64 and fed unit normal features in the library's layout (see `nn.layout`).

    Args:
        module: takes one tensor [batch, dim] for each of `irreps_in`, then `arguments`; returns one tensor, or
            a sequence with one for each of `irreps_out`.
        irreps_in: irreps of the input, or a list with those of each input.
        irreps_out: irreps of the output, or a list with those of each output.
        arguments: what else the module takes, unchanged under rotation (indices, distances).
        batch: length of the leading axis of every input.
        tolerance: largest deviation allowed, relative to the largest output (or 1).
        seed: of inputs and rotations.

    Raises:
        AssertionError: names the output, the operation and the deviation.
        ValueError: an output does not have the size of its irreps.
    """
    if isinstance(module, nn.Module):
        module = deepcopy(module).to(torch.float64)
    kinds_in, kinds_out = _as_list(irreps_in), _as_list(irreps_out)
    generator = torch.Generator().manual_seed(seed)
    inputs = [torch.randn(batch, irreps.dim, generator=generator, dtype=torch.float64) for irreps in kinds_in]
    straight = _outputs(module(*inputs, *arguments), kinds_out)
    labelled = all(ir.p != 0 for irreps in (*kinds_in, *kinds_out) for _, ir in irreps)
    for trial in range(4):
        matrix = random_rotation(generator=generator)
        if labelled and trial % 2:
            matrix = -matrix
        operation = "a rotoinversion" if labelled and trial % 2 else "a rotation"
        turned = [layout.transform(irreps, x, matrix) for irreps, x in zip(kinds_in, inputs, strict=True)]
        after = _outputs(module(*turned, *arguments), kinds_out)
        for index, (irreps, before, now) in enumerate(zip(kinds_out, straight, after, strict=True)):
            expected = layout.transform(irreps, before, matrix)
            size = max(1.0, float(expected.abs().max())) if expected.numel() else 1.0
            deviation = float((now - expected).abs().max()) / size if expected.numel() else 0.0
            if not deviation <= tolerance:
                raise AssertionError(
                    f"output {index} ({irreps}) is not equivariant under {operation}: it deviates by "
                    f"{deviation:.3g} of its size (tolerance {tolerance:.3g})"
                )


def _as_list(irreps: Irreps | str | Sequence[Irreps | str]) -> list[Irreps]:
    if isinstance(irreps, list | tuple) and not isinstance(irreps, Irreps):
        return [Irreps(one) for one in irreps]
    return [Irreps(irreps)]  # type: ignore[arg-type]


def _outputs(result: Any, kinds: Sequence[Irreps]) -> list[Tensor]:
    outputs = [one.detach() for one in ([result] if isinstance(result, Tensor) else result)]
    if len(outputs) != len(kinds):
        raise ValueError(f"the module returned {len(outputs)} tensors; irreps_out has {len(kinds)}")
    for index, (irreps, output) in enumerate(zip(kinds, outputs, strict=True)):
        layout.check(irreps, output, f"output {index}")
    return outputs
