"""Modules of e3nn as plain matrices: the matrices do what the modules do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from e3nn import nn as e3nn_nn
from e3nn import o3 as e3nn_o3

import cynosure.importers
from cynosure.kernels.paths import Path as CouplingPath
from cynosure.kernels.paths import PathTable
from cynosure.nn import layout
from cynosure.o3 import Irrep, Irreps, clebsch_gordan

READERS = Path(cynosure.importers.__file__).parent / "readers"


@pytest.fixture
def e3nn_maps(monkeypatch):
    monkeypatch.syspath_prepend(str(READERS))
    monkeypatch.delitem(sys.modules, "e3nn_maps", raising=False)
    import e3nn_maps  # pyright: ignore[reportMissingImports]

    return e3nn_maps


@pytest.fixture(autouse=True)
def in_double(monkeypatch):
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def by_irrep(irreps: str, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """[N, dim] in e3nn's layout -> for each irrep [N, 2l+1, channels], all of its blocks together."""
    kinds = Irreps(irreps)
    blocks: dict[str, list[torch.Tensor]] = {}
    for (_, ir), block in zip(kinds, layout.split(kinds, layout.from_e3nn(kinds, x)), strict=True):
        blocks.setdefault(str(ir), []).append(block)
    return {ir: torch.cat(parts, dim=-1) for ir, parts in blocks.items()}


def test_linear(e3nn_maps):
    irreps_in, irreps_out = "3x0e+2x1o+4x0e+2x0o", "5x0e+3x1o+2x0e"
    module = e3nn_o3.Linear(irreps_in, irreps_out, biases=True)
    with torch.no_grad():
        module.bias.normal_()
    maps, bias = e3nn_maps.linear(module)
    x = torch.randn(6, module.irreps_in.dim)
    given, wanted = by_irrep(irreps_in, x), by_irrep(irreps_out, module(x))
    assert set(maps) == {"0e", "1o"}
    for ir, matrix in maps.items():
        found = given[ir] @ torch.from_numpy(matrix) + (torch.from_numpy(bias) if ir == "0e" else 0)
        torch.testing.assert_close(found, wanted[ir])


def test_by_species(e3nn_maps):
    irreps_in, irreps_out = "3x0e+2x1o+4x2e", "5x0e+3x1o+2x2e"
    module = e3nn_o3.FullyConnectedTensorProduct(irreps_in, "4x0e", irreps_out)
    species = torch.tensor([0, 3, 1, 1, 2])
    x = torch.randn(5, module.irreps_in1.dim)
    wanted = by_irrep(irreps_out, module(x, torch.nn.functional.one_hot(species, 4).to(x)))
    given = by_irrep(irreps_in, x)
    for ir, matrix in e3nn_maps.by_species(module).items():
        torch.testing.assert_close(given[ir] @ torch.from_numpy(matrix)[species], wanted[ir])


def test_network(e3nn_maps):
    module = e3nn_nn.FullyConnectedNet([3, 5, 4, 6], torch.nn.functional.silu)
    matrices, factor = e3nn_maps.network(module)
    x = torch.randn(7, 3)
    found = x
    for matrix in matrices[:-1]:
        found = factor * torch.nn.functional.silu(found @ torch.from_numpy(matrix))
    torch.testing.assert_close(found @ torch.from_numpy(matrices[-1]), module(x))


@pytest.mark.parametrize("sort", [False, True])
def test_paths(sort, e3nn_maps):
    x, y, out = e3nn_o3.Irreps("3x0e+2x1o"), e3nn_o3.Irreps("0e+1o+2e"), []
    instructions = []
    for i, (mul, a) in enumerate(x):
        for j, (_, b) in enumerate(y):
            for ir in a * b:
                instructions.append((i, j, len(out), "uvu", True))
                out.append((mul, ir))
    if sort:
        out, places, _ = e3nn_o3.Irreps(out).sort()
        instructions = [(i, j, places[k], *how) for i, j, k, *how in instructions]
    module = e3nn_o3.TensorProduct(x, y, out, instructions, shared_weights=False, internal_weights=False)
    listed, factors = e3nn_maps.paths(module)
    table = PathTable(
        Irreps(str(x)), Irreps(str(y)), tuple(CouplingPath(i, j, Irrep.parse(ir)) for i, j, ir in listed)
    )
    a, b, w = torch.randn(4, x.dim), torch.randn(4, y.dim), torch.randn(4, module.weight_numel)
    wanted = module(a, b, w)
    blocks = layout.split(table.irreps_in, layout.from_e3nn(table.irreps_in, a))
    place, found = 0, {}
    for path in table.paths:
        channels, ir = table.irreps_in[path.block_in]
        edge = table.irreps_edge[path.block_edge][1]
        coupling = torch.tensor(clebsch_gordan(ir.l, edge.l, path.ir_out.l))
        weight = w[:, place : place + channels] * torch.from_numpy(factors[place : place + channels])
        part = b[:, table.irreps_edge.slices()[path.block_edge]]
        product = torch.einsum("mnk,emc,en->ekc", coupling, blocks[path.block_in], part)
        found.setdefault(str(path.ir_out), []).append(product * weight.unsqueeze(1))
        place += channels
    expected = by_irrep(str(module.irreps_out), wanted)
    assert set(found) == set(expected)
    for ir, parts in found.items():
        torch.testing.assert_close(torch.cat(parts, dim=-1), expected[ir])
