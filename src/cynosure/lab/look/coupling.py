"""The Clebsch-Gordan coefficients of one path, as exact numbers and as a picture."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path as File
from typing import NamedTuple

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from numpy.typing import NDArray

from cynosure.analysis import Table
from cynosure.lab.figures import DPI, GRID, INK, QUIET, new_figure, with_margin
from cynosure.lab.look.harmonics import component_names
from cynosure.lab.look.surface import NEGATIVE, POSITIVE
from cynosure.o3 import Irrep, clebsch_gordan

_HIGHEST = 4  # degree; beyond it neither the table nor the picture can be read
_LARGEST_DENOMINATOR = 100_000
_COLUMNS = 5  # matrices side by side
_MAP = LinearSegmentedColormap.from_list("signed", [NEGATIVE, "#ffffff", POSITIVE])


class Path(NamedTuple):
    """One way in which two irreps multiply to a third."""

    first: Irrep
    second: Irrep
    result: Irrep

    def __str__(self) -> str:
        return f"{self.first} ⊗ {self.second} → {self.result}"


def parse_path(text: str) -> Path:
    """The path written as three irreps, such as `1o,1o,1e`.

    Raises:
        ValueError: not three irreps, a product that does not have the third, or degrees above 4.
    """
    parts = text.split(",")
    if len(parts) != 3:
        raise ValueError(
            f"a path is three irreps, such as 1o,1o,1e: the product of the first two has the third; got '{text}'"
        )
    path = Path(*(Irrep.parse(part) for part in parts))
    product = path.first * path.second
    if path.result not in product:
        has = ", ".join(map(str, product))
        raise ValueError(f"the product of {path.first} and {path.second} has {has}, and not {path.result}")
    if max(irrep.l for irrep in path) > _HIGHEST:
        raise ValueError(f"coefficients of degrees up to {_HIGHEST} can be looked at; got '{text}'")
    return path


def coefficients(path: Path) -> NDArray[np.float64]:
    """[2·l1 + 1, 2·l2 + 1, 2·l3 + 1], see `o3.clebsch_gordan`."""
    return clebsch_gordan(*(irrep.l for irrep in path))


def orthonormality(values: NDArray[np.float64]) -> float:
    """The largest entry of |Σ_ab C[a, b, c] C[a, b, d] − δ_cd|."""
    size = values.shape[2]
    return float(np.abs(np.einsum("abc,abd->cd", values, values) - np.eye(size)).max())


def exact(value: float) -> str:
    """A number as the signed square root of a fraction, such as `−√(1/2)`, or as a fraction where that is rational.

    A number that is no such root, with a denominator up to 100,000, is written with four digits.
    """
    if abs(value) < 1e-14:
        return "0"
    square = Fraction(value * value).limit_denominator(_LARGEST_DENOMINATOR)
    sign = "−" if value < 0 else ""
    if square <= 0 or abs(math.sqrt(square) - abs(value)) > 1e-14 * max(1.0, abs(value)):
        return f"{sign}{abs(value):.4g}"
    above, below = math.isqrt(square.numerator), math.isqrt(square.denominator)
    if above**2 == square.numerator and below**2 == square.denominator:
        return f"{sign}{Fraction(above, below)}"
    return f"{sign}√({square})" if square.denominator > 1 else f"{sign}√{square}"


def coefficient_table(path: Path) -> Table:
    """A row for each pair of components whose product is in the result, a column for each component of the result."""
    values = coefficients(path)
    first, second, result = (component_names(irrep.l) for irrep in path)
    rows = [
        (first[a], second[b], *(exact(value) if value else "·" for value in values[a, b].tolist()))
        for a, b in np.argwhere(np.abs(values).max(axis=2) > 0).tolist()
    ]
    return Table(
        f"Clebsch-Gordan coefficients {path}: a row for a pair of components, a column for one of {path.result}",
        (str(path.first), str(path.second), *result),
        tuple(rows),
    )


def save_coefficients(path: Path, file: File) -> File:
    """A matrix for each component of the result: rows are components of the first irrep, columns of the second."""
    values = coefficients(path)
    first, second, result = (component_names(irrep.l) for irrep in path)
    columns = len(result) if len(result) <= _COLUMNS else -(-len(result) // 2)
    rows = -(-len(result) // columns)
    cell = 0.62 if max(len(first), len(second)) <= 5 else 0.5
    width, height = cell * len(second) + 0.8, cell * len(first) + 0.95
    figure = new_figure(max(columns * width + 1.1, 6.0), rows * height + 0.7)
    panels = np.asarray(figure.subplots(rows, columns, squeeze=False))
    largest = float(np.abs(values).max())
    image = None
    for index, axes in enumerate(panels.flat):
        if index >= len(result):
            axes.axis("off")
            continue
        image = axes.imshow(values[:, :, index], cmap=_MAP, vmin=-largest, vmax=largest)
        axes.set_title(f"{path.result}: {result[index]}", fontsize=10, fontweight="bold", color=INK)
        axes.set_xticks(range(len(second)), second)
        axes.set_yticks(range(len(first)), first)
        axes.tick_params(length=0, labelsize=8.5, labelcolor=INK)
        axes.spines[:].set_color(QUIET)
        axes.set_xticks(np.arange(len(second) + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(len(first) + 1) - 0.5, minor=True)
        axes.grid(which="minor", color=GRID, linewidth=1.0)
        axes.tick_params(which="minor", length=0)
        if index % columns == 0:
            axes.set_ylabel(f"component of the first, {path.first}", fontsize=8.5, color=QUIET)
        if index >= len(result) - columns:
            axes.set_xlabel(f"of the second, {path.second}", fontsize=8.5, color=QUIET)
        for a, b in np.argwhere(values[:, :, index] != 0).tolist():
            value = float(values[a, b, index])
            dark = value > 0.6 * largest  # of the blue
            axes.text(
                b, a, exact(value), ha="center", va="center", fontsize=7.5, color="white" if dark else INK
            )
    assert image is not None
    bar = figure.colorbar(image, ax=panels, shrink=0.8, pad=0.02)
    bar.outline.set_edgecolor(QUIET)  # pyright: ignore[reportCallIssue] (matplotlib says it is a list of numbers)
    bar.ax.tick_params(labelsize=8, labelcolor=INK, color=QUIET)
    bar.set_label("coefficient", fontsize=8.5, color=QUIET)
    figure.suptitle(
        f"Clebsch-Gordan coefficients, {path}", x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK
    )
    with_margin(figure).savefig(file, dpi=DPI)
    return file
