r"""Symmetric equivariant polynomials: every way in which copies of one tensor couple to an irrep.

For x with the irreps `irreps_in`, each of multiplicity one, a polynomial map P of degree ν that transforms with D^L
when x does is a sum over monomials, P_M(x) = Σ_a c_Ma x^a. Those maps are a vector space; here is a basis of it.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cynosure.o3.clebsch_gordan import clebsch_gordan
from cynosure.o3.irreps import Irrep, Irreps

# A coupling is taken for a combination of those before it when less than this is left of its unit length. What is
# left of an independent one is a rational number under a root; of a dependent one, rounding.
_DEPENDENT = 1e-8


class Polynomials(NamedTuple):
    """A basis of the symmetric equivariant polynomials of one degree to one irrep.

    Attributes:
        monomials: [K, ν] int64, the components of x that each monomial multiplies, ascending; K monomials in all, in
            lexical order.
        coefficients: [B, 2L + 1, K] float64, the B polynomials of the basis.
    """

    monomials: NDArray[np.int64]
    coefficients: NDArray[np.float64]


def equivariant_polynomials(irreps_in: Irreps | str, ir_out: Irrep | str, degree: int) -> Polynomials:
    r"""A basis of the symmetric equivariant polynomials of `irreps_in`, homogeneous of `degree`, to `ir_out`.

    1. A polynomial of degree ν is x · ∇P / ν, and ∇P consists of polynomials of degree ν − 1. So every polynomial is
       a combination of couplings of one of degree ν − 1, to any irrep λ, with one block of x.
    2. These are taken in the order of λ, of the polynomials to λ, and of the blocks, made orthogonal to those before
       (Gram-Schmidt), and left out where nothing remains. No eigenvectors: the basis, which the weights of a model
       refer to, is the same on every machine.
    3. The inner product is ⟨x^a, x^b⟩ = δ_ab Π_i a_i! / ν!, which no rotation changes; each polynomial is scaled so
       that its components have unit mean square when those of x are independent, of zero mean and unit variance.

    Args:
        irreps_in: irreps of x, each with multiplicity one.
        ir_out: the irrep of the result.
        degree: ν ≥ 1.

    Returns:
        the basis; with no polynomials in it where none exists.

    Raises:
        ValueError: a multiplicity other than one, or a degree below one.
    """
    irreps_in = Irreps(irreps_in)
    ir_out = ir_out if isinstance(ir_out, Irrep) else Irrep.parse(ir_out)
    for mul, ir in irreps_in:
        if mul != 1:
            raise ValueError(f"polynomials of {irreps_in}: {mul}x{ir} was given; each irrep must come once")
    if degree < 1:
        raise ValueError(f"polynomials of degree {degree}; at least 1 was expected")
    return _polynomials(irreps_in, ir_out, degree)


@functools.lru_cache(maxsize=256)
def _polynomials(irreps_in: Irreps, ir_out: Irrep, degree: int) -> Polynomials:
    monomials = _monomials(irreps_in.dim, degree)
    factorials = np.array([_factorials(row) for row in monomials.tolist()])
    metric = factorials / math.factorial(degree)
    kept: list[NDArray[np.float64]] = []
    for candidate in _couplings(irreps_in, ir_out, degree):
        length = math.sqrt(float((candidate**2 * metric).sum()))
        if not length > _DEPENDENT:
            continue
        rest = candidate / length
        for _ in range(2):  # twice: once leaves what rounding makes of nearly dependent ones
            for other in kept:
                rest = rest - float((rest * other * metric).sum()) * other
        left = math.sqrt(float((rest**2 * metric).sum()))
        if left > _DEPENDENT:
            kept.append(rest / left)
    scaled = [polynomial / _root_mean_square(monomials, polynomial) for polynomial in kept]
    coefficients = np.array(scaled).reshape(len(kept), ir_out.dim, len(monomials))
    used = np.abs(coefficients).max(axis=(0, 1), initial=0.0) > 1e-12
    result = Polynomials(
        monomials[used], np.where(np.abs(coefficients) > 1e-12, coefficients, 0.0)[..., used]
    )
    for array in result:
        array.setflags(write=False)
    return result


def _couplings(irreps_in: Irreps, ir_out: Irrep, degree: int):
    """[2L + 1, monomials] of each coupling, in the order of step 2."""
    slices = irreps_in.slices()
    if degree == 1:
        for block, (_, ir) in enumerate(irreps_in):
            if ir == ir_out:
                yield np.eye(irreps_in.dim)[slices[block]]
        return
    below = _monomials(irreps_in.dim, degree - 1)
    number = {tuple(row): place for place, row in enumerate(_monomials(irreps_in.dim, degree).tolist())}
    product = np.array(
        [
            [number[tuple(sorted((*row, variable)))] for variable in range(irreps_in.dim)]
            for row in below.tolist()
        ]
    )
    between = sorted({ir for _, ir_in in irreps_in for ir in ir_in * ir_out})
    for ir in between:
        first = _polynomials(irreps_in, ir, degree - 1)
        if not len(first.coefficients):
            continue
        rows = {tuple(row): place for place, row in enumerate(below.tolist())}
        place = np.array([rows[tuple(row)] for row in first.monomials.tolist()])
        for polynomial in first.coefficients:
            for block, (_, ir_in) in enumerate(irreps_in):
                if ir_out not in ir * ir_in:
                    continue
                numbers = clebsch_gordan(ir.l, ir_in.l, ir_out.l)
                coupled = np.einsum("ak,abc->ckb", polynomial, numbers)
                result = np.zeros((ir_out.dim, len(number)))
                target = product[place][:, slices[block]]
                for component in range(ir_out.dim):
                    np.add.at(result[component], target, coupled[component])
                yield result


@functools.lru_cache(maxsize=64)
def _monomials(variables: int, degree: int) -> NDArray[np.int64]:
    """[K, degree], all of them."""
    rows = list(itertools.combinations_with_replacement(range(variables), degree))
    return np.array(rows, dtype=np.int64).reshape(len(rows), degree)


def _factorials(row: list[int]) -> float:
    return float(math.prod(math.factorial(row.count(variable)) for variable in set(row)))


def _root_mean_square(monomials: NDArray[np.int64], polynomial: NDArray[np.float64]) -> float:
    """√ of the mean over components of E[P²], for independent normal x."""
    total = 0.0
    for component in polynomial:
        places = np.flatnonzero(np.abs(component) > 1e-12)
        powers = np.zeros((len(places), int(monomials.max()) + 1), dtype=np.int64)
        for factor in range(monomials.shape[1]):
            np.add.at(powers, (np.arange(len(places)), monomials[places, factor]), 1)
        sums = powers[:, None] + powers[None]
        # E[x^s] is (s − 1)!! for even s and zero for odd.
        moments = np.array(
            [0 if s % 2 else math.prod(range(1, s, 2)) for s in range(2 * monomials.shape[1] + 1)]
        )
        total += float(component[places] @ moments[sums].prod(axis=-1) @ component[places])
    return math.sqrt(total / len(polynomial))
