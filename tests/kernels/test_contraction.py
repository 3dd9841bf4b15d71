"""The symmetric contraction: the compiled core against its plain-torch reference, and that against its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from cynosure.kernels import ContractionTable, contract, contract_reference, core, polynomial_coefficients
from cynosure.o3 import Irreps, equivariant_polynomials

needs_core = pytest.mark.skipif(not core.available(), reason="the compiled core is off or was not built")
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}
TABLES = {
    "MACE": ("0e+1o+2e+3o", "0e+1o", 3),
    "invariants": ("0e+1o+2e", "0e", 4),
    "both parities": ("0e+0o+1o+1e", "0e+0o+1o", 2),
    "SO(3)": ("0+1+2", "0+1+2", 3),
    "linear": ("0e+1o", "0e+1o", 1),
}
# Fewer channels than lanes, exactly as many, more; and a tail.
CHANNELS = (1, 5, 16, 40)


def table_of(name: str, channels: int) -> ContractionTable:
    irreps_in, irreps_out, order = TABLES[name]
    wide = [Irreps([(channels, ir) for _, ir in Irreps(irreps)]) for irreps in (irreps_in, irreps_out)]
    return ContractionTable(*wide, order)


def draw(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """The same numbers in every precision, but for rounding."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def inputs(
    table: ContractionTable, nodes: int = 23, num_species: int = 4, dtype: torch.dtype = torch.float64
):
    """x, coefficients, species; of the last species there is no node."""
    x = draw(nodes, table.irreps_in.dim, seed=0, dtype=dtype)
    weight = draw(num_species, table.tree.num_paths, table.channels, seed=1, dtype=dtype)
    species = torch.randint(0, max(num_species - 1, 1), (nodes,), generator=torch.Generator().manual_seed(2))
    return x, polynomial_coefficients(weight, table), species


@pytest.fixture
def derivatives(differentiate):
    """The value, its derivatives, and theirs, each along random cotangents."""

    def take(function, table, x, coefficients, species, order: int = 3) -> list[Tensor]:
        return differentiate(lambda x, c: function(x, c, species, table), [x, coefficients.detach()], order)

    return take


def assert_agree(found, expected, tolerance: float) -> None:
    for value, reference in zip(found, expected, strict=True):
        assert value.shape == reference.shape
        if reference.numel():
            assert float((value - reference).abs().max()) <= tolerance * float(reference.abs().max())


@needs_core
def test_cotangents_that_depend_on_the_features():
    table = table_of("MACE", 4)
    start, coefficients, species = inputs(table, nodes=5)

    def derivatives(function):
        x = start.clone().requires_grad_()
        energy = (function(x, coefficients.detach(), species, table) ** 2).sum(dim=1) * x.square().sum(dim=1)
        (first,) = torch.autograd.grad(energy.sum(), x, create_graph=True)
        (second,) = torch.autograd.grad((first * draw(*x.shape, seed=3)).sum(), x, create_graph=True)
        (third,) = torch.autograd.grad((second**2).sum(), x)
        return [value.detach() for value in (first, second, third)]

    assert_agree(derivatives(contract), derivatives(contract_reference), 1e-10)


@needs_core
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("name", TABLES)
def test_agrees_with_the_reference_to_third_order(name, channels, dtype, derivatives):
    table = table_of(name, channels)
    exact = derivatives(contract_reference, table, *inputs(table))
    assert_agree(derivatives(contract, table, *inputs(table, dtype=dtype)), exact, TOLERANCE[dtype])


@pytest.mark.parametrize("name", TABLES)
def test_the_reference_is_the_sum_over_monomials(name):
    table = table_of(name, 3)
    x, _, species = inputs(table)
    weight = draw(4, table.tree.num_paths, 3, seed=1)
    found = contract_reference(x, polynomial_coefficients(weight, table), species, table)
    features, single = x.unflatten(1, (-1, 3)).numpy(), Irreps([(1, ir) for _, ir in table.irreps_in])
    rows, first = [], 0
    for _, ir in table.irreps_out:
        total = np.zeros((len(x), ir.dim, 3))
        for degree in range(1, table.order + 1):
            basis = equivariant_polynomials(single, ir, degree)
            chosen = weight.numpy()[species, first : first + len(basis.coefficients)]
            products = np.prod(features[:, basis.monomials], axis=2)
            total += np.einsum("bmk,nbc,nkc->nmc", basis.coefficients, chosen, products)
            first += len(basis.coefficients)
        rows.append(total.reshape(len(x), -1))
    np.testing.assert_allclose(found.numpy(), np.concatenate(rows, axis=1), rtol=0, atol=1e-11)


