"""Physics asked of any model: does it keep its promises? How fast is it, and what does a file hold?"""

from cynosure.analysis import finite_differences, symmetries
from cynosure.analysis.bench import Benchmark, Timing, bench, thread_counts
from cynosure.analysis.check import CHECKS, check, precision, verdict
from cynosure.analysis.data_report import describe_data
from cynosure.analysis.deviation import Deviation, Evaluation, evaluate
from cynosure.analysis.info import describe_model, info
from cynosure.analysis.memory import Memory, estimate_memory, estimate_memory_at_density, free_memory
from cynosure.analysis.report import Report, Table

__all__ = [
    "CHECKS",
    "Benchmark",
    "Deviation",
    "Evaluation",
    "Memory",
    "Report",
    "Table",
    "Timing",
    "bench",
    "check",
    "describe_data",
    "describe_model",
    "estimate_memory",
    "estimate_memory_at_density",
    "evaluate",
    "finite_differences",
    "free_memory",
    "info",
    "precision",
    "symmetries",
    "thread_counts",
    "verdict",
]
