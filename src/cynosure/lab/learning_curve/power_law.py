"""Power laws, error = a·N^−b, and how sure their exponents are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Verdict = Literal["larger", "smaller", "not told apart", "unknown"]

# Student's t, two-sided 95 %, for 1, 2, 3, … degrees of freedom; the last stands for all beyond it, on the safe side.
_STUDENT_T = (12.707, 4.303, 3.183, 2.777, 2.571, 2.447, 2.365, 2.307, 2.263)


@dataclass(frozen=True)
class Estimate:
    """A number measured once with each seed.

    Attributes:
        values: one for each seed.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return float(np.mean(self.values))

    @property
    def standard_error(self) -> float:
        """The standard error of the mean; NaN for one seed, which says nothing about the others."""
        if len(self.values) < 2:
            return math.nan
        return float(np.std(self.values, ddof=1) / math.sqrt(len(self.values)))

    @property
    def half_width(self) -> float:
        """Half of the 95 % confidence interval of the mean (Student's t); NaN for one seed."""
        if len(self.values) < 2:
            return math.nan
        return _STUDENT_T[min(len(self.values) - 1, len(_STUDENT_T)) - 1] * self.standard_error

    def sign(self) -> Verdict:
        """Whether the number is `larger` or `smaller` than zero, as far as the 95 % interval says."""
        if len(self.values) < 2:
            return "unknown"
        if abs(self.mean) <= self.half_width:
            return "not told apart"
        return "larger" if self.mean > 0 else "smaller"

    def __sub__(self, other: Estimate) -> Estimate:
        """Seed by seed, so that what two measurements with one seed have in common drops out.

        Raises:
            ValueError: the two have different numbers of seeds.
        """
        return Estimate(tuple(a - b for a, b in zip(self.values, other.values, strict=True)))


@dataclass(frozen=True)
class PowerLaw:
    """error = a·N^−b, fitted to the errors of several seeds.

    Attributes:
        exponent: b, for each seed.
        log_prefactor: ln a, for each seed; a in the unit of the errors.
        misfit: root mean square distance of the points, averaged over the seeds, from the line, in ln(error): 0.03
            is about 3 %. Large where the points do not lie on a straight line.
    """

    exponent: Estimate
    log_prefactor: Estimate
    misfit: float

    def __call__(self, frames: ArrayLike) -> NDArray[np.float64]:
        """The error at numbers of frames, of any shape."""
        return np.exp(self.log_prefactor.mean - self.exponent.mean * np.log(np.asarray(frames, dtype=float)))


def fit(frames: ArrayLike, errors: ArrayLike) -> PowerLaw:
    """Fit a straight line to ln(error) against ln(N) by least squares, for each seed by itself.

    With x = ln N and y = ln(error), both less their means over N:

        b = −Σ xy / Σ x²,   ln a = ȳ + b·x̄

    The mean of b over the seeds is the b of all points together, since every seed has the same N.

    Args:
        frames: [K] N, at least two different ones.
        errors: [seeds, K], positive.

    Raises:
        ValueError: wrong shapes, fewer than two different N, or an error or N that is not positive and finite.
    """
    x, y = np.asarray(frames, dtype=float), np.asarray(errors, dtype=float)
    if x.ndim != 1 or y.ndim != 2 or y.shape[1] != len(x) or len(y) == 0:
        raise ValueError(
            f"errors have shape {y.shape} and frames {x.shape}; (seeds, {x.size}) and ({x.size},) were expected"
        )
    if len(np.unique(x)) < 2:
        raise ValueError("a slope needs at least two different numbers of frames")
    if not (np.isfinite(x).all() and np.isfinite(y).all() and (x > 0).all() and (y > 0).all()):
        raise ValueError("numbers of frames and errors must be positive and finite; a logarithm is taken")
    x, y = np.log(x), np.log(y)
    deviation = x - x.mean()
    exponents = -(y @ deviation) / (deviation @ deviation)
    prefactors = y.mean(axis=1) + exponents * x.mean()
    residual = y.mean(axis=0) - prefactors.mean() + exponents.mean() * x
    return PowerLaw(
        Estimate(tuple(exponents.tolist())),
        Estimate(tuple(prefactors.tolist())),
        float(np.sqrt(np.mean(residual**2))),
    )
