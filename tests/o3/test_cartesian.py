import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cynosure.o3 import CartesianTensor, Irreps, random_rotation, wigner_D

KINDS = [
    ("i", False, "1o"),
    ("i", True, "1e"),
    ("ij", False, "0e+1e+2e"),
    ("ij=ji", False, "0e+2e"),
    ("ij=ji", True, "0o+2o"),
    ("ij=-ji", False, "1e"),
    ("-ij=ji", True, "1o"),
    ("ijk", False, "0o+3x1o+2x2o+3o"),
    ("ijk=ikj", False, "2x1o+2o+3o"),
    ("ijk=jik", False, "2x1o+2o+3o"),
    ("ijk=jik=ikj", False, "1o+3o"),
    ("ijk=-jik=-ikj", False, "0o"),
    ("ijk=jki", False, "0o+1o+3o"),
    ("ijkl=jikl=klij", False, "2x0e+2x2e+4e"),
    ("ijkl=jikl=ijlk", False, "2x0e+1e+3x2e+3e+4e"),
    ("ijkl=jikl=ikjl=ijlk", False, "0e+2e+4e"),
    ("ijklmn=jiklmn=klijmn=mnklij", False, "3x0e+3x2e+3e+2x4e+6e"),
]


def rotate(tensor, matrices, rank):
    """Each index of `tensor` [n, 3, …, 3] turned by its own matrix of `matrices` [n, 3, 3]."""
    for axis in range(1, rank + 1):
        tensor = torch.einsum("nij,n...j->n...i", matrices, tensor.movedim(axis, -1)).movedim(-1, axis)
    return tensor


def multiplicities(symmetries, rank):
    """How often each degree occurs, from characters alone: the mean over the group of signed traces, integrated.

    The trace of a permutation times a rotation by θ is the product over its cycles of 1 + 2 cos(length·θ).
    """
    angles = 2 * np.pi * np.arange(64) / 64  # exact for the trigonometric polynomials of ranks below 20
    character = np.zeros_like(angles)
    for permutation, sign in symmetries:
        product, left = np.ones_like(angles), set(range(rank))
        while left:
            start = index = left.pop()
            length = 1
            while (index := permutation[index]) != start:
                left.discard(index)
                length += 1
            product *= 1 + 2 * np.cos(length * angles)
        character += sign * product / len(symmetries)
    found = {}
    for degree in range(rank + 1):
        own = 1 + 2 * sum(np.cos(m * angles) for m in range(1, degree + 1))
        found[degree] = round(float(np.mean((1 - np.cos(angles)) * character * own)))
    return {degree: count for degree, count in found.items() if count}


