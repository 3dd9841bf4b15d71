import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import eval_legendre, sph_harm_y
from torch.autograd import gradcheck, gradgradcheck

from cynosure.o3 import random_rotation, spherical_harmonics, wigner_D

LMAX = 12
coordinate = st.floats(-10, 10, allow_subnormal=False)
vector = st.tuples(coordinate, coordinate, coordinate).filter(lambda v: sum(abs(x) for x in v) > 1e-3)
quick = settings(deadline=None, derandomize=True, max_examples=25)


def legendre_derivative(degree: int, order: int) -> list[Fraction]:
    """Coefficients, lowest power first, of the m-th derivative of P_l, by Rodrigues: d^{l+m}(t² − 1)^l / (2^l l!)."""
    powers = [Fraction(0)] * (2 * degree + 1)
    for k in range(degree + 1):
        powers[2 * k] = Fraction(
            math.comb(degree, k) * (-1) ** (degree - k), 2**degree * math.factorial(degree)
        )
    for _ in range(degree + order):
        powers = [power * coefficient for power, coefficient in enumerate(powers)][1:]
    return powers


def exact_harmonic(degree: int, component: int, point: tuple[Fraction, Fraction, Fraction]) -> float:
    """Y_lμ at a rational point of the unit sphere, rational until the one square root of its norm."""
    x, y, z = point
    order = abs(component)
    real, imaginary = Fraction(1), Fraction(0)
    for _ in range(order):
        real, imaginary = z * real - x * imaginary, x * real + z * imaginary
    polar = sum(c * y**power for power, c in enumerate(legendre_derivative(degree, order)))
    value = polar * (real if component >= 0 else imaginary)
    square = Fraction(
        (2 * degree + 1) * (2 if order else 1) * math.factorial(degree - order),
        math.factorial(degree + order),
    )
    return math.copysign(math.sqrt(square * value**2), value)


