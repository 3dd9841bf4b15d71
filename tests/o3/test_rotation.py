import math

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from torch.autograd import gradcheck, gradgradcheck

from cynosure.o3 import (
    Irrep,
    angles_to_matrix,
    axis_angle_to_matrix,
    generators,
    matrix_to_angles,
    matrix_to_axis_angle,
    matrix_to_quaternion,
    quaternion_to_matrix,
    random_rotation,
    wigner_D,
)

LMAX = 12


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def awkward_rotations():
    """Generic ones, the identity, half turns about the axes and about generic axes, and neighbours of all these."""
    generator = torch.Generator().manual_seed(1)
    axes = torch.randn(40, 3, dtype=torch.float64, generator=generator)
    axes = torch.cat([torch.eye(3, dtype=torch.float64), -torch.eye(3, dtype=torch.float64), axes])
    angles = [0.0, 1e-200, 1e-12, 1e-5, 1.0, math.pi / 2, 3.0, math.pi - 1e-5, math.pi - 1e-12, math.pi]
    return torch.cat([axis_angle_to_matrix(axes, tensor(angle)) for angle in angles])


@pytest.mark.parametrize(
    "there_and_back",
    [
        lambda r: quaternion_to_matrix(matrix_to_quaternion(r)),
        lambda r: axis_angle_to_matrix(*matrix_to_axis_angle(r)),
        lambda r: angles_to_matrix(*matrix_to_angles(r)),
    ],
    ids=["quaternion", "axis-angle", "angles"],
)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 2e-15), (torch.float32, 1e-6)])
def test_every_way_of_writing_a_rotation_returns_it(there_and_back, dtype, tolerance):
    rotations = awkward_rotations().to(dtype)
    returned = there_and_back(rotations)
    assert returned.dtype == dtype
    torch.testing.assert_close(returned, rotations, rtol=0, atol=tolerance)


def test_quaternions_are_unit_with_a_positive_scalar():
    quaternion = matrix_to_quaternion(awkward_rotations())
    torch.testing.assert_close(
        quaternion.norm(dim=-1), torch.ones(len(quaternion)).double(), rtol=0, atol=1e-15
    )
    assert bool((quaternion[:, 0] >= 0).all())


def test_a_quarter_turn_about_y_takes_z_to_x():
    quarter, half_root = tensor(math.pi / 2), math.sqrt(0.5)
    expected = tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    torch.testing.assert_close(
        axis_angle_to_matrix(tensor([0.0, 2.0, 0.0]), quarter), expected, atol=1e-15, rtol=0
    )
    quaternion = tensor([half_root, 0.0, half_root, 0.0])
    torch.testing.assert_close(quaternion_to_matrix(3 * quaternion), expected, atol=1e-15, rtol=0)
    torch.testing.assert_close(matrix_to_quaternion(expected), quaternion, atol=1e-15, rtol=0)
    zero = tensor(0.0)
    torch.testing.assert_close(angles_to_matrix(quarter, zero, zero), expected, atol=1e-15, rtol=0)


def test_angles_turn_the_polar_axis_to_polar_angle_and_azimuth():
    alpha, beta, gamma = tensor([0.3, -2.0]), tensor([1.1, 0.4]), tensor([2.0, -0.7])
    rotation = angles_to_matrix(alpha, beta, gamma)
    image = torch.stack([beta.sin() * alpha.sin(), beta.cos(), beta.sin() * alpha.cos()], dim=-1)
    torch.testing.assert_close(rotation[..., 1], image, rtol=0, atol=1e-15)
    for found, given in zip(matrix_to_angles(rotation), (alpha, beta, gamma), strict=True):
        torch.testing.assert_close(found, given, rtol=0, atol=1e-14)


def test_axis_and_angle_are_those_given():
    axis = torch.nn.functional.normalize(tensor([[1.0, 2.0, -2.0], [0.1, 0.0, 3.0]]), dim=-1)
    for value in (1e-150, 1e-6, 0.5, 3.1):
        found, angle = matrix_to_axis_angle(axis_angle_to_matrix(axis, tensor(value)))
        torch.testing.assert_close(found, axis, rtol=0, atol=1e-9 if value < 0.1 else 1e-13)
        torch.testing.assert_close(angle, tensor([value, value]), rtol=1e-9, atol=0)


def test_the_identity_has_an_axis_by_convention():
    axis, angle = matrix_to_axis_angle(torch.eye(3, dtype=torch.float64))
    assert axis.tolist() == [0, 1, 0]
    assert angle.item() == 0


