"""The picture of the comparison of forces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from cynosure.lab.figures import DPI, GRID, INK, QUIET, new_figure, tidy, with_margin
from cynosure.lab.forces.outcome import Comparison
from cynosure.lab.forces.report import QUANTITIES, Quantity

# A colour, a marker and a line for each way. The colours are of Okabe and Ito's palette, which colour-blind eyes can
# tell apart.
_STYLES = {
    "energy": ("#0072b2", "o", "-"),
    "retrained": ("#56b4e9", "v", (0, (3, 1, 1, 1))),
    "direct": ("#d55e00", "s", "-"),
    "balanced": ("#e69f00", "D", (0, (5, 2))),
    "fixed": ("#8a4d76", "^", (0, (1.5, 1.5))),
}
_LINEAR = 1.0  # meV/atom, up to which the axis of the energy is linear
_DRAWN = 8  # quantities, two rows of four
_FLOOR = 1e-16  # relative to the largest value: what is less is drawn here


def save_forces(found: Comparison, path: Path) -> Path:
    """Left, the total energy along the trajectories; right, a small picture for each quantity."""
    figure = with_margin(new_figure(15.4, 5.6))
    left, right = figure.subfigures(1, 2, width_ratios=[1.0, 1.75])
    _draw_energy(left.subplots(), found)
    panels = right.subplots(2, _DRAWN // 2)
    for axes, quantity in zip(panels.flat, QUANTITIES[:_DRAWN], strict=True):
        _draw_quantity(axes, found, quantity)
    figure.savefig(path, dpi=DPI)
    return path


def _draw_energy(axes: Axes, found: Comparison) -> None:
    for way in found.ways:
        one, (colour, _, line) = found.outcomes[way.key], _STYLES[way.key]
        axes.plot(
            one.times,
            1e3 * np.array(one.totals),
            color=colour,
            linestyle=line,
            linewidth=1.8,
            label=way.name,
        )
    axes.set_yscale("symlog", linthresh=_LINEAR)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -2 * _LINEAR), max(high, 2 * _LINEAR) * 1.5)
    ticks = [0.0, *(sign * 10.0**power for power in range(7) for sign in (1, -1))]
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}".replace("-", "−")))
    axes.axhspan(-_LINEAR, _LINEAR, color=GRID, alpha=0.5, linewidth=0)
    axes.set_xlim(left=0.0)
    axes.set_xlabel("time (ps)", color=INK)
    axes.set_ylabel("total energy, from the start (meV/atom)", color=INK)
    tidy(axes, "Energy in dynamics that should conserve it")
    axes.annotate(
        f"linear within ±{_LINEAR:g} meV/atom (grey), logarithmic beyond",
        (1.0, 0.005),
        xycoords="axes fraction",
        ha="right",
        va="bottom",
        fontsize=7.5,
        color=QUIET,
    )
    axes.legend(
        frameon=False,
        fontsize=9,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.12),
        ncols=3,
        labelcolor=INK,
        handlelength=2.2,
        columnspacing=1.2,
    )


def _draw_quantity(axes: Axes, found: Comparison, quantity: Quantity) -> None:
    """A bar with its number for each way, on a logarithmic scale."""
    values = [abs(quantity.value(found.outcomes[way.key]) or 0.0) for way in found.ways]
    top = max(*values, 1e-300)
    floor = 10.0 ** np.floor(np.log10(max(min(values), _FLOOR * top)) - 0.5)
    for place, (way, value) in enumerate(zip(found.ways, values, strict=True)):
        height, (colour, marker, _) = max(value, floor), _STYLES[way.key]
        axes.bar(place, height - floor, 0.72, bottom=floor, color=colour)
        axes.plot(place, height, marker, color=colour, markersize=5)
        axes.annotate(
            _brief(value),
            (place, height),
            (0, 5),
            textcoords="offset points",
            ha="center",
            fontsize=7,
            color=INK,
        )
    axes.set_yscale("log")
    axes.set_ylim(floor, top * (top / floor) ** 0.14)
    axes.yaxis.set_major_locator(LogLocator(numticks=5))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xticks([])
    name = quantity.brief or quantity.name
    tidy(axes, name)
    axes.set_title(name, loc="left", fontsize=9.5, fontweight="bold", color=INK, pad=8)
    axes.set_ylabel(quantity.unit or "ratio", color=QUIET, fontsize=8, labelpad=1)
    axes.tick_params(axis="y", labelsize=7.5)


def _brief(value: float) -> str:
    """Two digits, and one for what is small."""
    if value == 0:
        return "0"
    if value < 1e-3:
        return f"{value:.0e}"
    return f"{value:.0f}" if value >= 10 else f"{value:#.2g}" if value >= 0.01 else f"{value:.1g}"
