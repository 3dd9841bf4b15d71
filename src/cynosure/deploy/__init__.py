"""Models at work: the ASE calculator, molecular dynamics, relaxation."""

from cynosure.deploy.calculator import Calculator, as_potential
from cynosure.deploy.display import DynamicsDisplay, RelaxDisplay
from cynosure.deploy.dynamics import MDResult, Sample, UnstableDynamics, molecular_dynamics
from cynosure.deploy.relaxation import RelaxResult, relax
from cynosure.deploy.skin import SkinNeighbours
from cynosure.deploy.structures import read_structure
from cynosure.deploy.velocities import degrees_of_freedom, maxwell_boltzmann

__all__ = [
    "Calculator",
    "DynamicsDisplay",
    "MDResult",
    "RelaxDisplay",
    "RelaxResult",
    "Sample",
    "SkinNeighbours",
    "UnstableDynamics",
    "as_potential",
    "degrees_of_freedom",
    "maxwell_boltzmann",
    "molecular_dynamics",
    "read_structure",
    "relax",
]
