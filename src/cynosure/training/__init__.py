"""Training an interatomic potential, and measuring one."""

from cynosure.training.config import TrainConfig, from_settings
from cynosure.training.display import BarDisplay, Display, LineDisplay, display_for
from cynosure.training.evaluation import evaluate
from cynosure.training.finish import TrainResult
from cynosure.training.metrics import ErrorStats, Metrics
from cynosure.training.run import train

__all__ = [
    "BarDisplay",
    "Display",
    "ErrorStats",
    "LineDisplay",
    "Metrics",
    "TrainConfig",
    "TrainResult",
    "display_for",
    "evaluate",
    "from_settings",
    "train",
]
