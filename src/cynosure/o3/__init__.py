"""The group O(3): irreps, spherical harmonics, Clebsch-Gordan coefficients, rotations, Cartesian tensors."""

from cynosure.o3.clebsch_gordan import clebsch_gordan, generators
from cynosure.o3.irreps import Irrep, Irreps, SortedIrreps
from cynosure.o3.spherical_harmonics import spherical_harmonics

__all__ = ["Irrep", "Irreps", "SortedIrreps", "clebsch_gordan", "generators", "spherical_harmonics"]
