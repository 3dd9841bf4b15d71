"""The data of the demonstration: (R)-methyloxirane, C3H6O, ten atoms, chiral, at 500 K on GFN2-xTB.

`train.xyz` (500 frames) and `test.xyz` (100 frames) are from two independent trajectories, so that no test
frame follows a training frame in time. Extended XYZ, positions in Å, energies in eV, forces in eV/Å; every
frame is centred and stands upright. `scripts/make_demo_data.py` in the repository makes them.
"""

from __future__ import annotations

import io
from importlib import resources
from pathlib import Path

import ase
import ase.io

SPLITS = ("train", "test")
# For training on these data; everything else is as `cynosure train` chooses it. 97 % of the pairs of atoms are nearer
# than 4 Å.
DEMO_SETTINGS = {"model": {"cutoff": 4.0}}


def _content(split: str) -> bytes:
    if split not in SPLITS:
        raise ValueError(f"the demonstration data has no split '{split}'; its splits are {', '.join(SPLITS)}")
    return resources.files(__name__).joinpath(f"{split}.xyz").read_bytes()


def demo_frames(split: str = "train") -> list[ase.Atoms]:
    """The labelled frames of one split.

    Args:
        split: "train" (500 frames) or "test" (100 frames).

    Returns:
        One `ase.Atoms` per frame, not periodic, without a cell, with the same ten atoms in the same order.
        Energy (eV) and forces (eV/Å) are those of its calculator: `frame.get_potential_energy()`.

    Raises:
        ValueError: for any other split.
    """
    frames = ase.io.read(io.StringIO(_content(split).decode()), index=":", format="extxyz")
    return frames if isinstance(frames, list) else [frames]


def write_demo_data(folder: Path) -> dict[str, Path]:
    """Copy the data files into `folder`, which is made if need be, and return the path of each split."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {split: folder / f"{split}.xyz" for split in SPLITS}
    for split, path in paths.items():
        path.write_bytes(_content(split))
    return paths
