"""Finding the labels of a structure: which column holds the energy, the forces, the stress.

A label comes from the column the caller names, or else from the first of these that is there: the results of
an attached calculator (where ASE's readers put `energy`, `forces` and `stress`), then the well-known names
below in `atoms.info` and `atoms.arrays`. All frames of one source must use one column per label, so that two
levels of theory are never mixed without a word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from cynosure.graph import Declared, Rows, matrix_from_voigt

LABELS = ("energy", "forces", "stress")

_PREFIXES = ("", "REF_", "ref_", "DFT_", "dft_")


def _spellings(*names: str) -> tuple[str, ...]:
    return tuple(prefix + name for name in names for prefix in _PREFIXES)


# In order of preference. `energy` comes before `free_energy`, as in ASE's get_potential_energy: where a code
# reports both, the free energy is the one its forces belong to; name it to train on it.
_ENERGIES = (*_spellings("energy", "total_energy", "potential_energy"), "Energy", "TotEnergy", "free_energy")
_FORCES = (*_spellings("forces", "force"), "Forces")
_STRESSES = _spellings("stress")
_VIRIALS = _spellings("virial", "virials")

# Read for other purposes (the group of a frame), or an identity: never offered as a label's column.
_NOT_LABELS = ("group", "config_type", "unique_id")


@dataclass(frozen=True)
class Column:
    """Where a label was found.

    Attributes:
        place: `calculator`, `info` or `arrays`.
        key: the name there.
        virial: the numbers are a virial, and the label is stress = −virial / volume.
    """

    place: str
    key: str
    virial: bool = False

    def __str__(self) -> str:
        where = "calculator's" if self.place == "calculator" else f"{self.place} key"
        return f"{where} '{self.key}'" + (" (stress = −virial/volume)" if self.virial else "")


def check_keys(keys: Mapping[str, str]) -> None:
    """Refuse names of columns that cannot be meant.

    Raises:
        ValueError: an unknown label; stress and virial both named; a virial's column named as stress.
    """
    known = (*LABELS, "virial")
    for label, key in keys.items():
        if label not in known:
            raise ValueError(f"a column was named for the label '{label}'; the labels are {', '.join(known)}")
        if label == "stress" and "virial" in key.casefold():
            raise ValueError(
                f"the column '{key}' was named as stress but reads like a virial, which has another sign and"
                f" unit; name it as virial={key} (stress = −virial/volume), or rename the column"
            )
    if "stress" in keys and "virial" in keys:
        raise ValueError("columns were named for both stress and virial; they are one label: name one")


class LabelFinder:
    """Finds labels in one structure after another, and remembers what it has seen.

    Attributes:
        columns: label to the column it is read from, as found so far.
        seen: every column of any structure, for messages.

    Args:
        keys: label (`energy`, `forces`, `stress`, or `virial` in place of `stress`) to the column's name.
        factors: `energy`, `forces`, `stress`, `virial`, `length` to a factor into eV, Å (see `unit_factor`).
        declared: what else to find.

    Raises:
        ValueError: as `check_keys`.
    """

    def __init__(
        self, keys: Mapping[str, str], factors: Mapping[str, float], declared: Sequence[Declared] = ()
    ) -> None:
        check_keys(keys)
        self._declared = tuple(declared)
        self._keys = dict(keys)
        self._factors = dict(factors)
        self._read: set[str] = set()
        self.columns: dict[str, Column] = {}
        self.seen: set[str] = set()

    def find(self, atoms: Atoms, volume: float) -> dict[str, NDArray[np.float64]]:
        """The labels of one structure in eV, eV/Å and eV/Å³; those it lacks are left out.

        Forces are the calculator's own: constraints on `atoms` do not zero them. Nothing is calculated, and
        results that belong to other positions than those of `atoms` do not count.

        Args:
            atoms: the structure.
            volume: Å³ of its cell after conversion; a virial in no volume is no label.

        Raises:
            ValueError: a value that has not the shape of the label; another column than in earlier
                structures.
        """
        places = _places(atoms)
        self.seen.update(chain.from_iterable(places.values()))
        labels = {}
        for label in LABELS:
            found = self._locate(label, places)
            if found is None:
                continue
            earlier = self.columns.setdefault(label, found)
            if earlier != found:
                raise ValueError(
                    f"label '{label}' is here under the {found}, but under the {earlier} in earlier frames;"
                    f" name the one to use with --key {label}=COLUMN"
                )
            if found.virial and volume == 0.0:
                continue
            value = _shaped(label, found, places[found.place][found.key], len(atoms))
            value = value * self._factors.get("virial" if found.virial else label, 1.0)
            labels[label] = -value / volume if found.virial else value
        return labels

    def find_declared(self, atoms: Atoms) -> dict[str, Rows]:
        """What one structure has of the declared arrays; a target that it lacks is left out.

        Raises:
            ValueError: as `Declared.rows`.
        """
        places, found = _places(atoms), {}
        for one in self._declared:
            rows = one.rows(places, len(atoms))
            if rows is not None:
                found[one.name] = rows
                self._read.update(one.columns)
        return found

    @property
    def read(self) -> set[str]:
        """The columns that something was read from."""
        return {column.key for column in self.columns.values()} | self._read

    def check_named(self, source: str) -> None:
        """Raise if a named column was in no structure at all.

        Raises:
            ValueError: with the columns that are there.
        """
        for name, key in self._keys.items():
            if ("stress" if name == "virial" else name) not in self.columns:
                raise ValueError(
                    f"{source}: no frame has the column '{key}' named for '{name}'; columns there:"
                    f" {', '.join(sorted(self.seen)) or 'none'}"
                )

    def _locate(self, label: str, places: Mapping[str, Mapping[str, Any]]) -> Column | None:
        for place, key, virial in self._candidates(label):
            if places[place].get(key) is not None:
                return Column(place, key, virial)
        return None

    def _candidates(self, label: str) -> list[tuple[str, str, bool]]:
        """(place, key, is it a virial) to look at for one label, best first."""
        everywhere = ("calculator", "info", "arrays")
        for name in (label, "virial") if label == "stress" else (label,):
            if name in self._keys:
                return [(place, self._keys[name], name == "virial") for place in everywhere]
        if label == "energy":
            free = [("calculator", "free_energy", False)]
            return [("calculator", "energy", False), *(("info", key, False) for key in _ENERGIES), *free]
        if label == "forces":
            return [("calculator", "forces", False), *(("arrays", key, False) for key in _FORCES)]
        stresses = [("calculator", "stress", False), *(("info", key, False) for key in _STRESSES)]
        return [*stresses, *(("info", key, True) for key in _VIRIALS)]


def _places(atoms: Atoms) -> dict[str, dict[str, Any]]:
    """Everything a label could be read from, by place. Geometry is left out of the arrays."""
    calculator: Any = atoms.calc
    results = dict(getattr(calculator, "results", {}))
    if results and calculator.check_state(atoms):
        results = {}  # computed before the atoms moved
    info = {key: value for key, value in atoms.info.items() if key not in _NOT_LABELS}
    for nested in ("key_value_pairs", "data"):  # where an ASE database keeps a row's own columns
        extra = info.pop(nested, None)
        if isinstance(extra, Mapping):
            info.update(extra)
    arrays = {key: value for key, value in atoms.arrays.items() if key not in ("numbers", "positions")}
    return {"calculator": results, "info": info, "arrays": arrays}


def _shaped(label: str, column: Column, value: Any, atoms: int) -> NDArray[np.float64]:
    """The value with the label's shape: (), [N, 3] or [3, 3], or an error that names the column."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"label '{label}' ({column}) is not a number or an array: {value!r}") from None
    if label == "energy" and array.size == 1:
        return array.reshape(())
    if label == "forces" and array.shape == (atoms, 3):
        return array
    if label == "stress":
        if array.shape == (6,):
            return matrix_from_voigt(array)
        if array.size == 9:
            array = array.reshape(3, 3)
            return 0.5 * (array + array.T)
    expected = {"energy": "one number", "forces": f"({atoms}, 3)", "stress": "(3, 3), (9,) or Voigt (6,)"}
    raise ValueError(f"label '{label}' ({column}) has shape {array.shape}; {expected[label]} was expected")