def random_tensor(kind, *shape, seed=0):
    components = torch.randn(
        *shape, kind.irreps.dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    return kind.to_cartesian(components)


@pytest.mark.parametrize(("formula", "axial", "irreps"), KINDS)
def test_known_decompositions(formula, axial, irreps):
    kind = CartesianTensor(formula, axial)
    assert kind.irreps == Irreps(irreps)
    assert kind.rank == len(formula.strip("-").split("=")[0])
    assert {ir.p for _, ir in kind.irreps} == {kind.parity}


@st.composite
def formulas(draw):
    letters = "ijkl"[: draw(st.integers(1, 4))]
    reordered = st.permutations(letters).map("".join)
    return "=".join([letters, *draw(st.lists(reordered, max_size=3))])


@settings(deadline=None, derandomize=True, max_examples=60)
@given(formulas(), st.booleans())
def test_any_formula_has_the_irreps_its_characters_count(formula, axial):
    kind = CartesianTensor(formula, axial)
    assert {ir.l: mul for mul, ir in kind.irreps} == multiplicities(kind.symmetries, kind.rank)


@pytest.mark.parametrize(("formula", "axial", "irreps"), KINDS)
def test_the_basis_is_orthonormal_and_obeys_the_symmetry(formula, axial, irreps):
    kind = CartesianTensor(formula, axial)
    flat = kind.basis.reshape(kind.irreps.dim, -1)
    np.testing.assert_allclose(flat @ flat.T, np.eye(len(flat)), rtol=0, atol=1e-13)
    first, *terms = (term.strip("+-") for term in formula.split("="))
    signs = [-1 if term.startswith("-") else 1 for term in formula.split("=")]
    for term, sign in zip(terms, signs[1:], strict=True):
        reordered = np.einsum(f"z{term}->z{first}", kind.basis)
        np.testing.assert_allclose(reordered, sign * signs[0] * kind.basis, rtol=0, atol=1e-14)
    assert not kind.basis.flags.writeable


@pytest.mark.parametrize(("formula", "axial", "irreps"), KINDS)
def test_equivariant_under_rotations_and_rotoinversions(formula, axial, irreps, generator):
    kind = CartesianTensor(formula, axial)
    count = 4
    inverted = torch.tensor([1, -1, 1, -1], dtype=torch.float64)
    matrices = random_rotation(count, generator=generator) * inverted[:, None, None]
    tensor = random_tensor(kind, count)
    turned = rotate(tensor, matrices, kind.rank)
    if axial:
        turned = turned * inverted.reshape(-1, *[1] * kind.rank)
    before, after = kind.to_irreps(tensor), kind.to_irreps(turned)
    for (mul, ir), part in zip(kind.irreps, kind.irreps.slices(), strict=True):
        block = before[:, part].reshape(count, mul, ir.dim)
        expected = torch.einsum("nab,nub->nua", wigner_D(ir, matrices), block).reshape(count, -1)
        torch.testing.assert_close(after[:, part], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("formula", "axial", "irreps"), KINDS)
def test_components_and_tensor_hold_the_same(formula, axial, irreps):
    kind = CartesianTensor(formula, axial)
    components = torch.randn(2, 5, kind.irreps.dim, dtype=torch.float64)
    tensor = kind.to_cartesian(components)
    assert tensor.shape == (2, 5, *[3] * kind.rank)
    torch.testing.assert_close(kind.to_irreps(tensor), components, rtol=0, atol=1e-13)
    norms = tensor.flatten(2).norm(dim=-1)
    torch.testing.assert_close(norms, components.norm(dim=-1), rtol=1e-13, atol=0)
    assert kind.symmetry_error(tensor).max() < 1e-14


def test_a_full_matrix_loses_nothing():
    kind, matrix = CartesianTensor("ij"), torch.randn(4, 3, 3, dtype=torch.float64)
    torch.testing.assert_close(kind.to_cartesian(kind.to_irreps(matrix)), matrix, rtol=0, atol=1e-14)


def test_vectors_are_their_own_components():
    vector = torch.randn(4, 3)
    assert torch.equal(CartesianTensor("i").to_irreps(vector), vector)


def test_the_parts_of_a_matrix_are_where_physics_expects_them():
    kind, matrix = CartesianTensor("ij"), torch.randn(3, 3, dtype=torch.float64)
    components = kind.to_irreps(matrix)
    scalar, axial, quadrupole = (components[part] for part in kind.irreps.slices())
    assert scalar.item() == pytest.approx(matrix.trace().item() / math.sqrt(3))
    twist = matrix - matrix.T
    torch.testing.assert_close(axial, torch.stack([twist[1, 2], twist[2, 0], twist[0, 1]]) / math.sqrt(2))
    deviator = (matrix + matrix.T) / 2 - matrix.trace() / 3 * torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(quadrupole.norm(), deviator.norm())


def test_an_isotropic_elastic_tensor_is_two_scalars():
    kind, delta = CartesianTensor("ijkl=jikl=klij"), torch.eye(3, dtype=torch.float64)
    lame = torch.einsum("ij,kl->ijkl", delta, delta)
    shear = torch.einsum("ik,jl->ijkl", delta, delta) + torch.einsum("il,jk->ijkl", delta, delta)
    components = kind.to_irreps(1.3 * lame + 0.7 * shear)
    assert components[2:].abs().max() < 1e-14
    assert components[:2].norm().item() == pytest.approx((1.3 * lame + 0.7 * shear).norm().item())


def test_the_order_of_coupling_is_fixed():
    """The basis is a function of the formula alone: it is built without eigenvectors, and equal kinds share it."""
    elastic = CartesianTensor("ijkl = jikl = klij")
    assert elastic == CartesianTensor("ijkl=jikl=klij")
    assert elastic.basis is CartesianTensor("ijkl=jikl=klij").basis
    assert hash(elastic) == hash(CartesianTensor("ijkl=jikl=klij"))
    equivalent = CartesianTensor("ijkl=ijlk=klij=jikl")
    np.testing.assert_allclose(equivalent.basis, elastic.basis, rtol=0, atol=1e-13)
    # The first scalar of the first path is the product of the two traces.
    trace = np.einsum("ij,kl->ijkl", np.eye(3), np.eye(3))
    assert np.sum(elastic.basis[0] * trace) > 0


def test_a_tensor_of_the_wrong_symmetry_is_noticed():
    kind = CartesianTensor("ij=ji")
    antisymmetric = torch.tensor([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    batch = torch.stack([torch.eye(3), antisymmetric, torch.eye(3) + antisymmetric, torch.zeros(3, 3)])
    expected = torch.tensor([0.0, 1.0, math.sqrt(2 / 5), 0.0])
    torch.testing.assert_close(kind.symmetry_error(batch), expected, rtol=0, atol=1e-6)
    generic = torch.randn(3, 3, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    assert CartesianTensor("ijkl=jikl=klij").symmetry_error(generic) > 0.5


def test_the_symmetry_group_follows_from_its_generators():
    assert CartesianTensor("ijk").symmetries == (((0, 1, 2), 1),)
    assert CartesianTensor("ij=-ji").symmetries == (((0, 1), 1), ((1, 0), -1))
    assert len(CartesianTensor("ijkl=jikl=klij").symmetries) == 8
    levi_civita = dict(CartesianTensor("ijk=-jik=-ikj").symmetries)
    assert levi_civita == {
        permutation: round(float(np.linalg.det(np.eye(3)[list(permutation)])))
        for permutation in itertools.permutations(range(3))
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_empty_batches_and_gradients(dtype):
    kind = CartesianTensor("ijk=ikj")
    components = torch.randn(0, kind.irreps.dim, dtype=dtype)
    tensor = kind.to_cartesian(components)
    assert tensor.shape == (0, 3, 3, 3)
    assert tensor.dtype == kind.to_irreps(tensor).dtype == dtype
    assert kind.to_irreps(tensor).shape == components.shape
    assert kind.symmetry_error(tensor).shape == (0,)
    leaf = torch.randn(2, kind.irreps.dim, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda c: kind.to_irreps(kind.to_cartesian(c).sin()), leaf)


@pytest.mark.parametrize(
    ("formula", "says"),
    [
        ("", "malformed"),
        ("ij=", "malformed"),
        ("ij=j1", "'j1'"),
        ("IJ=JI", "'IJ'"),
        ("ij==ji", "malformed"),
        ("ij=--ji", "'--ji'"),
        ("ii", "repeats"),
        ("ij=jk", "'jk'"),
        ("ij=jii", "'jii'"),
        ("ij=-ij", "zero tensor"),
        ("ij=ji=-ji", "zero tensor"),
        ("ijkl=-jikl=-ikjl=-ijlk", "zero tensor"),
        ("ijklmno", "rank 7"),
    ],
)
def test_impossible_formulas_are_refused(formula, says):
    with pytest.raises(ValueError, match=says):
        CartesianTensor(formula)


def test_wrong_shapes_and_dtypes_are_refused():
    kind = CartesianTensor("ij=ji")
    with pytest.raises(ValueError, match=r"\[\.\.\., 3, 3\]; got shape \(3, 2\)"):
        kind.to_irreps(torch.ones(3, 2))
    with pytest.raises(ValueError, match=r"got shape \(3,\)"):
        kind.symmetry_error(torch.ones(3))
    with pytest.raises(ValueError, match=r"\[\.\.\., 6\], namely 1x0e\+1x2e; got shape \(5,\)"):
        kind.to_cartesian(torch.ones(5))
    with pytest.raises(ValueError, match=r"torch\.int64"):
        kind.to_irreps(torch.ones(3, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"torch\.float16"):
        kind.to_cartesian(torch.ones(6, dtype=torch.float16))
