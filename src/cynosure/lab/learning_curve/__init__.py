"""Does equivariance change the slope? Force error against the number of training frames, measured and fitted."""

from cynosure.lab.learning_curve.curve import Curve
from cynosure.lab.learning_curve.experiment import FULL, QUICK, Plan, measure_learning_curve
from cynosure.lab.learning_curve.frames import CurveFrames, read_curve_frames
from cynosure.lab.learning_curve.power_law import Estimate, PowerLaw, fit
from cynosure.lab.learning_curve.progress import Progress, ProgressDisplay
from cynosure.lab.learning_curve.report import conclusion, describe, findings
from cynosure.lab.learning_curve.runs import Measured, Run
from cynosure.lab.learning_curve.written import write_curve

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
    "ProgressDisplay",
    "Run",
    "conclusion",
    "describe",
    "findings",
    "fit",
    "measure_learning_curve",
    "read_curve_frames",
    "write_curve",
]