@needs_core
@pytest.mark.parametrize("isa", core.module().isas() if core.available() else ["none"])
def test_every_instruction_set_agrees(isa, rerun_under):
    rerun_under(isa, __file__, "third_order and (MACE or SO)")


@needs_core
def test_threads_change_nothing(derivatives):
    table = table_of("MACE", 40)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(derivatives(contract, table, *inputs(table, nodes=200), order=2))
    finally:
        torch.set_num_threads(before)
    for result in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(result, results[0], strict=True))


@pytest.mark.parametrize("name", TABLES)
def test_derivatives_are_those_of_finite_differences(name):
    table = table_of(name, 2)
    x, coefficients, species = inputs(table, nodes=3, num_species=2)
    arguments = (0.5 * x.requires_grad_(), coefficients.detach().requires_grad_())

    def function(x: Tensor, coefficients: Tensor) -> Tensor:
        return contract(x, coefficients, species, table)

    assert gradcheck(function, arguments, fast_mode=True)
    assert gradgradcheck(function, arguments, fast_mode=True)


@needs_core
def test_registered_as_torch_wants_it():
    table = table_of("both parities", 3)
    x, coefficients, species = inputs(table, nodes=4)
    x, coefficients = x.requires_grad_(), coefficients.detach().requires_grad_()
    g = draw(4, table.irreps_out.dim, seed=5).requires_grad_()
    ux, uc = draw(*x.shape, seed=6), draw(*coefficients.shape, seed=7)
    operators = torch.ops.cynosure
    torch.library.opcheck(operators.contract, (x, coefficients, species, table.key))
    for wanted in ([True, True], [True, False], [False, True]):
        torch.library.opcheck(operators.contract_gradients, (g, x, coefficients, species, table.key, wanted))
    for wanted in ([True, True, True], [True, False, False], [False, False, True]):
        torch.library.opcheck(
            operators.contract_second, (ux, uc, g, x, coefficients, species, table.key, wanted)
        )


def test_empty_and_strided_input(derivatives):
    table = table_of("MACE", 5)
    x, coefficients, species = inputs(table)
    for value in derivatives(contract, table, x[:0], coefficients, species[:0], order=2):
        assert bool((value == 0).all())
    strided = x.T.contiguous().T
    assert not strided.is_contiguous()
    assert torch.equal(
        contract(strided, coefficients, species, table), contract(x, coefficients, species, table)
    )


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("x", lambda t: t[:, 1:], r"'x' has shape \(23, 79\); \(any, 80\)"),
        ("x", lambda t: t[0], r"'x' has shape \(80,\)"),
        ("coefficients", lambda t: t[:, 1:], r"'coefficients' has shape"),
        (
            "coefficients",
            lambda t: t.float(),
            r"'coefficients' is torch.float32 on cpu; 'x' is torch.float64",
        ),
        ("species", lambda t: t[1:], r"'species' is torch.int64 \(22,\)"),
        ("species", lambda t: t.int(), r"'species' is torch.int32"),
    ],
)
def test_a_wrong_argument_is_named(name, change, message):
    table = table_of("MACE", 5)
    arguments = dict(zip(("x", "coefficients", "species"), inputs(table), strict=True))
    arguments[name] = change(arguments[name])
    with pytest.raises(ValueError, match=message):
        contract(**arguments, table=table)


@needs_core
@pytest.mark.parametrize("wrong", [-1, 4])
def test_a_species_out_of_range_is_named(wrong):
    table = table_of("MACE", 5)
    x, coefficients, species = inputs(table)
    species[7] = wrong
    with pytest.raises(ValueError, match=f"'species' is {wrong} at node 7; there are 4"):
        contract(x, coefficients, species, table)


def test_tables_that_make_no_sense():
    with pytest.raises(ValueError, match="no polynomial of 2x1o up to degree 1 leads to 0e"):
        ContractionTable(Irreps("2x1o"), Irreps("2x0e"), 1)
    with pytest.raises(ValueError, match="has an irrep twice"):
        ContractionTable(Irreps("2x1o+2x1o"), Irreps("2x0e"), 2)
    with pytest.raises(ValueError, match="2 channels of each irrep"):
        ContractionTable(Irreps("2x0e+2x1o"), Irreps("3x0e"), 2)
    with pytest.raises(ValueError, match="order 0"):
        ContractionTable(Irreps("2x0e"), Irreps("2x0e"), 0)
    table = table_of("MACE", 5)
    assert ContractionTable.parse(table.key) == table
