"""The figure of the example: two Ramachandran maps and their difference, hands, and error against length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from examples.biology.measure import LOW, Hands, Landscape, Minimum
from examples.biology.peptide import Array
from examples.biology.scan import Angles
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure
from matplotlib.patheffects import AbstractPathEffect, withStroke
from PIL import Image

INK, QUIET, BLUE, RED = "#1d2430", "#69717f", "#1c6dd0", "#d8443c"
_HIGHEST = 0.8  # eV, of the scale
_LEVELS = np.arange(0.0, _HIGHEST + 1e-9, 0.05).tolist()
_COLOURS = 128


def draw(
    path: Path,
    model: Landscape,
    reference: Landscape,
    minima: Sequence[Minimum],
    hands: Hands,
    numbers: Mapping[str, Any],
) -> None:
    """Write the figure, a PNG.

    Args:
        path: of the file.
        model, reference: the maps.
        minima: of both.
        hands: of held-out frames.
        numbers: as of `numbers.json`.
    """
    figure = Figure(figsize=(12.0, 7.8), dpi=120, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    above, below = figure.subfigures(2, 1, height_ratios=(1.1, 1.0))
    first, second, third = above.subplots(1, 3)
    for axes, landscape, title, own in (
        (first, model, "Model: energy at φ and ψ", [row.model for row in minima]),
        (second, reference, "GFN2-xTB", [row.reference for row in minima]),
    ):
        filled = _contours(axes, landscape.grid, landscape.relative, _LEVELS, "viridis")
        _names(axes, minima, own)
        _finish(axes, title, "φ, degrees", "ψ, degrees")
    above.colorbar(filled, ax=[first, second], label="eV above the lowest point", shrink=0.8)
    _difference(above, third, model, reference, numbers)
    left, middle, right = below.subplots(1, 3)
    _hands(left, hands)
    _lengths(middle, numbers["lengths"], "forces", "Forces: error against length", "RMSE, meV/Å")
    _lengths(right, numbers["lengths"], "energy", "Energy: error against length", "RMSE, meV/atom")
    canvas.draw()
    # (So few colours are hardly seen, and take half the room.)
    Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(_COLOURS).save(
        path, optimize=True
    )


def _contours(axes: Axes, grid: Array, values: Array, levels: Sequence[float], colours: str) -> Any:
    """Filled contours over the whole circle: the first row and column come once more at the end."""
    ends = np.append(grid, grid[0] + 360)
    closed = np.pad(values, (0, 1), mode="wrap").T
    filled = axes.contourf(
        ends, ends, closed, levels, cmap=colours, extend="both" if levels[0] < 0 else "max"
    )
    ticks = range(-180, 181, 90)
    axes.set(xlim=(-180, 180), ylim=(-180, 180), aspect="equal", xticks=ticks, yticks=ticks)
    return filled


def _names(axes: Axes, minima: Sequence[Minimum], places: Sequence[Angles]) -> None:
    outline: list[AbstractPathEffect] = [withStroke(linewidth=2, foreground=INK)]
    for row, (phi, psi) in zip(minima, places, strict=True):
        axes.plot(phi, psi, "o", ms=5, mfc="white", mec=INK)
        place = (6, -12 if psi > 150 else 4)
        text = axes.annotate(
            row.name, (phi, psi), place, textcoords="offset points", color="white", fontsize=9
        )
        text.set_path_effects(outline)


def _difference(
    figure: SubFigure, axes: Axes, model: Landscape, reference: Landscape, numbers: Mapping[str, Any]
) -> None:
    difference = 1e3 * (model.energies - reference.energies)
    low = reference.relative < LOW
    difference -= difference[low].mean()
    limit = max(20.0, float(np.ceil(3 * difference[low].std() / 20) * 20))
    filled = _contours(axes, model.grid, difference, np.linspace(-limit, limit, 21).tolist(), "RdBu_r")
    ends = np.append(model.grid, model.grid[0] + 360)
    axes.contour(
        ends, ends, np.pad(reference.relative, (0, 1), mode="wrap").T, [LOW], colors=INK, linewidths=0.8
    )
    figure.colorbar(filled, ax=axes, label="meV", shrink=0.8, ticks=np.linspace(-limit, limit, 5))
    rmse = numbers["map"]["rmse below 0.5 eV"]
    _finish(axes, f"Model − GFN2, RMSE {rmse:.0f} meV", "φ, degrees", "ψ, degrees")


def _hands(axes: Axes, hands: Hands) -> None:
    bins = np.linspace(-1.45, 1.45, 30).tolist()
    for values, colour, label in (
        (hands.left, BLUE, "α carbons of L"),
        (hands.right, RED, "α carbons of D (never shown)"),
        (hands.others, "#b6bcc7", "all other atoms"),
    ):
        axes.hist(values, bins=bins, weights=np.full(len(values), 1 / len(values)), color=colour, label=label)
    axes.set(ylim=(0, 1.6), yticks=np.linspace(0, 1, 5))  # room for the legend
    axes.legend(frameon=False, fontsize=9, loc="upper left")
    _finish(axes, "Hands of held-out frames", "pseudoscalar 0o", "part of the atoms")


def _lengths(axes: Axes, rows: Sequence[Mapping[str, Any]], name: str, title: str, unit: str) -> None:
    known = [row for row in rows if name in row]
    lengths = [len(row["hands"]) for row in known]
    values = np.array([row[name] for row in known])
    axes.axvspan(0.5, 1.5, color="#e7eaef", zorder=0)
    across = axes.get_xaxis_transform()
    axes.text(1.0, 0.02, "trained", transform=across, ha="center", color=QUIET, fontsize=8)
    axes.plot(lengths, values, "o-", color=BLUE, ms=6, label="all")
    if name == "energy":
        varying = np.sqrt(np.maximum(values**2 - np.square([row["energy mean"] for row in known]), 0))
        axes.plot(
            lengths, varying, "o--", color=BLUE, mfc="white", ms=6, label="without the mean error of each"
        )
        axes.legend(frameon=False, fontsize=9, loc="upper left")
    for number, (row, length, value) in enumerate(zip(known, lengths, values, strict=True)):
        place = (0, -15 if number % 2 else 8)
        axes.annotate(
            row["hands"], (length, value), place, textcoords="offset points", ha="center", fontsize=8
        )
    axes.set(
        xlim=(0.5, max(lengths, default=1) + 0.8), ylim=(0, 1.35 * max(values, default=1.0)), xticks=lengths
    )
    _finish(axes, title, "residues", unit)


def _finish(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=11, color=INK)
    axes.set_xlabel(x, color=QUIET)
    axes.set_ylabel(y, color=QUIET)
    axes.tick_params(colors=QUIET, labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
