"""How far atoms come: mean square displacements, and what diffusion makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.units import _e, _k, kB
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

CM2_PER_S = 1e-4  # 1 Å²/ps
# The part of a block over which its mean square displacement is fitted by a straight line: rattling is over by then,
# and there are still as many pairs of frames as not.
WINDOW = (0.1, 0.5)


def unwrapped(positions: Array, cell: Array) -> Array:
    """Positions that go on where a frame's atoms were put back into the cell.

    From frame to frame an atom is taken to have gone to the image that is nearest in each fractional coordinate; it
    must not move by half a cell between two frames.

    Args:
        positions: [T, N, 3] Å.
        cell: [3, 3] Å, one for all frames.

    Returns:
        [T, N, 3] Å; the first frame is as it was.
    """
    fraction = positions @ np.linalg.inv(cell)
    jumps = np.round(np.diff(fraction, axis=0))
    return positions - np.concatenate([np.zeros_like(positions[:1]), np.cumsum(jumps, axis=0) @ cell])


def without_drift(positions: Array, masses: Array) -> Array:
    """Positions with the centre of mass held where it was in the first frame, [T, N, 3]; `masses` is [N]."""
    centre = np.einsum("tni,n->ti", positions, masses) / masses.sum()
    return positions - (centre - centre[0])[:, None]


def mean_square_displacement(positions: Array) -> Array:
    """⟨(x(t + τ) − x(t))²⟩ along each axis, averaged over atoms and over all origins t.

    The squares are sums over origins of x(t)² + x(t + τ)² − 2 x(t) x(t + τ). The last is the autocorrelation, from the
    Fourier transform of the motion and as much of nothing behind it; the first two are running sums. (Kneller et al.,
    Comput. Phys. Commun. 91, 191 (1995), section 2.2.)

    Args:
        positions: [T, N, 3], unwrapped.

    Returns:
        [T, 3], by the number of frames between; their sum over axes is what is called the mean square displacement.
    """
    count = len(positions)
    centred = positions - positions.mean(axis=0)
    waves = np.fft.rfft(centred, 2 * count, axis=0)
    products = np.fft.irfft(np.abs(waves) ** 2, 2 * count, axis=0)[:count].mean(axis=1)
    # Sums of squares up to a frame: those of the first T − τ frames, and those of the last.
    sums = np.concatenate([np.zeros((1, 3)), np.cumsum(np.square(centred).mean(axis=1), axis=0)])
    both = sums[:0:-1] + sums[-1] - sums[:-1]
    squares = (both - 2 * products) / np.arange(count, 0, -1)[:, None]
    squares[0] = 0.0
    return squares


@dataclass(frozen=True)
class Diffusion:
    """Tracer diffusion of one element.

    Attributes:
        along: [B, 3] cm²/s, from each block of a run, along each axis.
    """

    along: Array

    @classmethod
    def of(cls, positions: Array, interval: float, blocks: int) -> Diffusion:
        """From the slopes of the mean square displacements of blocks, each 2 D along an axis.

        Args:
            positions: [T, N, 3] Å, unwrapped and without drift, of the atoms of the element.
            interval: ps between frames.
            blocks: parts into which the run is cut; they are taken to know nothing of each other.
        """
        length = len(positions) // blocks
        first, last = (max(1, round(part * length)) for part in WINDOW)
        if last - first < 2:
            raise ValueError(
                f"{len(positions)} frames are too few for {blocks} blocks; write more of them, or make a longer run"
            )
        lags = np.arange(first, last) * interval
        slopes = []
        for block in range(blocks):
            squares = mean_square_displacement(positions[block * length : (block + 1) * length])
            slopes.append(np.polyfit(lags, squares[first:last], 1)[0])
        return cls(CM2_PER_S * np.array(slopes) / 2)

    @classmethod
    def pooled(cls, found: Sequence[Diffusion]) -> Diffusion:
        """From the blocks of several runs."""
        return cls(np.concatenate([one.along for one in found]))

    @property
    def coefficient(self) -> tuple[float, float]:
        """Mean over axes and blocks, and its standard error by blocks, cm²/s."""
        return _mean(self.along.mean(axis=1))

    def to_json(self) -> dict[str, Any]:
        """The coefficient and that along each axis, each with its standard error, cm²/s."""
        axes = {f"along {axis}": list(_mean(self.along[:, number])) for number, axis in enumerate("xyz")}
        return {"coefficient": list(self.coefficient), **axes}


def _mean(values: Array) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


@dataclass(frozen=True)
class Arrhenius:
    """D = D₀ exp(−E/k_B T).

    Attributes:
        energy: E, eV.
        logarithm: ln D₀ of D in cm²/s.
        covariance: [2, 2] of the two, in this order.
    """

    energy: float
    logarithm: float
    covariance: Array

    @classmethod
    def of(cls, temperatures: ArrayLike, coefficients: ArrayLike, errors: ArrayLike) -> Arrhenius:
        """A straight line through ln D against 1/k_B T.

        Each point counts the same, whatever its error: an error by five blocks is itself known to a third of it only,
        and small ones are small by chance. They do say how well the line is known.

        Args:
            temperatures: [M] K.
            coefficients, errors: [M] cm²/s.

        Raises:
            ValueError: if a coefficient is not positive.
        """
        values, spread = np.asarray(coefficients, dtype=float), np.asarray(errors, dtype=float)
        if not (values > 0).all():
            raise ValueError(f"a diffusion coefficient is not positive: {values.tolist()}; make longer runs")
        rows = np.stack([-1 / (kB * np.asarray(temperatures, dtype=float)), np.ones(len(values))], axis=1)
        solution = np.asarray(np.linalg.pinv(rows), dtype=float)
        energy, logarithm = (solution @ np.log(values)).tolist()
        return cls(energy, logarithm, solution * np.square(spread / values) @ solution.T)

    def at(self, temperature: float) -> tuple[float, float]:
        """D at a temperature (K), cm²/s, and the factor by which it may as well be more or less."""
        row = np.array([-1 / (kB * temperature), 1.0])
        value = np.exp(row @ np.array([self.energy, self.logarithm]))
        return float(value), float(np.exp(np.sqrt(row @ self.covariance @ row)))


def conductivity(coefficient: float, temperature: float, density: float) -> float:
    """σ = n e² D / k_B T of ions of one charge that move independently (Nernst and Einstein), mS/cm.

    Args:
        coefficient: D, cm²/s.
        temperature: K.
        density: n, ions in an Å³.
    """
    return 1e3 * density * 1e24 * _e**2 * coefficient / (_k * temperature)
