"""Does a network know that a turned pencil is the same pencil? What it costs to learn it, and to have it built in."""

from cynosure.lab.pencil.experiment import FULL, QUICK, Plan, measure_pencil
from cynosure.lab.pencil.outcome import Network, Outcome, Pencil, Reached, reached
from cynosure.lab.pencil.report import conclusion, describe, run_text
from cynosure.lab.pencil.written import write_pencil

__all__ = [
    "FULL",
    "QUICK",
    "Network",
    "Outcome",
    "Pencil",
    "Plan",
    "Reached",
    "conclusion",
    "describe",
    "measure_pencil",
    "reached",
    "run_text",
    "write_pencil",
]
