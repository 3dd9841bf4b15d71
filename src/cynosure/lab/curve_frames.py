"""The frames of an error against their number: to train on, to choose the best weights by, and to measure with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from cynosure.data import Frames, read_frames, split
from cynosure.lab.demo_data import demo_frames
from cynosure.lab.molecules import Molecules

HELD_OUT = 0.2  # of the frames, where no other file is named
_VALIDATION = 0.1  # of the others
# The same for every experiment: a seed of a run changes what it is trained on, not what it is measured by.
_SPLIT_SEED = 0
_FIRST_SIZE, _MOST_SIZES = 10, 7


@dataclass(frozen=True)
class CurveFrames:
    """Labelled frames, every one with forces, divided once for all runs.

    Attributes:
        pool: those that are trained on; a run takes some of them.
        validation: those by which every run chooses its best weights.
        held_out: those that every run is measured with. No run has anything to do with them before.
    """

    pool: Frames
    validation: Frames
    held_out: Frames

    def chosen(self, count: int, seed: int) -> NDArray[np.int64]:
        """[count] indices into the pool: the first of an order that is random and fixed by the seed.

        So the frames of a small run are among those of a larger one with the same seed.
        """
        return np.random.default_rng(seed).permutation(len(self.pool))[:count]

    def sizes(self) -> tuple[int, ...]:
        """A sensible series of numbers of training frames: 10, 20, 40, …, as far as the pool reaches."""
        sizes = [_FIRST_SIZE * 2**k for k in range(_MOST_SIZES) if _FIRST_SIZE * 2**k <= len(self.pool)]
        if len(sizes) >= 3:
            return tuple(sizes)
        return tuple(
            sorted({size for size in (len(self.pool) // 4, len(self.pool) // 2, len(self.pool)) if size > 1})
        )

    def content_hash(self) -> str:
        """Sixteen hexadecimal digits that another choice of frames would change."""
        parts = (self.pool, self.validation, self.held_out)
        return hashlib.sha256("".join(part.content_hash() for part in parts).encode()).hexdigest()[:16]

    def silence(self) -> float:
        """eV/Å, the root mean square force component of the held-out frames: the error of answering zero."""
        forces = np.concatenate([frame.forces.ravel() for frame in self.held_out])
        return float(np.sqrt(np.mean(forces**2)))

    def require(self, sizes: tuple[int, ...], seeds: int) -> None:
        """Raise unless there are frames enough, and every run sees every element that it is measured with.

        Raises:
            ValueError: names the most frames that can be had, or the element and the run that lacks it.
        """
        if max(sizes) > len(self.pool):
            raise ValueError(
                f"{max(sizes)} training frames were asked for and there are {len(self.pool)} in {self.pool.source} "
                f"({len(self.validation)} others are for validation, {len(self.held_out)} are held out); give "
                f"--frames up to {len(self.pool)}"
            )
        elements = {*self.pool.species(), *self.validation.species(), *self.held_out.species()}
        for seed in range(seeds):
            missing = elements - set(self.pool.subset(self.chosen(min(sizes), seed)).species())
            if missing:
                names = ", ".join(chemical_symbols[z] for z in sorted(missing))
                raise ValueError(
                    f"the {min(sizes)} frames of seed {seed} have no {names}, which other frames have; begin with "
                    "more frames (--frames)"
                )

    def molecules(self) -> tuple[Molecules, Molecules, Molecules]:
        """Pool, validation and held-out frames as the plain network sees them.

        Raises:
            ValueError: the frames are not of one molecule with its atoms in one order, or they lack energies.
        """
        parts = (self.pool, self.validation, self.held_out)
        frames = [frame for part in parts for frame in part]
        if any(frame.pbc.any() for frame in frames):
            raise ValueError("it knows no periodic structures")
        if any(np.isnan(frame.energy) for frame in frames):
            raise ValueError("it needs an energy for every frame")
        if any(not np.array_equal(frame.atomic_numbers, frames[0].atomic_numbers) for frame in frames):
            raise ValueError("it knows one molecule only, its atoms always in the same order")
        pool, validation, held_out = (Molecules.of([frame.to_atoms() for frame in part]) for part in parts)
        return pool, validation, held_out


def read_curve_frames(
    data: str | Path | None,
    held_out: str | float | None = None,
    keys: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
) -> tuple[CurveFrames, tuple[str, ...]]:
    """Read and divide the frames.

    Args:
        data: the file; None for the frames that come with the package, whose held-out ones are from another
            trajectory.
        held_out: another file, or the fraction of `data`; a fifth if None.
        keys, units: as for `read_frames`; of both files.

    Returns:
        The frames, and notes about them for the reader.

    Raises:
        FileNotFoundError: no such file.
        ValueError: whatever `read_frames` refuses; no forces; too few frames; a fraction that is not one.
    """
    if data is None:
        frames = Frames.from_atoms(demo_frames("train"), source="the demonstration frames")
        held_out_frames = Frames.from_atoms(
            demo_frames("test"), source="the test frames of the demonstration"
        )
        notes: list[str] = []
    else:
        frames, notes = _with_forces(read_frames(data, keys, units))
        held_out_frames = None
    if isinstance(held_out, str):
        held_out_frames, more = _with_forces(read_frames(held_out, keys, units))
        notes += more
    elif held_out_frames is None or held_out is not None:
        kept, out = split(len(frames), HELD_OUT if held_out is None else held_out, _SPLIT_SEED)
        frames, held_out_frames = frames.subset(kept), frames.subset(out)
    pool, validation = split(len(frames), _VALIDATION, _SPLIT_SEED)
    return CurveFrames(frames.subset(pool), frames.subset(validation), held_out_frames), tuple(notes)


def _with_forces(frames: Frames) -> tuple[Frames, list[str]]:
    """The frames that have forces, and a note if others were left out."""
    has = np.array(["forces" in frame.labels() for frame in frames], dtype=bool)
    if not has.any():
        found = [name for name, count in frames.label_counts().items() if count]
        raise ValueError(
            f"{frames.source} has no forces (labels found: {', '.join(found) or 'none'}), and the experiment is about "
            "force errors; name the column, such as --key forces=REF_forces"
        )
    if has.all():
        return frames, []
    without = int((~has).sum())
    return frames.subset(np.flatnonzero(has)), [
        f"{without} of {len(frames)} frames of {frames.source} have no forces and are left out."
    ]
