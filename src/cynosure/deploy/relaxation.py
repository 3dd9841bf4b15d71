"""Relaxing a structure, and its cell, to the nearest minimum of a potential's energy."""

from __future__ import annotations

import math
import os
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from ase import Atoms, units
from ase.calculators.calculator import BaseCalculator
from ase.filters import FrechetCellFilter
from ase.io import write
from ase.io.formats import UnknownFileTypeError, filetype, ioformats
from ase.optimize import BFGS, LBFGS

from cynosure.deploy.calculator import OVERLAP, Calculator
from cynosure.deploy.trajectory import frozen
from cynosure.potentials import Potential

# The dense Hessian of this many atoms is diagonalised in a tenth of a second.
_MOST_FOR_BFGS = 200


@dataclass(frozen=True)
class RelaxStep:
    """Where a relaxation stands.

    Attributes:
        step: number of the step, from 0.
        energy: eV.
        fmax: the largest force on an atom that is free to move, eV/Å.
        stress: the largest component of the stress beside that of the pressure asked for, GPa; NaN where the cell
            has no volume.
        volume: Å³; zero where there is none.
    """

    step: int
    energy: float
    fmax: float
    stress: float
    volume: float


@dataclass(frozen=True)
class RelaxResult:
    """What a relaxation leaves behind.

    Attributes:
        atoms: the relaxed structure, with its energy, forces and stress.
        converged: whether forces (and stress, with the cell) came below the limit.
        before: the structure as it was given.
        after: the structure as it was left.
        out: the file it was written to, if any.
    """

    atoms: Atoms
    converged: bool
    before: RelaxStep
    after: RelaxStep
    out: Path | None = None

    def summary(self) -> str:
        """Before and after, in a few lines."""
        before, after = self.before, self.after
        end = (
            f"Converged in {after.step} steps."
            if self.converged
            else f"NOT converged after {after.step} steps."
        )
        lines = [
            end,
            f"energy {before.energy:.6f} -> {after.energy:.6f} eV ({after.energy - before.energy:+.6f} eV)",
            f"largest force {before.fmax:.5f} -> {after.fmax:.5f} eV/Å",
        ]
        if not math.isnan(after.stress):
            lines.append(f"largest stress {before.stress:.3f} -> {after.stress:.3f} GPa")
            lines.append(f"volume {before.volume:.3f} -> {after.volume:.3f} Å³")
        return "\n".join(lines)


def relax(
    model: Potential | BaseCalculator | str | Path,
    atoms: Atoms,
    cell: bool = False,
    fmax: float = 0.01,
    steps: int = 500,
    out: str | Path | None = None,
    device: str | None = None,
    dtype: torch.dtype | str | None = None,
    overwrite: bool = False,
    on_step: Callable[[RelaxStep], None] | None = None,
    pressure: float = 0.0,
) -> RelaxResult:
    """Relax positions, and with `cell` the lattice vectors too.

    Up to 200 atoms by ASE's BFGS, which turns away from saddles because it knows the whole Hessian's signs;
    beyond, where that Hessian costs more than the model, by its variant of limited memory.

    The cell moves in the logarithm of its strain (ASE's `FrechetCellFilter`), so that its forces are the
    exact derivatives of the energy that is minimised.

    Args:
        model: a potential, the path of a model file, or any calculator of ASE.
        atoms: the structure; it is not changed. Its constraints are obeyed.
        cell: relax the lattice vectors as well, all six strains.
        fmax: largest force allowed on any atom, eV/Å; with `cell` also the bound of V·stress/N, eV.
        steps: give up after so many steps.
        out: file for the relaxed structure, its format named by the extension. It is written whether or not
            the relaxation converged.
        device: see `Calculator`; a calculator stays where it is.
        dtype: see `Calculator`; a calculator keeps its own.
        overwrite: whether a file that is there already may be replaced.
        on_step: called with each step as it is made.
        pressure: GPa, from outside on a cell that is relaxed: what has a minimum is then E + pV, and the stress −p.

    Raises:
        ValueError: for settings that make no sense, a model in other units, an energy that stops being finite, or,
            with one of our models, atoms that run into each other or leave each other's reach altogether.
        FileNotFoundError: if the folder of `out` is not there.
        FileExistsError: if `out` is there already and `overwrite` is not set.
    """
    require_settings(fmax, steps, pressure)
    _require_relaxable(atoms, cell, pressure)
    form = None if out is None else _check_target(Path(out), overwrite)
    moving = atoms.copy()
    known = isinstance(model, BaseCalculator)
    moving.calc = model if known else Calculator(model, device=device, dtype=dtype)
    if isinstance(moving.calc, Calculator):
        moving.calc.model.points.require_atomic_units("relaxation")
    target = FrechetCellFilter(moving, scalar_pressure=pressure * units.GPa) if cell else moving
    method = BFGS if len(atoms) <= _MOST_FOR_BFGS else LBFGS
    # ASE's annotations leave out what its documentation allows: a filter, and no log.
    optimiser = method(target, logfile=None)  # pyright: ignore[reportArgumentType]
    history: list[RelaxStep] = []

    reached, crowd = False, _Crowd(moving)
    with warnings.catch_warnings():
        # The cell filter takes the logarithm of the strain at every step, and scipy remarks on errors from 2e-13 on.
        warnings.filterwarnings("ignore", "logm result may be inaccurate")
        for reached in optimiser.irun(fmax=fmax, steps=steps):
            state = _state(moving, optimiser.nsteps, pressure)
            if not (math.isfinite(state.energy) and math.isfinite(state.fmax)):
                raise ValueError(
                    f"at step {state.step} the energy or a force is not finite: the structure has left what the "
                    "model knows; start nearer to the minimum"
                )
            history = [history[0] if history else state, state]
            if on_step is not None:
                on_step(state)
            crowd.check(state.step, at_rest=bool(reached))
    relaxed = frozen(moving)
    if out is not None:
        _write_whole(Path(out), relaxed, form)
    return RelaxResult(relaxed, bool(reached), history[0], history[-1], None if out is None else Path(out))


