"""Errors of a model on labelled frames."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Quantity -> (unit of the table, factor from eV and Å to it).
TABLE_UNITS: dict[str, tuple[str, float]] = {
    "energy": ("meV", 1e3),
    "energy_per_atom": ("meV/atom", 1e3),
    "forces": ("meV/Å", 1e3),
    "stress": ("GPa", 160.2176634),
}


@dataclass(frozen=True)
class ErrorStats:
    """Mean absolute, root mean square and largest absolute error of `n` numbers."""

    mae: float
    rmse: float
    max: float
    n: int

    def to_json(self) -> dict[str, float | int]:
        return {"mae": self.mae, "rmse": self.rmse, "max": self.max, "n": self.n}


class ErrorSums:
    """The running sums behind `ErrorStats`: a data set of any size takes no memory."""

    def __init__(self) -> None:
        self._absolute, self._squared, self._largest, self._count = 0.0, 0.0, 0.0, 0

    def add(self, residual: NDArray[np.float64]) -> None:
        """Take in residuals, of any shape; every number counts once."""
        if residual.size:
            magnitude = np.abs(residual)
            self._absolute += float(magnitude.sum())
            self._squared += float(np.square(magnitude).sum())
            self._largest = max(self._largest, float(magnitude.max()))
            self._count += residual.size

    def stats(self) -> ErrorStats:
        """The errors so far. At least one number must have been added."""
        mean, mean_square = self._absolute / self._count, self._squared / self._count
        return ErrorStats(mean, math.sqrt(mean_square), self._largest, self._count)


@dataclass(frozen=True)
class Metrics:
    """Errors over a set of structures.

    Attributes:
        n_structures: how many were evaluated.
        errors: quantity (`energy` eV, `energy_per_atom` eV, `forces` eV/Å by component, `stress` eV/Å³ by the
            nine components) to its errors; a quantity without labels is absent.
        forces_by_element: symbol to the errors of the force components on its atoms.
        by_group: name of a group of structures to its `errors`; empty where the frames name no groups.
    """

    n_structures: int
    errors: Mapping[str, ErrorStats]
    forces_by_element: Mapping[str, ErrorStats] = field(default_factory=dict)
    by_group: Mapping[str, Mapping[str, ErrorStats]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values in eV and Å: `n_structures`, each quantity, `forces_by_element`, `by_group`."""
        result: dict[str, Any] = {"n_structures": self.n_structures}
        result.update({name: stats.to_json() for name, stats in self.errors.items()})
        if self.forces_by_element:
            result["forces_by_element"] = {z: stats.to_json() for z, stats in self.forces_by_element.items()}
        if self.by_group:
            result["by_group"] = {
                group: {name: stats.to_json() for name, stats in errors.items()}
                for group, errors in self.by_group.items()
            }
        return result

    def rows(self) -> list[tuple[str, str, ErrorStats]]:
        """(what, unit, errors in that unit) for each line of the table."""
        rows = []
        for name, (unit, factor) in TABLE_UNITS.items():
            if name in self.errors and name != "energy":
                rows.append(
                    (name.replace("energy_per_atom", "energy"), unit, _scaled(self.errors[name], factor))
                )
            if name == "forces":
                for symbol, stats in self.forces_by_element.items():
                    rows.append((f"forces on {symbol}", unit, _scaled(stats, factor)))
        return rows

    def table(self, title: str = "") -> str:
        """The errors as aligned text: energy in meV/atom, forces in meV/Å (and by element), stress in GPa."""
        heading = title or f"{self.n_structures} structures"
        lines = [(heading, "", "MAE", "RMSE", "max", "numbers")]
        for what, unit, stats in self.rows():
            lines.append(
                (what, unit, f"{stats.mae:.4g}", f"{stats.rmse:.4g}", f"{stats.max:.4g}", str(stats.n))
            )
        widths = [max(len(line[column]) for line in lines) for column in range(6)]
        return "\n".join(
            "  ".join(
                [text.ljust(width) for text, width in zip(line[:2], widths[:2], strict=True)]
                + [text.rjust(width) for text, width in zip(line[2:], widths[2:], strict=True)]
            )
            for line in lines
        )


def _scaled(stats: ErrorStats, factor: float) -> ErrorStats:
    return ErrorStats(stats.mae * factor, stats.rmse * factor, stats.max * factor, stats.n)
