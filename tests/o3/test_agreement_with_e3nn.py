"""Order, phase and normalisation are those of e3nn, so that what was trained there can be read here."""

import itertools
import warnings

import numpy as np
import pytest
import torch

from cynosure.o3 import (
    CartesianTensor,
    Irrep,
    Irreps,
    angles_to_matrix,
    axis_angle_to_matrix,
    clebsch_gordan,
    generators,
    matrix_to_angles,
    matrix_to_axis_angle,
    matrix_to_quaternion,
    quaternion_to_matrix,
    random_rotation,
    spherical_harmonics,
    wigner_D,
)

LMAX = 6


@pytest.fixture(autouse=True)
def e3nn_in_float64():
    """e3nn computes its generators in torch's default dtype: float64, for the length of a test."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
    torch.set_default_dtype(before)


@pytest.mark.parametrize(
    "text", ["1e+0o+0e+1o+2o+2e+3e+3o", "2x1o+1e+0x0e+3x1o+0e", "64x0e+32x1o+16x2e+8x3o", "", "5x11e+2x10o"]
)
def test_irreps(e3nn_o3, text):
    ours, theirs = Irreps(text), e3nn_o3.Irreps(text)
    assert str(ours) == str(theirs)
    assert ours.dim == theirs.dim
    assert ours.num_irreps == theirs.num_irreps
    assert ours.slices() == theirs.slices()
    assert str(ours.simplify()) == str(theirs.simplify())
    arranged, expected = ours.sort(), theirs.sort()
    assert str(arranged.irreps) == str(expected.irreps)
    assert arranged.permutation == expected.inv


def test_selection_rules(e3nn_o3):
    everything = [Irrep(degree, parity) for degree in range(LMAX + 1) for parity in (1, -1)]
    for first, second in itertools.product(everything, repeat=2):
        theirs = e3nn_o3.Irrep(str(first)) * e3nn_o3.Irrep(str(second))
        assert [str(ir) for ir in first * second] == [str(ir) for ir in theirs]


def test_full_tensor_product(e3nn_o3):
    first, second = "3x0e+2x1o+1e", "2x1o+2x2e"
    theirs = e3nn_o3.FullTensorProduct(first, second).irreps_out.sort().irreps.simplify()
    assert str(Irreps(first).tensor_product(second)) == str(theirs)


@pytest.mark.parametrize("normalize", [True, False])
def test_spherical_harmonics(e3nn_o3, normalize, generator):
    vectors = torch.randn(50, 3, generator=generator)
    degrees = list(range(LMAX + 1))
    theirs = e3nn_o3.spherical_harmonics(degrees, vectors, normalize, normalization="component")
    torch.testing.assert_close(
        spherical_harmonics(degrees, vectors, normalize), theirs, rtol=1e-12, atol=1e-12
    )


def test_clebsch_gordan(e3nn_o3):
    for l1, l2 in itertools.product(range(LMAX + 1), repeat=2):
        for l3 in range(abs(l1 - l2), min(l1 + l2, LMAX) + 1):
            theirs = np.sqrt(2 * l3 + 1) * e3nn_o3.wigner_3j(l1, l2, l3).numpy()
            np.testing.assert_allclose(clebsch_gordan(l1, l2, l3), theirs, rtol=0, atol=1e-14)


@pytest.mark.parametrize("degree", range(LMAX + 1))
def test_wigner_matrices_of_rotations_and_rotoinversions(e3nn_o3, degree, generator):
    rotation = random_rotation(10, generator=generator)
    for parity, matrix in itertools.product((1, -1), (rotation, -rotation)):
        theirs = e3nn_o3.Irrep(degree, parity).D_from_matrix(matrix)
        torch.testing.assert_close(wigner_D(Irrep(degree, parity), matrix), theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("degree", range(LMAX + 1))
def test_generators(e3nn_o3, degree):
    angle = torch.tensor(0.8)
    for axis, name in enumerate("xyz"):
        matrix = axis_angle_to_matrix(torch.eye(3)[axis], angle)
        turn = torch.linalg.matrix_exp(angle * torch.from_numpy(generators(degree)[axis].copy()))
        theirs = e3nn_o3.Irrep(degree, 1).D_from_matrix(getattr(e3nn_o3, f"matrix_{name}")(angle))
        torch.testing.assert_close(matrix, getattr(e3nn_o3, f"matrix_{name}")(angle))
        torch.testing.assert_close(turn, theirs, rtol=0, atol=1e-12)


def test_ways_of_writing_a_rotation(e3nn_o3, generator):
    rotation = random_rotation(50, generator=generator)
    angles = matrix_to_angles(rotation)
    for ours, theirs in zip(angles, e3nn_o3.matrix_to_angles(rotation), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    torch.testing.assert_close(angles_to_matrix(*angles), e3nn_o3.angles_to_matrix(*angles))
    quaternion = matrix_to_quaternion(rotation)
    torch.testing.assert_close(quaternion_to_matrix(quaternion), e3nn_o3.quaternion_to_matrix(quaternion))
    axis, angle = matrix_to_axis_angle(rotation)
    torch.testing.assert_close(axis_angle_to_matrix(axis, angle), e3nn_o3.axis_angle_to_matrix(axis, angle))
    for ours, theirs in zip((axis, angle), e3nn_o3.matrix_to_axis_angle(rotation), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize("formula", ["i", "ij=ji", "ij=-ji", "ijk=ikj", "ijkl=jikl=klij"])
def test_cartesian_tensors_span_the_same_space(e3nn_o3, formula):
    first = formula.split("=")[0]
    theirs = e3nn_o3.ReducedTensorProducts(formula, **dict.fromkeys(first, "1o"))
    kind = CartesianTensor(formula)
    assert str(kind.irreps) == str(theirs.irreps_out.sort().irreps.simplify())
    ours = torch.from_numpy(kind.basis.reshape(kind.irreps.dim, -1).copy())
    other = theirs.change_of_basis.reshape(kind.irreps.dim, -1)
    torch.testing.assert_close(ours.T @ ours, other.T @ other, rtol=0, atol=1e-10)
