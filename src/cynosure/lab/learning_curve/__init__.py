"""Does equivariance change the slope? Force error against the number of training frames, measured and fitted."""

from cynosure.lab.curve_frames import CurveFrames, read_curve_frames
from cynosure.lab.learning_curve.curve import Curve, Measured
from cynosure.lab.learning_curve.experiment import FULL, QUICK, Plan, measure_learning_curve
from cynosure.lab.learning_curve.power_law import Estimate, PowerLaw, fit
from cynosure.lab.learning_curve.report import conclusion, describe, findings, run_text
from cynosure.lab.learning_curve.written import write_curve
from cynosure.lab.progress import Progress
from cynosure.lab.runs import Run

__all__ = [
    "FULL",
    "QUICK",
    "Curve",
    "CurveFrames",
    "Estimate",
    "Measured",
    "Plan",
    "PowerLaw",
    "Progress",
    "Run",
    "conclusion",
    "describe",
    "findings",
    "fit",
    "measure_learning_curve",
    "read_curve_frames",
    "run_text",
    "write_curve",
]
