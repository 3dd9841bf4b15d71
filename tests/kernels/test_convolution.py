"""The convolution against its defining sum, and its derivatives against finite differences."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cynosure.kernels import PathTable, convolve
from cynosure.o3 import Irrep, Irreps, clebsch_gordan
from cynosure.testing import assert_equivariant

EDGE = "0e+1o+2e"


def graph(nodes: int, edges: int, seed: int):
    generator = torch.Generator().manual_seed(seed)
    receivers = torch.randint(0, nodes, (edges,), generator=generator).sort().values
    senders = torch.randint(0, nodes, (edges,), generator=generator)
    return receivers, senders


def arguments(table: PathTable, nodes: int, edges: int, functions: int, seed: int):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    return (
        draw(nodes, table.irreps_in.dim),
        draw(edges, table.irreps_edge.dim),
        draw(edges, functions),
        draw(functions, table.num_weights),
    )


def defining_sum(x, harmonics, radial, weight, receivers, senders, table):
    """The formula in the module's docstring, one edge, path, component and channel at a time."""
    blocks_out = [torch.zeros(x.shape[0], ir.dim, mul, dtype=x.dtype) for mul, ir in table.irreps_out]
    starts_in, starts_edge = table.irreps_in.slices(), table.irreps_edge.slices()
    column = 0
    for path, block in zip(table.paths, blocks_out, strict=True):
        mul, ir_in = table.irreps_in[path.block_in]
        ir_edge = table.irreps_edge[path.block_edge][1]
        numbers = torch.tensor(clebsch_gordan(ir_in.l, ir_edge.l, path.ir_out.l))
        for edge, (i, j) in enumerate(zip(receivers.tolist(), senders.tolist(), strict=True)):
            sent = x[j, starts_in[path.block_in]].view(ir_in.dim, mul)
            turned = torch.einsum(
                "mnk,mc,n->kc", numbers, sent, harmonics[edge, starts_edge[path.block_edge]]
            )
            block[i] += turned * (radial[edge] @ weight[:, column : column + mul])
        column += mul
    return torch.cat([block.flatten(1) for block in blocks_out], dim=1)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    irreps=st.lists(
        st.tuples(st.integers(1, 3), st.builds(Irrep, st.integers(0, 3), st.sampled_from([-1, 1]))),
        min_size=1,
        max_size=4,
    ),
    nodes=st.integers(1, 4),
    edges=st.integers(0, 6),
    seed=st.integers(0, 1000),
)
def test_equals_its_defining_sum(irreps, nodes, edges, seed):
    keep = {ir for _, a in irreps for _, b in Irreps(EDGE) for ir in a * b}
    table = PathTable.build(Irreps(irreps), EDGE, keep)
    tensors = arguments(table, nodes, edges, 3, seed)
    receivers, senders = graph(nodes, edges, seed)
    expected = defining_sum(*tensors, receivers, senders, table)
    torch.testing.assert_close(
        convolve(*tensors, receivers, senders, table), expected, rtol=1e-12, atol=1e-12
    )


def test_first_and_second_derivatives_to_every_argument():
    table = PathTable.build("2x0e+1x1o", "0e+1o", ["0e", "1o", "1e"])
    receivers, senders = graph(3, 4, 1)
    tensors = tuple(t.requires_grad_() for t in arguments(table, 3, 4, 2, 1))
    function = lambda *t: convolve(*t, receivers, senders, table)  # noqa: E731
    assert torch.autograd.gradcheck(function, tensors)
    assert torch.autograd.gradgradcheck(function, tensors)


@pytest.mark.parametrize("irreps", ["3x0e+2x1o+1x2e", "2x0e+1x0o+2x1e+2x1o+1x2o", "2x0+3x1+1x2"])
def test_equivariant(irreps):
    edge = "0+1+2" if "e" not in irreps else EDGE
    keep = [
        ir for a in {ir for _, ir in Irreps(irreps)} for b in {ir for _, ir in Irreps(edge)} for ir in a * b
    ]
    table = PathTable.build(irreps, edge, keep)
    _, _, radial, weight = arguments(table, 5, 5, 4, 2)
    receivers, senders = graph(5, 5, 2)
    assert_equivariant(
        lambda x, y: convolve(x, y, radial, weight, receivers, senders, table),
        [irreps, edge],
        table.irreps_out,
        batch=5,
    )


def test_unit_variance_in_gives_unit_variance_out():
    table = PathTable.build("64x0e+64x1o+64x2e", EDGE, ["0e", "1o", "2e"])
    x, _, radial, weight = arguments(table, 500, 500, 8, 3)
    harmonics = torch.randn(500, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    index = torch.arange(500)
    out = convolve(x, harmonics, radial, weight / 8**0.5, index, index, table)
    for columns in table.irreps_out.slices():
        assert 0.8 < float(out[:, columns].square().mean()) < 1.25


def test_tables_compare_and_hash_by_value():
    assert PathTable.build("2x0e", EDGE, ["0e"]) == PathTable.build("2x0e", EDGE, ["0e"])
    assert hash(PathTable.build("2x0e", EDGE, ["0e"])) == hash(PathTable.build("2x0e", EDGE, ["0e"]))


def test_errors_name_the_argument():
    table = PathTable.build("2x0e+1x1o", EDGE, ["0e", "1o"])
    receivers, senders = graph(3, 4, 1)
    x, harmonics, radial, weight = arguments(table, 3, 4, 2, 1)
    with pytest.raises(ValueError, match="'x' has shape"):
        convolve(x[:, :-1], harmonics, radial, weight, receivers, senders, table)
    with pytest.raises(ValueError, match="'harmonics' has shape"):
        convolve(x, harmonics[:-1], radial, weight, receivers, senders, table)
    with pytest.raises(ValueError, match="'weight' has shape"):
        convolve(x, harmonics, radial, weight[:, :-1], receivers, senders, table)
    with pytest.raises(ValueError, match="'senders' has shape"):
        convolve(x, harmonics, radial, weight, receivers, senders[:-1], table)
    with pytest.raises(ValueError, match="must come once"):
        PathTable.build("0e", "2x0e", ["0e"])
    with pytest.raises(ValueError, match="no path"):
        PathTable.build("0e", "0e", ["1o"])
