"""The operations that cost time, one file each, every one beside its plain-torch reference."""

from cynosure.kernels.activation import activation_along, activation_along_reference
from cynosure.kernels.compiled_program import CompiledProgram
from cynosure.kernels.contraction import contract, contract_reference, polynomial_coefficients
from cynosure.kernels.contraction_table import ContractionTable
from cynosure.kernels.convolution import convolve, convolve_reference
from cynosure.kernels.harmonics import spherical_harmonics, spherical_harmonics_reference
from cynosure.kernels.linear import species_linear, species_linear_reference
from cynosure.kernels.paths import Path, PathTable
from cynosure.kernels.program import Derived, GateItem, NotLowered, Program, Term, Value, Weights
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
    "Term",
    "TrainingProgram",
    "Value",
    "Weights",
    "activation_along",
    "activation_along_reference",
    "contract",
    "contract_reference",
    "convolve",
    "convolve_reference",
    "polynomial_coefficients",
    "species_linear",
    "species_linear_reference",
    "spherical_harmonics",
    "spherical_harmonics_reference",
]
