"""Symmetric equivariant polynomials: a basis, of all there are, each equivariant and of unit size."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
import torch

from cynosure.o3 import Irrep, Irreps, equivariant_polynomials, random_rotation, wigner_D

CASES = (
    [
        (irreps, ir, degree)
        for irreps in ("0e+1o+2e+3o", "0e+0o+1o+1e", "0+1+2", "1o", "3o")
        for ir in ("0e", "0o", "1o", "1e", "2e", "3o")
        for degree in (1, 2, 3)
        if ("e" in irreps or "o" in irreps)
    ]
    + [("0+1+2", ir, degree) for ir in ("0", "1", "2") for degree in (1, 2, 3)]
    + [("0e+1o+2e", "0e", 4)]
)


def evaluate(x: np.ndarray, polynomials) -> np.ndarray:
    """[B, 2L + 1] at one x."""
    return polynomials.coefficients @ np.prod(x[polynomials.monomials], axis=1)


def number_of_polynomials(irreps: Irreps, ir: Irrep, degree: int) -> int:
    """How many times an irrep is in the symmetric power, by counting weights.

    The symmetric power has a vector for each multiset of weights (m, p); an irrep L in it has one of each total weight
    from −L to L. So it comes as often as there are more multisets of total weight L than of L + 1.
    """
    weights = [(m, inner.p) for _, inner in irreps for m in range(-inner.l, inner.l + 1)]
    totals: Counter[tuple[int, int]] = Counter()
    for chosen in itertools.combinations_with_replacement(weights, degree):
        totals[sum(m for m, _ in chosen), int(np.prod([p for _, p in chosen]))] += 1
    return totals[ir.l, ir.p] - totals[ir.l + 1, ir.p]


@pytest.mark.parametrize(("irreps", "ir", "degree"), CASES)
def test_there_are_as_many_as_there_can_be(irreps, ir, degree):
    polynomials = equivariant_polynomials(irreps, ir, degree)
    assert len(polynomials.coefficients) == number_of_polynomials(Irreps(irreps), Irrep.parse(ir), degree)
    flat = polynomials.coefficients.reshape(len(polynomials.coefficients), polynomials.coefficients[:1].size)
    assert len(flat) == 0 or np.linalg.matrix_rank(flat) == len(flat)


@pytest.mark.parametrize(("irreps", "ir", "degree"), CASES)
def test_equivariant_under_rotation_and_reflection(irreps, ir, degree):
    polynomials, out = equivariant_polynomials(irreps, ir, degree), Irrep.parse(ir)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(Irreps(irreps).dim, generator=generator, dtype=torch.float64)
    rotation = random_rotation(generator=generator, dtype=torch.float64)
    for matrix in (rotation, -rotation) if out.p else (rotation,):
        turned = torch.block_diag(*(wigner_D(inner, matrix) for _, inner in Irreps(irreps))) @ x
        expected = evaluate(x.numpy(), polynomials) @ wigner_D(out, matrix).numpy().T
        np.testing.assert_allclose(evaluate(turned.numpy(), polynomials), expected, atol=1e-12)


def test_unit_mean_square_for_independent_normal_numbers():
    # E[(x² + y² + z²)²] = 15, E[|x (x² + y² + z²)|²] / 3 = 35
    (square,) = equivariant_polynomials("1o", "0e", 2).coefficients
    np.testing.assert_allclose(np.abs(square[square != 0]), 1 / np.sqrt(15), rtol=1e-14)
    cubic = equivariant_polynomials("1o", "1o", 3)
    x = np.array([0.3, -0.4, 1.2])
    np.testing.assert_allclose(evaluate(x, cubic)[0], x * (x @ x) / np.sqrt(35), rtol=1e-14)


def test_of_degree_one_are_the_blocks_themselves():
    polynomials = equivariant_polynomials("0e+1o+2e", "1o", 1)
    assert polynomials.monomials.tolist() == [[1], [2], [3]]
    np.testing.assert_array_equal(polynomials.coefficients, np.eye(3)[None])


def test_the_basis_is_the_one_that_saved_weights_refer_to():
    # Weights of a model file count on these numbers, to the sign.
    polynomials = equivariant_polynomials("0e+1o", "0e", 3)
    assert polynomials.monomials.tolist() == [[0, 0, 0], [0, 1, 1], [0, 2, 2], [0, 3, 3]]
    first, second = polynomials.coefficients[:, 0]
    np.testing.assert_allclose(first, [1 / np.sqrt(15), 0, 0, 0], atol=1e-15)
    np.testing.assert_allclose(second, [0, *(3 * [1 / np.sqrt(15)])], atol=1e-15)


def test_bad_arguments():
    with pytest.raises(ValueError, match="2x1o was given"):
        equivariant_polynomials("0e+2x1o", "0e", 2)
    with pytest.raises(ValueError, match="degree 0"):
        equivariant_polynomials("1o", "0e", 0)
