"""Frames of nuclear matter with the energy, forces and torques of `interaction.py`, as extended XYZ files.

    python -m examples.nuclear.make_data --out FOLDER [--quick]

Each chain is a box, or a cluster in free space, of some density, proton fraction and temperature, that moves with the
exact interaction under a thermostat, from a lattice with spins at random. Frames are 50 fm/c apart, the thermostat's
time of relaxation and twice the period of a bond. Those to test with come from chains of their own.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from examples.nuclear.dynamics import Motion
from examples.nuclear.interaction import KIND, NEUTRON, PROTON, Reference

APART = 50  # steps of 1 fm/c
FRICTION = 1 / APART


class Chain(NamedTuple):
    """Conditions of one simulation: number of nucleons, fraction of protons, 1/fm³, MeV, and whether it is periodic."""

    nucleons: int
    protons: float
    density: float
    temperature: float
    periodic: bool = True


TRAIN = [
    *(
        Chain(40, protons, density, temperature)
        for density in (0.025, 0.05, 0.1)
        for protons, temperature in ((0.2, 1.0), (0.3, 2.0), (0.5, 1.0), (0.4, 4.0))
    ),
    *(Chain(24, protons, 0.16, temperature, False) for protons in (0.35, 0.5) for temperature in (0.5, 1.5)),
]
TEST = [
    Chain(40, 0.3, 0.05, 1.0),
    Chain(40, 0.4, 0.05, 1.5),
    Chain(40, 0.25, 0.08, 2.0),
    Chain(40, 0.45, 0.03, 1.0),
    Chain(24, 0.4, 0.16, 1.0, False),
]
QUICK_TRAIN = [Chain(20, 0.3, 0.05, 1.0), Chain(20, 0.5, 0.05, 2.0), Chain(12, 0.5, 0.16, 1.0, False)]
QUICK_TEST = [Chain(20, 0.4, 0.05, 1.0)]


def start(chain: Chain, rng: np.random.Generator) -> Atoms:
    """Nucleons on a cubic lattice, a little displaced, of species and spins at random."""
    count, side = chain.nucleons, (chain.nucleons / chain.density) ** (1 / 3)
    along = int(np.ceil(count ** (1 / 3) - 1e-9))
    sites = np.stack(np.meshgrid(*[np.arange(along)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    chosen = rng.permutation(len(sites))[:count]
    positions = (sites[chosen] + rng.normal(scale=0.1, size=(count, 3))) * side / along
    protons = round(count * chain.protons)
    atoms = Atoms(positions=positions)
    atoms.set_array(KIND, np.array([PROTON] * protons + [NEUTRON] * (count - protons)))
    if chain.periodic:
        atoms.set_cell([side] * 3)
        atoms.pbc = True
    spins = rng.normal(size=(count, 3))
    atoms.arrays["spins"] = spins / np.linalg.norm(spins, axis=1, keepdims=True)
    atoms.calc = Reference()
    return atoms


def sample(chain: Chain, frames: int, settle: int, seed: int) -> list[Atoms]:
    """Labelled frames of one chain, after so many steps to settle."""
    rng = np.random.default_rng(seed)
    atoms = start(chain, rng)
    motion = Motion(atoms, chain.temperature, rng, friction=FRICTION)
    motion.run(settle)
    found = []
    for _ in range(frames):
        motion.run(APART)
        found.append(labelled(atoms))
    return found


def labelled(atoms: Atoms) -> Atoms:
    """A copy of a frame with what the exact interaction says of it."""
    frame = atoms.copy()
    frame.calc = Reference()
    energy, forces = frame.get_potential_energy(), frame.get_forces()
    frame.arrays["torque"] = np.array(frame.calc.get_property("torque", frame))
    frame.calc = SinglePointCalculator(frame, energy=energy, forces=forces)
    return frame


def make_data(folder: Path, *, quick: bool = False, say: Callable[[str], None] = print) -> tuple[Path, Path]:
    """Write `train.xyz` and `test.xyz`, and return their paths."""
    frames, settle = (8, 100) if quick else (16, 300)
    paths = []
    for number, (name, chains) in enumerate(
        (("train", QUICK_TRAIN if quick else TRAIN), ("test", QUICK_TEST if quick else TEST))
    ):
        found = _sampled(chains, frames, settle, seed=1000 * number)
        path = folder / f"{name}.xyz"
        write(path, found, format="extxyz")
        say(f"{path}: {len(found)} frames of {len(chains)} chains")
        paths.append(path)
    return paths[0], paths[1]


def _sampled(chains: Sequence[Chain], frames: int, settle: int, seed: int) -> list[Atoms]:
    return [
        frame for number, chain in enumerate(chains) for frame in sample(chain, frames, settle, seed + number)
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Frames of nuclear matter with exact labels.")
    parser.add_argument("--out", type=Path, default=Path("runs/nuclear"), help="folder of the two files")
    parser.add_argument("--quick", action="store_true", help="a few small frames")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    make_data(arguments.out, quick=arguments.quick)