@pytest.mark.parametrize("write", [matrix_to_quaternion, matrix_to_axis_angle, matrix_to_angles])
def test_derivatives_are_finite_where_the_writing_is_singular(write):
    half_turns = [torch.diag(tensor(signs)) for signs in ([1, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1])]
    rotation = torch.stack(half_turns).requires_grad_()
    written = write(rotation)
    parts = written if isinstance(written, tuple) else (written,)
    total = sum(part.sin().sum() for part in parts)
    (first,) = torch.autograd.grad(total, rotation, create_graph=True)
    assert bool(first.isfinite().all())
    (second,) = torch.autograd.grad(first.pow(2).sum(), rotation)
    assert bool(second.isfinite().all())


def test_autograd_through_every_conversion():
    generator = torch.Generator().manual_seed(2)
    quaternion = torch.randn(3, 4, dtype=torch.float64, generator=generator).requires_grad_()
    angles = [torch.rand(3, dtype=torch.float64, generator=generator).requires_grad_() for _ in range(3)]
    assert gradcheck(quaternion_to_matrix, quaternion)
    assert gradgradcheck(quaternion_to_matrix, quaternion)
    assert gradcheck(lambda q: matrix_to_quaternion(quaternion_to_matrix(q)), quaternion)
    assert gradcheck(lambda q: matrix_to_axis_angle(quaternion_to_matrix(q)), quaternion)
    assert gradcheck(lambda q: matrix_to_angles(quaternion_to_matrix(q)), quaternion)
    assert gradcheck(angles_to_matrix, angles)
    assert gradcheck(lambda q, a: axis_angle_to_matrix(q[:, 1:], a), (quaternion, angles[0]))


def test_batches_of_every_shape():
    assert random_rotation().shape == (3, 3)
    assert random_rotation(2, 0, 4).shape == (2, 0, 4, 3, 3)
    empty = random_rotation(0)
    assert matrix_to_quaternion(empty).shape == (0, 4)
    assert [part.shape for part in matrix_to_axis_angle(empty)] == [(0, 3), (0,)]
    assert [part.shape for part in matrix_to_angles(empty)] == [(0,)] * 3
    assert wigner_D(3, empty).shape == (0, 7, 7)
    assert wigner_D(2, random_rotation(2, 5)).shape == (2, 5, 5, 5)
    assert axis_angle_to_matrix(torch.ones(3), torch.zeros(4, 2)).shape == (4, 2, 3, 3)


def test_random_rotations_are_uniform(generator):
    rotations = random_rotation(20000, generator=generator)
    identity = torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(rotations @ rotations.mT, identity.expand_as(rotations), rtol=0, atol=1e-14)
    torch.testing.assert_close(torch.linalg.det(rotations), torch.ones(20000).double(), rtol=0, atol=1e-14)
    # The Haar measure: angles have density (1 − cos θ)/π, axes are uniform, and every D^l averages to zero.
    axis, angle = matrix_to_axis_angle(rotations)
    assert kstest(angle.numpy(), lambda theta: (theta - np.sin(theta)) / np.pi).pvalue > 1e-3
    for component in axis.unbind(-1):
        assert kstest(component.numpy(), "uniform", args=(-1, 2)).pvalue > 1e-3
    for degree in (1, 2, 3):
        # An entry has variance 1/(2l + 1); five standard errors of 20,000 draws.
        assert wigner_D(degree, rotations).mean(0).abs().max() < 5 / math.sqrt(20000 * (2 * degree + 1))


