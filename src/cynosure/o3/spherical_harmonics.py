r"""Real spherical harmonics of any degree, in torch, as recurrences of solid harmonics.

With the polar axis y, the azimuth from z towards x, component normalisation and no Condon-Shortley sign,

    Y_l,m(r)  = N_lm · P_lm(y, r²) · A_m(x, z)        m ≥ 0
    Y_l,−m(r) = N_lm · P_lm(y, r²) · B_m(x, z)        m > 0

    A_m + i B_m = (z + i x)^m
    P_mm = 1,  P_m+1,m = y,  P_lm = y P_l−1,m − ((l−1)² − m²)/((2l−1)(2l−3)) r² P_l−2,m

where P_lm, a polynomial whose leading term is y^{l−m}, is the m-th derivative of Legendre's P_l up to a
factor that N_lm absorbs. Everything is a polynomial of the components, so every derivative is finite
everywhere.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence

import torch
from torch import Tensor

# A vector whose components are all below this multiple of the root of the dtype's smallest normal number
# counts as zero: second derivatives of a direction grow as 1/r², and would leave the range of floats there.
_SMALLEST_LENGTH = 2.0**10


def spherical_harmonics(l: int | Sequence[int], vectors: Tensor, normalize: bool = True) -> Tensor:
    r"""The real spherical harmonics of `vectors`, for one degree or several side by side.

    Component normalisation: Σ_μ Y_lμ(r)² = 2l + 1 on the unit sphere; Y_0 = 1 and Y_1 = √3 (x, y, z). They
    transform as Y_l(R r) = D^l(R) Y_l(r), and Y_l(−r) = (−1)^l Y_l(r).

    Args:
        l: a degree ≥ 0, or a sequence of degrees in the wanted order, repeats allowed.
        vectors: [..., 3] float32 or float64, components (x, y, z); any leading shape, empty ones included.
        normalize: True takes the direction r/|r| alone. The zero vector, which has none, gives Y_0 = 1 and
            Y_l = 0 for l > 0, with zero derivatives of every order; a vector counts as zero when it is
            shorter than 1e-16 (float32) or 1e-151 (float64). False gives the solid harmonics |r|^l
            Y_l(r/|r|), polynomials with finite derivatives of every order everywhere, zero included.

    Returns:
        [..., Σ(2l + 1)] of the same dtype and device, degrees in the order of `l`, components in the real
        basis of `cynosure.o3`. Differentiable to any order.

    Raises:
        ValueError: the last axis of `vectors` is not 3, its dtype is not float32 or float64, a degree is
            negative, or no degree is given.
    """
    degrees = _degrees(l)
    if vectors.ndim == 0 or vectors.shape[-1] != 3:
        raise ValueError(
            f"vectors have shape {tuple(vectors.shape)}; [..., 3] with components (x, y, z) is needed"
        )
    if vectors.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"vectors are {vectors.dtype}; convert them to torch.float32 or torch.float64 first")
    # Component first and contiguous: every operation below runs over one long row per component.
    rows = vectors.reshape(-1, 3).t().contiguous()
    if normalize:
        rows = _directions(rows)
        # 1 up to rounding, which cancels the direction's; constant, so no derivative flows through it.
        squares = rows.detach().square().sum(0)
    else:
        squares = rows.square().sum(0)
    x, y, z = rows.unbind(0)
    harmonics = _solid_harmonics(max(degrees), x, y, z, squares)
    chosen = torch.stack([row for degree in degrees for row in harmonics[degree]])
    scale = torch.tensor([factor for degree in degrees for factor in _norms(degree)], dtype=rows.dtype)
    result = (chosen * scale.to(rows.device).unsqueeze(1)).t().contiguous()
    return result.reshape(*vectors.shape[:-1], result.shape[-1])


def _directions(rows: Tensor) -> Tensor:
    """r/|r| of each column of `rows` [3, n], with zero and zero derivatives for a zero vector.

    Each vector is first scaled by its largest component, so that no square leaves the range of floats, nor
    does a derivative. The scale cancels, so its own derivative is not needed. Zero vectors are masked before
    the quotient, not after: a derivative of 0/0 would be NaN even where it is then discarded.
    """
    largest = rows.detach().abs().amax(0)
    is_zero = largest <= _SMALLEST_LENGTH * torch.finfo(rows.dtype).tiny ** 0.5
    scaled = rows.masked_fill(is_zero, 0.0) / largest.masked_fill(is_zero, 1.0)
    inverse_length = scaled.square().sum(0).masked_fill(is_zero, 1.0).rsqrt()
    return scaled * inverse_length


def _solid_harmonics(lmax: int, x: Tensor, y: Tensor, z: Tensor, squares: Tensor) -> list[list[Tensor]]:
    """For each degree l ≤ lmax, its 2l + 1 components without the factors N_lm; every tensor is one row.

    1. A_m + i B_m by repeated multiplication with z + i x.
    2. P_lm for m < l by the recurrence in l; P_ll = 1 is left out.
    3. Their products.
    """
    # Degree 0 alone still depends on the vector in name: its derivative is zero rather than an error.
    one = torch.ones_like(y) if lmax else 0 * y + 1
    cosines, sines = [one, z], [torch.zeros_like(y), x]
    for _ in range(2, lmax + 1):
        cosine, sine = cosines[-1], sines[-1]
        cosines.append(z * cosine - x * sine)
        sines.append(x * cosine + z * sine)
    polar: list[list[Tensor]] = [[], [y]]
    for l in range(2, lmax + 1):
        row = []
        for m in range(l - 1):
            factor = ((l - 1) ** 2 - m**2) / ((2 * l - 1) * (2 * l - 3))
            two_below = squares * polar[l - 2][m] if m < l - 2 else squares
            row.append(torch.sub(y * polar[l - 1][m], two_below, alpha=factor))
        polar.append([*row, y])
    result = [[cosines[0]]]
    for l in range(1, lmax + 1):
        positive = [polar[l][m] * cosines[m] for m in range(1, l)] + [cosines[l]]
        negative = [polar[l][m] * sines[m] for m in range(1, l)] + [sines[l]]
        result.append([*reversed(negative), polar[l][0], *positive])
    return result


@functools.cache
def _norms(l: int) -> tuple[float, ...]:
    """N_lm for μ = −l … l: the factor between the polynomials above and component normalisation.

    Legendre's m-th derivative leads with (2l)! / (2^l l! (l − m)!) y^{l−m}, and the harmonic built on it has
    norm √((2l + 1) (2 − δ_m0) (l − m)!/(l + m)!); both are gathered into one quotient of integers before the
    root.
    """
    half = []
    for m in range(l + 1):
        numerator = (2 * l + 1) * (2 if m else 1) * math.factorial(2 * l) ** 2
        denominator = 4**l * math.factorial(l) ** 2 * math.factorial(l - m) * math.factorial(l + m)
        half.append(math.sqrt(numerator / denominator))
    return (*reversed(half[1:]), *half)


def _degrees(l: int | Sequence[int]) -> tuple[int, ...]:
    degrees = (
        tuple(operator.index(degree) for degree in l) if isinstance(l, Sequence) else (operator.index(l),)
    )
    if not degrees:
        raise ValueError("no degree l is given; name at least one, as in [0, 1, 2]")
    if min(degrees) < 0:
        raise ValueError(f"a degree l is ≥ 0; got {min(degrees)}")
    return degrees
