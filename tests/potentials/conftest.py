"""A small network of many kinds that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

import cynosure
from cynosure.potentials import Potential

# What every way to evaluate and to train a network is tried with.
MACE = {"model": "mace", "layers": 2, "l_max": 3, "hidden_l_max": 0, "correlation": 3, "readout_hidden": 4}
ARCHITECTURES = {
    "natural": {},
    "both parities": {"parity": True, "layers": 4},
    "no parity": {"parity": False},
    "scalars": {"l_max": 0, "layers": 2},
    "degree 3, odd channels": {"l_max": 3, "channels": 5, "layers": 2},
    "channels by degree": {"channels": [8, 4, 2]},
    "no self-connection": {"self_connection": False},
    "one self-connection for all": {"self_connection": "shared", "gate": "silu", "parity": False},
    "none in the first layer": {"self_connection": "after_first", "embedding_channels": 5},
    "biases": {"bias": True},
    "switching envelope": {"envelope": "xplor", "envelope_start": 3.2},
    "learned frequencies": {"learned_frequencies": True, "layers": 2},
    "hidden readout": {"readout_hidden": 6},
    "one layer": {"layers": 1},
    "wide": {"channels": 37, "layers": 2, "radial_hidden": [16, 8]},
    "degree 5": {"l_max": 5, "channels": 2, "layers": 2},
    "MACE": MACE,
    "MACE, equivariant": {**MACE, "hidden_l_max": 2, "channels": 5},
    "MACE, three layers": {
        **MACE,
        "layers": 3,
        "correlation": 2,
        "self_connection": False,
        "readout_hidden": 0,
    },
    "MACE, divided by a density": {
        **MACE,
        "hidden_l_max": 1,
        "density": [True, False],
        "correlation": [2, 3],
    },
    "MACE, by pairs of species": {
        **MACE,
        "distance_transform": {"kind": "agnesi"},
        "density": True,
        "self_connection": [False, True],
        "messages_by_species": [True, False],
        "zbl": {"length": 0.24, "exponent": 0.3},
    },
    "MACE, soft distances": {**MACE, "layers": 1, "distance_transform": {"kind": "soft"}},
    "isolated": {"e0_kind": "isolated", "shift": {"H": 0.1, "C": -0.2, "O": 0.3, "Si": 0.4}},
    "zbl": {"zbl": True},
    "zbl to the cutoff": {"zbl": {"reach": "cutoff", "length": 0.4685}, "layers": 1},
}
E0S = {"H": -13.6, "C": -1030.0, "O": -2040.0, "Si": -7900.0}


def make(dtype: torch.dtype = torch.float64, e0_kind: str = "fitted", shift=0.0, **config) -> Potential:
    settings = {
        "model": "nequip",
        "layers": 3,
        "l_max": 2,
        "channels": 8,
        "radial_hidden": [8, 6],
        "cutoff": 4.0,
        **config,
    }
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


@pytest.fixture(params=ARCHITECTURES.values(), ids=ARCHITECTURES)
def architecture(request) -> dict:
    """Settings for `build`, one architecture after the other."""
    return request.param
