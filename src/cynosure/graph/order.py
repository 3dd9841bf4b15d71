"""The order in which the atoms of a large structure are best worked on."""

from __future__ import annotations

import torch
from torch import Tensor

from cynosure.graph.schema import AtomGraph

# Edge of the cubes that the curve runs through, Å: a few atoms each.
_CUBE = 3.0
_BITS = 20  # an axis: three of them fit an int64


def nearby_order(graph: AtomGraph) -> Tensor:
    """The atoms of one structure, each once, near ones soon after each other: along a Z-order (Morton) curve.

    Whoever walks through the atoms in this order finds the neighbours of one among those of the last few, and their
    features in the processor's cache, however the atoms are numbered.

    1. Wrap atoms into a cell that is periodic along all three lattice vectors.
    2. Cut space into cubes; the bits of a cube's three indices, taken in turn, number the cubes along the curve.
    3. Sort atoms by cube.

    Args:
        graph: one structure.

    Returns:
        [N] int64, a permutation.

    Raises:
        ValueError: when there is more than one structure.
    """
    if graph.num_structures != 1:
        raise ValueError(f"an order of the atoms of one structure; the graph has {graph.num_structures}")
    positions = graph.positions
    if bool(graph.pbc.all()):  # step 1
        fractional = positions @ torch.linalg.inv(graph.cell[0])
        positions = (fractional - fractional.floor()) @ graph.cell[0]
    cubes = ((positions - positions.amin(0)) / _CUBE).to(torch.int64).clamp(max=2**_BITS - 1)  # step 2
    key = torch.zeros_like(cubes[:, 0])
    for bit in range(_BITS):
        for axis in range(3):
            key |= ((cubes[:, axis] >> bit) & 1) << (3 * bit + axis)
    return torch.argsort(key, stable=True)  # step 3
