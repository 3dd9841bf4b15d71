"""What follows from the elastic constants of a crystal: moduli, stability, and how it differs between directions.

Voigt's notation throughout: 1 xx, 2 yy, 3 zz, 4 yz, 5 xz, 6 xy; strains 4 to 6 are the engineering ones, twice the
component; stress_i = Σ_j C_ij strain_j. In Kelvin's notation the rows and columns 4 to 6 carry a factor √2 instead,
which makes the 6×6 matrix a tensor: its eigenvalues do not depend on the axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

_KELVIN = np.sqrt([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])
# Constants that cubic symmetry makes equal, or zero, may differ by this part of the largest.
_CUBIC = 0.01


@dataclass(frozen=True)
class Moduli:
    """Moduli of a polycrystal without texture.

    Attributes:
        bulk: GPa.
        shear: GPa.
    """

    bulk: float
    shear: float

    @property
    def young(self) -> float:
        """Young's modulus, 9BG/(3B + G), GPa."""
        return 9 * self.bulk * self.shear / (3 * self.bulk + self.shear)

    @property
    def poisson(self) -> float:
        """Poisson's ratio, (3B − 2G)/(6B + 2G)."""
        return (3 * self.bulk - 2 * self.shear) / (6 * self.bulk + 2 * self.shear)


@dataclass(frozen=True)
class Cubic:
    """The three constants of a cubic crystal whose axes are x, y and z, GPa."""

    c11: float
    c12: float
    c44: float

    @property
    def anisotropy(self) -> float:
        """Zener's ratio 2 C44/(C11 − C12): 1 where no direction differs from another."""
        return 2 * self.c44 / (self.c11 - self.c12)


@dataclass(frozen=True)
class ElasticTensor:
    """The elastic constants of a crystal.

    Attributes:
        voigt: [6, 6] GPa, symmetric.
    """

    voigt: NDArray[np.float64]

    @cached_property
    def kelvin(self) -> NDArray[np.float64]:
        """The same in Kelvin's notation, [6, 6] GPa."""
        return self.voigt * np.outer(_KELVIN, _KELVIN)

    @cached_property
    def eigenvalues(self) -> NDArray[np.float64]:
        """[6] GPa, rising: the stiffness against each of the six strains that answer with a stress like themselves."""
        return np.asarray(np.linalg.eigvalsh(self.kelvin), dtype=np.float64)

    @property
    def stable(self) -> bool:
        """Whether every small strain costs energy (Born and Huang, 1954): all eigenvalues are positive."""
        return bool(self.eigenvalues[0] > 0)

    @cached_property
    def compliance(self) -> NDArray[np.float64]:
        """S = C⁻¹ in Voigt's notation, [6, 6] 1/GPa; it means something for a stable crystal."""
        return np.asarray(np.linalg.inv(self.voigt), dtype=np.float64)

    def reuss(self) -> Moduli:
        """Moduli if all grains feel the same stress: the least (Hill, Proc. Phys. Soc. A 65, 349 (1952))."""
        s = self.compliance
        normal, mixed, shear = _sums(s)
        return Moduli(1 / (normal + 2 * mixed), 15 / (4 * normal - 4 * mixed + 3 * shear))

    def voigt_average(self) -> Moduli:
        """Moduli if all grains have the same strain: the most (Hill, 1952)."""
        normal, mixed, shear = _sums(self.voigt)
        return Moduli((normal + 2 * mixed) / 9, (normal - mixed + 3 * shear) / 15)

    def hill(self) -> Moduli:
        """The mean of the two (Hill, 1952)."""
        most, least = self.voigt_average(), self.reuss()
        return Moduli((most.bulk + least.bulk) / 2, (most.shear + least.shear) / 2)

    def anisotropy(self) -> float:
        """Universal index 5 G_V/G_R + B_V/B_R − 6: zero where no direction differs from another.

        Ranganathan and Ostoja-Starzewski, Phys. Rev. Lett. 101, 055504 (2008).
        """
        most, least = self.voigt_average(), self.reuss()
        return 5 * most.shear / least.shear + most.bulk / least.bulk - 6

    def young(self, directions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Young's modulus along directions [..., 3] of any length, GPa: 1/E = Σ S_ijkl n_i n_j n_k n_l."""
        x, y, z = np.moveaxis(directions / np.linalg.norm(directions, axis=-1, keepdims=True), -1, 0)
        pairs = np.stack([x * x, y * y, z * z, y * z, x * z, x * y], axis=-1)
        # The engineering shear compliances belong to twice the off-diagonal pairs of the stress, which appear once.
        return 1 / np.einsum("...i,ij,...j->...", pairs, self.compliance, pairs)

    def cubic(self) -> Cubic | None:
        """The three constants if the tensor is, in these axes, that of a cubic crystal within 1 %; otherwise None."""
        c = self.voigt
        found = Cubic(
            float(np.mean(np.diag(c)[:3])),
            float(np.mean(c[[0, 0, 1], [1, 2, 2]])),
            float(np.mean(np.diag(c)[3:])),
        )
        expected = np.diag([found.c44] * 6)
        expected[:3, :3] = found.c12 + (found.c11 - found.c12) * np.eye(3)
        return found if np.abs(c - expected).max() <= _CUBIC * np.abs(c).max() else None


def _sums(matrix: NDArray[np.float64]) -> tuple[float, float, float]:
    """The sums 11 + 22 + 33, 12 + 23 + 31 and 44 + 55 + 66 of a matrix in Voigt's notation."""
    diagonal = np.diag(matrix)
    return (
        float(diagonal[:3].sum()),
        float(matrix[0, 1] + matrix[1, 2] + matrix[0, 2]),
        float(diagonal[3:].sum()),
    )