def random_vectors(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize(
    "numerators", [(2, -1, 2, 3), (-3, 4, 12, 13), (6, 2, 3, 7), (0, 3, 4, 5), (0, 1, 0, 1), (20, -4, 5, 21)]
)
def test_every_component_against_exact_rational_arithmetic(numerators, normalize):
    *numbers, length = numerators
    point = tuple(Fraction(number, length) for number in numbers)
    assert sum(x * x for x in point) == 1
    harmonics = spherical_harmonics(
        range(LMAX + 1), torch.tensor(list(map(float, point)), dtype=torch.float64), normalize
    )
    exact = [exact_harmonic(l, m, point) for l in range(LMAX + 1) for m in range(-l, l + 1)]
    np.testing.assert_allclose(harmonics.numpy(), exact, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("degree", range(LMAX + 1))
def test_against_scipy(degree):
    vectors = random_vectors(200)
    x, y, z = vectors.numpy().T
    polar, azimuth = np.arctan2(np.hypot(x, z), y), np.arctan2(x, z)
    columns = []
    for component in range(-degree, degree + 1):
        order = abs(component)
        value = (-1) ** order * math.sqrt(4 * math.pi) * sph_harm_y(degree, order, polar, azimuth)
        factor = 1 if order == 0 else math.sqrt(2)
        columns.append(factor * (value.imag if component < 0 else value.real))
    expected = np.stack(columns, axis=-1)
    np.testing.assert_allclose(spherical_harmonics(degree, vectors).numpy(), expected, rtol=1e-12, atol=1e-12)


def test_low_degrees_are_the_vectors_themselves():
    vectors = random_vectors(4)
    np.testing.assert_array_equal(spherical_harmonics(0, vectors), torch.ones(4, 1))
    np.testing.assert_allclose(
        spherical_harmonics(1, vectors, normalize=False), math.sqrt(3) * vectors, rtol=1e-15
    )


@quick
@given(vector, vector)
def test_addition_theorem(first, second):
    a, b = torch.tensor([first, second], dtype=torch.float64)
    cosine = float(a @ b / (a.norm() * b.norm()))
    for degree in range(LMAX + 1):
        product = float(spherical_harmonics(degree, a) @ spherical_harmonics(degree, b))
        assert product == pytest.approx((2 * degree + 1) * eval_legendre(degree, cosine), abs=1e-11)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("degree", range(LMAX + 1))
def test_equivariant_under_rotation_and_inversion(degree, normalize, generator):
    rotation, vectors = random_rotation(20, generator=generator), random_vectors(20, seed=1)
    if not normalize:
        vectors = vectors / 2  # solid harmonics of degree 12 stay of order one
    harmonics = spherical_harmonics(degree, vectors, normalize)
    turned = spherical_harmonics(degree, torch.einsum("nij,nj->ni", rotation, vectors), normalize)
    expected = torch.einsum("nij,nj->ni", wigner_D(degree, rotation), harmonics)
    scale = harmonics.abs().max()
    torch.testing.assert_close(turned, expected, rtol=0, atol=float(1e-13 * scale))
    torch.testing.assert_close(
        spherical_harmonics(degree, -vectors, normalize), (-1) ** degree * harmonics, rtol=0, atol=0
    )


@pytest.mark.parametrize("degree", range(7))
def test_solid_harmonics_are_homogeneous_and_harmonic(degree):
    point = random_vectors(seed=degree)
    torch.testing.assert_close(
        spherical_harmonics(degree, 1.7 * point, normalize=False),
        1.7**degree * spherical_harmonics(degree, point, normalize=False),
    )
    torch.testing.assert_close(
        spherical_harmonics(degree, point, normalize=False),
        point.norm() ** degree * spherical_harmonics(degree, point),
    )
    hessians = torch.func.jacrev(
        torch.func.jacrev(lambda r: spherical_harmonics(degree, r, normalize=False))
    )(point)
    laplacian = hessians.diagonal(dim1=-2, dim2=-1).sum(-1)
    torch.testing.assert_close(laplacian, torch.zeros_like(laplacian), rtol=0, atol=1e-11)


def directional_derivatives(function, point, direction, order):
    """The first to `order`-th derivatives of a scalar function at `point` along `direction`, with the gradients."""
    point = point.clone().requires_grad_()
    value = (
        function(point) + 0 * point.pow(order + 1).sum()
    )  # a polynomial's last derivative still has a graph
    for _ in range(order):
        (gradient,) = torch.autograd.grad(value, point, create_graph=True)
        value = gradient @ direction
        yield gradient, value


def weights(count, dtype=torch.float64):
    return torch.linspace(0.5, 1.5, count, dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_zero_vector_has_no_direction_and_zero_derivatives(dtype):
    zero = torch.zeros(3, dtype=dtype)
    harmonics = spherical_harmonics([0, 1, 2, 3], zero)
    expected = torch.zeros(16, dtype=dtype)
    expected[0] = 1
    torch.testing.assert_close(harmonics, expected, rtol=0, atol=0)

    def mixed(point):
        return spherical_harmonics([0, 1, 2, 3], point).pow(2) @ weights(16, dtype)

    direction = torch.tensor([1.0, 2.0, 3.0], dtype=dtype)
    for gradient, _ in directional_derivatives(mixed, zero, direction, 4):
        assert torch.equal(gradient, zero)


@pytest.mark.parametrize("degree", [1, 2, 3, 4])
def test_solid_harmonics_have_their_derivatives_at_zero(degree):
    """A homogeneous polynomial of degree l: only its l-th derivative at zero is not zero, and that is l! Y_l(a)."""
    direction = torch.tensor([0.4, -0.7, 1.1], dtype=torch.float64)
    weight = weights(2 * degree + 1)

    def mixed(point):
        return spherical_harmonics(degree, point, normalize=False) @ weight

    zero = torch.zeros(3, dtype=torch.float64)
    for order, (gradient, value) in enumerate(directional_derivatives(mixed, zero, direction, 4), start=1):
        expected = math.factorial(degree) * mixed(direction) if order == degree else torch.zeros(())
        assert bool(gradient.isfinite().all())
        assert value.item() == pytest.approx(float(expected), rel=1e-13, abs=1e-14)


@pytest.mark.parametrize("normalize", [True, False])
def test_a_zero_vector_leaves_its_neighbours_alone(normalize):
    def gradients(vectors):
        vectors = vectors.clone().requires_grad_()
        energy = spherical_harmonics(range(4), vectors, normalize).pow(3).sum()
        (force,) = torch.autograd.grad(energy, vectors, create_graph=True)
        (second,) = torch.autograd.grad(force.pow(2).sum(), vectors)
        return force.detach(), second

    vectors = random_vectors(5)
    with_zero = vectors.clone()
    with_zero[2] = 0
    others = [0, 1, 3, 4]
    for alone, together in zip(gradients(vectors[others]), gradients(with_zero), strict=True):
        assert bool(together.isfinite().all())
        torch.testing.assert_close(together[others], alone, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("length", [1e-45, 1e-40, 1e-38, 1e-30, 1e-20, 2e-16, 1e-10])
def test_derivatives_of_directions_are_finite_down_to_the_smallest_float(length):
    point, direction = torch.tensor([0.0, length, -length]), torch.tensor([1.0, -2.0, 3.0])
    for l in range(LMAX + 1):
        weight = weights(2 * l + 1, torch.float32)
        along = directional_derivatives(lambda r: spherical_harmonics(l, r) @ weight, point, direction, 2)  # noqa: B023
        assert all(bool(gradient.isfinite().all()) for gradient, _ in along)


def test_directions_do_not_depend_on_length():
    direction = random_vectors()
    expected = spherical_harmonics(range(LMAX + 1), direction)
    for length in (1e-150, 1e-10, 1e10, 1e300):
        torch.testing.assert_close(spherical_harmonics(range(LMAX + 1), length * direction), expected)


@pytest.mark.parametrize("normalize", [True, False])
def test_autograd_to_second_order(normalize):
    vectors = random_vectors(2).requires_grad_()

    def harmonics(r):
        return spherical_harmonics([3, 0, 2, 1, 5], r, normalize)

    assert gradcheck(harmonics, vectors)
    assert gradgradcheck(harmonics, vectors)


@pytest.mark.parametrize("normalize", [True, False])
def test_degree_zero_alone_has_a_derivative_of_zero(normalize):
    vectors = random_vectors(4).requires_grad_()
    (gradient,) = torch.autograd.grad(spherical_harmonics(0, vectors, normalize).sum(), vectors)
    assert torch.equal(gradient, torch.zeros_like(vectors))


def test_degrees_stand_in_the_order_asked():
    vectors = random_vectors(3)
    expected = [spherical_harmonics(degree, vectors) for degree in (3, 0, 1, 1)]
    torch.testing.assert_close(
        spherical_harmonics([3, 0, 1, 1], vectors), torch.cat(expected, dim=-1), rtol=0, atol=0
    )


@pytest.mark.parametrize("shape", [(), (1,), (0,), (4, 5), (2, 0, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_leading_axes_and_dtype_are_kept(shape, dtype):
    vectors = random_vectors(*shape).to(dtype)
    harmonics = spherical_harmonics([0, 1, 2], vectors)
    assert harmonics.shape == (*shape, 9)
    assert harmonics.dtype == dtype
    flat = spherical_harmonics([0, 1, 2], vectors.reshape(-1, 3))
    torch.testing.assert_close(harmonics.reshape(-1, 9), flat, rtol=0, atol=0)


def test_memory_layout_does_not_matter():
    vectors = random_vectors(4, 5)
    strided = vectors.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    assert not strided.is_contiguous()
    torch.testing.assert_close(
        spherical_harmonics([1, 4], strided), spherical_harmonics([1, 4], vectors), rtol=0, atol=0
    )


def test_float32_is_as_exact_as_float32_can_be():
    vectors = random_vectors(500)
    vectors = vectors.float()
    exact = spherical_harmonics(range(LMAX + 1), vectors.double())
    torch.testing.assert_close(
        spherical_harmonics(range(LMAX + 1), vectors).double(), exact, rtol=0, atol=2e-5
    )


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"shape \(5, 4\)"):
        spherical_harmonics(1, torch.ones(5, 4))
    with pytest.raises(ValueError, match=r"shape \(\)"):
        spherical_harmonics(1, torch.tensor(1.0))
    for dtype in (torch.int64, torch.complex64, torch.float16):
        with pytest.raises(ValueError, match=str(dtype)):
            spherical_harmonics(1, torch.ones(5, 3, dtype=dtype))
    with pytest.raises(ValueError, match="-1"):
        spherical_harmonics([0, -1], torch.ones(5, 3))
    with pytest.raises(ValueError, match="no degree"):
        spherical_harmonics([], torch.ones(5, 3))
