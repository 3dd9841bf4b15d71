"""The symmetric contraction: the many-body product of a node's features with themselves.

For node i of species s, output component k and channel c,

    out_i[k, c] = Σ_monomials a  coefficients[s, a(k), c] · Π_{m ∈ a} x_i[m, c]

Coefficients are those of equivariant polynomials (`ContractionTable`); `polynomial_coefficients` makes them from the
weights of a basis. As torch operators:

    contract            the result
    contract_gradients  its derivatives with respect to x and coefficients, for cotangents g
    contract_second     the derivatives of <ux, gx> + <uc, gc>, of what the last one gives along (ux, uc)

Derivatives beyond them go through the plain-torch reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from cynosure.kernels import core
from cynosure.kernels.contraction_table import ContractionTable, basis_tensor, contraction_of, levels
from cynosure.kernels.operators import backward_by_reference, define, wanted_gradients


def polynomial_coefficients(weight: Tensor, table: ContractionTable) -> Tensor:
    """The coefficients of the polynomials from weights of their basis.

    Args:
        weight: [S, P, C], for each species one weight per path (`table.tree.paths`) and channel.
        table: the contraction.

    Returns:
        [S, table.tree.num_nodes, C]. Each output irrep is the sum of its paths, each of unit size times its weight.
    """
    basis = basis_tensor(table.key, weight.dtype, weight.device)
    return torch.einsum("np,spc->snc", basis, weight)


def contract(x: Tensor, coefficients: Tensor, species: Tensor, table: ContractionTable) -> Tensor:
    """Polynomials of each node's features, channel by channel.

    Args:
        x: [N, table.irreps_in.dim], each block [component, channel].
        coefficients: [S, table.tree.num_nodes, C] (`polynomial_coefficients`).
        species: [N] int64 in 0 … S−1.
        table: the contraction.

    Returns:
        [N, table.irreps_out.dim]. Differentiable to any order. The compiled core does the work on the CPU, derivatives
        up to the second included; elsewhere, and for derivatives beyond, `contract_reference` does.

    Raises:
        ValueError: when a shape, dtype or device does not fit, or a species is out of range; the message names the
            argument.
    """
    _validate(x, coefficients, species, table)
    if core.serves(x, coefficients):
        return torch.ops.cynosure.contract(x, coefficients, species, table.key)
    return contract_reference(x, coefficients, species, table)


def contract_reference(x: Tensor, coefficients: Tensor, species: Tensor, table: ContractionTable) -> Tensor:
    """`contract` in plain torch operations, differentiable to every order: the oracle and the fallback.

    Horner's rule, all nodes of one depth at a time; it holds an array [N, nodes of the trees, C].
    """
    features = x.unflatten(-1, (-1, table.channels))
    values = coefficients.index_select(0, species)
    # (Numbers become tensors here, and are not kept as such: a tensor from outside cannot be traced.)
    for level in levels(table.key):
        nodes, parents, variables = (torch.tensor(numbers, device=x.device) for numbers in level)
        products = values.index_select(1, nodes) * features.index_select(1, variables)
        values = values.index_add(1, parents, products)
    return values.index_select(1, torch.tensor(table.tree.roots.tolist(), device=x.device)).flatten(1)


def _validate(x: Tensor, coefficients: Tensor, species: Tensor, table: ContractionTable) -> None:
    if x.dim() != 2 or x.shape[1] != table.irreps_in.dim:
        raise ValueError(
            f"contract: 'x' has shape {tuple(x.shape)}; (any, {table.irreps_in.dim}) was expected"
        )
    shape = (table.tree.num_nodes, table.channels)
    if coefficients.dim() != 3 or tuple(coefficients.shape[1:]) != shape:
        raise ValueError(
            f"contract: 'coefficients' has shape {tuple(coefficients.shape)}; (any, "
            f"{shape[0]}, {shape[1]}) was expected"
        )
    if coefficients.dtype != x.dtype or coefficients.device != x.device:
        raise ValueError(
            f"contract: 'coefficients' is {coefficients.dtype} on {coefficients.device}; 'x' is {x.dtype} on "
            f"{x.device}, and both must agree"
        )
    if species.shape != (x.shape[0],) or species.dtype != torch.int64 or species.device != x.device:
        raise ValueError(
            f"contract: 'species' is {species.dtype} {tuple(species.shape)} on {species.device}; torch.int64 "
            f"({x.shape[0]},) on {x.device} was expected"
        )


@lru_cache(maxsize=256)
def trees_of(key: str) -> Any:
    """The core's trees of a table."""
    table = contraction_of(key)
    module = core.module()
    assert module is not None, "trees are made only where the core serves"
    tree = table.tree
    arrays = (tree.variable, tree.leaves, tree.children, tree.roots)
    dim_in = table.irreps_in.dim // max(table.channels, 1)
    return module.ContractionTrees(dim_in, table.channels, *(array.tolist() for array in arrays))


def _run(
    key: str,
    x: Tensor,
    ux: Tensor | None,
    coefficients: Tensor,
    ucoefficients: Tensor | None,
    species: Tensor,
    g: Tensor | None,
    results: Sequence[Tensor | None],
) -> None:
    """Run the kernel; what is absent goes in as address 0. Results are `out`, `of_x`, `of_coefficients`."""
    module = core.module()
    assert module is not None, "these operators are called only where the core serves"
    inputs = [None if t is None else t.contiguous() for t in (species, x, ux, coefficients, ucoefficients, g)]
    module.contract(
        trees_of(key),
        x.dtype == torch.float32,
        x.shape[0],
        coefficients.shape[0],
        *(0 if tensor is None else tensor.data_ptr() for tensor in (*inputs, *results)),
        torch.get_num_threads(),
    )


