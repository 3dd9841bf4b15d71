"""What is read from the trajectories that `cynosure md` writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.io import read
from examples.ionic_conductor.diffusion import Diffusion, mean_square_displacement, unwrapped, without_drift
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Motion:
    """Atoms of a crystal in motion, in a cell that stays.

    Attributes:
        atoms: the first frame.
        times: [T] ps, evenly spaced, from 0.
        positions: [T, N, 3] Å, unwrapped, with the centre of mass at rest.
        potential, kinetic: [T] eV.
        stress: [T] eV/Å³, its mean over the three directions, without the motion of atoms.
    """

    atoms: Atoms
    times: Array
    positions: Array
    potential: Array
    kinetic: Array
    stress: Array

    @classmethod
    def of(cls, path: Path, settle: float = 0.0) -> Motion:
        """Read a trajectory.

        Args:
            path: of the file.
            settle: ps of it that are left out.
        """
        frames: list[Atoms] = read(path, ":")  # pyright: ignore[reportAssignmentType] (a list, for a slice)
        frames = [frame for frame in frames if frame.info["time_ps"] >= settle]
        positions = unwrapped(np.array([frame.positions for frame in frames]), frames[0].cell.array)
        times = np.array([frame.info["time_ps"] for frame in frames])
        return cls(
            frames[0],
            times - times[0],
            without_drift(positions, frames[0].get_masses()),
            np.array([frame.get_potential_energy() for frame in frames]),
            np.array([frame.get_kinetic_energy() for frame in frames]),
            np.array([frame.get_stress()[:3].mean() for frame in frames]),
        )

    @property
    def elements(self) -> list[str]:
        """Those that are there, in their order."""
        return list(dict.fromkeys(self.atoms.symbols))

    @property
    def interval(self) -> float:
        """Between frames, ps."""
        return float(self.times[-1] / (len(self.times) - 1))

    @property
    def temperature(self) -> float:
        """Mean over the run, K; three degrees of freedom are those of the centre of mass."""
        return 2 * float(self.kinetic.mean()) / (units.kB * (3 * len(self.atoms) - 3))

    @property
    def pressure(self) -> float:
        """Mean over the run, that of moving atoms counted, GPa."""
        moving = 2 * self.kinetic.mean() / (3 * self.atoms.get_volume())
        return float(moving - self.stress.mean()) / units.GPa

    def of_element(self, element: str) -> Array:
        """[T, n, 3] Å: positions of its atoms."""
        return self.positions[:, self.atoms.symbols == element]

    def squares(self, element: str) -> tuple[Array, Array]:
        """Times between frames (ps), up to half of the run, and the mean square displacement of an element (Å²)."""
        half = len(self.times) // 2
        return self.times[:half], mean_square_displacement(self.of_element(element))[:half].sum(axis=1)

    def conservation(self) -> dict[str, float]:
        """Of the total energy in meV/atom: drift in a ps by a straight line, swing about it, and that of its parts."""
        total = 1e3 * (self.potential + self.kinetic) / len(self.atoms)
        line = np.polyfit(self.times, total, 1)
        return {
            "drift per ps": float(line[0]),
            "swing": float(np.std(total - np.polyval(line, self.times))),
            "swing of the kinetic energy": float(1e3 * self.kinetic.std() / len(self.atoms)),
        }


def squares(runs: Sequence[Motion], element: str) -> tuple[Array, Array]:
    """As of one run, the mean over several of one length."""
    found = [run.squares(element) for run in runs]
    return found[0][0], np.mean([square for _, square in found], axis=0)


def together(runs: Sequence[Motion], blocks: int) -> dict[str, Any]:
    """What `numbers.json` says of runs at one temperature, which differ by chance only.

    Length of all (ps), temperature (K), pressure (GPa), and by element diffusion (cm²/s), that of each run by itself,
    and how far it got in half of a run (Å²).

    Args:
        runs: of one length.
        blocks: into which each is cut.
    """
    elements = runs[0].elements
    found = {
        element: [Diffusion.of(run.of_element(element), run.interval, blocks) for run in runs]
        for element in elements
    }
    return {
        "time": float(sum(run.times[-1] for run in runs)),
        "temperature": float(np.mean([run.temperature for run in runs])),
        "pressure": float(np.mean([run.pressure for run in runs])),
        "diffusion": {element: Diffusion.pooled(each).to_json() for element, each in found.items()},
        "of each run": {element: [list(one.coefficient) for one in each] for element, each in found.items()},
        "mean square displacement in half of a run": {
            element: float(squares(runs, element)[1][-1]) for element in elements
        },
    }
