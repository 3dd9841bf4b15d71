"""A path table as the numbers that the compiled core works from."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from cynosure.kernels import core
from cynosure.kernels.paths import PathTable
from cynosure.o3 import clebsch_gordan

# The largest degree that the core's loops hold (csrc/product.h, max_dim).
MAX_DEGREE = 10


def couples(l_in: int, l_edge: int, l_out: int) -> np.ndarray:
    """Where the Clebsch-Gordan tensor [m_in, m_edge, m_out] may be nonzero, by the selection rule of the real basis.

    With m = -l ... l and sines at m < 0: the |m| add up or subtract to one another, and the number of sines has the
    parity of l_in + l_edge + l_out. The core is compiled by the same rule (csrc/coupling.h), so that a few numbers
    that are zero by accident stay in the lists.
    """
    m1, m2, m3 = np.meshgrid(*(np.arange(-l, l + 1) for l in (l_in, l_edge, l_out)), indexing="ij")
    a, b, c = abs(m1), abs(m2), abs(m3)
    sines = (m1 < 0).astype(int) + (m2 < 0) + (m3 < 0)
    return ((a + b == c) | (a - b == c) | (b - a == c)) & ((sines + l_in + l_edge + l_out) % 2 == 0)


@lru_cache(maxsize=1024)
def table_of(key: str) -> PathTable:
    """`PathTable.parse`, kept."""
    return PathTable.parse(key)


@lru_cache(maxsize=1024)
def plan_of(key: str) -> Any:
    """The core's plan of a table: offsets and sizes of its blocks, and its nonzero Clebsch-Gordan numbers twice,
    by matrix element and by component of Y (csrc/plan.h)."""
    table = table_of(key)
    in_slices, edge_slices = table.irreps_in.slices(), table.irreps_edge.slices()
    paths: list[int] = []
    groups: list[int] = []
    first, component, value = [0], [], []
    number, element, number_value = [], [], []
    # Paths with the same degrees share their matrix: parity does not enter it.
    known: dict[tuple[int, int, int], tuple[int, int]] = {}
    out_offset = weight_offset = count = 0
    for group in table.groups():
        mul, ir_in = table.irreps_in[group.block_in]
        members = [path for path in table.paths if path.block_in == group.block_in]
        groups += [in_slices[group.block_in].start, mul, ir_in.dim, count, len(members), weight_offset]
        for path in members:
            ir_edge, ir_out = table.irreps_edge[path.block_edge][1], path.ir_out
            edge_offset = edge_slices[path.block_edge].start
            is_diagonal = ir_edge.l == 0
            degrees = (ir_in.l, path.block_edge, ir_out.l)
            if degrees not in known:
                known[degrees] = (len(first) - 1, len(number))
                numbers = clebsch_gordan(ir_in.l, ir_edge.l, ir_out.l)  # [m, n, k]
                nonzero = couples(ir_in.l, ir_edge.l, ir_out.l)
                cells = (
                    [(0, 0)] if is_diagonal else [(k, m) for k in range(ir_out.dim) for m in range(ir_in.dim)]
                )
                for k, m in cells:
                    for n in range(ir_edge.dim):
                        if nonzero[m, n, k]:
                            component.append(edge_offset + n)
                            value.append(float(numbers[m, n, k]))
                    first.append(len(value))
                for n in range(ir_edge.dim):
                    number.append(len(element))
                    for cell, (k, m) in enumerate(cells):
                        if nonzero[m, n, k]:
                            element.append(cell)
                            number_value.append(float(numbers[m, n, k]))
                number.append(len(element))
            entry, term = known[degrees]
            paths += [ir_out.dim, out_offset, entry, int(is_diagonal), edge_offset, ir_edge.dim, term]
            out_offset += mul * ir_out.dim
            weight_offset += mul
            count += 1
    module = core.module()
    assert module is not None, "a plan is made only where the core serves"
    return module.Convolution(
        table.irreps_in.dim,
        table.irreps_edge.dim,
        out_offset,
        weight_offset,
        paths,
        groups,
        first,
        component,
        value,
        number,
        element,
        number_value,
    )
