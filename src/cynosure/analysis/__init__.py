"""Physics asked of any model: does it keep its promises? And what does a file hold?"""

from cynosure.analysis import finite_differences, symmetries
from cynosure.analysis.check import CHECKS, check, precision, verdict
from cynosure.analysis.data_report import describe_data
from cynosure.analysis.deviation import Deviation, Evaluation, evaluate
from cynosure.analysis.info import describe_model, info
from cynosure.analysis.report import Report, Table

__all__ = [
    "CHECKS",
    "Deviation",
    "Evaluation",
    "Report",
    "Table",
    "check",
    "describe_data",
    "describe_model",
    "evaluate",
    "finite_differences",
    "info",
    "precision",
    "symmetries",
    "verdict",
]
