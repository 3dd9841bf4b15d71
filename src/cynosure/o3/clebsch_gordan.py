r"""The algebra of SO(3) in the real basis: Clebsch-Gordan coefficients and generators, in NumPy float64.

The real basis of degree l has components μ = −l … l at index l + μ. The polar axis is y and the azimuth runs
from z towards x, so that l = 1 is (x, y, z); a component μ > 0 varies as the cosine, μ < 0 as the sine of |μ|
times the azimuth. In the complex basis |m⟩, which a rotation by θ about y multiplies by e^{imθ}, for μ > 0

    e_0  = (−i)^l |0⟩
    e_μ  = (−i)^l    ((−1)^μ |μ⟩ + |−μ⟩) / √2
    e_−μ = (−i)^l  i ((−1)^μ |μ⟩ − |−μ⟩) / √2

The factor (−i)^l makes every Clebsch-Gordan coefficient real. Order and phase are those of e3nn.
"""

from __future__ import annotations

import functools
import math
import operator

import numpy as np


def clebsch_gordan(l1: int, l2: int, l3: int) -> np.ndarray:
    r"""The tensor C that couples degrees l1 and l2 to l3, in the real basis.

    (x ⊗ y)_c = Σ_ab C[a, b, c] x_a y_b transforms with D^l3 when x does with D^l1 and y with D^l2. It is
    orthonormal,

        Σ_ab C[a, b, c] C[a, b, d] = δ_cd,        Σ_l3 Σ_c C[a, b, c] C[a', b', c] = δ_aa' δ_bb'

    and its sign is that of Condon and Shortley, carried to the real basis.

    1. Each complex coefficient comes from Racah's sum in Python integers: exact up to one final square root.
    2. The change to the real basis adds at most two numbers of equal magnitude, with phases in {±1, ±i} and
       the powers of √2 taken out, so that what vanishes is exactly zero and nothing else loses a digit.

    Args:
        l1, l2, l3: degrees ≥ 0 with |l1 − l2| ≤ l3 ≤ l1 + l2.

    Returns:
        [2·l1 + 1, 2·l2 + 1, 2·l3 + 1] float64, read-only; the same array at every call.

    Raises:
        ValueError: a degree is negative, or the three break the triangle rule.

    Source: G. Racah, Phys. Rev. 62, 438 (1942), eq. 16.
    """
    l1, l2, l3 = (operator.index(degree) for degree in (l1, l2, l3))
    if min(l1, l2, l3) < 0:
        raise ValueError(f"degrees are ≥ 0; got l1={l1}, l2={l2}, l3={l3}")
    if not abs(l1 - l2) <= l3 <= l1 + l2:
        raise ValueError(
            f"degrees {l1} and {l2} do not couple to {l3}: "
            f"by the triangle rule l3 is one of {abs(l1 - l2)} … {l1 + l2}"
        )
    return _clebsch_gordan(l1, l2, l3)


def generators(l: int) -> np.ndarray:
    """The generators (J_x, J_y, J_z) of degree l: D^l of the rotation by θ about the unit vector n is exp(θ
    n·J).

    They are real and antisymmetric, [J_x, J_y] = J_z and its cyclic permutations hold, J² = −l(l + 1), and
    for l = 1 (J_a)_bc = −ε_abc.

    Args:
        l: degree ≥ 0.

    Returns:
        [3, 2l + 1, 2l + 1] float64, read-only; the same array at every call.

    Raises:
        ValueError: l is negative.
    """
    l = operator.index(l)
    if l < 0:
        raise ValueError(f"a degree is ≥ 0; got l={l}")
    return _generators(l)


@functools.cache
def _clebsch_gordan(l1: int, l2: int, l3: int) -> np.ndarray:
    coupled = _complex_clebsch_gordan(l1, l2, l3).astype(np.complex128)
    coupled = np.tensordot(_real_basis(l1), coupled, axes=(0, 0))
    coupled = np.tensordot(_real_basis(l2), coupled, axes=(0, 1))  # [μ2, μ1, m3]
    coupled = np.tensordot(coupled, _real_basis(l3).conj(), axes=(2, 0)).transpose(1, 0, 2)
    halves = _has_partner(l1)[:, None, None] + _has_partner(l2)[:, None] + _has_partner(l3)
    result = coupled.real * np.sqrt(0.5**halves) + 0.0  # the last term turns −0 into 0
    result.setflags(write=False)
    return result


