"""Interatomic potentials: networks that give energies, and everything that follows from an energy."""

from cynosure.potentials.base import Potential
from cynosure.potentials.committee import Committee, members_of
from cynosure.potentials.config import Config, flatten, parse
from cynosure.potentials.declared import InputConfig, TargetConfig
from cynosure.potentials.evaluator import Evaluator
from cynosure.potentials.mace import MACE, MACEConfig
from cynosure.potentials.model_file import fingerprint, load, read_header, save, write_atomically
from cynosure.potentials.nequip import NequIP, NequIPConfig
from cynosure.potentials.presets import PRESETS
from cynosure.potentials.registry import MODELS, build, resolve
from cynosure.potentials.responses import DerivativeConfig
from cynosure.potentials.settings import (
    OUTPUTS,
    UNCERTAINTIES,
    Calibration,
    PotentialConfig,
    Range,
    UncertaintyFactors,
)
from cynosure.potentials.trainable import Trainable

__all__ = [
    "MACE",
    "MODELS",
    "OUTPUTS",
    "PRESETS",
    "UNCERTAINTIES",
    "Calibration",
    "Committee",
    "Config",
    "DerivativeConfig",
    "Evaluator",
    "InputConfig",
    "MACEConfig",
    "NequIP",
    "NequIPConfig",
    "Potential",
    "PotentialConfig",
    "Range",
    "TargetConfig",
    "Trainable",
    "UncertaintyFactors",
    "build",
    "fingerprint",
    "flatten",
    "load",
    "members_of",
    "parse",
    "read_header",
    "resolve",
    "save",
    "write_atomically",
]
