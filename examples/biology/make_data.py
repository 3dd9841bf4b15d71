"""Frames of two small peptides with energies and forces of GFN2-xTB, as extended XYZ files.

    python -m examples.biology.make_data --out FOLDER [--quick]

Two molecules, because one does not say what a residue's energy is: N-methylacetamide (the two caps, 12 atoms) and the
alanine dipeptide (one residue between them, 22 atoms). At each point of a coarse grid of φ and ψ the dipeptide is
relaxed, and moves from there in short Langevin dynamics at 300 to 600 K, always as L. Frames to test with come from
chains of their own, which start between those of training; every other one is of the D peptide.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.io import write
from examples.biology.peptide import Array, handedness, mirrored, name_of, peptide, ramachandran_angles
from examples.biology.scan import ramachandran_map, relax, turned
from rich.progress import track

from examples import gfn2

TEMPERATURES = (300.0, 450.0, 600.0)
# eV/Å, where chains start.
_FMAX = 0.1


class Size(NamedTuple):
    """How much is sampled.

    Attributes:
        grid: points along φ, and as many along ψ, where chains for training start.
        frames: of each chain, beside its start.
        apart: fs between them.
        caps: chains of N-methylacetamide.
        tests: chains to test with.
    """

    grid: int
    frames: int
    apart: float
    caps: int
    tests: int


FULL, QUICK = Size(8, 4, 15.0, 6, 12), Size(3, 2, 4.0, 1, 2)


class Chain(NamedTuple):
    """A relaxed start, K, number of frames, fs between them, and the seed."""

    start: Atoms
    temperature: float
    frames: int
    apart: float
    seed: tuple[int, int]


def sample(chain: Chain) -> list[Atoms]:
    """The start and the frames that follow, labelled by GFN2 and with the hand of each atom.

    Raises:
        RuntimeError: a residue has turned into its mirror image; the chain was too hot.
    """
    hands = handedness(chain.start)

    def watch(frame: Atoms) -> None:
        if handedness(frame) != hands:
            raise RuntimeError(f"a residue has changed its hand at {chain.temperature:.0f} K")

    found = gfn2.label([chain.start])
    found += gfn2.sample(
        chain.start,
        chain.temperature,
        chain.frames,
        chain.seed,
        apart=chain.apart,
        settle=chain.apart,
        watch=watch,
    )
    for frame in found:
        frame.arrays["hand"] = chain.start.arrays["hand"].copy()
        frame.info["group"] = name_of(frame)
    return found


def training_chains(size: Size) -> list[Chain]:
    """Chains of the dipeptide from each point of the grid, and of N-methylacetamide."""
    relaxed = ramachandran_map(gfn2.calculator(), grid(size.grid), _FMAX)
    starts = [atoms for _, _, atoms in track(relaxed, "relaxing at φ and ψ", total=size.grid**2)]
    starts += [relax(peptide("", []), gfn2.calculator())] * size.caps
    return [_chain(start, number, size, 0) for number, start in enumerate(starts)]


def test_chains(training: list[Chain], size: Size) -> list[Chain]:
    """Chains of the dipeptide, L and D in turn, from between some of the points of the grid."""
    rng = np.random.default_rng(0)
    chains = []
    for number, chosen in enumerate(rng.permutation(size.grid**2)[: size.tests]):
        start = training[chosen].start
        phi, psi = ramachandran_angles(start)
        angles = phi + 180 / size.grid, psi + 180 / size.grid
        start = relax(turned(start, angles), gfn2.calculator(), angles, _FMAX)
        chains.append(_chain(mirrored(start) if number % 2 else start, number, size, 1))
    return chains


def _chain(start: Atoms, number: int, size: Size, purpose: int) -> Chain:
    temperature = TEMPERATURES[number % len(TEMPERATURES)]
    return Chain(start, temperature, size.frames, size.apart, (purpose, number))


def grid(points: int) -> Array:
    """[points] degrees around the circle, half a step off its ends."""
    return np.linspace(-180, 180, points, endpoint=False, dtype=np.float64) + 180 / points


def processes() -> Executor:
    """Worker processes, one for each processor, of one thread each: more gain nothing for so few atoms."""
    os.environ["OMP_NUM_THREADS"] = "1"
    return ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn"))


def make_data(folder: Path, workers: Executor, *, quick: bool = False) -> tuple[Path, Path]:
    """Write `train.xyz` and `test.xyz`, and return their paths."""
    size = QUICK if quick else FULL
    training = training_chains(size)
    paths = []
    for name, chains in (("train", training), ("test", test_chains(training, size))):
        sampled: Iterator[list[Atoms]] = workers.map(sample, chains)
        frames = [frame for found in track(sampled, f"chains to {name} with", len(chains)) for frame in found]
        path = folder / f"{name}.xyz"
        write(path, frames, format="extxyz")
        print(f"{path}: {len(frames)} frames of {len(chains)} chains", flush=True)
        paths.append(path)
    return paths[0], paths[1]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Frames of two small peptides with labels by GFN2-xTB.")
    parser.add_argument("--out", type=Path, default=Path("runs/biology"), help="folder of the two files")
    parser.add_argument("--quick", action="store_true", help="a few frames")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with processes() as workers:
        make_data(arguments.out, workers, quick=arguments.quick)