@functools.cache
def _generators(l: int) -> np.ndarray:
    m = np.arange(-l, l + 1)
    raising = np.diag(np.sqrt(l * (l + 1.0) - m[:-1] * m[1:]), k=-1)
    complex_basis = np.stack([(raising.T - raising) / 2, np.diag(1j * m), 0.5j * (raising + raising.T)])
    basis = _real_basis(l)
    halves = _has_partner(l)[:, None] + _has_partner(l)
    result = (basis.conj().T @ complex_basis @ basis).real * np.sqrt(0.5**halves) + 0.0
    result.setflags(write=False)
    return result


@functools.cache
def _real_basis(l: int) -> np.ndarray:
    """Column l + μ is e_μ in the complex basis, without its factor 1/√2: every entry is 0, ±1 or ±i."""
    basis = np.zeros((2 * l + 1, 2 * l + 1), dtype=np.complex128)
    basis[l, l] = 1
    for m in range(1, l + 1):
        sign = (-1) ** m
        basis[[l + m, l - m], l + m] = sign, 1
        basis[[l + m, l - m], l - m] = sign * 1j, -1j
    return (1, -1j, -1, 1j)[l % 4] * basis


def _has_partner(l: int) -> np.ndarray:
    """[2l + 1] int: 1 where e_μ is a combination of two complex vectors and so carries 1/√2, 0 for μ = 0."""
    return (np.arange(-l, l + 1) != 0).astype(np.int64)


def _complex_clebsch_gordan(l1: int, l2: int, l3: int) -> np.ndarray:
    """⟨l1 m1 l2 m2 | l3 m3⟩ as [2·l1 + 1, 2·l2 + 1, 2·l3 + 1] float64, each entry at index l + m."""
    result = np.zeros((2 * l1 + 1, 2 * l2 + 1, 2 * l3 + 1))
    mirror = (-1) ** (l1 + l2 - l3)
    for m1 in range(-l1, l1 + 1):
        for m2 in range(max(-l2, -l3 - m1), min(l2, l3 - m1, -m1) + 1):
            value = _coefficient(l1, m1, l2, m2, l3)
            # The coefficient of (−m1, −m2) is the same number, so that the real basis cancels without a
            # remainder.
            result[l1 - m1, l2 - m2, l3 - m1 - m2] = mirror * value
            result[l1 + m1, l2 + m2, l3 + m1 + m2] = value
    return result


def _coefficient(l1: int, m1: int, l2: int, m2: int, l3: int) -> float:
    r"""⟨l1 m1 l2 m2 | l3 m1 + m2⟩ by Racah's sum, with its factorials gathered into integer binomials.

    With a = l1 + l2 − l3, b = l1 − l2 + l3, c = −l1 + l2 + l3 and m3 = m1 + m2,

        S = Σ_k (−1)^k binom(a, k) binom(b, l1 − m1 − k) binom(c, l2 + m2 − k)
        value = S √( (2·l3 + 1) Π_i (l_i + m_i)! (l_i − m_i)! / ((l1 + l2 + l3 + 1)! a! b! c!) )
    """
    m3 = m1 + m2
    a, b, c = l1 + l2 - l3, l1 - l2 + l3, -l1 + l2 + l3
    first = max(0, l1 - m1 - b, l2 + m2 - c)
    last = min(a, l1 - m1, l2 + m2)
    total = sum(
        (-1) ** k * math.comb(a, k) * math.comb(b, l1 - m1 - k) * math.comb(c, l2 + m2 - k)
        for k in range(first, last + 1)
    )
    numerator, denominator = 2 * l3 + 1, math.factorial(l1 + l2 + l3 + 1)
    for degree, order in ((l1, m1), (l2, m2), (l3, m3)):
        numerator *= math.factorial(degree + order) * math.factorial(degree - order)
    for span in (a, b, c):
        denominator *= math.factorial(span)
    # One rounding in the quotient of integers, one in the root.
    return math.copysign(math.sqrt(total * total * numerator / denominator), total)
