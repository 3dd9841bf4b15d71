"""Small potentials and structures that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from torch import Tensor

from cynosure.graph import AtomGraph
from cynosure.potentials import Calibration, Potential, PotentialConfig, build


@pytest.fixture(scope="session")
def model(tiny) -> Potential:
    """A small network with fresh weights and a repulsive core, in float64."""
    return build(
        tiny,
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


class Springs(Potential):
    """Σ over pairs of ½ k (r − r0)², which is harmonic, has no repulsive core and can be made to vanish."""

    def __init__(self, k: float, r0: float, cutoff: float, species: tuple[int, ...] = (1, 8)) -> None:
        zeros = (0.0,) * len(species)
        calibration = Calibration(species=species, e0s=zeros, scale=(1.0,) * len(species), shift=zeros)
        super().__init__(PotentialConfig(model="springs", cutoff=cutoff), calibration)
        self.k = torch.nn.Parameter(torch.tensor(k, dtype=torch.float64))
        self.r0 = r0

    def atomic_energies(self, graph: AtomGraph, species: Tensor, vectors: Tensor) -> Tensor:
        lengths = torch.linalg.vector_norm(vectors, dim=1)
        halves = 0.25 * self.k * (lengths - self.r0) ** 2
        return vectors.new_zeros(graph.num_atoms).index_add(0, graph.receivers, halves)


@pytest.fixture(scope="session")
def springs() -> Callable[..., Springs]:
    """Makes a harmonic pair potential from its constant (eV/Å²), rest length and cutoff (Å)."""
    return Springs
