"""Radial functions: smooth to second order at the cutoff, finite at zero, of unit mean square."""

import math

import pytest
import torch

from cynosure.nn import Activation, Envelope, RadialBasis, RadialNetwork, SwitchingEnvelope

KINDS = ["bessel", "gaussian", "chebyshev"]


def derivatives(function, at: float, order: int) -> list[torch.Tensor]:
    """[function, first derivative, …] at one point, by automatic differentiation."""
    r = torch.tensor(at, dtype=torch.float64, requires_grad=True)
    outputs = function(r).reshape(-1)
    rows = []
    for value in outputs:
        row = [value]
        for _ in range(order):
            (value,) = torch.autograd.grad(value, r, create_graph=True)
            row.append(value)
        rows.append(torch.stack(row))
    return list(torch.stack(rows, dim=1).detach())


@pytest.mark.parametrize("power", [3, 6, 10])
def test_envelope_vanishes_to_second_order_at_the_cutoff(power):
    envelope = Envelope(4.0, power)
    for value in derivatives(envelope, 4.0 - 1e-9, 2):
        assert abs(float(value)) < 1e-5
    for value in derivatives(envelope, 4.0 + 1e-9, 2):
        assert float(value) == 0.0
    assert float(envelope(torch.tensor(0.0))) == 1.0


def test_switching_envelope_falls_between_two_distances():
    envelope = SwitchingEnvelope(5.0, 4.5)
    assert envelope(torch.tensor([0.0, 4.4, 5.0, 7.0])).tolist() == [1, 1, 0, 0]
    # The formula as it stands in X-PLOR's manual.
    r, on, off = torch.linspace(4.5, 5.0, 7, dtype=torch.float64), 4.5**2, 5.0**2
    torch.testing.assert_close(
        envelope(r), (off - r**2) ** 2 * (off + 2 * r**2 - 3 * on) / (off - on) ** 3, rtol=1e-12, atol=1e-12
    )
    for at in (4.5, 5.0):
        sides = [derivatives(envelope, at + shift, 2) for shift in (-1e-9, 1e-9)]
        for below, above in zip(sides[0][:2], sides[1][:2], strict=True):
            assert abs(float(below - above)) < 1e-6
        assert abs(float(sides[0][2] - sides[1][2])) > 1, "its curvature jumps: tables must know"


def test_learned_frequencies_start_as_those_that_are_not():
    r = torch.linspace(0, 5, 23, dtype=torch.float64)
    plain, learned = RadialBasis(5.0, 6), RadialBasis(5.0, 6, learned=True).double()
    torch.testing.assert_close(learned(r), plain(r), rtol=1e-6, atol=1e-6)  # (made in float32)
    assert [name for name, _ in learned.named_parameters()] == ["frequencies"]


@pytest.mark.parametrize("kind", KINDS)
def test_basis_vanishes_to_second_order_at_the_cutoff(kind):
    basis = RadialBasis(5.0, 6, kind)
    value, slope, curvature = derivatives(basis, 5.0 - 1e-7, 2)
    assert float(value.abs().max()) < 1e-15
    assert float(slope.abs().max()) < 1e-9
    assert float(curvature.abs().max()) < 1e-2  # linear in the distance to the cutoff
    for value in derivatives(basis, 5.0 + 1e-7, 2):
        assert float(value.abs().max()) == 0.0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at", [0.0, 1e-300, 1e-8, 2.5, 5.0, 7.0])
def test_derivatives_to_fourth_order_are_finite(kind, at):
    for value in derivatives(RadialBasis(5.0, 4, kind), at, 4):
        assert torch.isfinite(value).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [1, 2, 8])
def test_mean_square_is_one(kind, number):
    basis = RadialBasis(3.0, number, kind)
    r = torch.linspace(0, 3, 20001, dtype=torch.float64)
    mean = torch.trapezoid(basis(r).square() / 3, r, dim=0)
    torch.testing.assert_close(mean, torch.ones(number, dtype=torch.float64), rtol=1e-6, atol=0)


def test_the_functions_are_those_of_the_docstring():
    r = torch.tensor([0.3, 1.7, 2.9], dtype=torch.float64)
    envelope = Envelope(3.0)(r)
    definitions = {
        "bessel": lambda n: torch.sin((n + 1) * math.pi * r / 3) / r,
        "gaussian": lambda n: torch.exp(-((r - n) ** 2) / 2),  # four functions to 3 Å: spacing 1 Å
        "chebyshev": lambda n: torch.cos(n * torch.arccos(2 * r / 3 - 1)),
    }
    for kind, definition in definitions.items():
        values = RadialBasis(3.0, 4, kind)(r)
        for n in range(4):
            ratio = values[:, n] / (definition(n) * envelope)
            torch.testing.assert_close(ratio, ratio[:1].expand(3), rtol=1e-12, atol=0)


def test_network_keeps_the_smooth_cutoff():
    basis, network = RadialBasis(5.0, 8), RadialNetwork(8, (16, 4)).double()
    composed = lambda r: network(basis(r.reshape(1)))  # noqa: E731
    for value, bound in zip(derivatives(composed, 5.0 - 1e-7, 2), (1e-15, 1e-8, 1e-1), strict=True):
        assert float(value.abs().max()) < bound


@pytest.mark.parametrize("name", ["silu", "tanh", "sigmoid"])
def test_activation_has_unit_second_moment(name):
    z = torch.linspace(-10, 10, 100001, dtype=torch.float64)
    density = torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)
    assert abs(float(torch.trapezoid(Activation(name)(z).square() * density, z)) - 1) < 1e-8


def test_a_module_that_went_through_float32_loses_nothing():
    r = torch.linspace(0.1, 4.9, 7, dtype=torch.float64)
    basis = RadialBasis(5.0, 8)
    before = basis(r)
    torch.testing.assert_close(basis.float().double()(r), before, rtol=0, atol=0)


def test_errors():
    with pytest.raises(ValueError, match="must be positive"):
        Envelope(0.0)
    with pytest.raises(ValueError, match="power is 2"):
        Envelope(1.0, 2)
    with pytest.raises(ValueError, match="0 < start < cutoff"):
        SwitchingEnvelope(5.0, 5.0)
    with pytest.raises(ValueError, match="no frequencies"):
        RadialBasis(5.0, 8, "gaussian", learned=True)
    with pytest.raises(ValueError, match="no radial basis 'sinus'"):
        RadialBasis(5.0, 8, "sinus")
    with pytest.raises(ValueError, match="at least 1"):
        RadialBasis(5.0, 0)
    with pytest.raises(ValueError, match="hidden layer"):
        RadialNetwork(8, ())
