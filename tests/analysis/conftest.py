"""Potentials with one flaw each, and structures on which it shows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from torch import Tensor

from cynosure.deploy import Calculator
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


class Shells(Potential):
    """Springs ½ k (r − r₀)² between all pairs whose distance is nearest to the rest length r₀ of theirs.

    A crystal whose shells of neighbours have just those distances is at rest, and its force constants are known. Where
    one spring takes over from the next the energy jumps; no test goes there.
    """

    def __init__(self, springs: tuple[tuple[float, float], ...], cutoff: float) -> None:
        ones, zeros = (1.0,) * 2, (0.0,) * 2
        calibration = Calibration(species=(14, 32), e0s=zeros, scale=ones, shift=zeros)
        super().__init__(PotentialConfig(model="shells", cutoff=cutoff), calibration)
        self.k = torch.nn.Parameter(torch.tensor([k for k, _ in springs], dtype=torch.float64))
        self.rest = [r0 for _, r0 in springs]

    def atomic_energies(self, graph: AtomGraph, species: Tensor, vectors: Tensor) -> Tensor:
        lengths = torch.linalg.vector_norm(vectors, dim=1)
        stretches = lengths[:, None] - torch.tensor(self.rest, dtype=torch.float64)
        nearest = torch.argmin(stretches.abs(), dim=1)
        stretch = stretches.gather(1, nearest[:, None])[:, 0]
        halves = 0.25 * self.k[nearest] * stretch**2
        return vectors.new_zeros(graph.num_atoms).index_add(0, graph.receivers, halves)


K_FCC, EDGE_FCC = 3.0, 5.0


@pytest.fixture
def fcc() -> Atoms:
    """The primitive cell of an fcc crystal of springs between nearest neighbours, at rest: 3 eV/Å², cube edge 5 Å."""
    return bulk("Ge", "fcc", a=EDGE_FCC)


@pytest.fixture
def fcc_springs() -> Calculator:
    """What holds `fcc` together."""
    return Calculator(Shells(((K_FCC, EDGE_FCC / np.sqrt(2)),), cutoff=1.2 * EDGE_FCC / np.sqrt(2)))


@pytest.fixture
def zincblende() -> Atoms:
    """Two atoms of different masses, whose sublattices move against each other under shear; cube edge 5.5 Å."""
    return bulk("SiGe", "zincblende", a=5.5)


@pytest.fixture
def zincblende_springs() -> Calculator:
    """Springs between nearest and second neighbours, with which `zincblende` is at rest."""
    nearest, second = 5.5 * np.sqrt(3) / 4, 5.5 / np.sqrt(2)
    return Calculator(Shells(((9.0, nearest), (1.0, second)), cutoff=1.1 * second))


@pytest.fixture
def unstable_springs() -> Calculator:
    """Those with second neighbours that push each other away from where they are."""
    nearest, second = 5.5 * np.sqrt(3) / 4, 5.5 / np.sqrt(2)
    return Calculator(Shells(((9.0, nearest), (-0.5, second)), cutoff=1.1 * second))
