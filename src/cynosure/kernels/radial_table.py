"""Radial functions as a table: path weights as polynomials of the distance, interval by interval.

A convolution's path weights are w(r) = R(r) W with B functions R of the distance, the last hidden layer of a small
network. In a short interval of distances they are as good as polynomials of low degree, however large B is: the core
then mixes ten Chebyshev polynomials instead of 64 functions, and evaluates no network.

At both ends of an interval its polynomials take the functions' value, slope and curvature, so that the table is twice
continuously differentiable where the functions are; the force is the table's own derivative. What degree is left fits
the inside. A distance at which the functions' curvature jumps is a knot, and each side takes its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import torch
from numpy.polynomial import chebyshev
from numpy.typing import NDArray
from torch import Tensor

Numbers = NDArray[np.float64]
# The numbers of intervals to try. Few of them: edges of one interval share their weights in the core.
_INTERVALS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
# How far below a break, in cutoffs, the curvature of that side is asked for.
_BESIDE = 1e-12
# Å. How errors of a slope count beside errors of a value: a length over which radial functions change.
_LENGTH = 0.5


class RadialTable(NamedTuple):
    """w(r) = Σ_b T_b(t) weight[…, interval, b], with t from −1 to 1 along the interval.

    Attributes:
        weight: [intervals, terms, paths · channels], or [pairs, intervals, terms, paths · channels].
        step: Å, length of an interval; the first begins at zero.
        error: what was found between the knots, in the measure of `tabulate`'s tolerance.
    """

    weight: Numbers
    step: float
    error: float


def tabulate(
    radial: Callable[[Tensor], Tensor],
    weight: Numbers,
    cutoff: float,
    terms: int,
    tolerance: float,
    breaks: Sequence[float] = (),
    fewest: int = 1,
    exact_from: float = 0.0,
) -> RadialTable:
    """Tabulate w(r) = radial(r) @ weight for 0 ≤ r ≤ cutoff, with the fewest intervals that reach the tolerance.

    Args:
        radial: [n] Å float64 -> [n, B], or [n, pairs, B] for pairs of species that differ; each row of its own distance
            only, three times differentiable.
        weight: [B, paths · channels] W.
        cutoff: Å.
        terms: polynomials of an interval, at least 6.
        tolerance: of w(r), and of its slope times 0.5 Å: root mean square over paths and channels, relative to the
            largest of any distance, at every place between the knots; for each pair.
        breaks: Å, where the functions' curvature jumps; simple fractions of the cutoff, since they become knots.
        fewest: no fewer intervals than that.
        exact_from: Å; at smaller distances errors do not count.

    Raises:
        ValueError: when 512 intervals do not reach the tolerance: the functions are not smooth.
    """
    # W = Lᵀ Q with orthonormal rows Q: norms over paths and channels are norms of B numbers.
    measure = np.linalg.qr(weight.T)[1].T
    values = _derivatives(radial, np.linspace(0, cutoff, 513), 0)[0]
    scale = np.linalg.norm(values @ measure, axis=-1).max(axis=0)
    if not np.isfinite(scale).all():
        raise ValueError("a radial table: the weights of a convolution are not finite")
    scale = np.where(scale > 0, scale, 1.0)
    error, hopeless = np.inf, fewest
    for intervals in _numbers_of_intervals(cutoff, breaks):
        if intervals < hopeless:
            continue
        step = cutoff / intervals
        coefficients = _fit(radial, intervals, step, terms, breaks)
        error = _error(radial, coefficients, step, measure, scale, exact_from)
        if error <= tolerance:
            if coefficients.ndim == 4:
                coefficients = coefficients.transpose(2, 0, 1, 3)
            return RadialTable(coefficients @ weight, step, error)
        # Errors fall with a power of the number of intervals, at most that of the degree and a little at first.
        hopeless = intervals * (error / tolerance) ** (1 / (terms + 2))
    raise ValueError(
        f"a radial table: {_INTERVALS[-1]} intervals of {terms} polynomials reach {error:.1e}, not {tolerance:g}; "
        "are the radial functions smooth?"
    )


def _numbers_of_intervals(cutoff: float, breaks: Sequence[float]) -> list[int]:
    """The numbers of intervals to try, raised to the next that makes every break a knot."""
    parts = [Fraction(at / cutoff).limit_denominator(_INTERVALS[-1] // 2) for at in breaks]
    if any(abs(float(part) - at / cutoff) > 1e-12 for part, at in zip(parts, breaks, strict=True)):
        raise ValueError(
            f"a radial table: breaks at {', '.join(map(str, breaks))} Å of {cutoff} Å cannot be knots"
        )
    together = math.lcm(*(part.denominator for part in parts))
    return sorted({-(-intervals // together) * together for intervals in _INTERVALS})


def _derivatives(radial: Callable[[Tensor], Tensor], r: NDArray, order: int = 2) -> list[Numbers]:
    """[n, …] value, slope and so on to the derivative of this order, at the distances `r`.

    A row depends on its own distance alone, hence ∂/∂u of Σ u · f'(r) is f'(r) for all of them at once: two passes of
    reverse differentiation are one forward.
    """
    with torch.enable_grad():
        distances = torch.from_numpy(np.ascontiguousarray(r)).requires_grad_()
        found = [radial(distances)]
        for _ in range(order):
            u = torch.zeros_like(found[-1]).requires_grad_()
            along = (found[-1] * u).sum()
            (along,) = torch.autograd.grad(along, distances, create_graph=True, materialize_grads=True)
            if along.requires_grad:
                found += torch.autograd.grad(along.sum(), u, create_graph=True)
            else:  # what was differentiated is constant
                found.append(torch.zeros_like(u))
    return [values.detach().numpy() for values in found]


def _fit(
    radial: Callable[[Tensor], Tensor], intervals: int, step: float, terms: int, breaks: Sequence[float]
) -> Numbers:
    """[intervals, terms, …] coefficients of Chebyshev polynomials.

    1. The polynomial of degree 5 through value, slope and curvature at both ends.
    2. What it misses inside is fitted by (1 − t²)³ times further polynomials, which changes none of the six.
    """
    half = step / 2
    knots = np.arange(intervals + 1) * step
    numbers = [round(at / step) for at in breaks]
    if breaks:
        knots[numbers] = breaks
    value, slope, curvature = _derivatives(radial, knots)
    functions = value.shape[1:]
    ends = np.stack([value, slope * half, curvature * half**2], axis=1).reshape(len(knots), 3, -1)
    begins, stops = ends[:-1], ends[1:].copy()
    if breaks:
        below = _derivatives(radial, np.array(breaks) - _BESIDE * intervals * step)[2]
        stops[np.array(numbers) - 1, 2] = below.reshape(len(breaks), -1) * half**2
    conditions = np.stack(
        [
            [chebyshev.chebval(t, chebyshev.chebder(one, order)) for one in np.eye(6)]
            for t in (-1.0, 1.0)
            for order in range(3)
        ]
    )
    through_ends = np.linalg.solve(conditions, np.concatenate([begins, stops], axis=1))
    coefficients = np.zeros((intervals, terms, through_ends.shape[2]))
    coefficients[:, :6] = through_ends
    if terms > 6:
        places = np.cos((np.arange(4 * terms) + 0.5) * (np.pi / (4 * terms)))
        inside = ((np.arange(intervals)[:, None] + 0.5) * step + places * half).ravel()
        missed = _derivatives(radial, inside, 0)[0].reshape(intervals, len(places), -1)
        missed = missed - chebyshev.chebvander(places, 5) @ through_ends
        flat = chebyshev.poly2cheb([1, 0, -3, 0, 3, 0, -1])
        further = np.zeros((terms - 6, terms))
        for k, one in enumerate(np.eye(terms - 6)):
            product = chebyshev.chebmul(flat, np.trim_zeros(one, "b"))
            further[k, : len(product)] = product
        fit = np.linalg.pinv(chebyshev.chebvander(places, terms - 1) @ further.T)
        coefficients += further.T @ (fit @ missed)
    return coefficients.reshape(intervals, terms, *functions)


def _error(
    radial: Callable[[Tensor], Tensor],
    coefficients: Numbers,
    step: float,
    measure: Numbers,
    scale: Numbers,
    exact_from: float,
) -> float:
    """The largest error of value, and of slope times `_LENGTH`, at places between the knots; norms over weights, over
    the scale."""
    intervals, terms = coefficients.shape[:2]
    flat = coefficients.reshape(intervals, terms, -1)
    places = np.linspace(-1, 1, 2 * terms + 1)
    r = ((np.arange(intervals)[:, None] + 0.5) * step + places * (step / 2)).ravel()
    value, slope = _derivatives(radial, r, 1)
    slopes_of_terms = np.stack(
        [chebyshev.chebval(places, chebyshev.chebder(one)) for one in np.eye(terms)], axis=1
    )
    found = (chebyshev.chebvander(places, terms - 1) @ flat).reshape(value.shape)
    found_slope = (slopes_of_terms @ flat).reshape(value.shape) * (2 / step)
    counts = r >= exact_from
    errors = [(found - value)[counts] @ measure, _LENGTH * (found_slope - slope)[counts] @ measure]
    return max(float((np.linalg.norm(error, axis=-1) / scale).max()) for error in errors)
