"""The equivariant convolution: gather, tensor product, radial mixing, sum over neighbours.

This is the multilinear form at the heart of the library. For node i, path p = (block_in -> ir_out), component
k and channel c,

    out_i[p, k, c] = Σ_{edges (i, j)} Σ_{m, n} C^p_{mnk} · x_j[m, c] · Y_ij[n] · Σ_b R_ij[b] W[b, p, c]
"""

from __future__ import annotations

import torch
from torch import Tensor

from cynosure.kernels import convolution_operators, core, plan  # noqa: F401 the operators register themselves
from cynosure.kernels.paths import PathTable, coupling, path_of_row


def convolve(
    x: Tensor,
    harmonics: Tensor,
    radial: Tensor,
    weight: Tensor,
    receivers: Tensor,
    senders: Tensor,
    table: PathTable,
) -> Tensor:
    """Sum over the neighbours of each node the channel-wise tensor product of features and harmonics.

    Args:
        x: [N, table.irreps_in.dim] node features, each block [component, channel].
        harmonics: [E, table.irreps_edge.dim] spherical harmonics Y of the edges (component normalisation).
        radial: [E, B] radial functions R of the edges.
        weight: [B, table.num_weights] mixing W of the radial functions into path weights.
        receivers: [E] int64, the node i that each edge adds to.
        senders: [E] int64, the node j that each edge reads.
        table: the paths.

    Returns:
        [N, table.irreps_out.dim], one block [component, channel] per path.

    Differentiable to any order. The compiled core does the work on the CPU in float32 and float64, fastest where
    the edges are sorted by receiver; elsewhere `convolve_reference` does.

    Raises:
        ValueError: when a shape, dtype or device does not fit, or an index names no node; the message names the
            argument.
    """
    _validate(x, harmonics, radial, weight, receivers, senders, table)
    if core.serves(x, harmonics, radial, weight) and table.max_degree <= plan.MAX_DEGREE:
        return torch.ops.cynosure.convolve(x, harmonics, radial, weight, receivers, senders, table.key)
    return convolve_reference(x, harmonics, radial, weight, receivers, senders, table)


def convolve_reference(
    x: Tensor,
    harmonics: Tensor,
    radial: Tensor,
    weight: Tensor,
    receivers: Tensor,
    senders: Tensor,
    table: PathTable,
) -> Tensor:
    """`convolve` in plain torch operations, differentiable to every order: the oracle and the fallback.

    1. Mix the radial functions into one weight per path and channel.
    2. For each input block, contract the Clebsch-Gordan numbers with Y into a small matrix M[k, m] per edge,
       which does not depend on the channel, and apply it to the sender's features.
    3. Weight each path's rows and add them up at the receiver.
    """
    edges, nodes = receivers.shape[0], x.shape[0]
    groups = table.groups()
    # `split` rather than a slice per group: its backward pass is one concatenation, not a sum of padded copies.
    path_weights = (radial @ weight).split([group.num_weights for group in groups], dim=1)
    sent = x.index_select(0, senders).split([mul * ir.dim for mul, ir in table.irreps_in], dim=1)
    messages = []
    for group, weights in zip(groups, path_weights, strict=True):
        matrix = (harmonics @ coupling(table, group.block_in, x.dtype, x.device)).view(
            edges, group.rows, group.dim_in
        )
        features = sent[group.block_in].reshape(edges, group.dim_in, group.channels)
        # One input component is a plain product, which is cheaper than a matrix product of inner size one.
        product = matrix * features if group.dim_in == 1 else torch.bmm(matrix, features)
        weights = weights.reshape(edges, len(group.dims_out), group.channels)
        weights = weights.index_select(1, path_of_row(table, group.block_in, x.device))
        messages.append((product * weights).view(edges, group.rows * group.channels))
    message = torch.cat(messages, dim=1)
    return x.new_zeros(nodes, message.shape[1]).index_add(0, receivers, message)


def _validate(
    x: Tensor,
    harmonics: Tensor,
    radial: Tensor,
    weight: Tensor,
    receivers: Tensor,
    senders: Tensor,
    table: PathTable,
) -> None:
    edges = receivers.shape[0] if receivers.dim() else 0
    expected = {
        "x": (x, (None, table.irreps_in.dim)),
        "harmonics": (harmonics, (edges, table.irreps_edge.dim)),
        "radial": (radial, (edges, None)),
        "weight": (weight, (radial.shape[-1], table.num_weights)),
        "senders": (senders, (edges,)),
    }
    for name, (tensor, shape) in expected.items():
        fits = tensor.dim() == len(shape) and all(
            want is None or got == want for got, want in zip(tensor.shape, shape, strict=True)
        )
        if not fits:
            wanted = ", ".join("any" if size is None else str(size) for size in shape)
            raise ValueError(f"convolve: '{name}' has shape {tuple(tensor.shape)}; ({wanted}) was expected")
    for name, tensor in {"harmonics": harmonics, "radial": radial, "weight": weight}.items():
        if tensor.dtype != x.dtype or tensor.device != x.device:
            raise ValueError(
                f"convolve: '{name}' is {tensor.dtype} on {tensor.device}; 'x' is {x.dtype} on {x.device}, and all "
                "of x, harmonics, radial and weight must agree"
            )
    for name, tensor in {"receivers": receivers, "senders": senders}.items():
        if tensor.dtype != torch.int64 or tensor.device != x.device or tensor.dim() != 1:
            raise ValueError(
                f"convolve: '{name}' is {tensor.dtype} {tuple(tensor.shape)} on {tensor.device}; one axis of "
                f"torch.int64 on {x.device} was expected"
            )
