"""Errors beside the uncertainties that a model gave for them: do they go together, and which factor makes them?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Fewer errors than this say too little of a factor.
_FEWEST = 10
_BINS, _FEWEST_IN_BIN = 12, 5


@dataclass(frozen=True)
class UncertainErrors:
    """Errors, and the standard deviation that was expected of each.

    Attributes:
        errors: [n] prediction less label.
        uncertainties: [n] in the same unit, not negative.
    """

    errors: NDArray[np.float64]
    uncertainties: NDArray[np.float64]

    @classmethod
    def joined(cls, parts: Sequence[UncertainErrors]) -> UncertainErrors:
        """All of them; at least one."""
        return cls(
            np.concatenate([part.errors for part in parts]),
            np.concatenate([part.uncertainties for part in parts]),
        )

    @property
    def rms(self) -> float:
        """Root mean square uncertainty: what the RMSE should be."""
        return float(np.sqrt(np.mean(np.square(self.uncertainties))))

    @property
    def rmse(self) -> float:
        """Root mean square error."""
        return float(np.sqrt(np.mean(np.square(self.errors))))

    @property
    def ratio(self) -> float:
        """√(⟨e²⟩/⟨σ²⟩), RMSE over root mean square uncertainty: above 1 they are too small, below too large.

        Where e is drawn from a normal distribution of standard deviation a · s, this estimates a also if σ is not s but
        the standard deviation of K draws of that size, for any K. (√⟨e²/σ²⟩, which has the highest likelihood for known
        s, does not: it comes to a · √((K − 1)/(K − 3)), and has no limit for K ≤ 3, since some σ are small by chance.)
        Infinite where every σ is zero.
        """
        return self.rmse / self.rms if self.rms > 0 else math.inf

    def within(self, multiple: float) -> float:
        """The fraction of errors that are within so many uncertainties: 0.683 for 1 and 0.954 for 2 if normal."""
        return float(np.mean(np.abs(self.errors) <= multiple * self.uncertainties))

    def factor(self) -> float:
        """By what to multiply the uncertainties: `ratio`, but 1 with fewer than ten errors, or if it says nothing."""
        ratio = self.ratio
        return ratio if len(self.errors) >= _FEWEST and 0 < ratio < math.inf else 1.0

    def scaled(self, factor: float) -> UncertainErrors:
        """The same errors beside `factor` times the uncertainties."""
        return replace(self, uncertainties=factor * self.uncertainties)

    def bins(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Root mean square uncertainty and error, [bins] each, of equal parts of the errors in order of uncertainty."""
        order = np.argsort(self.uncertainties, kind="stable")
        count = max(1, min(_BINS, len(order) // _FEWEST_IN_BIN))
        parts = [
            UncertainErrors(self.errors[some], self.uncertainties[some])
            for some in np.array_split(order, count)
        ]
        return np.array([part.rms for part in parts]), np.array([part.rmse for part in parts])

    def to_json(self) -> dict[str, Any]:
        """Plain values: `rms`, `rmse`, `ratio` (null where infinite), `within_1`, `within_2` and `n`."""
        ratio = self.ratio
        return {
            "rms": self.rms,
            "rmse": self.rmse,
            "ratio": ratio if math.isfinite(ratio) else None,
            "within_1": self.within(1),
            "within_2": self.within(2),
            "n": len(self.errors),
        }
