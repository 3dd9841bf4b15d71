"""The crystal that an equation of state, elastic constants or phonons are asked of, and its relaxation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.cell import Cell

from cynosure.deploy import RelaxResult, has_cell
from cynosure.deploy import relax as relax_structure

# eV/Å. Stress is of first order in what forces are left, and strains are small: at ten times this, elastic constants
# are off by some tenths of a GPa.
DEFAULT_FMAX = 1e-5
# What is left in a crystal that counts as at rest though nobody relaxed it: eV/Å, GPa.
_AT_REST = (1e-2, 0.1)

# Called with the part of the work that is done (0 to 1), and with what is done now.
OnProgress = Callable[[float, str], None]


@dataclass(frozen=True)
class Rest:
    """A crystal before anything is asked of it.

    Attributes:
        result: how its relaxation went, or, where none was wanted, what its forces and stress are.
        relaxed: whether a relaxation was wanted.
        constraints: how many constraints of the structure were dropped.
    """

    result: RelaxResult
    relaxed: bool
    constraints: int = 0

    @property
    def atoms(self) -> Atoms:
        """The crystal, with its energy, forces and stress."""
        return self.result.atoms

    @property
    def settled(self) -> bool:
        """Whether the relaxation, if one was wanted, came to its end."""
        return self.result.converged or not self.relaxed

    @property
    def quiet(self) -> bool:
        """Whether forces and stress are as good as none."""
        force, stress = _AT_REST
        return self.result.after.fmax <= force and abs(self.result.after.stress) <= stress

    def rows(self) -> tuple[tuple[str, str], ...]:
        """What to tell of it, for a table of names and values."""
        before, after = self.result.before, self.result.after
        if not self.relaxed:
            return (
                ("relaxed", "no, as it was given"),
                ("largest force, stress", f"{after.fmax:.2e} eV/Å, {after.stress:.4f} GPa"),
            )
        end = f"{after.step} steps" if self.result.converged else f"NOT converged after {after.step} steps"
        return (
            ("relaxed", f"atoms and cell, {end}"),
            ("largest force", f"{before.fmax:.2e} -> {after.fmax:.2e} eV/Å"),
            ("largest stress", f"{before.stress:.4f} -> {after.stress:.4f} GPa"),
            ("volume", f"{before.volume:.4f} -> {after.volume:.4f} Å³"),
        )

    def warnings(self) -> tuple[str, ...]:
        """What a reader should look at."""
        found = []
        if not self.settled:
            found.append(
                f"the relaxation gave up after {self.result.after.step} steps at {self.result.after.fmax:.1e} eV/Å: "
                "allow more (--steps), or a larger force (--fmax)"
            )
        if self.constraints:
            found.append(f"{self.constraints} constraints of the structure were dropped: every atom may move")
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """The crystal (Å) and what is left in it (eV/Å, GPa), as plain values."""
        return {
            "relaxed": self.relaxed,
            "converged": self.result.converged,
            "steps": self.result.after.step,
            "energy": self.result.after.energy,
            "max_force_before": self.result.before.fmax,
            "max_force": self.result.after.fmax,
            "max_stress_before": self.result.before.stress,
            "max_stress": self.result.after.stress,
            "symbols": self.atoms.get_chemical_symbols(),
            "cell": self.atoms.cell.array.tolist(),
            "positions": self.atoms.positions.tolist(),
        }


def require_crystal(atoms: Atoms) -> None:
    """Refuse what is no crystal.

    Raises:
        ValueError: no atoms, a cell without volume, or one that is not periodic in all three directions.
    """
    if len(atoms) == 0:
        raise ValueError("this structure has no atoms; give at least one")
    if not has_cell(atoms):
        raise ValueError(
            "a crystal was expected, with a cell that has a volume and is periodic in all three directions; this "
            f"structure has pbc {atoms.pbc.tolist()} and a cell of {abs(atoms.cell.volume):g} Å³"
        )


def at_rest(
    calculator: BaseCalculator,
    atoms: Atoms,
    relax: bool = True,
    fmax: float = DEFAULT_FMAX,
    steps: int = 500,
    on_progress: OnProgress | None = None,
) -> Rest:
    """Relax the atoms and the cell of a crystal; or only ask for its forces and stress.

    Args:
        calculator: any calculator of ASE that knows forces and stress.
        atoms: the crystal; it is not changed. Its constraints are dropped.
        relax: whether to relax it.
        fmax: largest force to leave, eV/Å (see `cynosure.deploy.relax`).
        steps: give up after so many steps.
        on_progress: hears of every step.

    Raises:
        ValueError: it is no crystal, or settings make no sense.
    """
    require_crystal(atoms)
    free = atoms.copy()
    free.set_constraint()
    result = relax_structure(
        calculator,
        free,
        cell=True,
        fmax=fmax,
        steps=steps if relax else 0,
        on_step=lambda step: tell(on_progress, 0.0, f"relaxing, largest force {step.fmax:.1e} eV/Å"),
    )
    return Rest(result, relax, len(atoms.constraints))


def tell(on_progress: OnProgress | None, done: float, what: str) -> None:
    """Tell a listener, if there is one."""
    if on_progress is not None:
        on_progress(done, what)


def lattice_words(cell: np.ndarray) -> str:
    """A cell [3, 3] in words: its Bravais lattice with the parameters of that; or its lengths and angles."""
    parameters = Cell(cell).cellpar()
    lengths = ", ".join(f"{value:.4f}" for value in parameters[:3])
    angles = ", ".join(f"{value:.2f}" for value in parameters[3:])
    plain = f"{lengths} Å; {angles}°"
    try:
        lattice = Cell(cell).get_bravais_lattice(eps=1e-3)
    except RuntimeError:  # no lattice of ASE's list fits, within its tolerance
        return plain
    if lattice.name == "TRI":
        return plain
    # Lengths are a, b and c; angles have longer names.
    named = ", ".join(f"{k} = {v:.4f}{' Å' if len(k) == 1 else '°'}" for k, v in lattice.vars().items())
    return f"{lattice.longname}: {named}"
