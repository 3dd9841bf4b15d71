"""Small labelled data sets, and settings that train on them in a second."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.morse import MorsePotential
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from cynosure.training import from_settings

TINY_MODEL = {
    "model": "nequip",
    "channels": 2,
    "layers": 2,
    "l_max": 1,
    "num_basis": 4,
    "radial_hidden": [4],
    "cutoff": 3.0,
}


def labelled(atoms, *, stress=False, energy=True, forces=True):
    """The structure with labels of a Morse potential."""
    atoms = atoms.copy()
    atoms.calc = MorsePotential(epsilon=1.0, r0=1.6, rho0=3.0, rcut1=2.4, rcut2=3.0)
    results = {}
    if energy:
        results["energy"] = atoms.get_potential_energy() - 5.0 * len(atoms)
    if forces:
        results["forces"] = atoms.get_forces()
    if stress:
        results["stress"] = atoms.get_stress()
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def molecules(count=20, seed=0, **labels):
    """Shaken tetrahedra of carbon and oxygen, in two groups."""
    rng = np.random.default_rng(seed)
    corners = 0.6 * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    frames = []
    for number in range(count):
        atoms = Atoms("COCO", corners + rng.normal(scale=0.06, size=(4, 3)))
        atoms.info["config_type"] = "warm" if number % 2 else "cold"
        frames.append(labelled(atoms, **labels))
    return frames


def crystals(count=12, seed=0):
    """Shaken and strained cells of two atoms, with stress."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(count):
        atoms = bulk("Si", "diamond", a=3.6)
        atoms.set_cell(atoms.cell @ (np.eye(3) + rng.normal(scale=0.02, size=(3, 3))), scale_atoms=True)
        atoms.positions += rng.normal(scale=0.05, size=(2, 3))
        frames.append(labelled(atoms, stress=True))
    return frames


@pytest.fixture
def make_molecules():
    return molecules


@pytest.fixture
def make_crystals():
    return crystals


@pytest.fixture
def data(tmp_path):
    """A file of twenty molecules with energy and forces."""
    path = tmp_path / "molecules.xyz"
    write(path, molecules())
    return path


@pytest.fixture
def settings(data):
    """Makes settings for a tiny run on `data`; keywords replace sections."""

    def make(**changes):
        chosen = {"data": {"train": str(data)}, "model": TINY_MODEL, "epochs": 4, "batch": {"max_edges": 60}}
        return from_settings({**chosen, **changes})

    return make
