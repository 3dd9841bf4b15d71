"""The group O(3): irreps, spherical harmonics, Clebsch-Gordan coefficients, rotations, Cartesian tensors."""

from cynosure.o3.cartesian import CartesianTensor
from cynosure.o3.clebsch_gordan import clebsch_gordan, generators
from cynosure.o3.irreps import Irrep, Irreps, SortedIrreps
from cynosure.o3.polynomials import Polynomials, equivariant_polynomials
from cynosure.o3.rotation import (
    angles_to_matrix,
    axis_angle_to_matrix,
    matrix_to_angles,
    matrix_to_axis_angle,
    matrix_to_quaternion,
    quaternion_to_matrix,
    random_rotation,
    wigner_D,
)
from cynosure.o3.spherical_harmonics import spherical_harmonics

__all__ = [
    "CartesianTensor",
    "Irrep",
    "Irreps",
    "Polynomials",
    "SortedIrreps",
    "angles_to_matrix",
    "axis_angle_to_matrix",
    "clebsch_gordan",
    "equivariant_polynomials",
    "generators",
    "matrix_to_angles",
    "matrix_to_axis_angle",
    "matrix_to_quaternion",
    "quaternion_to_matrix",
    "random_rotation",
    "spherical_harmonics",
    "wigner_D",
]