def test_random_rotations_follow_their_generator():
    first, second = (random_rotation(3, generator=torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first, second)
    assert random_rotation(dtype=torch.float32).dtype == torch.float32


@pytest.mark.parametrize("degree", range(LMAX + 1))
def test_wigner_matrices_represent_the_group(degree, generator):
    first, second = random_rotation(2, 10, generator=generator)
    identity = torch.eye(2 * degree + 1, dtype=torch.float64)
    d1, d2 = wigner_D(degree, first), wigner_D(degree, second)
    torch.testing.assert_close(d1 @ d2, wigner_D(degree, first @ second), rtol=0, atol=1e-12)
    torch.testing.assert_close(d1.mT @ d1, identity.expand_as(d1), rtol=0, atol=1e-12)
    torch.testing.assert_close(wigner_D(degree, first.mT), d1.mT, rtol=0, atol=1e-12)
    torch.testing.assert_close(
        wigner_D(degree, torch.eye(3, dtype=torch.float64)), identity, rtol=0, atol=1e-13
    )


@pytest.mark.parametrize("degree", range(LMAX + 1))
def test_wigner_matrices_are_the_exponential_of_the_generators(degree):
    axis = torch.nn.functional.normalize(tensor([[1.0, -2.0, 0.5], [0.0, 1.0, 0.0], [0.3, 0.1, 2.0]]), dim=-1)
    angle = tensor([0.7, 2.5, math.pi])
    exponent = torch.einsum("n,na,abc->nbc", angle, axis, torch.from_numpy(generators(degree).copy()))
    expected = torch.linalg.matrix_exp(exponent)
    found = wigner_D(degree, axis_angle_to_matrix(axis, angle))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_degree_one_is_the_rotation_itself(generator):
    rotation = random_rotation(4, generator=generator)
    assert torch.equal(wigner_D(1, rotation), rotation)
    assert torch.equal(wigner_D(0, rotation), torch.ones(4, 1, 1, dtype=torch.float64))


@pytest.mark.parametrize("parity", [1, -1])
@pytest.mark.parametrize("degree", range(5))
def test_inversion_acts_by_parity(degree, parity, generator):
    rotation = random_rotation(6, generator=generator)
    mixed = rotation * tensor([1, -1, -1, 1, -1, 1])[:, None, None]
    irrep = Irrep(degree, parity)
    proper = wigner_D(degree, rotation)
    signs = tensor([1, parity, parity, 1, parity, 1])[:, None, None]
    torch.testing.assert_close(wigner_D(irrep, mixed), signs * proper, rtol=0, atol=0)
    product = wigner_D(irrep, mixed[1] @ mixed[2])
    torch.testing.assert_close(
        wigner_D(irrep, mixed[1]) @ wigner_D(irrep, mixed[2]), product, rtol=0, atol=1e-14
    )


def test_a_mirror_keeps_vectors_in_its_plane_and_flips_axial_ones():
    mirror = torch.diag(tensor([1.0, -1.0, 1.0]))
    assert torch.equal(wigner_D(Irrep(1, -1), mirror), mirror)
    assert torch.equal(wigner_D(Irrep(1, 1), mirror), -mirror)
    assert wigner_D(Irrep(0, -1), mirror).item() == -1


def test_wigner_matrices_follow_dtype_and_derivatives():
    rotation = random_rotation(3)
    low = wigner_D(6, rotation.float())
    assert low.dtype == torch.float32
    torch.testing.assert_close(low.double(), wigner_D(6, rotation), rtol=0, atol=1e-5)
    rotation_vector = tensor([[0.3, -0.2, 0.9]]).requires_grad_()

    def through(vector):
        return wigner_D(Irrep(4, -1), -axis_angle_to_matrix(vector, vector.norm(dim=-1)))

    assert gradcheck(through, rotation_vector)
    assert gradgradcheck(through, rotation_vector)


@pytest.mark.parametrize("unlabelled", [2, Irrep(2, 0)])
def test_an_inversion_needs_a_parity(unlabelled):
    mirror = torch.diag(torch.tensor([1.0, -1.0, 1.0]))
    with pytest.raises(ValueError, match="pass an Irrep"):
        wigner_D(unlabelled, mirror)
    with pytest.raises(ValueError, match="pass an Irrep"):
        wigner_D(unlabelled, torch.stack([torch.eye(3), mirror]))


@pytest.mark.parametrize(
    "function", [matrix_to_quaternion, matrix_to_axis_angle, matrix_to_angles, lambda r: wigner_D(2, r)]
)
def test_what_is_no_rotation_is_refused(function):
    with pytest.raises(ValueError, match="determinant -1"):
        function(-torch.eye(3))
    for bad in (1.001 * torch.eye(3), torch.ones(3, 3), torch.zeros(3, 3), torch.full((3, 3), math.nan)):
        with pytest.raises(ValueError, match="not orthogonal"):
            function(torch.stack([torch.eye(3), bad]))
    with pytest.raises(ValueError, match="not orthogonal"):
        function((1 + 1e-6) * torch.eye(3, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        function(torch.ones(3))
    with pytest.raises(ValueError, match=r"torch\.int64"):
        function(torch.eye(3, dtype=torch.int64))


def test_other_bad_input_is_refused():
    with pytest.raises(ValueError, match="length zero"):
        quaternion_to_matrix(torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 0]]))
    with pytest.raises(ValueError, match="length zero"):
        axis_angle_to_matrix(torch.zeros(3), torch.tensor(1.0))
    with pytest.raises(ValueError, match="NaN"):
        quaternion_to_matrix(torch.tensor([math.nan, 0, 0, 1]))
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        quaternion_to_matrix(torch.ones(3))
    with pytest.raises(ValueError, match=r"shape \(4,\)"):
        axis_angle_to_matrix(torch.ones(4), torch.tensor(1.0))
    with pytest.raises(ValueError, match="-2"):
        wigner_D(-2, torch.eye(3))
