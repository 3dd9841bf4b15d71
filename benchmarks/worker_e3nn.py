"""e3nn's side: the convolution of one layer, its weights given per edge and path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import e3nn
import torch
from e3nn.o3 import Irreps, TensorProduct
from torch import Tensor

from benchmarks.worker import Measurement, evaluations, serve


def convolution(settings: Mapping[str, Any]) -> tuple[Callable[..., Tensor], list[Tensor]]:
    """Gather, tensor product, sum at the receivers, as a function of (x, harmonics, weights); and values for them."""
    nodes, neighbours = settings["nodes"], settings["neighbours"]
    irreps = Irreps(settings["irreps_in"])
    irreps_edge = Irreps(settings["irreps_edge"])
    paths = [
        (block_in, block_edge, ir)
        for block_in, (_, ir_in) in enumerate(irreps)
        for block_edge, (_, ir_edge) in enumerate(irreps_edge)
        for ir in ir_in * ir_edge
        if ir in irreps
    ]
    # As NequIP does, outputs of one irrep lie together.
    irreps_out, place, _ = Irreps([(irreps[block_in][0], ir) for block_in, _, ir in paths]).sort()
    product = TensorProduct(
        irreps,
        irreps_edge,
        irreps_out,
        [
            (block_in, block_edge, place[path], "uvu", True)
            for path, (block_in, block_edge, _) in enumerate(paths)
        ],
        shared_weights=False,
        internal_weights=False,
    )
    edges = nodes * neighbours
    generator = torch.Generator().manual_seed(0)
    receivers = torch.arange(nodes).repeat_interleave(neighbours)
    senders = torch.randint(0, nodes, (edges,), generator=generator)

    def convolve(x: Tensor, harmonics: Tensor, weights: Tensor) -> Tensor:
        messages = product(x[senders], harmonics, weights)
        return messages.new_zeros(nodes, irreps_out.dim).index_add_(0, receivers, messages)

    sizes = [(nodes, irreps.dim), (edges, irreps_edge.dim), (edges, product.weight_numel)]
    return convolve, [torch.randn(size, generator=generator) for size in sizes]


def forward(settings: Mapping[str, Any]) -> Measurement:
    convolve, inputs = convolution(settings)

    def evaluate() -> None:
        with torch.no_grad():
            convolve(*inputs)

    return evaluations(evaluate), {}


def backward(settings: Mapping[str, Any]) -> Measurement:
    """Forward and backward, to all inputs."""
    convolve, inputs = convolution(settings)
    leaves = [value.requires_grad_() for value in inputs]
    g = torch.randn_like(convolve(*leaves))
    return evaluations(lambda: torch.autograd.grad(convolve(*leaves), leaves, g)), {}


def versions() -> dict[str, str]:
    return {"e3nn": e3nn.__version__, "torch": torch.__version__}


if __name__ == "__main__":
    serve({"forward": forward, "backward": backward}, versions)
