"""The operations that cost time, one file each, every one beside its plain-torch reference."""

from cynosure.kernels.compiled_program import CompiledProgram
from cynosure.kernels.contraction import contract, contract_reference, polynomial_coefficients
from cynosure.kernels.contraction_table import ContractionTable
from cynosure.kernels.convolution import convolve, convolve_reference
from cynosure.kernels.harmonics import spherical_harmonics, spherical_harmonics_reference
from cynosure.kernels.linear import species_linear, species_linear_reference
from cynosure.kernels.orthogonal import orthogonal, orthogonal_reference
from cynosure.kernels.paths import Path, PathTable
from cynosure.kernels.program import (
    Derived,
    GateItem,
    NotLowered,
    Program,
    RadialLayers,
    Term,
    Value,
    Weights,
)
from cynosure.kernels.training_program import TrainingProgram

__all__ = [
    "CompiledProgram",
    "ContractionTable",
    "Derived",
    "GateItem",
    "NotLowered",
    "Path",
    "PathTable",
    "Program",
    "RadialLayers",
    "Term",
    "TrainingProgram",
    "Value",
    "Weights",
    "contract",
    "contract_reference",
    "convolve",
    "convolve_reference",
    "orthogonal",
    "orthogonal_reference",
    "polynomial_coefficients",
    "species_linear",
    "species_linear_reference",
    "spherical_harmonics",
    "spherical_harmonics_reference",
]
