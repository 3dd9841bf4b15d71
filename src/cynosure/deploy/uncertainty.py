"""A simulation that an ensemble drives, watched for forces on which its members do not agree."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, get_args

from ase import Atoms

from cynosure.deploy.calculator import Calculator
from cynosure.deploy.trajectory import TrajectoryFile

OnUncertainty = Literal["stop", "save"]


class UncertaintyWatch:
    """Looks at the largest `forces_uncertainty` of an atom at every step.

    Args:
        calculator: with the results of the step.
        limit: eV/Å; None never ends or saves anything.
        saved: frames past the limit go here, and the run goes on; without it, such a frame ends the run.
        every: steps between saved frames, at least: those of consecutive steps differ by little.

    Attributes:
        steps: how many steps were past the limit.
        verdict: why the run is to end, in words; empty while it may go on.
    """

    def __init__(
        self, calculator: Calculator, limit: float | None, saved: TrajectoryFile | None, every: int
    ) -> None:
        self.steps, self.verdict = 0, ""
        self._calculator, self._limit, self._saved, self._every = calculator, limit, saved, every
        self._next = 0

    def largest(self) -> float:
        """eV/Å, of the last structure evaluated; NaN for a model that is not an ensemble."""
        uncertainty = self._calculator.results.get("forces_uncertainty")
        return math.nan if uncertainty is None else float(uncertainty.max())

    def look(self, atoms: Atoms, step: int, frame: Callable[[], Atoms]) -> None:
        """Compare, and save the frame or give the verdict.

        Args:
            atoms: the structure.
            step: number of the step.
            frame: makes what is to be saved of it.
        """
        if self._limit is None or not self.largest() > self._limit:
            return
        self.steps += 1
        if self._saved is None:
            atom = int(self._calculator.results["forces_uncertainty"].argmax())
            self.verdict = (
                f"Stopped at step {step}: the force on atom {atom} ({atoms.symbols[atom]}) is uncertain by "
                f"{self.largest():.3g} eV/Å, more than {self._limit:g}"
            )
        elif step >= self._next:
            self._next = step + self._every
            self._saved.write(frame())


def check_watch(calculator: Calculator, limit: float | None, action: str, has_file: bool) -> None:
    """Refuse what cannot be watched.

    Args:
        calculator: what gives the forces.
        limit: eV/Å.
        action: `stop` or `save`.
        has_file: whether the run writes its frames to a file.

    Raises:
        ValueError: an unknown action; a limit that is not positive, or for a model that is not an ensemble; frames to
            save without a limit or a file.
    """
    if action not in get_args(OnUncertainty):
        raise ValueError(f"on uncertainty, '{action}' is not one of {', '.join(get_args(OnUncertainty))}")
    if limit is None:
        if action == "save":
            raise ValueError("which frames are to be saved? give a limit in eV/Å (--max-uncertainty)")
        return
    if not (limit > 0 and math.isfinite(limit)):
        raise ValueError(f"the largest uncertainty is {limit} eV/Å; a positive number was expected")
    if "forces_uncertainty" not in calculator.model.uncertainties:
        raise ValueError(
            "this model is a single one, whose uncertainty is not known: leave the limit (--max-uncertainty) out, or "
            "train an ensemble (cynosure train DATA --ensemble 4)"
        )
    if action == "save" and not has_file:
        raise ValueError("frames that are uncertain are saved beside the trajectory: name its file (--out)")
