"""Forces from three numbers in fixed axes, from a vector of each atom, and from an energy: what each way breaks."""

from cynosure.lab.forces.experiment import FULL, QUICK, Plan, compare_forces
from cynosure.lab.forces.outcome import Comparison, Outcome
from cynosure.lab.forces.report import conclusion, describe, run_text
from cynosure.lab.forces.ways import WAYS, Molecule, Way
from cynosure.lab.forces.written import write_forces

__all__ = [
    "FULL",
    "QUICK",
    "WAYS",
    "Comparison",
    "Molecule",
    "Outcome",
    "Plan",
    "Way",
    "compare_forces",
    "conclusion",
    "describe",
    "run_text",
    "write_forces",
]
