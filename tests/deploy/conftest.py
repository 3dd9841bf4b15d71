"""Small potentials and structures that the tests of this folder share."""

from __future__ import annotations

import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule

from cynosure.potentials import Potential, build

TINY = {"layers": 2, "l_max": 1, "channels": 4, "radial_hidden": (8, 4), "cutoff": 3.5, "zbl": True}


@pytest.fixture(scope="session")
def model() -> Potential:
    """A small network with fresh weights and a repulsive core, in float64."""
    return build(
        TINY,
        ["H", "C", "O", "Si"],
        e0s={"H": -13.0, "C": -1030.0, "O": -2040.0, "Si": -7900.0},
        scale=0.3,
        avg_neighbours=12.0,
        dtype=torch.float64,
    )


@pytest.fixture
def silicon() -> Atoms:
    """Eight silicon atoms, off their sites."""
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.05, seed=1)
    return atoms


@pytest.fixture
def ethanol() -> Atoms:
    return molecule("CH3CH2OH")
