"""What the points of a structure are called, and the units of its numbers: chemical elements, eV and Å, or others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ase import Atoms

MOST_KINDS = len(chemical_symbols) - 1


@dataclass(frozen=True)
class Points:
    """The names of kinds of points, and of units. Whatever they are called, kinds are kept as integers from 1 on.

    Attributes:
        names: of the kinds, in the order of their numbers; none for chemical elements with their atomic numbers.
        key: the column of a structure (`atoms.arrays`) that holds the name of each point; None where its numbers are
            those of the kinds.
        energy, length: what the units are called. Nothing is converted.
    """

    names: tuple[str, ...] = ()
    key: str | None = None
    energy: str = "eV"
    length: str = "Å"

    @property
    def units(self) -> dict[str, tuple[str, float]]:
        """Labels, and the energy per point, to (unit of tables, factor to it), in the order of tables."""
        each = "atom" if not self.names else "point"
        if self.in_atomic_units:
            return {
                "energy": ("meV", 1e3),
                "energy_per_atom": (f"meV/{each}", 1e3),
                "forces": ("meV/Å", 1e3),
                "stress": ("GPa", 160.2176634),
            }
        return {
            "energy": (self.energy, 1.0),
            "energy_per_atom": (f"{self.energy}/{each}", 1.0),
            "forces": (f"{self.energy}/{self.length}", 1.0),
            "stress": (f"{self.energy}/{self.length}³", 1.0),
        }

    @property
    def in_atomic_units(self) -> bool:
        """Whether energies are in eV and lengths in Å, so that times, masses and pressures of atoms follow."""
        return (self.energy, self.length) == ("eV", "Å")

    def name(self, number: int) -> str:
        """Of a kind."""
        names = ("number 0", *self.names) if self.names else chemical_symbols
        return names[number] if 0 <= number < len(names) else f"number {number}"

    def listed(self, numbers: Iterable[int]) -> str:
        """The names of kinds, with commas."""
        return ", ".join(self.name(number) for number in numbers)

    def number(self, name: str | int) -> int:
        """Of a kind by its name, or a number that is one.

        Raises:
            ValueError: there is no such kind.
        """
        if isinstance(name, str) and not name.isdecimal():
            number = self.names.index(name) + 1 if name in self.names else 0
            if not self.names:
                number = atomic_numbers.get(name, 0)
        else:
            number = int(name)
        if 0 < number <= (len(self.names) or MOST_KINDS):
            return number
        if self.names:
            raise ValueError(f"there is no kind '{name}'; there are {', '.join(self.names)}")
        raise ValueError(f"'{name}' is not a chemical symbol or an atomic number")

    def numbers(self, atoms: Atoms) -> NDArray[np.int64]:
        """[N] the kind of each point of a structure: by the names in the column `key`; its atomic numbers as they are,
        where there is no such column.

        Raises:
            ValueError: a name or a number in the column that is no kind; neither a column nor atomic numbers.
        """
        column = None if self.key is None else atoms.arrays.get(self.key)
        if column is None:
            if self.key is not None and len(atoms) and not atoms.numbers.all():
                raise ValueError(
                    f"there is no column '{self.key}' that says what each point is (setting points.key); columns "
                    f"there: {', '.join(sorted(atoms.arrays))}"
                )
            return np.array(atoms.numbers, dtype=np.int64)
        found, places = np.unique(column, return_inverse=True)
        try:
            kinds = [self.number(one if isinstance(one, str) else int(one)) for one in found.tolist()]
        except ValueError as error:
            raise ValueError(f"the column '{self.key}': {error}") from None
        return np.array(kinds, dtype=np.int64)[places.reshape(-1)]

    def numbered(self, atoms: Atoms) -> Atoms:
        """A copy whose atomic numbers are the kinds, and that needs no column."""
        copy = atoms.copy()
        copy.numbers = self.numbers(atoms)
        if self.key is not None:
            copy.arrays.pop(self.key, None)
        return copy

    def require_atomic_units(self, what: str) -> None:
        """Raise unless energies are in eV and lengths in Å.

        Args:
            what: needs them.

        Raises:
            ValueError: says so.
        """
        if not self.in_atomic_units:
            raise ValueError(
                f"{what} computes in eV, Å, fs and GPa, and this model's numbers are in {self.energy} and "
                f"{self.length}; use cynosure.Calculator with an integrator or optimiser of your own"
            )


ATOMS = Points()
