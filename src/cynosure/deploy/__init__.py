"""Models at work: the ASE calculator, molecular dynamics, relaxation."""

from cynosure.deploy.calculator import Calculator, as_potential
from cynosure.deploy.display import DynamicsDisplay, RelaxDisplay
from cynosure.deploy.dynamics import MDResult, Sample, UnstableDynamics, molecular_dynamics
from cynosure.deploy.relaxation import RelaxResult, RelaxStep, has_cell, relax, require_settings
from cynosure.deploy.skin import SkinNeighbours
from cynosure.deploy.structures import read_structure, read_structures, require_sound, split_selection
from cynosure.deploy.velocities import degrees_of_freedom, maxwell_boltzmann

__all__ = [
    "Calculator",
    "DynamicsDisplay",
    "MDResult",
    "RelaxDisplay",
    "RelaxResult",
    "RelaxStep",
    "Sample",
    "SkinNeighbours",
    "UnstableDynamics",
    "as_potential",
    "degrees_of_freedom",
    "has_cell",
    "maxwell_boltzmann",
    "molecular_dynamics",
    "read_structure",
    "read_structures",
    "relax",
    "require_settings",
    "require_sound",
    "split_selection",
]
