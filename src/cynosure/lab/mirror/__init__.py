"""Left and right hands: which networks can tell mirror images apart, and which cannot, by their parity labels."""

from cynosure.lab.mirror.cases import CASES, Case
from cynosure.lab.mirror.experiment import FULL, QUICK, Plan, measure_mirror
from cynosure.lab.mirror.molecules import (
    REAL,
    Composition,
    compositions,
    hand,
    mirror_symmetric_energy,
    mirrored,
    random_molecule,
    signed_volume,
)
from cynosure.lab.mirror.outcome import Mirror, Outcome
from cynosure.lab.mirror.report import conclusion, describe, run_text
from cynosure.lab.mirror.written import write_mirror

__all__ = [
    "CASES",
    "FULL",
    "QUICK",
    "REAL",
    "Case",
    "Composition",
    "Mirror",
    "Outcome",
    "Plan",
    "compositions",
    "conclusion",
    "describe",
    "hand",
    "measure_mirror",
    "mirror_symmetric_energy",
    "mirrored",
    "random_molecule",
    "run_text",
    "signed_volume",
    "write_mirror",
]
