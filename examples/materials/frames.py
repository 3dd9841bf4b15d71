"""The labelled frames: where they are, which of them are held out, and what they say of the crystal by themselves.

They are the silicon set of mlearn (Zuo et al., J. Phys. Chem. A 124, 731 (2020)): energies, forces and stresses of DFT
(PBE) for 214 structures of 12 to 96 atoms, each with the name of its `group`: `AIMD-NVT` (the crystal and the liquid
from 300 to 3374 K), `Vacancy` (the same with an atom less), `Elastic` (the crystal under strain, at rest otherwise) and
`Surface`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.units import GPa
from benchmarks.elastic import fit, ground_state

# Beside the repository.
DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "silicon" / "train.extxyz"
STRAINED = "Elastic"
# Of the other groups every tenth frame is held out. A strained crystal has twins, which a rotation takes into it: the
# three stretches of one size are one structure to an equivariant network, and so are shears. All of them go together.
_EVERY = 10
_HELD_STRAIN = "strain 0.06"
# Of the polynomials that the stresses of strained frames are fitted with: a higher one fits them no better.
_DEGREE = 5
# In these groups what stands at yz is the stress at xz, and the other way round. (A network that was trained on them as
# they stand is three times nearer to them when the two change places: `cynosure train` says so at its end.)
_EXCHANGED = ("AIMD-NVT", "Vacancy")
# A frame whose energy is so little above that of the crystal, eV per atom, is a solid; the liquid is above 0.6.
_SOLID = 0.3


@dataclass(frozen=True)
class FromFrames:
    """What the labels of the strained frames say of the crystal, for ions clamped at their fractional coordinates.

    Attributes:
        lattice: edge of the cubic cell without stress, Å.
        c11, c12, c44: GPa.
        residual: the largest root mean square residual of their fits, GPa.
    """

    lattice: float
    c11: float
    c12: float
    c44: float
    residual: float

    @property
    def bulk(self) -> float:
        """(C11 + 2 C12)/3, GPa."""
        return (self.c11 + 2 * self.c12) / 3

    @classmethod
    def of(cls, frames: Sequence[Atoms]) -> FromFrames:
        """From the labels alone (see `benchmarks.elastic.fit`).

        The frame of lowest energy is the crystal almost at rest; the stress that it has left, over three times the bulk
        modulus, is the strain that it lacks.
        """
        strained = [frame for frame in frames if frame.info["group"] == STRAINED]
        constants = fit(strained, [frame.get_stress(voigt=False) for frame in strained], _DEGREE)
        c11, c12, c44 = (constants[name].value for name in ("C11", "C12", "C44"))
        crystal = ground_state(strained)
        tension = float(np.trace(crystal.get_stress(voigt=False))) / 3 / GPa
        # (A cubic cell of diamond has eight atoms.)
        edge = (8 * crystal.get_volume() / len(crystal)) ** (1 / 3)
        residual = max(one.residual for one in constants.values())
        return cls(float(edge * (1 - tension / (c11 + 2 * c12))), c11, c12, c44, residual)


def read(path: Path) -> list[Atoms]:
    """The frames of a file, the components of all stresses in order.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the frames are not those of this example.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"there are no frames at '{path}': name the file by --data (README.md says where they come from)"
        )
    frames: list[Atoms] = ase.io.read(path, ":")  # pyright: ignore[reportAssignmentType] (a list, for a slice)
    if not any(frame.info.get("group") == STRAINED for frame in frames):
        raise ValueError(f"'{path}' has no frames of the group {STRAINED}; it is not mlearn's silicon")
    for frame in frames:
        if frame.info["group"] in _EXCHANGED and frame.calc is not None:
            frame.calc.results["stress"] = frame.get_stress()[[0, 1, 2, 4, 3, 5]]
    return frames


def divide(frames: Sequence[Atoms]) -> tuple[list[Atoms], list[Atoms]]:
    """Frames to train on, and held-out frames."""
    kept: list[Atoms] = []
    held: list[Atoms] = []
    seen: Counter[str] = Counter()
    for frame in frames:
        group = frame.info["group"]
        seen[group] += 1
        if group == STRAINED:
            out = str(frame.info["description"]).endswith(_HELD_STRAIN)
        else:
            out = seen[group] % _EVERY == 0
        (held if out else kept).append(frame)
    return kept, held


def with_vacancy(frames: Sequence[Atoms]) -> list[Atoms]:
    """Those of a crystal with a vacancy: the solid ones of the group `Vacancy`, whatever their description says."""
    crystal = ground_state(frames)
    ground = crystal.get_potential_energy() / len(crystal)
    return [
        frame
        for frame in frames
        if frame.info["group"] == "Vacancy" and frame.get_potential_energy() / len(frame) < ground + _SOLID
    ]
