"""Errors of a model on labelled frames."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cynosure.graph import ATOMS
from cynosure.training.uncertain_errors import UncertainErrors

# Quantity -> (unit in which tables and pictures have it, factor from that of its labels), in the order of tables.
Units = Mapping[str, tuple[str, float]]
DEFAULT_UNITS: Units = ATOMS.units


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
        units: of tables and pictures; every quantity is there.
        uncertainty: of an ensemble, `energy_per_atom` (eV) and `forces` (eV/Å, by component) to their errors and
            uncertainties.
    """

    n_structures: int
    errors: Mapping[str, ErrorStats]
    forces_by_element: Mapping[str, ErrorStats] = field(default_factory=dict)
    by_group: Mapping[str, Mapping[str, ErrorStats]] = field(default_factory=dict)
    units: Units = field(default_factory=lambda: DEFAULT_UNITS)
    uncertainty: Mapping[str, UncertainErrors] = field(default_factory=dict)

    def calibrated(self) -> tuple[Metrics, dict[str, float]]:
        """The metrics of the ensemble with uncertainties of the right size for these errors, and the factors to that:
        `energy` and `forces`, as of `UncertaintyFactors`, as far as there are labels."""
        factors = {name: errors.factor() for name, errors in self.uncertainty.items()}
        scaled = {name: errors.scaled(factors[name]) for name, errors in self.uncertainty.items()}
        by_label = {name.removesuffix("_per_atom"): factor for name, factor in factors.items()}
        return replace(self, uncertainty=scaled), by_label

    def to_json(self) -> dict[str, Any]:
        """Plain values in eV and Å: `n_structures`, each quantity, `forces_by_element`, `by_group`, `uncertainty`."""
        result: dict[str, Any] = {"n_structures": self.n_structures}
        result.update({name: stats.to_json() for name, stats in self.errors.items()})
        if self.forces_by_element:
            result["forces_by_element"] = {z: stats.to_json() for z, stats in self.forces_by_element.items()}
        if self.by_group:
            result["by_group"] = {
                group: {name: stats.to_json() for name, stats in errors.items()}
                for group, errors in self.by_group.items()
            }
        if self.uncertainty:
            result["uncertainty"] = {name: errors.to_json() for name, errors in self.uncertainty.items()}
        return result

    def rows(self) -> list[tuple[str, str, ErrorStats]]:
        """(what, unit, errors in that unit) for each line of the table."""
        rows = []
        for name, (unit, factor) in self.units.items():
            if name in self.errors and name != "energy":
                rows.append(
                    (name.replace("energy_per_atom", "energy"), unit, _scaled(self.errors[name], factor))
                )
            if name == "forces":
                for symbol, stats in self.forces_by_element.items():
                    rows.append((f"forces on {symbol}", unit, _scaled(stats, factor)))
        return rows

    def in_words(self) -> str:
        """Mean absolute errors in a few words, such as `energy 1.2 meV/atom, forces 23 meV/Å`."""
        parts = (f"{what} {stats.mae:.3g} {unit}" for what, unit, stats in self.rows() if " on " not in what)
        return ", ".join(part.rstrip() for part in parts)

    def uncertainty_rows(self) -> list[tuple[str, ...]]:
        """The lines of the table of uncertainties, its head first; none without uncertainties."""
        if not self.uncertainty:
            return []
        rows: list[tuple[str, ...]] = [
            ("uncertainty", "", "predicted", "RMSE", "ratio", "within 1σ", "within 2σ", "numbers")
        ]
        for name, errors in self.uncertainty.items():
            unit, factor = self.units[name]
            rows.append(
                (
                    name.removesuffix("_per_atom"),
                    unit,
                    *(f"{factor * value:.4g}" for value in (errors.rms, errors.rmse)),
                    f"{errors.ratio:.3g}",
                    *(f"{100 * errors.within(multiple):.0f} %" for multiple in (1, 2)),
                    str(len(errors.errors)),
                )
            )
        return rows

    def table(self, title: str = "") -> str:
        """The errors as aligned text, in `units`; those of forces by element, too.

        For an ensemble there follows how large they were expected to be: root mean square of the uncertainties and of
        the errors, their `ratio`, and how many errors are within one and two uncertainties (68 % and
        95 % if they are normal).
        """
        heading = title or f"{self.n_structures} structures"
        lines = [(heading, "", "MAE", "RMSE", "max", "numbers")]
        for what, unit, stats in self.rows():
            lines.append(
                (what, unit, f"{stats.mae:.4g}", f"{stats.rmse:.4g}", f"{stats.max:.4g}", str(stats.n))
            )
        tables = [_aligned(lines), _aligned(self.uncertainty_rows())]
        return "\n\n".join(table for table in tables if table)


def _aligned(lines: Sequence[tuple[str, ...]]) -> str:
    """Columns as wide as their longest text; the first two are flush left."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            [text.ljust(width) for text, width in zip(line[:2], widths[:2], strict=True)]
            + [text.rjust(width) for text, width in zip(line[2:], widths[2:], strict=True)]
        )
        for line in lines
    )


def _scaled(stats: ErrorStats, factor: float) -> ErrorStats:
    return ErrorStats(stats.mae * factor, stats.rmse * factor, stats.max * factor, stats.n)
