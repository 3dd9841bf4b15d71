"""Frames of glycolaldehyde with energy, forces and dipole by GFN2-xTB, as extended XYZ files.

    python -m examples.chemistry.make_data --out FOLDER [--quick]

Each chain is a molecule in Langevin dynamics at some temperature, on the surface of GFN2-xTB, from the minimum. Frames
are 50 fs apart, half the thermostat's time of relaxation. Those to test with come from chains of their own. The cold
chain is for the bottom of the well, where harmonic frequencies are; the hot ones reach what a molecule at room
temperature hardly does, so that it knows where to turn back.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ase import Atoms
from ase.io import write
from ase.neighborlist import natural_cutoffs, neighbor_list

from examples import gfn2


class Chain(NamedTuple):
    """Temperature, K, and number of frames."""

    temperature: float
    frames: int


TRAIN = [Chain(100, 80), Chain(300, 80), Chain(300, 80), Chain(400, 80), Chain(400, 80)]
TEST = [Chain(300, 60), Chain(400, 60)]
QUICK_TRAIN = [Chain(100, 16), Chain(300, 24)]
QUICK_TEST = [Chain(300, 8)]


def glycolaldehyde() -> Atoms:
    """HOCH2-CHO from textbook lengths and angles, the hydrogen of OH turned to the oxygen of CHO.

    Order: O of CHO, its C, C of CH2, O of OH, then H of CHO, both of CH2, that of OH.
    """
    positions = [
        [-1.30, 0.95, 0.00],
        [-0.75, -0.15, 0.00],
        [0.75, -0.25, 0.00],
        [1.30, 1.05, 0.00],
        [-1.35, -1.10, 0.00],
        [1.05, -0.82, 0.88],
        [1.05, -0.82, -0.88],
        [0.55, 1.65, 0.00],
    ]
    return Atoms("OCCOH4", positions)


def bonds(atoms: Atoms) -> set[tuple[int, int]]:
    """Pairs of atoms nearer than 1.3 times the sum of their covalent radii."""
    i, j = neighbor_list("ij", atoms, natural_cutoffs(atoms, 1.3))  # pyright: ignore[reportArgumentType] (any number)
    return {(int(a), int(b)) for a, b in zip(i, j, strict=True) if a < b}


def make_data(folder: Path, *, quick: bool = False, say: Callable[[str], None] = print) -> tuple[Path, Path]:
    """Write `train.xyz` and `test.xyz`, and return their paths.

    Raises:
        RuntimeError: the molecule has fallen apart or rearranged on the way.
    """
    minimum = gfn2.relaxed(glycolaldehyde())
    apart, settle = (20.0, 50.0) if quick else (50.0, 500.0)
    paths = []
    for number, (name, chains) in enumerate(
        (("train", QUICK_TRAIN if quick else TRAIN), ("test", QUICK_TEST if quick else TEST))
    ):
        found = _sampled(minimum, chains, number, apart, settle, say)
        path = folder / f"{name}.xyz"
        write(path, found, format="extxyz")
        say(f"{path}: {len(found)} frames of {len(chains)} chains")
        paths.append(path)
    return paths[0], paths[1]


def _sampled(
    minimum: Atoms,
    chains: Sequence[Chain],
    number: int,
    apart: float,
    settle: float,
    say: Callable[[str], None],
) -> list[Atoms]:
    known = bonds(minimum)

    def watch(frame: Atoms) -> None:
        if bonds(frame) != known:
            raise RuntimeError("a bond is broken or made: this is another molecule; take a lower temperature")

    found = []
    for index, chain in enumerate(chains):
        found += gfn2.sample(
            minimum, chain.temperature, chain.frames, (number, index), apart=apart, settle=settle, watch=watch
        )
        say(f"chain {index + 1} of {len(chains)}: {chain.frames} frames at {chain.temperature:g} K")
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Frames of glycolaldehyde with labels by GFN2-xTB.")
    parser.add_argument("--out", type=Path, default=Path("runs/chemistry"), help="folder of the two files")
    parser.add_argument("--quick", action="store_true", help="a few frames")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    make_data(arguments.out, quick=arguments.quick)
