"""The operations that cost time, one file each, every one beside its plain-torch reference."""

from cynosure.kernels.convolution import convolve, convolve_reference
from cynosure.kernels.harmonics import spherical_harmonics, spherical_harmonics_reference
from cynosure.kernels.linear import species_linear, species_linear_reference
from cynosure.kernels.paths import Path, PathTable
from cynosure.kernels.program import CompiledProgram, GateItem, NotLowered, Program, Term, Value

__all__ = [
    "CompiledProgram",
    "GateItem",
    "NotLowered",
    "Path",
    "PathTable",
    "Program",
    "Term",
    "Value",
    "convolve",
    "convolve_reference",
    "species_linear",
    "species_linear_reference",
    "spherical_harmonics",
    "spherical_harmonics_reference",
]
