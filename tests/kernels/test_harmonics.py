"""Spherical harmonics of all degrees: the compiled core against its plain-torch reference, and their identities."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from cynosure.kernels import core
from cynosure.kernels.harmonics import MAX_DEGREE, spherical_harmonics, spherical_harmonics_reference
from cynosure.o3 import random_rotation, wigner_D

needs_core = pytest.mark.skipif(not core.available(), reason="the compiled core is off or was not built")
both = pytest.mark.parametrize("normalize", [True, False])
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}
# Fewer vectors than lanes, exactly as many, one more; and several blocks.
COUNTS = (1, 3, 8, 16, 17, 100)


def draw(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """The same numbers in every precision, but for rounding."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@pytest.fixture
def derivatives(differentiate):
    """The value and its derivatives: to the vectors; of that to cotangent and vectors; of those to all three."""

    def take(function, lmax: int, vectors: torch.Tensor, normalize: bool, order: int = 3):
        return differentiate(lambda r: function(lmax, r, normalize), [vectors], order)

    return take


def assert_agree(found, expected, tolerance: float) -> None:
    for value, reference in zip(found, expected, strict=True):
        assert value.shape == reference.shape
        assert bool(value.isfinite().all())
        assert float((value - reference).abs().max()) <= tolerance * float(reference.abs().max())


@needs_core
@both
@pytest.mark.parametrize("lmax", [*range(7), MAX_DEGREE])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_agrees_with_the_reference_to_third_order(dtype, lmax, normalize, derivatives):
    for count in COUNTS:
        vectors = draw(count, 3, seed=count, dtype=dtype)
        expected = derivatives(spherical_harmonics_reference, lmax, vectors.double(), normalize)
        found = derivatives(spherical_harmonics, lmax, vectors, normalize)
        assert all(value.dtype == dtype for value in found)
        assert_agree(found, expected, TOLERANCE[dtype])


@needs_core
def test_cotangents_that_depend_on_the_vectors():
    """A Hessian and its derivatives, as of an energy: cotangents are functions of the vectors too."""

    def derivatives(function):
        vectors = draw(4, 3, seed=0).requires_grad_()
        energy = (function(3, vectors, True) ** 3).sum(dim=1) * vectors.square().sum(dim=1)
        (force,) = torch.autograd.grad(energy.sum(), vectors, create_graph=True)
        (second,) = torch.autograd.grad((force**2).sum(), vectors, create_graph=True)
        (third,) = torch.autograd.grad((second * draw(4, 3, seed=1)).sum(), vectors, create_graph=True)
        (fourth,) = torch.autograd.grad((third**2).sum(), vectors)
        return [value.detach() for value in (force, second, third, fourth)]

    assert_agree(derivatives(spherical_harmonics), derivatives(spherical_harmonics_reference), 1e-10)


@needs_core
@pytest.mark.parametrize("isa", core.module().isas() if core.available() else ["none"])
def test_every_instruction_set_agrees_with_the_reference(isa, rerun_under):
    rerun_under(isa, __file__, "third_order and (3-True or 4-False or 5-True)")


@needs_core
@both
def test_threads_change_nothing(normalize, derivatives):
    vectors = draw(5001, 3, seed=0)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(derivatives(spherical_harmonics, 3, vectors, normalize, order=2))
    finally:
        torch.set_num_threads(before)
    for result in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(result, results[0], strict=True))


@both
@pytest.mark.parametrize("lmax", [0, 1, 2, 3, 4, 5])
def test_gradcheck_and_gradgradcheck(lmax, normalize):
    vectors = draw(3, 3, seed=lmax).requires_grad_()

    def function(r):
        return spherical_harmonics(lmax, r, normalize)

    assert gradcheck(function, vectors)
    assert gradgradcheck(function, vectors)


@needs_core
@both
def test_derivatives_beyond_the_second(normalize):
    u, g, vectors = (draw(2, size, seed=size).requires_grad_() for size in (3, 9, 3))

    def function(u, g, vectors):
        return torch.ops.cynosure.harmonics_second(u, g, vectors, 2, normalize, True)

    assert gradcheck(function, (u, g, vectors))
    assert gradgradcheck(function, (u, g, vectors))


