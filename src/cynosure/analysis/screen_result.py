"""What a screening of many structures leaves behind: what became of each, and the ranking of each composition."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ase import Atoms, units
from ase.io.extxyz import write_xyz

from cynosure.analysis.candidates import formula_of
from cynosure.analysis.report import Report, Table
from cynosure.deploy import has_cell
from cynosure.potentials import write_atomically

# Two structures of one composition are the same if they differ by less: eV/atom, and part of the volume.
_SAME_ENERGY, _SAME_VOLUME = 1e-4, 1e-3
# g/cm³ in ASE's units, amu/Å³.
_GRAM_PER_CM3 = 1e-3 * units.kg / (1e-2 * units.m) ** 3
TABLE, STRUCTURES, PICTURE = "ranking.csv", "relaxed.extxyz", "screen.png"


@dataclass(frozen=True)
class Outcome:
    """What became of one candidate.

    Attributes:
        name, source: of the candidate.
        atoms: the structure as it was left, with its energy, forces and stress; where nothing came of it, as it was
            given, without any; None if it could not be read.
        steps: of its relaxation.
        problem: why it did not come to rest, in words; empty if it did.
        pressure: GPa, that it was under.
    """

    name: str
    source: str
    atoms: Atoms | None
    steps: int = 0
    problem: str = ""
    pressure: float = 0.0

    @property
    def converged(self) -> bool:
        """Whether it came to rest."""
        return not self.problem

    @cached_property
    def formula(self) -> str:
        """Reduced; empty where there are no atoms."""
        return "" if self.atoms is None or len(self.atoms) == 0 else formula_of(self.atoms)

    @cached_property
    def energy(self) -> float:
        """eV/atom; NaN where there is none."""
        if self.atoms is None or self.atoms.calc is None:
            return math.nan
        return float(self.atoms.get_potential_energy()) / len(self.atoms)

    @cached_property
    def volume(self) -> float:
        """Å³/atom; NaN where nothing came of it, and where the structure does not fill space."""
        if self.atoms is None or self.atoms.calc is None or not has_cell(self.atoms):
            return math.nan
        return abs(float(self.atoms.cell.volume)) / len(self.atoms)

    @property
    def enthalpy(self) -> float:
        """E + pV, eV/atom; the energy where there is no pressure."""
        return self.energy + (self.pressure * units.GPa * self.volume if self.pressure else 0.0)

    @property
    def density(self) -> float:
        """g/cm³; NaN where there is no volume."""
        if self.atoms is None:
            return math.nan
        return float(self.atoms.get_masses().mean()) / self.volume / _GRAM_PER_CM3


@dataclass(frozen=True)
class Place:
    """A candidate among those of its composition.

    Attributes:
        outcome: of it.
        rank: from 1, of those that came to rest; that of the first of them for structures that are the same.
        above: eV/atom above the lowest of those that came to rest; NaN where there is none.
        same_as: the name of the first structure in the ranking that it is the same as; empty if it is the first.
    """

    outcome: Outcome
    rank: int | None
    above: float
    same_as: str = ""

    @property
    def remark(self) -> str:
        """What there is to say beside the numbers."""
        return self.outcome.problem or (f"as {self.same_as}" if self.same_as else "")


def ranked(outcomes: Sequence[Outcome]) -> tuple[Place, ...]:
    """The order of candidates of one composition: those at rest by their enthalpy, then the others as they came.

    Two are the same structure if their enthalpies differ by no more than 0.1 meV/atom and their volumes by no more than
    0.1 %.
    """
    settled = sorted((one for one in outcomes if one.converged), key=lambda one: one.enthalpy)
    lowest = settled[0].enthalpy if settled else math.nan
    places: list[Place] = []
    first: list[Place] = []
    for one in settled:
        twin = next((place for place in first if _same(place.outcome, one)), None)
        rank = len(first) + 1 if twin is None or twin.rank is None else twin.rank
        place = Place(one, rank, one.enthalpy - lowest, "" if twin is None else twin.outcome.name)
        places.append(place)
        first += [place] if twin is None else []
    others = (one for one in outcomes if not one.converged)
    return (*places, *(Place(one, None, one.enthalpy - lowest) for one in others))


def _same(one: Outcome, other: Outcome) -> bool:
    if math.isnan(one.volume) or math.isnan(other.volume):
        near = math.isnan(one.volume) and math.isnan(other.volume)
    else:
        near = abs(one.volume - other.volume) <= _SAME_VOLUME * one.volume
    return near and abs(one.enthalpy - other.enthalpy) <= _SAME_ENERGY


@dataclass(frozen=True)
class Screening:
    """Many structures, relaxed, and those of each composition ranked.

    Attributes:
        outcomes: one for each candidate, in the order given.
        pressure: GPa.
        finished_before: how many of them were taken from an earlier run.
    """

    outcomes: tuple[Outcome, ...]
    pressure: float = 0.0
    finished_before: int = 0

    @cached_property
    def rankings(self) -> dict[str, tuple[Place, ...]]:
        """Reduced formula to the ranking of its candidates; the empty formula stands for those without atoms."""
        groups: dict[str, list[Outcome]] = {}
        for one in self.outcomes:
            groups.setdefault(one.formula, []).append(one)
        return {
            formula: ranked(groups[formula]) for formula in sorted(groups, key=lambda name: (not name, name))
        }

    @property
    def settled(self) -> bool:
        """Whether every candidate came to rest."""
        return all(one.converged for one in self.outcomes)

    @property
    def what(self) -> str:
        """What is ranked."""
        return "enthalpy" if self.pressure else "energy"

    def report(self, title: str, next_steps: Sequence[str] = ()) -> Report:
        """The rankings as tables.

        Args:
            title: one line.
            next_steps: the commands to type next.
        """
        tables = [
            self._table(formula, computed)
            for formula, places in self.rankings.items()
            if (computed := [place for place in places if not math.isnan(place.outcome.energy)])
        ]
        left = [(one.name, one.formula, one.problem) for one in self.outcomes if not one.converged]
        warnings = ()
        if left:
            tables.append(Table("Not at rest", ("name", "", "why"), tuple(left)))
            warnings = (f"{len(left)} of {len(self.outcomes)} did not come to rest",)
        return Report(title, tuple(tables), warnings, tuple(next_steps))

    def _table(self, formula: str, places: Sequence[Place]) -> Table:
        rows = tuple(
            (
                "" if place.rank is None else f"{place.rank}",
                place.outcome.name,
                _number(place.outcome.enthalpy, 5),
                _number(1000 * place.above, 1),
                _number(place.outcome.volume, 3),
                _number(place.outcome.density, 3),
                f"{place.outcome.steps}",
                f"as {place.same_as}" if place.same_as else "" if place.outcome.converged else "NOT at rest",
            )
            for place in places
        )
        columns = (
            "",
            "name",
            f"{self.what}\neV",
            "above\nmeV",
            "volume\nÅ³",
            "density\ng/cm³",
            "steps",
            "",
        )
        under = f" at {self.pressure:g} GPa" if self.pressure else ""
        return Table(f"{formula}{under}, per atom", columns, rows)

    def csv(self) -> str:
        """All places, the rankings one after another, as a table with commas."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        enthalpy = ["enthalpy (eV/atom)"] if self.pressure else []
        table.writerow(
            [
                "formula",
                "rank",
                "name",
                "source",
                "atoms",
                "energy (eV/atom)",
                *enthalpy,
                "above (meV/atom)",
                "volume (Å³/atom)",
                "density (g/cm³)",
                "steps",
                "converged",
                "remark",
            ]
        )
        for formula, places in self.rankings.items():
            for place in places:
                one = place.outcome
                table.writerow(
                    [
                        formula,
                        "" if place.rank is None else place.rank,
                        one.name,
                        one.source,
                        0 if one.atoms is None else len(one.atoms),
                        _number(one.energy, 7),
                        *([_number(one.enthalpy, 7)] if self.pressure else []),
                        _number(1000 * place.above, 4),
                        _number(one.volume, 5),
                        _number(one.density, 5),
                        one.steps,
                        "yes" if one.converged else "no",
                        place.remark,
                    ]
                )
        return text.getvalue()

    def relaxed(self) -> list[Atoms]:
        """The structures at rest, ranking after ranking; `info` has `name`, `rank` and `above` (eV/atom)."""
        found = []
        for places in self.rankings.values():
            for place in places:
                atoms = place.outcome.atoms
                if place.rank is None or atoms is None:
                    continue
                named = atoms.copy()
                named.calc = atoms.calc
                named.info |= {"name": place.outcome.name, "rank": place.rank, "above": float(place.above)}
                found.append(named)
        return found

    def write(self, folder: str | Path) -> tuple[Path, ...]:
        """Write the table, the relaxed structures and the picture, each file whole or not at all.

        Returns:
            the files. There are no structures and no picture where nothing came to rest.

        Raises:
            OSError: a file cannot be written.
        """
        # (matplotlib is slow to import)
        from cynosure.analysis.screen_plot import picture_of

        folder = Path(folder)
        files = {folder / TABLE: self.csv().encode()}
        if relaxed := self.relaxed():
            text = io.StringIO()
            write_xyz(text, relaxed)
            files |= {folder / STRUCTURES: text.getvalue().encode(), folder / PICTURE: picture_of(self)}
        for path, content in files.items():
            write_atomically(path, content)
        # What an earlier run wrote would not belong to the table.
        for name in (STRUCTURES, PICTURE):
            if folder / name not in files:
                (folder / name).unlink(missing_ok=True)
        return tuple(files)


def _number(value: float, digits: int) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}f}"
