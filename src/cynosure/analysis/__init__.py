"""Physics asked of any model: does it keep its promises, and what crystals does it make?

Also how fast it is, and what a file holds.
"""

from cynosure.analysis import finite_differences, symmetries
from cynosure.analysis.bench import Benchmark, Timing, bench, thread_counts
from cynosure.analysis.check import CHECKS, check, precision, verdict
from cynosure.analysis.crystal import Rest, at_rest
from cynosure.analysis.data_report import describe_data
from cynosure.analysis.deviation import Deviation, Evaluation, evaluate
from cynosure.analysis.elastic import Elastic, elastic
from cynosure.analysis.elastic_tensor import ElasticTensor
from cynosure.analysis.eos import EquationOfState, eos
from cynosure.analysis.info import describe_model, info
from cynosure.analysis.memory import Memory, estimate_memory, estimate_memory_at_density, free_memory
from cynosure.analysis.phonon_result import Phonons
from cynosure.analysis.phonons import phonons
from cynosure.analysis.report import Report, Table
from cynosure.analysis.result_files import ResultFiles, result_files
from cynosure.analysis.screen import screen
from cynosure.analysis.screen_result import Outcome, Place, Screening

__all__ = [
    "CHECKS",
    "Benchmark",
    "Deviation",
    "Elastic",
    "ElasticTensor",
    "EquationOfState",
    "Evaluation",
    "Memory",
    "Outcome",
    "Phonons",
    "Place",
    "Report",
    "Rest",
    "ResultFiles",
    "Screening",
    "Table",
    "Timing",
    "at_rest",
    "bench",
    "check",
    "describe_data",
    "describe_model",
    "elastic",
    "eos",
    "estimate_memory",
    "estimate_memory_at_density",
    "evaluate",
    "finite_differences",
    "free_memory",
    "info",
    "phonons",
    "precision",
    "result_files",
    "screen",
    "symmetries",
    "thread_counts",
    "verdict",
]
