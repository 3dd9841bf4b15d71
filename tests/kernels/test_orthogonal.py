"""The matrices that Muon moves along: singular vectors of the input, singular values about one, core as reference."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cynosure.kernels import core, orthogonal, orthogonal_reference

SHAPES = [(32, 32), (3, 17, 32), (64, 24), (2, 3, 8, 96), (1, 5), (5, 1)]


def matrices(dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in SHAPES]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_core_agrees_with_the_reference(dtype):
    factors = [1.0, -0.5, 2.0, 1e-3, 3.0, 1.0]
    tolerance = 1e-12 if dtype == torch.float64 else 2e-4
    inputs = matrices(dtype)
    for got, want, factor in zip(
        orthogonal(inputs, factors), orthogonal_reference(inputs, factors), factors, strict=True
    ):
        assert got.shape == want.shape
        assert got.dtype == dtype
        torch.testing.assert_close(got, want, rtol=0, atol=tolerance * abs(factor))


@settings(deadline=None, derandomize=True, max_examples=30)
@given(
    rows=st.integers(1, 20), columns=st.integers(1, 20), size=st.floats(1e-8, 1e8), seed=st.integers(0, 99)
)
def test_singular_vectors_stay_and_singular_values_become_about_one(rows, columns, size, seed):
    generator = torch.Generator().manual_seed(seed)
    left, right = (
        torch.linalg.qr(torch.randn(n, min(rows, columns), generator=generator, dtype=torch.float64))[0]
        for n in (rows, columns)
    )
    values = 0.05 + 0.95 * torch.rand(min(rows, columns), generator=generator, dtype=torch.float64)
    (found,) = orthogonal([size * (left * values) @ right.mT], [1.0])
    inner = left.mT @ found @ right
    torch.testing.assert_close(inner, torch.diag(inner.diagonal()), rtol=0, atol=1e-10)
    torch.testing.assert_close(left @ inner @ right.mT, found, rtol=0, atol=1e-10)
    assert inner.diagonal().min() > 0.68
    assert inner.diagonal().max() < 1.14


def test_zeros_stay_zero_and_nothing_is_nothing():
    (found,) = orthogonal([torch.zeros(2, 9, 9)], [1.0])
    assert not found.any()
    assert orthogonal([], []) == []


def test_inputs_need_not_be_contiguous():
    (whole,) = matrices()[:1]
    (found,) = orthogonal([whole.mT], [1.0])
    torch.testing.assert_close(found, orthogonal([whole], [1.0])[0].mT, rtol=0, atol=1e-12)


@pytest.mark.skipif(not core.available(), reason="the compiled core is off or was not built")
def test_threads_agree_bit_by_bit(set_threads):
    inputs = [torch.randn(40, 64, 64, generator=torch.Generator().manual_seed(0))]
    set_threads(1)
    (one,) = orthogonal(inputs, [1.0])
    set_threads(2)
    (two,) = orthogonal(inputs, [1.0])
    assert torch.equal(one, two)


@pytest.mark.skipif(not core.available(), reason="the compiled core is off or was not built")
@pytest.mark.parametrize("isa", core.module().isas() if core.available() else ["none"])
def test_every_instruction_set_agrees(isa, rerun_under):
    rerun_under(isa, __file__, "agrees_with_the_reference")
