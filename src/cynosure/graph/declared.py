"""Arrays that a user declares: what they are, and how they are read from a structure's columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cynosure.graph.ase import matrix_from_voigt
from cynosure.graph.quantity import NO_SHIFT, Quantity, Rows


@dataclass(frozen=True)
class Declared:
    """An input or a target that is no label of a potential.

    Attributes:
        name: what models call it.
        quantity: whose numbers, and their shape.
        key: the column of a file that holds them (`atoms.info`, `atoms.arrays` or results of a calculator).
        role: `input` or `target`.
        ends: for numbers of edges, the column with the two atoms of each: [n, 2], or [n, 5] with the shift of the
            second atom in cells.
        default: for an input, what stands for it in a structure that has none; None to refuse such a structure.
    """

    name: str
    quantity: Quantity
    key: str
    role: str
    ends: str | None = None
    default: float | tuple[float, ...] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Of a file."""
        return (self.key,) if self.ends is None else (self.key, self.ends)

    def rows(self, places: Mapping[str, Mapping[str, Any]], atoms: int) -> Rows | None:
        """What a structure has of it; None if it has none.

        Args:
            places: the columns of a structure by place: `calculator`, `info`, `arrays`.
            atoms: how many it has.

        Raises:
            ValueError: as `read` and `read_ends`, or not as many numbers as edges.
        """
        values = self.read(places, atoms)
        if values is None or self.ends is None:
            return None if values is None else Rows(values)
        ends = self.read_ends(places, atoms)
        if len(ends) != len(values):
            raise ValueError(
                f"'{self.name}': {len(values)} numbers in '{self.key}', {len(ends)} edges in '{self.ends}'"
            )
        return Rows(values, ends)

    def read(self, places: Mapping[str, Mapping[str, Any]], atoms: int) -> NDArray[np.float64] | None:
        """[rows, *shape], rows in the order of the file; None where the structure does not have it.

        Args:
            places: the columns of a structure by place.
            atoms: how many it has.

        Raises:
            ValueError: not numbers, another shape, or an infinite one. (NaN says that a row has no label; of an input
                it is refused too.)
        """
        value = _column(places, self.key)
        if value is None:
            return self._default(atoms)
        try:
            array = np.array(value, dtype=np.float64)
        except (TypeError, ValueError):
            raise ValueError(
                f"'{self.name}' (column '{self.key}') is not a number or an array: {value!r}"
            ) from None
        array = self._shaped(array, atoms)
        if np.isinf(array).any() or (self.role == "input" and np.isnan(array).any()):
            raise ValueError(f"'{self.name}' (column '{self.key}') has a number that is not finite")
        return array

    def read_ends(self, places: Mapping[str, Mapping[str, Any]], atoms: int) -> NDArray[np.int64]:
        """[rows, 5]: receiver, sender and cell shift of the sender, of the edges that `read` has numbers of; shifts are
        `NO_SHIFT` where the file names none.

        Raises:
            ValueError: no such column, another shape, or an atom that is not there.
        """
        assert self.ends is not None
        value = _column(places, self.ends)
        if value is None:
            raise ValueError(f"'{self.name}' has its numbers in '{self.key}' but no column '{self.ends}'")
        ends = np.array(value)
        if ends.ndim != 2 or ends.shape[1] not in (2, 5) or not np.array_equal(ends, np.rint(ends)):
            raise ValueError(
                f"'{self.name}': the column '{self.ends}' has shape {ends.shape}; whole numbers (n, 2) or (n, 5) were "
                "expected, two atoms and the shift of the second in cells"
            )
        ends = ends.astype(np.int64)
        if ends.shape[1] == 2:
            ends = np.hstack([ends, np.full((len(ends), 3), NO_SHIFT)])
        if ((ends[:, :2] < 0) | (ends[:, :2] >= atoms)).any():
            raise ValueError(
                f"'{self.name}': the column '{self.ends}' names an atom beyond the {atoms} there are"
            )
        return ends

    def _default(self, atoms: int) -> NDArray[np.float64] | None:
        if self.role == "target":
            return None
        if self.default is None:
            raise ValueError(
                f"there is no column '{self.key}' for the input '{self.name}'; add it, or say what stands for it where "
                f"it is missing (--set model.inputs.{self.name}.default=0)"
            )
        rows = 1 if self.quantity.owner == "structure" else atoms
        return np.broadcast_to(np.array(self.default), (rows, *self.quantity.shape)).astype(np.float64)

    def _shaped(self, array: NDArray[np.float64], atoms: int) -> NDArray[np.float64]:
        owner, shape = self.quantity.owner, self.quantity.shape
        if owner == "pair":
            return self._of_pairs(array, atoms)
        rows = {"structure": 1, "atom": atoms}.get(owner, len(array) if array.ndim else 1)
        if owner == "structure" and array.shape == (6,) and shape == (3, 3):
            return matrix_from_voigt(array)[None]
        numbers = int(np.prod(shape, dtype=np.int64))
        # Files know one axis besides that of atoms: the others lie flat in it.
        flat_is = (rows, *shape), (rows, numbers), (numbers,), (1, *shape), shape, ()
        if array.size == rows * numbers and (array.shape in flat_is or array.shape == (rows,)):
            return array.reshape(rows, *shape)
        lead = {"structure": (), "atom": (atoms,)}.get(owner, ("edges",))
        raise ValueError(
            f"'{self.name}' (column '{self.key}') has shape {_text(array.shape)}; {_text((*lead, *shape))} was expected"
        )

    def _of_pairs(self, array: NDArray[np.float64], atoms: int) -> NDArray[np.float64]:
        """[N², a, b] from a matrix [N a, N b], whose block (i, j) belongs to the atoms i and j; or [N, a, N, b]."""
        a, b = (*self.quantity.shape, 1, 1)[:2]
        if array.size != atoms**2 * a * b or array.shape not in (
            (atoms * a, atoms * b),
            (atoms, a, atoms, b),
            (array.size,),
        ):
            raise ValueError(
                f"'{self.name}' (column '{self.key}') has shape {_text(array.shape)}; "
                f"{_text((atoms * a, atoms * b))} was expected"
            )
        blocks = array.reshape(atoms, a, atoms, b).transpose(0, 2, 1, 3)
        return blocks.reshape(atoms**2, *self.quantity.shape)


def _column(places: Mapping[str, Mapping[str, Any]], key: str) -> Any:
    return next((columns[key] for columns in places.values() if columns.get(key) is not None), None)


def _text(shape: tuple[Any, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