@needs_core
def test_a_derivative_that_nobody_asks_for_is_not_computed(monkeypatch):
    asked = []

    class Watched:
        def __getattr__(self, name):
            return getattr(core_module, name)

        def harmonics_second(self, *arguments):
            asked.append(arguments[-2] != 0)
            core_module.harmonics_second(*arguments)

    core_module = core.module()
    monkeypatch.setattr(core, "module", Watched)
    g = draw(5, 9, seed=0).requires_grad_()
    vectors = (2 * draw(5, 3, seed=1)).requires_grad_()
    harmonics = spherical_harmonics(2, 1.0 * vectors)
    for wanted in (g, vectors):
        (gradient,) = torch.autograd.grad(harmonics, vectors, g, create_graph=True)
        torch.autograd.grad(gradient.square().sum(), wanted)
    assert asked == [False, True]


@both
def test_equivariant_under_rotation_and_inversion(normalize):
    lmax, generator = 4, torch.Generator().manual_seed(0)
    rotation, vectors = random_rotation(20, generator=generator), draw(20, 3, seed=1)
    harmonics = spherical_harmonics(lmax, vectors, normalize)
    turned = spherical_harmonics(lmax, torch.einsum("nij,nj->ni", rotation, vectors), normalize)
    inverted = spherical_harmonics(lmax, -vectors, normalize)
    for l in range(lmax + 1):
        columns = slice(l * l, (l + 1) ** 2)
        expected = torch.einsum("nij,nj->ni", wigner_D(l, rotation), harmonics[:, columns])
        assert_agree([turned[:, columns]], [expected], 1e-13)
        assert torch.equal(inverted[:, columns], (-1) ** l * harmonics[:, columns])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("lmax", [1, 3, 5])
def test_the_zero_vector_has_no_direction_and_zero_derivatives(lmax, dtype, derivatives):
    vectors = draw(20, 3, seed=0, dtype=dtype)
    vectors[[2, 19]] = 0
    value, *first_and_second = derivatives(spherical_harmonics, lmax, vectors, True, order=2)
    assert torch.equal(value[2], torch.eye((lmax + 1) ** 2, dtype=dtype)[0])
    for derivative in first_and_second:
        assert bool(derivative.isfinite().all())
        assert not bool(derivative[[2, 19]].any())
        assert bool(derivative[[1, 3]].any())


def test_solid_harmonics_have_their_derivatives_at_zero():
    zero = torch.zeros(1, 3, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda r: spherical_harmonics(2, r, False)[0], zero)[:, 0]
    expected = torch.zeros(9, 3, dtype=torch.float64)
    expected[1:4] = 3**0.5 * torch.eye(
        3, dtype=torch.float64
    )  # degree 1 is √3 (x, y, z); degree 2 is flat here
    torch.testing.assert_close(jacobian, expected, rtol=1e-15, atol=0)


@pytest.mark.parametrize(
    ("dtype", "length"),
    [(torch.float32, length) for length in (1e-45, 1e-40, 1e-30, 1e-16, 2e-16, 1e-10, 1e10, 1e30, 3e38)]
    + [(torch.float64, length) for length in (5e-324, 1e-160, 1e-151, 1e-150, 1e-30, 1e30, 1e150, 1e308)],
)
@pytest.mark.parametrize("lmax", [3, 5])
def test_lengths_at_the_ends_of_the_range_of_floats(lmax, dtype, length, derivatives):
    vectors = length * torch.tensor([[0, 1, -1], [0.3, -0.2, 0.1], [1, 0, 0]], dtype=dtype)
    found = derivatives(spherical_harmonics, lmax, vectors, True, order=2)
    expected = derivatives(spherical_harmonics_reference, lmax, vectors, True, order=2)
    for value, reference in zip(found, expected, strict=True):
        assert bool(value.isfinite().all())
        # In units of the largest, since its square may leave the range.
        scale = reference.abs().max().clamp(min=torch.finfo(dtype).tiny)
        assert float((value / scale - reference / scale).abs().max()) <= TOLERANCE[dtype]


