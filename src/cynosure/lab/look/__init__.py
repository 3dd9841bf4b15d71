"""Pictures to look at: spherical harmonics, the features of a network, and Clebsch-Gordan coefficients."""

from cynosure.lab.look.coupling import Path, coefficients, exact, parse_path
from cynosure.lab.look.features import Features, hidden_features
from cynosure.lab.look.written import Look, describe, look, sentences, write_look

__all__ = [
    "Features",
    "Look",
    "Path",
    "coefficients",
    "describe",
    "exact",
    "hidden_features",
    "look",
    "parse_path",
    "sentences",
    "write_look",
]
