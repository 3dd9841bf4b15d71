"""Tables of radial functions: as exact as they say, and twice continuously differentiable."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.polynomial import chebyshev

from cynosure.kernels.radial_table import tabulate

CUTOFF = 5.0


def functions(r: torch.Tensor) -> torch.Tensor:
    """Six smooth functions, none of them a polynomial."""
    k = torch.arange(1, 7, dtype=r.dtype)
    return torch.sin(k * r.unsqueeze(-1)) * torch.exp(-r.unsqueeze(-1) / 2) + torch.tanh(
        r.unsqueeze(-1) - k / 2
    )


def weights() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(6, 20))


def at(table, r: float, order: int = 0) -> np.ndarray:
    """The table's weights at a distance, or their derivative, from the interval below."""
    interval = min(int(np.ceil(r / table.step)) - 1, len(table.weight) - 1) if r else 0
    t = 2 * (r / table.step - interval) - 1
    series = chebyshev.chebder(table.weight[interval], order) if order else table.weight[interval]
    return chebyshev.chebval(t, series) * (2 / table.step) ** order


@pytest.mark.parametrize(("terms", "tolerance"), [(6, 1e-4), (10, 2e-6), (16, 1e-12)])
def test_value_and_slope_are_within_the_tolerance(terms, tolerance):
    table = tabulate(functions, weights(), CUTOFF, terms, tolerance)
    assert table.weight.shape[1:] == (terms, 20)
    assert table.step * len(table.weight) == pytest.approx(CUTOFF)
    r = torch.linspace(0.001, CUTOFF, 999, dtype=torch.float64, requires_grad=True)
    exact = functions(r) @ torch.from_numpy(weights())
    slopes = torch.stack(
        [torch.autograd.grad(column.sum(), r, retain_graph=True)[0] for column in exact.unbind(1)], dim=1
    )
    scale = float(exact.detach().norm(dim=1).max())
    for place, value, slope in zip(r.tolist(), exact.detach().numpy(), slopes.numpy(), strict=True):
        assert np.linalg.norm(at(table, place) - value) <= 1.1 * tolerance * scale
        assert 0.5 * np.linalg.norm(at(table, place, 1) - slope) <= 1.1 * tolerance * scale
    # Not better than asked by orders of magnitude either: intervals are as few as they can be.
    assert table.error <= tolerance


def test_two_derivatives_are_continuous_at_the_knots():
    table = tabulate(functions, weights(), CUTOFF, 10, 1e-5)
    for interval in range(len(table.weight) - 1):
        for order in range(3):
            left, right = (
                chebyshev.chebval(t, chebyshev.chebder(table.weight[i], order) if order else table.weight[i])
                for t, i in ((1, interval), (-1, interval + 1))
            )
            np.testing.assert_allclose(left, right, rtol=0, atol=1e-12 * np.abs(table.weight).max())


def test_a_function_with_a_kink_is_refused():
    with pytest.raises(ValueError, match="are the radial functions smooth"):
        tabulate(lambda r: (r.unsqueeze(-1) - 2.3).abs(), np.ones((1, 1)), CUTOFF, 10, 1e-6)


def test_weights_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        tabulate(functions, weights() * np.nan, CUTOFF, 10, 1e-6)


def test_weights_that_vanish_are_a_table_of_zeros():
    assert not tabulate(functions, 0 * weights(), CUTOFF, 10, 1e-6).weight.any()


def kinked(r: torch.Tensor) -> torch.Tensor:
    """Functions whose curvature jumps at 4.5 Å."""
    return functions(r) * (1 + (r - 4.5).clamp(min=0.0).square().unsqueeze(-1))


@pytest.mark.parametrize(("terms", "tolerance"), [(10, 2e-6), (16, 1e-12)])
def test_a_break_is_a_knot_with_two_sides(terms, tolerance):
    table = tabulate(kinked, weights(), CUTOFF, terms, tolerance, breaks=(4.5,))
    knot = 4.5 / table.step
    assert knot == pytest.approx(round(knot), abs=1e-9)
    below, above = table.weight[round(knot) - 1], table.weight[round(knot)]
    curvature = (2 / table.step) ** 2
    left = chebyshev.chebval(1, chebyshev.chebder(below, 2)) * curvature
    right = chebyshev.chebval(-1, chebyshev.chebder(above, 2)) * curvature
    jump = 2 * functions(torch.tensor([4.5], dtype=torch.float64)).numpy() @ weights()
    np.testing.assert_allclose(right - left, jump[0], rtol=1e-6, atol=1e-6)
    for order in range(2):
        ends = [
            chebyshev.chebval(t, chebyshev.chebder(side, order) if order else side)
            for t, side in ((1, below), (-1, above))
        ]
        np.testing.assert_allclose(ends[0], ends[1], rtol=0, atol=1e-11)
    assert len(table.weight) <= 2 * len(tabulate(functions, weights(), CUTOFF, terms, tolerance).weight)


def test_a_break_that_cannot_be_a_knot():
    with pytest.raises(ValueError, match="cannot be knots"):
        tabulate(kinked, weights(), CUTOFF, 10, 1e-6, breaks=(4.5 / 1.0123456,))
