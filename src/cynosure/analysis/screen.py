"""Relaxing many candidate structures, and ranking those of each composition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ase import Atoms

from cynosure.analysis.candidates import Candidate, candidates_from, content_of
from cynosure.analysis.crystal import OnProgress, tell
from cynosure.analysis.finished import Finished, Kept, as_plain, from_plain
from cynosure.analysis.screen_result import Outcome, Screening
from cynosure.deploy import Calculator, RelaxStep, has_cell, relax, require_settings, split_selection
from cynosure.potentials import Potential, fingerprint

_MANY_STEPS = 20


def screen(
    model: Potential | str | Path,
    structures: Mapping[str, Atoms] | Iterable[str | Path],
    out: str | Path | None = None,
    fmax: float = 0.01,
    steps: int = 500,
    pressure: float = 0.0,
    fixed_cell: bool = False,
    device: str | None = None,
    dtype: torch.dtype | str | None = None,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Screening:
    """Relax many structures, and rank those of each composition by energy per atom, or enthalpy under pressure.

    1. Each candidate is relaxed (`cynosure.deploy.relax`): positions and, where the cell is periodic in all three
       directions, its vectors. What cannot be relaxed is kept with the reason, and the next one follows.
    2. With `out`, each is written to the folder as it is finished. The same call goes on with a folder, however the run
       before ended, and computes nothing again; what comes of it is the same, bit for bit. A finished relaxation holds
       for the same structure, model and settings; what gave up is done again with more `steps`.
    3. Those of one reduced formula are ranked, and the table, the relaxed structures and a picture are written.

    The order of candidates does not matter to the result of any.

    Args:
        model: a potential, or the path of a model file.
        structures: structures by their names, or files and folders (see `candidates_from`). They are not changed; their
            constraints are obeyed.
        out: the folder; nothing is written without one.
        fmax: largest force to leave, eV/Å (see `cynosure.deploy.relax`).
        steps: give a relaxation up after so many steps.
        pressure: GPa, on every cell; E + pV is ranked.
        fixed_cell: leave every cell as it is.
        device, dtype: see `cynosure.deploy.Calculator`.
        overwrite: start anew in a folder of another model or other settings.
        on_progress: hears of every step.
        on_note: hears what is finished, and what is noticed, a line each.

    Raises:
        ValueError: settings make no sense; the folder is of another model or other settings, or one of the
            folders with structures; there is nothing to relax.
        FileNotFoundError: a file is not there.
        OSError: a file cannot be read or written.
    """
    require_settings(fmax, steps, pressure)
    if pressure and fixed_cell:
        raise ValueError("a pressure acts on cells that move: leave --pressure or --fixed-cell out")
    folder = None if out is None else Path(out)
    if not isinstance(structures, Mapping):
        structures = list(structures)
        _refuse_own_files(folder, structures)
    candidates = candidates_from(structures)
    job = _Job(Calculator(model, device=device, dtype=dtype), fmax, steps, pressure, fixed_cell)
    job.calculator.model.points.require_atomic_units("relaxation")
    told = [column.key for column in job.calculator.model.input_columns]
    content = {one.name: content_of(one.atoms, told) for one in candidates if one.atoms is not None}
    finished = Finished(folder, job.setup, content, overwrite)

    note = on_note or (lambda line: None)
    for name in finished.changed:
        note(f"{name} has changed since the folder was last used: it is relaxed anew.")
    before = sum(finished.get(name, steps) is not None for name in content)
    if before:
        note(f"{before} of {len(candidates)} candidates were finished before.")
    outcomes = []
    for i, one in enumerate(candidates):
        if one.atoms is None or one.problem:
            kept = Kept(problem=one.problem)
        # (A structure that is there twice is finished when its turn comes again.)
        elif (kept := finished.get(one.name, steps)) is None:
            kept, lasting = job.relaxed(one.atoms, _Progress(on_progress, one.name, i, len(candidates)))
            if lasting:
                finished.put(one.name, kept)
            note(f"{one.name}: {kept.problem or f'at rest after {kept.steps} steps'}")
        outcomes.append(_outcome(one, kept, pressure))
    found = Screening(tuple(outcomes), pressure, before)
    if folder is not None:
        found.write(folder)
    return found


@dataclass(frozen=True)
class _Job:
    """What is done with each candidate, by one calculator, whose network stays ready from one to the next.

    Nothing of one candidate reaches the next: neighbour lists have one order, however they were come by.
    """

    calculator: Calculator
    fmax: float
    steps: int
    pressure: float
    fixed_cell: bool

    @property
    def setup(self) -> dict[str, Any]:
        """What a relaxed structure depends on besides where it started; not how many steps it might have taken."""
        return {
            "model": fingerprint(self.calculator.model),
            "dtype": str(self.calculator.model.dtype).removeprefix("torch."),
            "fmax": self.fmax,
            "pressure": self.pressure,
            "fixed_cell": self.fixed_cell,
        }

    def relaxed(self, atoms: Atoms, progress: _Progress) -> tuple[Kept, bool]:
        """What comes of a candidate, and whether the same would come of it next time."""
        cell = not self.fixed_cell and has_cell(atoms)
        if self.pressure and not cell:
            return Kept(problem="a pressure needs a cell that is periodic in all three directions"), True
        limits = self.fmax, self.steps
        try:
            result = relax(self.calculator, atoms, cell, *limits, on_step=progress, pressure=self.pressure)
        except ValueError as error:
            return Kept(progress.step, str(error)), True
        # A machine that is too small, or a bug: the other candidates need not wait until it is put right.
        except (RuntimeError, ArithmeticError, MemoryError) as error:
            return Kept(progress.step, f"{type(error).__name__}: {error}".splitlines()[0]), False
        after, problem = result.after, ""
        if not result.converged:
            left = f"force {after.fmax:.1e} eV/Å" + (f", stress {after.stress:.1e} GPa" if cell else "")
            problem = f"NOT converged after {after.step} steps ({left} left): allow more --steps"
        return Kept(after.step, problem, not result.converged, as_plain(result)), True


class _Progress:
    """Tells of each step of one candidate."""

    def __init__(self, on_progress: OnProgress | None, name: str, number: int, total: int) -> None:
        self._on_progress, self._number, self._total = on_progress, number, total
        self._where = f"{name} ({number + 1} of {total})"
        self.step = 0

    def __call__(self, state: RelaxStep) -> None:
        self.step = state.step
        # Nobody knows how many steps are left: the bar creeps towards the next candidate.
        done = self._number + state.step / (state.step + _MANY_STEPS)
        words = f"{self._where}, step {state.step}, largest force {state.fmax:.1e} eV/Å"
        tell(self._on_progress, done / self._total, words)


def _outcome(candidate: Candidate, kept: Kept, pressure: float) -> Outcome:
    atoms = None if candidate.atoms is None else candidate.atoms.copy()
    if kept.left is not None and atoms is not None:
        atoms = from_plain(kept.left, atoms)
    return Outcome(candidate.name, candidate.source, atoms, kept.steps, kept.problem, pressure)


def _refuse_own_files(folder: Path | None, given: Iterable[str | Path]) -> None:
    """Raise if a folder of results is to be screened itself: what it holds changes."""
    for path in given:
        file = Path(split_selection(path)[0]).resolve()
        if folder is not None and folder.resolve() in (file, file.parent):
            raise ValueError(
                f"'{path}' is in the folder of the results, '{folder}'; name another one (--out)"
            )
