"""The picture of the mirror experiment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator

from cynosure.lab.figures import DPI, INK, QUIET, new_figure, tidy, with_margin
from cynosure.lab.mirror.cases import Case
from cynosure.lab.mirror.outcome import Mirror

# Of Okabe and Ito's palette, which colour-blind eyes can tell apart; the hands are told apart by hatching as well.
_LEFT, _RIGHT, _APART = "#0072b2", "#e69f00", "#8a4d76"
_HATCH = "///"
_FLOOR = 1e-13  # meV: what is less is drawn here, as zero is


def save_mirror(found: Mirror, path: Path) -> Path:
    """Left, which hands each network tells; right, the errors of energies and how far those of the hands are apart."""
    figure = with_margin(new_figure(14.0, 4.9))
    left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": [1.35, 1.0]})
    _draw_hands(left, found)
    _draw_energies(right, found)
    figure.savefig(path, dpi=DPI)
    return path


def _draw_hands(axes: Axes, found: Mirror) -> None:
    places = np.arange(len(found.hands))
    for shift, side, colour, hatch, label in (
        (-0.2, "new left", _LEFT, "", "left hands"),
        (0.2, "new right", _RIGHT, _HATCH, "their mirror images"),
    ):
        values = [100 * found.of(case).scores[side] for case in found.hands]
        axes.bar(
            places + shift,
            values,
            0.38,
            color=colour,
            hatch=hatch,
            edgecolor="white",
            linewidth=0,
            label=label,
        )
        for place, value in zip(places + shift, values, strict=True):
            axes.annotate(
                f"{value:.0f}" if value in (0, 100) else f"{value:.1f}",
                (place, value),
                (0, 3),
                textcoords="offset points",
                ha="center",
                fontsize=8.5,
                color=INK,
            )
    axes.axhline(50, color=QUIET, linewidth=1.0, linestyle=(0, (4, 3)))
    axes.annotate(
        "guessing",
        (1.0, 50),
        (-2, 3),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
        fontsize=8,
        color=QUIET,
    )
    axes.set_xlim(-0.6, len(places) + 0.05)
    axes.set_ylim(0, 112)
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.set_xticks(places, [_label(case) for case in found.hands], fontsize=9)
    axes.set_ylabel("hands told rightly (%)", color=INK)
    tidy(axes, "Which hand is it? Molecules of compositions never trained on")
    axes.legend(
        frameon=False, fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2, labelcolor=INK
    )


def _draw_energies(axes: Axes, found: Mirror) -> None:
    places = np.arange(len(found.energies))
    kinds = (
        (-0.27, _LEFT, "", "error, left hands", lambda one: one.scores["new left"]),
        (0.0, _RIGHT, _HATCH, "error, mirror images", lambda one: one.scores["new right"]),
        (0.27, _APART, "...", "difference of the two hands", lambda one: one.difference),
    )
    every = [1e3 * value_of(found.of(case)) for *_, value_of in kinds for case in found.energies]
    floor = 0.1 * 10 ** np.floor(np.log10(min(value for value in (*every, 1.0) if value > _FLOOR)))
    for shift, colour, hatch, label, value_of in kinds:
        values = [1e3 * value_of(found.of(case)) for case in found.energies]
        heights = [max(value, floor) for value in values]
        axes.bar(
            places + shift,
            np.array(heights) - floor,
            0.25,
            bottom=floor,
            color=colour,
            hatch=hatch,
            edgecolor="white",
            linewidth=0,
            label=label,
        )
        for place, value, height in zip(places + shift, values, heights, strict=True):
            text = "0" if value == 0 else f"{value:.0e}" if value < 1e-3 else f"{value:.3g}"
            axes.annotate(
                text, (place, height), (0, 3), textcoords="offset points", ha="center", fontsize=8, color=INK
            )
    axes.set_yscale("log")
    axes.set_ylim(floor, 3 * max(every))
    axes.yaxis.set_major_locator(LogLocator(numticks=8))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xticks(places, [_label(case) for case in found.energies], fontsize=9)
    axes.set_ylabel("meV", color=INK)
    tidy(axes, "The energies of the two hands")
    axes.legend(
        frameon=False,
        fontsize=9,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.17),
        ncols=3,
        labelcolor=INK,
        columnspacing=1.2,
    )


def _label(case: Case) -> str:
    return f"{case.network}\nshown {case.shown}"
