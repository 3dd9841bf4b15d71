"""The figures of a report, as SVG text that takes its colours from the page around it."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from numpy.typing import NDArray

from cynosure.training.metrics import DEFAULT_UNITS, Metrics, Units
from cynosure.training.uncertain_errors import UncertainErrors

# Legible on white and on near-black alike.
COLOURS = ("#3b82f6", "#e8762d", "#16a37f", "#c04bd0")
# A colour that no figure uses by itself; it becomes the text colour of the page.
_INK = "#123457"
_FAINT = "#9aa3ad"
_MOST_POINTS = 1000
_PANELS_ABREAST = 4
# Pairs of energies are of energies per atom.
_SHOWN_AS = {"energy": "energy_per_atom"}

Pairs = Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]


def learning_curves(records: Sequence[Mapping[str, Any]], units: Units = DEFAULT_UNITS) -> str:
    """Loss, validation errors and learning rate against the step, from the records of `metrics.jsonl`."""
    steps = [record for record in records if record["kind"] == "step"]
    validations = [record for record in records if record["kind"] == "validation"]
    figure = Figure(figsize=(10.5, 3.2), layout="constrained")
    loss_axes, error_axes, rate_axes = figure.subplots(1, 3)
    if steps:
        numbers, losses = _thinned([r["step"] for r in steps], [r["loss"] for r in steps])
        loss_axes.plot(numbers, losses, color=COLOURS[0], lw=0.8, alpha=0.35)
        loss_axes.plot(numbers, _smoothed(losses), color=COLOURS[0], lw=1.6, label="training")
        rate_axes.plot(
            *_thinned([r["step"] for r in steps], [r["lr"] for r in steps]), color=COLOURS[2], lw=1.6
        )
    if validations:
        at = [record["step"] for record in validations]
        marker = "o" if len(at) < 30 else None
        loss_axes.plot(
            at,
            [r["score"] for r in validations],
            color=COLOURS[1],
            lw=1.6,
            marker=marker,
            ms=3,
            label="validation",
        )
        told = {name for record in validations for name in record["errors"]} - {"energy"}
        for colour, name in zip(COLOURS, [name for name in units if name in told], strict=False):
            unit, factor = units[name]
            errors = [
                record["errors"][name]["mae"] * factor for record in validations if name in record["errors"]
            ]
            if errors:
                label = f"{name.removesuffix('_per_atom')} ({unit or 'its own unit'})"
                error_axes.plot(
                    at[: len(errors)], errors, color=colour, lw=1.6, marker=marker, ms=3, label=label
                )
    for axes, title in ((loss_axes, "Loss"), (error_axes, "Validation MAE"), (rate_axes, "Learning rate")):
        if axes.lines and all(np.min(line.get_ydata()) > 0 for line in axes.lines):
            axes.set_yscale("log")
        _finish(axes, title, "step", "", legend=axes is not rate_axes)
    return _svg(figure)


def parity(pairs: Pairs, units: Units) -> str:
    """Prediction against label, one panel a quantity; energies per atom, shown from their mean.

    Args:
        pairs: by quantity.
        units: of each.
    """
    titles = {
        "energy": "Energy per atom, from the mean",
        "forces": "Force components",
        "stress": "Stress components",
    }
    names = [name for name in units if name in pairs]
    rows = math.ceil(len(names) / _PANELS_ABREAST)
    columns = min(len(names), _PANELS_ABREAST)
    figure = Figure(figsize=(3.5 * columns, 3.5 * rows), layout="constrained")
    panels = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for empty in panels[len(names) :]:
        empty.set_visible(False)
    for axes, name, colour in zip(panels, names, cycle(COLOURS), strict=False):
        reference, value = pairs[name]
        title, (unit, factor) = titles.get(name, name), units[_SHOWN_AS.get(name, name)]
        if unit.startswith("meV/Å"):  # forces themselves are a thousand times their errors
            unit, factor = unit.removeprefix("m"), 1.0
        unit = unit or "its own unit"
        offset = reference.mean() if name == "energy" else 0.0
        reference, value = (reference - offset) * factor, (value - offset) * factor
        # Thousands of points are small and an image inside the drawing, so that the file stays small.
        many = len(value) > 500
        size, alpha = (7, 0.4) if many else (20, 0.7)
        axes.scatter(reference, value, s=size, color=colour, alpha=alpha, linewidths=0, rasterized=many)
        low = min(reference.min(), value.min())
        high = max(reference.max(), value.max())
        margin = 0.04 * (high - low) or 1.0
        limits = (low - margin, high + margin)
        axes.plot(limits, limits, color=_INK, lw=0.8, alpha=0.6)
        axes.set(xlim=limits, ylim=limits, aspect="equal")
        _finish(axes, title, f"reference ({unit})", f"model ({unit})", legend=False)
    return _svg(figure)


def force_errors(metrics: Metrics) -> str:
    """Mean absolute force error by element, and by group of structures where there are groups."""
    by_group = {group: errors["forces"] for group, errors in metrics.by_group.items() if "forces" in errors}
    unit, factor = metrics.units["forces"]
    panels = [("By element", dict(metrics.forces_by_element))]
    if by_group:
        worst = sorted(by_group.items(), key=lambda item: -item[1].mae)
        panels.append(("By group" if len(worst) <= 20 else "By group, the worst twenty", dict(worst[:20])))
    height = 1.1 + 0.28 * max(len(bars) for _, bars in panels)
    figure = Figure(figsize=(5.2 * len(panels), height), layout="constrained")
    for axes, (title, bars) in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True):
        names = [f"{name}  (n = {stats.n})" for name, stats in bars.items()]
        values = [factor * stats.mae for stats in bars.values()]
        drawn = axes.barh(names, values, color=COLOURS[1], height=0.62)
        axes.bar_label(drawn, labels=[f" {value:.3g}" for value in values], color=_INK, fontsize=9)
        axes.invert_yaxis()
        axes.set_xlim(0, 1.18 * max(values) or 1.0)
        _finish(axes, title, f"force MAE ({unit})", "", legend=False)
        axes.grid(axis="y", visible=False)
    return _svg(figure)


def uncertainty(found: Mapping[str, UncertainErrors], units: Units) -> str:
    """Error against predicted uncertainty, one panel a quantity, each point a bin of equally many errors."""
    figure = Figure(figsize=(3.5 * len(found), 3.5), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(found)))
    for axes, (name, errors), colour in zip(panels, found.items(), COLOURS, strict=False):
        unit, factor = units[name]
        predicted, rmse = (factor * values for values in errors.bins())
        shown = (predicted > 0) & (rmse > 0)  # of the others there is no logarithm
        axes.set(xscale="log", yscale="log", aspect="equal")
        if shown.any():
            axes.plot(predicted[shown], rmse[shown], color=colour, lw=1.2, marker="o", ms=5)
            both = np.concatenate([predicted[shown], rmse[shown]])
            limits = (both.min() / 1.6, both.max() * 1.6)
            axes.plot(limits, limits, color=_INK, lw=0.8, alpha=0.6)
            axes.set(xlim=limits, ylim=limits)
        for axis in (axes.xaxis, axes.yaxis):  # the range is rarely a decade
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axis.set_minor_formatter(NullFormatter())
        title = {"energy_per_atom": "Energy per atom", "forces": "Force components"}[name]
        _finish(axes, title, f"uncertainty ({unit})", f"RMSE ({unit})", legend=False)
    return _svg(figure)


def _finish(axes: Axes, title: str, x: str, y: str, *, legend: bool) -> None:
    axes.set_title(title, color=_INK, fontsize=11, fontweight="bold", loc="left")
    axes.set_xlabel(x, color=_INK, fontsize=9)
    axes.set_ylabel(y, color=_INK, fontsize=9)
    axes.tick_params(which="both", colors=_INK, labelsize=8)
    axes.grid(color=_FAINT, alpha=0.3, lw=0.6)
    axes.set_axisbelow(True)
    axes.set_facecolor("none")
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(_FAINT)
    if legend and axes.lines:
        axes.legend(frameon=False, fontsize=8, labelcolor=_INK)


def _svg(figure: Figure) -> str:
    """The figure as an `<svg>` element that scales with the page and writes in the page's text colour."""
    buffer = io.StringIO()
    # Without a date, the same run gives the same picture.
    figure.savefig(buffer, format="svg", transparent=True, dpi=160, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    # Sizes in points become a width in pixels; the page narrows it where there is less room.
    pixels = round(96 * figure.get_figwidth())
    return re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', rf'\1 width="{pixels}"', text, count=1)


def _thinned(x: Sequence[float], y: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most a thousand points: means of equal stretches."""
    stretch = math.ceil(len(x) / _MOST_POINTS)
    edges = np.arange(0, len(x), stretch)
    counts = np.diff(np.append(edges, len(x)))
    return np.add.reduceat(np.asarray(x, float), edges) / counts, np.add.reduceat(
        np.asarray(y, float), edges
    ) / counts


def _smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """A running mean over about a twentieth of the curve, narrower at its ends."""
    half = max(1, len(values) // 40)
    total = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    low, high = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    return (total[high] - total[low]) / (high - low)
