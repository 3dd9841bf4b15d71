"""A small network of many kinds that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

import cynosure
from cynosure.potentials import Potential

E0S = {"H": -13.6, "C": -1030.0, "O": -2040.0, "Si": -7900.0}


def make(dtype: torch.dtype = torch.float64, e0_kind: str = "fitted", shift=0.0, **config) -> Potential:
    settings = {"layers": 3, "l_max": 2, "channels": 8, "radial_hidden": [8, 6], "cutoff": 4.0, **config}
    return cynosure.build(
        settings,
        list(E0S),
        e0s=E0S,
        e0_kind=e0_kind,
        scale={"H": 0.5, "C": 0.7, "O": 1.1, "Si": 0.9},
        shift=shift,
        avg_neighbours=12.0,
        dtype=dtype,
    )


@pytest.fixture(scope="session")
def build() -> Callable[..., Potential]:
    """Makes a NequIP for H, C, O and Si with a cutoff of 4 Å, from settings that differ from its small defaults."""
    return make
