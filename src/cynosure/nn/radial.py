"""Functions of the distance: smooth cutoffs, radial bases, and the small network that mixes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from cynosure.kernels import NotLowered, RadialLayers, Weights
from cynosure.nn.activation import Activation
from cynosure.nn.distance_transform import DistanceTransform

# Å, the sum of the covalent radii of two carbon atoms, about the middle of the periodic table's.
_TYPICAL_SIZES = 1.5


def polynomial_envelope(x: Tensor, power: int) -> Tensor:
    """The polynomial cutoff, whose value, slope and curvature vanish at x = 1.

        u(x) = 1 − (p+1)(p+2)/2 x^p + p(p+2) x^(p+1) − p(p+1)/2 x^(p+2)   for x < 1, else 0
             = (1 − x)³ Σ_{k<p} (k+1)(k+2)/2 x^k

    The first form is equation 8 of Gasteiger et al. 2020 (DimeNet); the second, the truncated series of
    (1 − x)^−3, is what is computed: it does not cancel near the cutoff.

    Args:
        x: distance over cutoff, ≥ 0, any shape.
        power: p.
    """
    held = x.clamp(max=1.0)  # past the cutoff the value is dropped below, and must not overflow before that
    series = torch.full_like(held, power * (power + 1) / 2)
    for k in range(power - 2, -1, -1):
        series = series * held + (k + 1) * (k + 2) / 2
    return torch.where(x < 1, (1 - held) ** 3 * series, torch.zeros_like(held))


class Envelope(nn.Module):
    """`polynomial_envelope` of r / r_c.

    Args:
        cutoff: r_c, Å.
        power: p ≥ 3; near r = 0 the function is 1 − O(x^p).

    Attributes:
        breaks: distances at which a derivative below the third jumps, besides the cutoff: none.

    Raises:
        ValueError: for a cutoff that is not positive or a power below 3.
    """

    breaks: tuple[float, ...] = ()

    def __init__(self, cutoff: float, power: int = 6) -> None:
        super().__init__()
        if not cutoff > 0:
            raise ValueError(f"the cutoff is {cutoff} Å; it must be positive")
        if power < 3:
            raise ValueError(f"the envelope's power is {power}; from 3 on, three derivatives exist at r = 0")
        self.cutoff, self.power = float(cutoff), int(power)

    def forward(self, distances: Tensor) -> Tensor:
        """Å, any shape -> the same shape, from 1 at zero to 0 at the cutoff and beyond."""
        return polynomial_envelope(distances / self.cutoff, self.power)


class SwitchingEnvelope(nn.Module):
    """The switching function of X-PLOR (and CHARMM: Brooks et al. 1983, J. Comput. Chem. 4, 187), 1 up to a distance.

        u(r) = t² (3 − 2t)   with   t = (r_c² − r²) / (r_c² − r_on²),   between 0 and 1

    Value and slope are continuous; the curvature jumps at r_on and at r_c.

    Args:
        cutoff: r_c, Å.
        start: r_on, Å.

    Attributes:
        breaks: distances at which a derivative below the third jumps, besides the cutoff: r_on.

    Raises:
        ValueError: unless 0 < r_on < r_c.
    """

    def __init__(self, cutoff: float, start: float) -> None:
        super().__init__()
        if not 0 < start < cutoff:
            raise ValueError(
                f"the envelope falls from {start} Å to {cutoff} Å; 0 < start < cutoff was expected"
            )
        self.cutoff, self.start = float(cutoff), float(start)
        self.breaks = (self.start,)

    def forward(self, distances: Tensor) -> Tensor:
        """Å, any shape -> the same shape, 1 up to the start and 0 from the cutoff on."""
        square = self.cutoff * self.cutoff
        # (At both ends `clamp` passes derivatives: those of the falling part.)
        t = ((square - distances * distances) / (square - self.start * self.start)).clamp(0.0, 1.0)
        return t * t * (3 - 2 * t)


class RadialBasis(nn.Module):
    """B functions of the distance times the envelope, each with unit mean square.

        bessel:     sin(n π r/r_c) / r,            n = 1 … B    (Gasteiger et al. 2020, equation 7), or sin(k_n r) / r
                                                   with learned k_n
        gaussian:   exp(−(r − μ_n)² / 2σ²),        μ_n evenly from 0 to r_c, σ their spacing
        chebyshev:  T_n(2r/r_c − 1),               n = 0 … B−1

    The mean square is ∫ f(r)² dr / r_c from 0 to r_c. (Weighting with r², as if neighbours were spread evenly
    in space, would make the functions about four times larger at bond lengths, where they matter most.)

    With a `transform` they are functions of x(r) instead, with the factors for two atoms of carbon's size; the envelope
    is that of r.

    Args:
        cutoff: r_c, Å.
        number: B ≥ 1.
        kind: which functions.
        power: of the polynomial envelope.
        start: Å; with it the envelope is the `SwitchingEnvelope` that falls from there on.
        learned: make the frequencies of Bessel functions parameters, which start at n π/r_c.
        transform: of the distance, by the sizes of the two atoms.

    Attributes:
        factors: [B] float64, which make the mean squares one.
        frequencies: [B] 1/Å, the k_n, if they are learned.

    Raises:
        ValueError: for an unknown kind, a number below 1, or frequencies of other functions.
    """

    def __init__(
        self,
        cutoff: float,
        number: int = 8,
        kind: Literal["bessel", "gaussian", "chebyshev"] = "bessel",
        power: int = 6,
        *,
        start: float | None = None,
        learned: bool = False,
        transform: DistanceTransform | None = None,
    ) -> None:
        super().__init__()
        if kind not in ("bessel", "gaussian", "chebyshev"):
            raise ValueError(f"no radial basis '{kind}'; the bases are bessel, gaussian, chebyshev")
        if number < 1:
            raise ValueError(f"a radial basis of {number} functions; at least 1 is needed")
        if learned and kind != "bessel":
            raise ValueError(f"a radial basis of kind '{kind}' has no frequencies that could be learned")
        self.envelope = Envelope(cutoff, power) if start is None else SwitchingEnvelope(cutoff, start)
        self.cutoff, self.number, self.kind = float(cutoff), int(number), kind
        self.transform = transform
        self.frequencies = None
        if learned:
            self.frequencies = nn.Parameter(
                torch.tensor([n * math.pi / cutoff for n in range(1, number + 1)])
            )
        nodes, weights = np.polynomial.legendre.leggauss(32 + 8 * number)
        r = torch.from_numpy(nodes + 1) * (self.cutoff / 2)
        density = torch.from_numpy(weights) / 2
        at = r if transform is None else transform(r, r.new_tensor(_TYPICAL_SIZES))
        values = self._functions(at) * self.envelope(r).unsqueeze(-1)  # (those that learned ones start from)
        # Kept in float64 whatever the module's dtype becomes; cast on use.
        self.factors = (density @ values.square()).rsqrt()

    def forward(self, distances: Tensor, sizes: Tensor | None = None) -> Tensor:
        """[...] Å -> [..., B]; with a transform `sizes` are the sums of the radii of both atoms, [...] Å or one."""
        factors = self.factors.to(distances)
        at = distances
        if self.transform is not None:
            assert sizes is not None
            at = self.transform(distances, sizes)
        if self.frequencies is None:
            functions = self._functions(at)
        else:
            functions = _sinc(at.unsqueeze(-1) * self.frequencies) * (
                self.frequencies * (self.cutoff / math.pi)
            )
        return functions * (self.envelope(distances).unsqueeze(-1) * factors)

    @property
    def exact_from(self) -> float:
        """Å, down to where tables of what is made of them must be exact: to zero, or with a transform to where its
        powers of the distance are smooth, closer than nuclei come."""
        return 0.0 if self.transform is None else 0.2

    def _functions(self, r: Tensor) -> Tensor:
        x = r.unsqueeze(-1) / self.cutoff
        counts = torch.arange(self.number, dtype=r.dtype, device=r.device)
        if self.kind == "bessel":
            return _sinc(x * (counts + 1) * math.pi) * (counts + 1)
        if self.kind == "gaussian":
            spacing = 1 / max(self.number - 1, 1)
            return torch.exp(-(((x - counts * spacing) / spacing) ** 2) / 2)
        return _chebyshev(2 * x.squeeze(-1) - 1, self.number)

    def extra_repr(self) -> str:
        return f"{self.number} {self.kind} functions to {self.cutoff} Å"


def _sinc(x: Tensor) -> Tensor:
    """sin(x)/x by its series near zero, where every derivative of the quotient would be 0/0."""
    near = x.abs() < 0.5
    away = torch.where(near, torch.ones_like(x), x)
    square = torch.where(near, x, torch.zeros_like(x)).square()
    series = torch.ones_like(x)
    for k in (156, 110, 72, 42, 20, 6):  # 2n(2n+1) from n = 6 down to 1: the next term is below 1e-16
        series = 1 - square / k * series
    return torch.where(near, series, torch.sin(away) / away)


def _chebyshev(x: Tensor, number: int) -> Tensor:
    values = [torch.ones_like(x), x]
    while len(values) < number:
        values.append(2 * x * values[-1] - values[-2])
    return torch.stack(values[:number], dim=-1)


class RadialNetwork(nn.Module):
    """A small network of the distance whose last hidden layer gives the radial functions R of a convolution.

    No layer has a bias and the activation keeps zero: with an input that vanishes at the cutoff to second
    order, so do the outputs.

    Args:
        number: input size, the number of basis functions.
        hidden: sizes of the hidden layers; the last one is the number of radial functions.

    Raises:
        ValueError: when there is no hidden layer.
    """

    def __init__(self, number: int, hidden: Sequence[int]) -> None:
        super().__init__()
        if not hidden:
            raise ValueError("a radial network needs at least one hidden layer")
        sizes = [number, *hidden]
        self.weights = nn.ParameterList(
            [nn.Parameter(torch.randn(a, b)) for a, b in zip(sizes[:-1], sizes[1:], strict=True)]
        )
        self.activation = Activation("silu")
        self.number_out = sizes[-1]

    def forward(self, basis: Tensor) -> Tensor:
        """[E, number] -> [E, hidden[-1]]."""
        for weight in self.weights:
            basis = self.activation(basis @ (weight / math.sqrt(weight.shape[0])))
        return basis


class RadialFunctions(NamedTuple):
    """The radial functions R(r) of a convolution: a network of a basis of the distance.

    Attributes:
        basis: the basis.
        network: the network, or whatever else gives [..., B] of the basis.
        sizes: Å, where the basis sees the sizes of atoms: of all pairs of species, [S, S], or of some, [pairs].
    """

    basis: RadialBasis
    network: Callable[[Tensor], Tensor]
    sizes: Tensor | None = None

    def __call__(self, distances: Tensor) -> Tensor:
        """[n] Å -> [n, B], or [n, pairs, B]."""
        if self.sizes is not None:
            distances = distances.unsqueeze(1)
        return self.network(self.basis(distances, self.sizes))

    @property
    def by_pair(self) -> bool:
        """Whether they differ from pair to pair of species; only those of some pairs (`of_pairs`) can be called."""
        return self.sizes is not None and self.sizes.dim() == 2

    def of_pairs(self, pairs: Sequence[tuple[int, int]]) -> RadialFunctions:
        """Those of some pairs of species, by their index."""
        assert self.sizes is not None
        return self._replace(sizes=torch.stack([self.sizes[pair] for pair in pairs]))

    @property
    def breaks(self) -> tuple[float, ...]:
        """Å, where their curvature jumps, between zero and the cutoff."""
        return self.basis.envelope.breaks

    @property
    def exact_from(self) -> float:
        """Å, down to where tables of them must be exact."""
        return self.basis.exact_from

    def layers(self) -> RadialLayers:
        """What they are made of, for training in the compiled core.

        Raises:
            NotLowered: an envelope that is no polynomial, frequencies that are learned, a transform of the distance, or
                no network.
        """
        basis, network = self.basis, self.network
        if not isinstance(network, RadialNetwork):
            raise NotLowered("radial functions that no network gives, in training")
        if not isinstance(basis.envelope, Envelope):
            raise NotLowered("a switching envelope, in training")
        if basis.frequencies is not None:
            raise NotLowered("learned frequencies, in training")
        if basis.transform is not None:
            raise NotLowered("a transform of the distance, in training")
        return RadialLayers(
            basis=basis.kind,
            power=basis.envelope.power,
            cutoff=basis.cutoff,
            factors=tuple(basis.factors.tolist()),
            layers=tuple(Weights.of(weight, 1 / math.sqrt(weight.shape[0])) for weight in network.weights),
            function=network.activation.name,
            factor=network.activation.factor,
        )
