"""Potentials with one flaw each, and structures on which it shows."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from torch import Tensor

from cynosure.graph import AtomGraph
from cynosure.potentials import Calibration, Potential, PotentialConfig

CUTOFF = 4.0


def smooth(lengths: Tensor) -> Tensor:
    """An envelope whose value, slope and curvature vanish at the cutoff."""
    x = lengths / CUTOFF
    return torch.where(x < 1, (1 - x) ** 3 * (1 + 3 * x + 6 * x**2), torch.zeros_like(x))


class Pairs(Potential):
    """A many-body potential √(Σ_j φ(r_ij)²) with room for a flaw in each of its parts.

    Args:
        envelope: of the edge length, instead of the smooth one.
        flaw: (graph, vectors, energies) -> energies, applied at the end.
        e0s: eV, of H, C, O and Si.
    """

    def __init__(
        self,
        envelope: Callable[[Tensor], Tensor] = smooth,
        flaw: Callable[[AtomGraph, Tensor, Tensor], Tensor] = lambda graph, vectors, energies: energies,
        e0s: tuple[float, ...] = (-1.0, -2.0, -3.0, -4.0),
        e0_kind: str = "isolated",
    ) -> None:
        ones, zeros = (1.0,) * 4, (0.0,) * 4
        calibration = Calibration(species=(1, 6, 8, 14), e0s=e0s, e0_kind=e0_kind, scale=ones, shift=zeros)
        super().__init__(PotentialConfig(model="pairs", cutoff=CUTOFF), calibration)
        self.weight = torch.nn.Parameter(torch.ones((), dtype=torch.float64))
        self.envelope, self.flaw = envelope, flaw

    def atomic_energies(self, graph: AtomGraph, species: Tensor, vectors: Tensor) -> Tensor:
        lengths = torch.linalg.vector_norm(vectors, dim=1)
        density = self.weight * torch.cos(2 * lengths) * self.envelope(lengths)
        total = vectors.new_zeros(graph.num_atoms).index_add(0, graph.receivers, density)
        return self.flaw(graph, vectors, torch.sqrt(1 + total**2) - 1)


@pytest.fixture
def pairs() -> type[Pairs]:
    return Pairs


@pytest.fixture
def silicon() -> Atoms:
    """Eight silicon atoms in a sheared cell, off their sites."""
    atoms = bulk("Si", cubic=True)
    cell = atoms.cell.array.copy()
    cell[1, 0], cell[2, 1] = 0.4, -0.3
    atoms.set_cell(cell, scale_atoms=True)
    atoms.rattle(0.1, seed=1)
    return atoms


@pytest.fixture
def ethanol() -> Atoms:
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.05, seed=1)
    return atoms