@both
def test_a_nan_stays_one(normalize):
    vectors = draw(3, 3, seed=0)
    vectors[1] = torch.tensor([0.0, torch.nan, 0.0])
    harmonics = spherical_harmonics(2, vectors, normalize)
    assert bool(harmonics[1, 1:].isnan().any())
    assert bool(harmonics[[0, 2]].isfinite().all())


@needs_core
def test_operators_pass_the_checks_of_torch():
    u, g, vectors = (draw(5, size, seed=size).requires_grad_() for size in (3, 9, 3))
    torch.library.opcheck(torch.ops.cynosure.harmonics, (vectors, 2, True))
    torch.library.opcheck(torch.ops.cynosure.harmonics_gradient, (g, vectors, 2, True))
    for want_vectors in (True, False):
        torch.library.opcheck(torch.ops.cynosure.harmonics_second, (u, g, vectors, 2, True, want_vectors))


@pytest.mark.filterwarnings("ignore")  # torch.compile's own
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compiles_without_a_graph_break(backend):
    vectors = draw(7, 3, seed=0).requires_grad_()

    def function(r):
        return spherical_harmonics(2, r).pow(3).sum()

    compiled = torch.compile(function, fullgraph=True, backend=backend)
    (found,) = torch.autograd.grad(compiled(vectors), vectors)
    (expected,) = torch.autograd.grad(function(vectors), vectors)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_transforms_of_torch_func_see_the_same_derivatives():
    vectors = draw(7, 3, seed=0)

    def function(r):
        return spherical_harmonics(2, r).pow(3).sum()

    (expected,) = torch.autograd.grad(function(vectors.requires_grad_()), vectors)
    found = torch.func.grad(function)(vectors.detach())
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_empty_and_strided_input(derivatives):
    assert spherical_harmonics(3, torch.empty(0, 3)).shape == (0, 16)
    for value in derivatives(spherical_harmonics, 3, torch.empty(0, 3), True, order=2):
        assert value.shape[0] == 0
    vectors = draw(20, 3, seed=0)
    strided = vectors.t().contiguous().t()
    assert not strided.is_contiguous()
    assert torch.equal(spherical_harmonics(3, strided), spherical_harmonics(3, vectors))
    # The cotangent of a sum is one number, repeated without being copied.
    strided.requires_grad_()
    (found,) = torch.autograd.grad(spherical_harmonics(3, strided, False).sum(), strided)
    (expected,) = torch.autograd.grad(spherical_harmonics_reference(3, strided, False).sum(), strided)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_degrees_above_the_cores_own():
    vectors = draw(5, 3, seed=0)
    lmax = MAX_DEGREE + 1
    assert torch.equal(spherical_harmonics(lmax, vectors), spherical_harmonics_reference(lmax, vectors))


@pytest.mark.parametrize(
    ("lmax", "vectors", "message"),
    [
        (-1, torch.ones(5, 3), "'lmax' is -1"),
        (2, torch.ones(5, 4), r"'vectors' has shape \(5, 4\)"),
        (2, torch.ones(3), r"'vectors' has shape \(3,\)"),
        (2, torch.ones(2, 5, 3), r"'vectors' has shape \(2, 5, 3\)"),
        (2, torch.tensor(1.0), r"'vectors' has shape \(\)"),
        (2, torch.ones(5, 3, dtype=torch.int64), "'vectors' is torch.int64"),
        (2, torch.ones(5, 3, dtype=torch.float16), "'vectors' is torch.float16"),
    ],
)
def test_a_wrong_argument_is_named(lmax, vectors, message):
    with pytest.raises(ValueError, match=message):
        spherical_harmonics(lmax, vectors)


def test_other_devices_take_the_reference():
    assert spherical_harmonics(2, torch.empty(4, 3, device="meta")).shape == (4, 9)
