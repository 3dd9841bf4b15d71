"""What is computed: the structures, by name. Every worker builds them from here, hence only NumPy and ASE."""

from __future__ import annotations

from pathlib import Path

import ase.build
import ase.io
import numpy as np
from ase import Atoms
from numpy.typing import NDArray

CUTOFF = 5.0  # Å
AVG_NEIGHBOURS = 30.0
# Every model knows these, so that one model serves every structure.
SPECIES = ("H", "C", "N", "O", "Si")
_BOX = 12.42  # Å, of 64 water molecules at the density of the liquid


def structure(name: str) -> Atoms:
    """A structure by name: `w1` 216 atoms of rattled silicon; `w2` one ethanol molecule; `w3` 64 water molecules;
    `w3x4` four copies of that, 768 atoms; `si8` the smallest; `si:AxBxC` that many unit cells of silicon;
    `shuffled NAME` the atoms of another one in random order."""
    if name.startswith("shuffled "):
        ordered = structure(name.removeprefix("shuffled "))
        return ordered[np.random.default_rng(0).permutation(len(ordered))]
    if name == "w1":
        return silicon((3, 3, 3))
    if name == "w2":
        ethanol = ase.build.molecule("CH3CH2OH")
        ethanol.rattle(0.02, seed=1)
        return ethanol
    if name == "w3":
        return water()
    if name == "w3x4":
        return water() * (2, 2, 1)
    if name == "si8":
        return silicon((1, 1, 1))
    if name.startswith("si:"):
        a, b, c = (int(count) for count in name[3:].split("x"))
        return silicon((a, b, c))
    raise ValueError(f"no structure '{name}'; see benchmarks/structures.py")


def silicon(cells: tuple[int, int, int]) -> Atoms:
    """Rattled diamond silicon, 8 atoms a cell."""
    atoms = ase.build.bulk("Si", "diamond", a=5.43, cubic=True) * cells
    atoms.rattle(0.05, seed=1)
    return atoms


def water() -> Atoms:
    """64 water molecules, turned at random, on a grid with noise: 192 atoms, about 10,300 edges within 5 Å."""
    rng = np.random.default_rng(0)
    molecule = ase.build.molecule("H2O")
    shape = molecule.positions - molecule.positions[0]
    positions, symbols = [], []
    for place in np.ndindex(4, 4, 4):
        centre = np.array(place) * _BOX / 4 + rng.normal(0.0, 0.1, 3)
        positions.append(shape @ _rotation(rng).T + centre)
        symbols += molecule.get_chemical_symbols()
    return Atoms(symbols, positions=np.concatenate(positions), cell=[_BOX] * 3, pbc=True)


def training_frames(count: int) -> list[Atoms]:
    """`count` of the five molecules of 27 atoms, without their box."""
    frames = ase.io.iread(Path(__file__).parent / "data" / "five_molecules.xyz", index=f":{count}")
    return [Atoms(frame.numbers, positions=frame.positions) for frame in frames]


def moved(atoms: Atoms, count: int = 64) -> list[NDArray[np.float64]]:
    """Positions a little apart from each other, as those of consecutive steps are; [N, 3] Å each."""
    rng = np.random.default_rng(7)
    return [atoms.positions + rng.normal(0.0, 0.002, atoms.positions.shape) for _ in range(count)]


def _rotation(rng: np.random.Generator) -> NDArray[np.float64]:
    """A rotation matrix, uniform over all: that of a normal random quaternion."""
    quaternion = rng.normal(size=4)
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