def _forward(x: Tensor, coefficients: Tensor, species: Tensor, table: str) -> Tensor:
    out = _forward_fake(x, coefficients, species, table)
    _run(table, x, None, coefficients, None, species, None, (out, None, None))
    return out


def _forward_fake(x: Tensor, coefficients: Tensor, species: Tensor, table: str) -> Tensor:
    return x.new_empty(x.shape[0], contraction_of(table).irreps_out.dim)


def _forward_setup(ctx, inputs, output) -> None:
    x, coefficients, species, ctx.table = inputs
    ctx.save_for_backward(x, coefficients, species)


def _forward_backward(ctx, g: Tensor):
    wanted = wanted_gradients(ctx, 2)
    found = torch.ops.cynosure.contract_gradients(g, *ctx.saved_tensors, ctx.table, wanted)
    return *(value if want else None for value, want in zip(found, wanted, strict=True)), None, None


def _gradients(
    g: Tensor, x: Tensor, coefficients: Tensor, species: Tensor, table: str, wanted: list[bool]
) -> tuple[Tensor, Tensor]:
    results = _gradients_fake(g, x, coefficients, species, table, wanted)
    _run(table, x, None, coefficients, None, species, g, (None, *_only(wanted, results)))
    return results


def _gradients_fake(
    g: Tensor, x: Tensor, coefficients: Tensor, species: Tensor, table: str, wanted: list[bool]
) -> tuple[Tensor, Tensor]:
    # What is not wanted is empty.
    want_x, want_c = wanted
    return x.new_empty(x.shape if want_x else (0,)), x.new_empty(coefficients.shape if want_c else (0,))


def _gradients_setup(ctx, inputs, output) -> None:
    g, x, coefficients, species, ctx.table, ctx.wanted = inputs
    ctx.save_for_backward(g, x, coefficients, species)
    ctx.set_materialize_grads(False)


def _gradients_backward(ctx, *directions: Tensor | None):
    g, x, coefficients, species = ctx.saved_tensors
    wanted = wanted_gradients(ctx, 3)
    given = [
        torch.zeros_like(value) if u is None or not have else u
        for u, have, value in zip(directions, ctx.wanted, (x, coefficients), strict=True)
    ]
    found = torch.ops.cynosure.contract_second(*given, g, x, coefficients, species, ctx.table, wanted)
    return *(value if want else None for value, want in zip(found, wanted, strict=True)), None, None, None


def _second(
    ux: Tensor,
    uc: Tensor,
    g: Tensor,
    x: Tensor,
    coefficients: Tensor,
    species: Tensor,
    table: str,
    wanted: list[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    results = _second_fake(ux, uc, g, x, coefficients, species, table, wanted)
    _run(table, x, ux, coefficients, uc, species, g, _only(wanted, results))
    return results


def _second_fake(
    ux: Tensor,
    uc: Tensor,
    g: Tensor,
    x: Tensor,
    coefficients: Tensor,
    species: Tensor,
    table: str,
    wanted: list[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    of_x, of_c = _gradients_fake(g, x, coefficients, species, table, wanted[1:])
    return x.new_empty(g.shape if wanted[0] else (0,)), of_x, of_c


def _second_setup(ctx, inputs, output) -> None:
    *tensors, ctx.table, ctx.wanted = inputs
    ctx.save_for_backward(*tensors)
    ctx.set_materialize_grads(False)


def _second_backward(ctx, *cotangents: Tensor | None):
    """The third derivative, through the reference."""
    *tensors, species = ctx.saved_tensors
    table = contraction_of(ctx.table)

    def reference(ux: Tensor, uc: Tensor, g: Tensor, x: Tensor, coefficients: Tensor):
        out = contract_reference(x, coefficients, species, table)
        first = torch.autograd.grad(out, (x, coefficients), g, create_graph=True)
        second = torch.autograd.grad(
            first,
            (g, x, coefficients),
            (ux, uc),
            create_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        return _only(ctx.wanted, second)

    return *backward_by_reference(ctx, tensors, reference, cotangents), None, None, None


def _only(wanted: Sequence[bool], results: Sequence[Tensor]) -> list[Tensor | None]:
    return [result if want else None for result, want in zip(results, wanted, strict=True)]


define(
    "contract(Tensor x, Tensor coefficients, Tensor species, str table) -> Tensor",
    _forward,
    _forward_fake,
    _forward_backward,
    _forward_setup,
)
define(
    "contract_gradients(Tensor g, Tensor x, Tensor coefficients, Tensor species, str table, bool[] wanted) "
    "-> (Tensor, Tensor)",
    _gradients,
    _gradients_fake,
    _gradients_backward,
    _gradients_setup,
)
define(
    "contract_second(Tensor ux, Tensor uc, Tensor g, Tensor x, Tensor coefficients, Tensor species, str table, "
    "bool[] wanted) -> (Tensor, Tensor, Tensor)",
    _second,
    _second_fake,
    _second_backward,
    _second_setup,
)
