"""Writing frames while a simulation runs, in the format that the file's extension names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import TextIO

from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixConstraint
from ase.io.extxyz import write_xyz
from ase.io.trajectory import TrajectoryWriter

# The extension and the format that it names. A name without extension is an ASE trajectory.
FORMATS = {".traj": "traj", "": "traj", ".xyz": "extxyz", ".extxyz": "extxyz"}


def trajectory_format(path: str | Path) -> str:
    """`traj` or `extxyz`, from the extension of the file.

    Raises:
        ValueError: for any other extension.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        names = ", ".join(name for name in FORMATS if name)
        raise ValueError(
            f"{path}: a trajectory cannot be written as '{suffix}'; name the file with one of {names}"
        )
    return FORMATS[suffix]


class TrajectoryFile:
    """A trajectory open for writing. Each frame is on disk as soon as it is written.

    Args:
        path: the file, its format named by its extension (`.traj`, `.xyz`, `.extxyz`).
        overwrite: whether a file that is there already may be replaced.
        keep_empty: whether the file stays when it is closed without a frame.

    Attributes:
        frames: how many frames have been written.

    Raises:
        ValueError: for an extension that names no format.
        FileExistsError: if the file is there already and may not be replaced.
        FileNotFoundError: if its folder is not there.
    """

    def __init__(self, path: str | Path, *, overwrite: bool = False, keep_empty: bool = True) -> None:
        self.path = Path(path)
        self._keep_empty = keep_empty
        self.frames = 0
        self._format = trajectory_format(path)
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"{self.path}: the folder {self.path.parent} is not there; make it first")
        if self.path.exists() and not overwrite:
            raise FileExistsError(
                f"{self.path} is there already; choose another name, or allow it to be overwritten"
            )
        self._binary: TrajectoryWriter | None = None
        self._text: TextIO | None = None
        if self._format == "traj":
            self._binary = TrajectoryWriter(str(self.path), "w")
        else:
            self._text = self.path.open("w", encoding="utf-8")

    def write(self, frame: Atoms) -> None:
        """Append one frame, as `frozen` makes it, and see it to the disk."""
        if self._binary is not None:
            self._binary.write(frame)
        elif self._text is not None:
            # All at once: an interruption between two lines would leave half a frame.
            text = StringIO()
            write_xyz(text, [frame])
            self._text.write(text.getvalue())
            self._text.flush()
        else:
            raise ValueError(f"{self.path}: the trajectory is closed")
        self.frames += 1

    def close(self) -> None:
        """Close the file; closing it twice does no harm."""
        for file in (self._binary, self._text):
            if file is not None:
                file.close()
        self._binary = self._text = None
        if not (self.frames or self._keep_empty):
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> TrajectoryFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def frozen(
    atoms: Atoms,
    info: Mapping[str, float | int] | None = None,
    constraints: Sequence[FixConstraint] | None = None,
) -> Atoms:
    """A copy of `atoms` that carries the results of its calculator, as they stand, in place of it.

    Nothing is computed: results of another structure than this are left out. ASE's own results know no uncertainties:
    that of the energy is kept in `info`, those of the forces in `arrays`.

    Args:
        atoms: the structure, with its velocities; it is not changed.
        info: numbers to keep with the copy, such as the time.
        constraints: constraints of the copy, where they are to differ from those of `atoms`.
    """
    copy = atoms.copy()
    copy.info.update(info or {})
    if constraints is not None:
        copy.set_constraint(list(constraints))
    calculator = atoms.calc
    if calculator is not None and not calculator.check_state(atoms):
        names = ("energy", "free_energy", "forces", "stress")
        kept = {name: calculator.results[name] for name in names if name in calculator.results}
        copy.calc = SinglePointCalculator(copy, **kept)
        if "energy_uncertainty" in calculator.results:
            copy.info["energy_uncertainty"] = calculator.results["energy_uncertainty"]
        if "forces_uncertainty" in calculator.results:
            copy.set_array("forces_uncertainty", calculator.results["forces_uncertainty"])
    return copy
