"""The figure of the example: the rankings, and the energies beside those of DFT and of calorimetry."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from examples.screening.comparison import ZERO
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from cynosure.analysis import Screening
from cynosure.analysis.screen_plot import draw_ranking, write_names

INK, QUIET = "#1d2430", "#69717f"
BLUE, RED, GREEN = "#4878a8", "#c44e52", "#55a868"
_COLOURS = 128
# Beyond this a crystal is so dense that the others would lie on one line; its numbers are written instead. meV/atom.
_OFF_SCALE = 100.0
_SERIES = (
    ("above", "o", BLUE, "model"),
    ("PBE", "s", RED, "PBE, Materials Project"),
    ("calorimetry", "D", GREEN, "calorimetry, 298 K"),
)


def draw(path: Path, found: Screening, numbers: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the figure, a PNG.

    Args:
        path: of the file.
        found: the screening.
        numbers: its comparison.
    """
    figure = Figure(figsize=(11.5, 8.2), dpi=120, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, len(numbers), squeeze=False)
    shown = {
        formula: [one for one in found.rankings[formula] if one.rank is not None and not one.same_as]
        for formula in numbers
    }
    for axes, (formula, places) in zip(upper, shown.items(), strict=True):
        if places:
            draw_ranking(axes, f"{formula}: every polymorph at rest", places)
    for axes, (formula, rows) in zip(lower, numbers.items(), strict=True):
        _beside(axes, rows)
        axes.set_xlabel(f"energy above {ZERO[formula]} (meV/atom)")
        axes.set_title(f"{formula}: model, DFT and experiment", loc="left", fontsize=11, color=INK)
    lower[0].legend(frameon=False, fontsize=9, loc="best")
    for axes, places in zip(upper, shown.values(), strict=True):
        if places:
            write_names(axes, places)
    canvas.draw()
    # (So few colours are hardly seen, and take half the room.)
    Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(_COLOURS).save(
        path, optimize=True
    )


def _beside(axes: Axes, rows: Mapping[str, Mapping[str, Any]]) -> None:
    names = [name for name, row in rows.items() if row["same as"] is None][::-1]
    axes.axvline(0.0, color=QUIET, lw=0.8, ls=":")
    for key, marker, colour, label in _SERIES:
        points = [(rows[name][key], place) for place, name in enumerate(names) if rows[name][key] is not None]
        kept = [(x, y) for x, y in points if abs(x) < _OFF_SCALE]
        if kept:
            axes.plot(
                *zip(*kept, strict=True),
                marker,
                color=colour,
                ms=6 if key == "above" else 7,
                label=label,
                mfc=colour if key == "above" else "none",
                mew=1.4,
                ls="none",
            )
    for place, name in enumerate(names):
        if abs(rows[name]["above"]) >= _OFF_SCALE:
            known = [
                f"{label.split(',')[0]} {rows[name][key]:.0f}"
                for key, _, _, label in _SERIES
                if rows[name][key]
            ]
            axes.text(
                0.98,
                place,
                ", ".join(known),
                transform=axes.get_yaxis_transform(),
                ha="right",
                va="center",
                fontsize=9,
                color=INK,
            )
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.margins(x=0.08)
    axes.tick_params(colors=QUIET, labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