class _Crowd:
    """Whether a structure that moves is still one that a model can know; of other calculators nothing is known.

    Atoms that are too close at the start may move apart. They may not come closer, nor come to rest there.
    """

    def __init__(self, moving: Atoms) -> None:
        self._moving, self._volume, self._start = moving, abs(moving.cell.volume), math.nan

    def check(self, step: int, at_rest: bool) -> None:
        """Raise a ValueError if atoms have run into each other, or have all lost sight of each other."""
        if not isinstance(self._moving.calc, Calculator):
            return
        contact = self._moving.calc.closest_contact()
        if step == 0:
            self._start = contact.ratio
        if contact.ratio < OVERLAP and (contact.ratio < self._start or at_rest):
            raise ValueError(f"at step {step} {contact.words(self._moving)}{self._of_volume()}")
        if math.isinf(contact.ratio) and math.isfinite(self._start):
            raise ValueError(
                f"at step {step} the structure has come apart: no atom has another within the model's cutoff"
                f"{self._of_volume()}"
            )

    def _of_volume(self) -> str:
        now = abs(self._moving.cell.volume)
        return "" if now == self._volume else f"; the cell has {now / self._volume:.0%} of its volume"


def _state(atoms: Atoms, step: int, pressure: float) -> RelaxStep:
    fmax = float(np.sqrt((atoms.get_forces() ** 2).sum(axis=1).max()))
    volume, stress = abs(atoms.cell.volume), math.nan
    if volume > 0:
        beside = atoms.get_stress(apply_constraint=False) / units.GPa
        beside[:3] += pressure
        stress = float(np.abs(beside).max())
    return RelaxStep(step, float(atoms.get_potential_energy()), fmax, stress, volume)


def has_cell(atoms: Atoms) -> bool:
    """Whether a structure has a cell that can be relaxed: with a volume, and periodic in all three directions."""
    return bool(atoms.pbc.all() and abs(atoms.cell.volume) > 0)


def require_settings(fmax: float, steps: int, pressure: float = 0.0) -> None:
    """Refuse settings of a relaxation that make no sense whatever the structure.

    Raises:
        ValueError: a largest force that is not positive, a negative number of steps, or a pressure that is no number.
    """
    if not (fmax > 0 and math.isfinite(fmax)):
        raise ValueError(f"fmax is {fmax} eV/Å; a positive force was expected")
    if steps < 0:
        raise ValueError(f"steps is {steps}; at least 0 was expected")
    if not math.isfinite(pressure):
        raise ValueError(f"the pressure is {pressure} GPa; a number was expected")


def _require_relaxable(atoms: Atoms, cell: bool, pressure: float) -> None:
    """Refuse what cannot be done with a structure, before anything is computed."""
    if len(atoms) == 0:
        raise ValueError("this structure has no atoms; give at least one")
    if pressure and not cell:
        raise ValueError(
            "a pressure acts on a cell that is relaxed: relax it (--cell), or leave --pressure out"
        )
    if cell and not has_cell(atoms):
        raise ValueError(
            "to relax the cell, it must be periodic in all three directions; "
            f"this structure has pbc {atoms.pbc.tolist()}: leave --cell out"
        )


def _check_target(out: Path, overwrite: bool) -> str:
    """ASE's name for the format of a file that may be written."""
    if not out.parent.is_dir():
        raise FileNotFoundError(f"{out}: the folder {out.parent} is not there; make it first")
    if out.exists() and not overwrite:
        raise FileExistsError(
            f"{out} is there already; choose another name, or allow overwriting (--overwrite)"
        )
    try:
        form = filetype(str(out), read=False)
    except UnknownFileTypeError:
        form = ""
    if form not in ioformats or not ioformats[form].can_write:
        raise ValueError(
            f"{out}: no format to write has this extension; .extxyz, .traj, .cif or .vasp will do"
        )
    return form


def _write_whole(out: Path, atoms: Atoms, form: str | None) -> None:
    """Write a file so that, whatever happens, a file of this name is whole."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{out.name}.", suffix=out.suffix, dir=out.parent)
    os.close(descriptor)
    try:
        write(temporary, atoms, format=form)
        os.chmod(temporary, 0o644)
        os.replace(temporary, out)
    finally:
        Path(temporary).unlink(missing_ok=True)
