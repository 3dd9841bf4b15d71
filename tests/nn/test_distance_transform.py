"""Distances by the sizes of atoms: the published formulas, limits, and derivatives at zero."""

import pytest
import torch

from cynosure.nn import Agnesi, RadialBasis, Soft

SIZES = torch.tensor([0.62, 1.42, 2.72], dtype=torch.float64)[:, None]


def test_agnesi_is_the_published_curve():
    r = torch.linspace(0.05, 6, 40, dtype=torch.float64)
    u = r / (SIZES / 2)
    expected = 1 / (1 + 1.0805 * u**0.9183 / (1 + u ** (0.9183 - 4.5791)))
    found = Agnesi()(r, SIZES)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=0)
    assert bool((found.diff(dim=1) < 0).all())
    assert float(found.min()) > 0
    assert float(found.max()) < 1


def test_soft_is_the_distance_beyond_bonds_and_constant_below():
    transform = Soft()
    far, near = 4 * SIZES, 0.05 * SIZES
    torch.testing.assert_close(transform(far, SIZES), far, rtol=1e-6, atol=0)
    torch.testing.assert_close(transform(near, SIZES), 3 / 4 * SIZES, rtol=1e-3, atol=0)
    middle = (3 / 4 + 4 / 3) / 2 * SIZES  # half of the way
    torch.testing.assert_close(transform(middle, SIZES), (3 / 4 * SIZES + middle) / 2, rtol=1e-13, atol=0)


@pytest.mark.parametrize("transform", [Agnesi(), Soft()])
@pytest.mark.parametrize("kind", ["bessel", "gaussian", "chebyshev"])
def test_functions_of_it_have_two_derivatives_everywhere(transform, kind):
    basis = RadialBasis(5.0, 4, kind, transform=transform)
    r = torch.linspace(0, 5, 11, dtype=torch.float64, requires_grad=True)
    for size in (0.62, 2.72):
        value = basis(r, torch.tensor(size, dtype=torch.float64)).sum()
        for _ in range(2):
            (value,) = torch.autograd.grad(value, r, create_graph=True)
            assert bool(value.isfinite().all())
            value = value.sum()
        assert float(basis(r[-1:].detach(), torch.tensor(size, dtype=torch.float64)).abs().max()) == 0
