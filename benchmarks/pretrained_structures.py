"""On what imported models are compared with the originals: crystals, molecules, surfaces, mixed and extreme ones."""

from __future__ import annotations

import ase.build
import numpy as np
from ase import Atoms
from ase.spacegroup import crystal

from benchmarks.structures import water


def structures() -> dict[str, Atoms]:
    """Name -> structure; no atom at a place that symmetry would make quiet."""
    found = {
        "silicon": ase.build.bulk("Si", cubic=True) * (2, 2, 2),
        "rock salt MgO": ase.build.bulk("MgO", "rocksalt", a=4.21, cubic=True),
        "iron, bcc": ase.build.bulk("Fe", cubic=True) * (3, 3, 3),
        "rutile TiO2": _rutile(),
        "perovskite CsPbI3": _perovskite(),
        "high-entropy alloy": _alloy(),
        "64 water molecules": water(),
        "ethanol": ase.build.molecule("CH3CH2OH"),
        "benzene": ase.build.molecule("C6H6"),
        "Cu(111) with CO": _surface(),
        "graphene": ase.build.graphene("C2", size=(3, 3, 1), vacuum=8.0),
        "strained silicon": _strained(),
        "one copper atom": ase.build.bulk("Cu"),
        "NaCl primitive": ase.build.bulk("NaCl", "rocksalt", a=5.64),
    }
    for number, (name, atoms) in enumerate(found.items()):
        if len(atoms) > 1 and name != "64 water molecules":
            atoms.rattle(0.05, seed=number)
    return found


def _rutile() -> Atoms:
    basis = [(0, 0, 0), (0.305, 0.305, 0)]
    return crystal(["Ti", "O"], basis, spacegroup=136, cellpar=[4.594, 4.594, 2.959, 90, 90, 90])


def _perovskite() -> Atoms:
    basis = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)]
    return crystal(["Cs", "Pb", "I"], basis, spacegroup=221, cellpar=[6.29] * 3 + [90] * 3)


def _alloy() -> Atoms:
    atoms = ase.build.bulk("Ni", cubic=True, a=3.6) * (3, 3, 2)
    kinds = np.random.default_rng(3).integers(0, 5, len(atoms))
    atoms.symbols[:] = np.array(["Cr", "Mn", "Fe", "Co", "Ni"])[kinds]
    return atoms


def _surface() -> Atoms:
    atoms = ase.build.fcc111("Cu", size=(2, 2, 3), vacuum=8.0)
    ase.build.add_adsorbate(atoms, ase.build.molecule("CO"), 1.9, "ontop", mol_index=1)  # carbon down
    return atoms


def _strained() -> Atoms:
    atoms = ase.build.bulk("Si", cubic=True)
    strain = np.eye(3) + np.array([[0.08, 0.03, 0.0], [0.0, -0.05, 0.02], [0.04, 0.0, 0.06]])
    atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    return atoms
