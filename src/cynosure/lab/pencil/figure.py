"""The picture of the pencil experiment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from cynosure.lab.figures import DPI, GRID, INK, QUIET, apart, new_figure, small_number, tidy
from cynosure.lab.pencil.outcome import TURNED, UPRIGHT, Network, Pencil

# A marker and a colour for each version of the frames, told apart by shape as well; of Okabe and Ito's palette, which
# colour-blind eyes can tell apart.
_MARKS = {
    "as it is": ("o", "#1d2430"),
    "turned": ("s", "#d55e00"),
    "mirrored": ("v", "#cc79a7"),
    "moved": ("D", "#0072b2"),
    "relabelled": ("^", "#009e73"),
}
_WARMS = ("#e08a1e", "#b3600a", "#8a4300", "#4f2600")  # the plain networks, darker with more copies
_BLUES = ("#35a0d0", "#1c6dd0", "#0b2f66")  # those of the library, darker with larger l_max
_LABEL_HEIGHT = 0.06  # of the axes: the least distance between two labels


def save_pencil(pencil: Pencil, path: Path) -> Path:
    """Left, errors of each network on the held-out frames in every disguise; right, on turned ones against data."""
    figure = new_figure(14.6, 5.2)
    left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": [1.0, 1.0]})
    _draw_disguises(left, pencil)
    _draw_sizes(right, pencil)
    figure.savefig(path, dpi=DPI)
    return path


def _draw_disguises(axes: Axes, pencil: Pencil) -> None:
    rows = np.arange(len(pencil.networks))[::-1]
    offsets = np.linspace(0.26, -0.26, len(pencil.versions))
    for row, network in zip(rows, pencil.networks, strict=True):
        values = [1e3 * pencil.forces(network, version)[-1] for version in pencil.versions]
        axes.plot(
            [min(values), max(values)], [row, row], color=GRID, linewidth=9, solid_capstyle="round", zorder=1
        )
        for version, value, offset in zip(pencil.versions, values, offsets, strict=True):
            marker, colour = _MARKS[version]
            label = version if row == rows[0] else None
            axes.plot(value, row + offset, marker, color=colour, markersize=7, label=label, zorder=3)
    _mark_silence(axes, pencil, vertical=True)
    axes.set_xscale("log")
    _log_ticks(axes.xaxis, *axes.get_xlim())
    axes.set_yticks(rows, [network.short for network in pencil.networks], fontsize=9.5)
    axes.set_ylim(-0.6, len(rows) - 0.1)
    axes.set_xlabel("held-out force error (RMSE, meV/Å)", color=INK)
    tidy(axes, f"The same held-out frames in disguise; {pencil.frames[-1]} training frames", grid="x")
    axes.legend(
        frameon=False,
        fontsize=9,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.13),
        ncols=5,
        labelcolor=INK,
        handletextpad=0.2,
        columnspacing=1.4,
    )


def _draw_sizes(axes: Axes, pencil: Pencil) -> None:
    counts = np.array(pencil.frames)
    ends: list[tuple[float, str, str]] = []
    for network in pencil.networks:
        colour, errors = _colour(network, pencil.networks), 1e3 * pencil.forces(network, TURNED)
        marker = "s" if network.l_max is None else "o"
        axes.plot(
            counts,
            errors,
            marker=marker,
            color=colour,
            linewidth=1.8,
            markersize=6.5,
            markeredgecolor="white",
        )
        ends.append((float(errors[-1]), network.short, colour))
    plain = pencil.networks[0]
    upright, colour = 1e3 * pencil.forces(plain, UPRIGHT), _colour(plain, pencil.networks)
    axes.plot(
        counts,
        upright,
        linestyle=(0, (3, 2)),
        marker="s",
        color=colour,
        linewidth=1.5,
        markersize=5.5,
        markerfacecolor="white",
    )
    ends.append((float(upright[-1]), f"{plain.short}, asked upright", colour))
    _mark_silence(axes, pencil, vertical=False)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.xaxis.set_minor_locator(NullLocator())
    low, high = axes.get_ylim()
    _log_ticks(axes.yaxis, low, high)
    axes.set_xlabel("training frames", color=INK)
    axes.set_ylabel("force error on turned held-out frames (RMSE, meV/Å)", color=INK)
    tidy(axes, "How many frames it takes")
    axes.grid(axis="x", color=GRID, linewidth=0.9)
    heights = apart([end for end, _, _ in ends], low, high, _LABEL_HEIGHT)
    for height, (_, label, colour) in zip(heights, ends, strict=True):
        axes.annotate(
            label,
            (1.0, height),
            (8, 0),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=9,
            color=colour,
            fontweight="bold",
            va="center",
            annotation_clip=False,
        )
    axes.set_ylim(low, high)


def _mark_silence(axes: Axes, pencil: Pencil, vertical: bool) -> None:
    """The error of answering zero, as a line."""
    silence, style = (
        1e3 * pencil.silence,
        {"color": QUIET, "linewidth": 1.0, "linestyle": (0, (4, 3)), "zorder": 0.9},
    )
    words = {"textcoords": "offset points", "fontsize": 8, "color": QUIET}
    if vertical:
        axes.axvline(silence, **style)
        axes.annotate(
            "answering zero",
            (silence, 1.0),
            (-4, -4),
            xycoords=("data", "axes fraction"),
            ha="right",
            va="top",
            **words,
        )
    else:
        axes.axhline(silence, **style)
        axes.annotate(
            "answering zero", (0.0, silence), (4, -4), xycoords=("axes fraction", "data"), va="top", **words
        )


def _log_ticks(axis, low: float, high: float) -> None:
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high > 5 * low else (1, 1.5, 2, 3, 4, 5, 7)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: small_number(value)))
    axis.set_minor_formatter(NullFormatter())


def _colour(network: Network, networks: tuple[Network, ...]) -> str:
    alike = [one for one in networks if (one.l_max is None) == (network.l_max is None)]
    shades = _WARMS if network.l_max is None else _BLUES
    place = alike.index(network) / max(len(alike) - 1, 1)
    return shades[round(place * (len(shades) - 1))]
