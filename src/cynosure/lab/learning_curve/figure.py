"""The picture of a learning curve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from cynosure.lab.figures import DPI, GRID, INK, QUIET, WARM, apart, new_figure, small_number, tidy
from cynosure.lab.learning_curve.curve import Curve
from cynosure.lab.learning_curve.report import exponent_text
from cynosure.lab.runs import network_name

# From grey to deep blue with growing l_max; the plain network has its own colour, as in the demonstration.
_BLUES = ("#7f8ea6", "#35a0d0", "#1c6dd0", "#0b2f66")
_LABEL_HEIGHT = 0.052  # of the axes: the least distance between two labels


def save_learning_curve(curve: Curve, path: Path) -> Path:
    """Errors against numbers of training frames on logarithmic scales, with the fitted lines.

    A point is the geometric mean over the seeds, the bar through it goes from the best to the worst of them. Each line
    ends at a label with its exponent.
    """
    figure = new_figure(8.4, 5.2)
    axes = figure.subplots()
    x = np.array(curve.frames)
    line = np.geomspace(x[0], x[-1], 50)
    equivariant = [network for network in curve.networks if network is not None]
    ends: list[tuple[float, str, str]] = []
    for network in curve.networks:
        colour = WARM if network is None else _blue(equivariant.index(network), len(equivariant))
        errors, law = 1e3 * curve.errors(network), curve.law(network)
        axes.plot(line, 1e3 * law(line), color=colour, linewidth=1.6, alpha=0.8)
        axes.vlines(x, errors.min(axis=0), errors.max(axis=0), color=colour, linewidth=1.2, alpha=0.5)
        means = np.exp(np.log(errors).mean(axis=0))
        axes.plot(x, means, "o", color=colour, markersize=7, markeredgecolor="white")
        label = f"{network_name(network)}, b = {exponent_text(law.exponent)}"
        ends.append((float(1e3 * law(x[-1])), label, colour))
    silence = 1e3 * curve.silence
    axes.axhline(silence, color=QUIET, linewidth=1.0, linestyle=(0, (4, 3)), zorder=0.9)
    axes.annotate(
        "answering zero",
        (float(np.sqrt(x[0] * x[1])), silence),  # between two points, which would hide it
        (0, 4),
        textcoords="offset points",
        ha="center",
        fontsize=8,
        color=QUIET,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    source = curve.source.replace("$", r"\$")  # a file may be called anything; the title is in TeX
    tidy(axes, f"Force error ~ $N^{{-b}}$, {source}")
    axes.set_xticks(curve.frames, [str(count) for count in curve.frames])
    axes.xaxis.set_minor_locator(NullLocator())
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high > 20 * low else (1, 1.5, 2, 3, 4, 5, 7)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: small_number(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="x", color=GRID, linewidth=0.9)
    axes.set_xlabel("training frames", color=INK)
    axes.set_ylabel("force error held out (RMSE, meV/Å)", color=INK)
    heights = apart([end for end, _, _ in ends], low, high, _LABEL_HEIGHT)
    for height, (end, label, colour) in zip(heights, ends, strict=True):
        axes.annotate(
            label,
            (x[-1], end),
            (1.03, height),
            xycoords="data",
            textcoords="axes fraction",
            fontsize=9.5,
            color=colour,
            fontweight="bold",
            va="center",
            annotation_clip=False,
        )
    axes.set_ylim(low, high)
    figure.savefig(path, dpi=DPI)
    return path


def _blue(index: int, count: int) -> str:
    """The colour of the network with the given place among so many."""
    return _BLUES[round(index * (len(_BLUES) - 1) / max(count - 1, 1))] if count > 1 else _BLUES[2]
