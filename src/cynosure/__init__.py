"""Cynosure: E(3)-equivariant neural networks for atoms, and the road from frames to a potential that runs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# Public names and the module each lives in. Resolved on first use, so that `cynosure --help` does not
# wait for torch.
_PUBLIC = {
    "AtomGraph": "cynosure.graph",
    "Calculator": "cynosure.deploy",
    "Irrep": "cynosure.o3",
    "Irreps": "cynosure.o3",
    "build": "cynosure.potentials",
    "load": "cynosure.potentials",
}
_MODULES = (
    "analysis",
    "data",
    "deploy",
    "graph",
    "kernels",
    "lab",
    "nn",
    "o3",
    "potentials",
    "testing",
    "training",
)

__all__ = ["AtomGraph", "Calculator", "Irrep", "Irreps", "__version__", "build", "load"]

if TYPE_CHECKING:
    from cynosure.deploy import Calculator
    from cynosure.graph import AtomGraph
    from cynosure.o3 import Irrep, Irreps
    from cynosure.potentials import build, load


def __getattr__(name: str):
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"cynosure.{name}")
    raise AttributeError(f"module 'cynosure' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES])
