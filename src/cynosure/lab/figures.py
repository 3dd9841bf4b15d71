"""The pictures of the demonstration: each draws what was measured, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cynosure.analysis import Deviation
from cynosure.deploy.dynamics import MDResult
from cynosure.lab.comparison import Comparison
from cynosure.lab.molecule_drawing import draw_molecule

INK, QUIET, GRID = "#1d2430", "#69717f", "#e7eaef"
OURS, WARM = "#1c6dd0", "#e08a1e"
# In the order in which networks are compared: ours, the plain one, the plain one that saw turned copies.
NETWORK_COLOURS = (OURS, WARM, "#b6bcc7")

DPI = 160
# Looks down on the ring with oxygen on top and the methyl group at the lower left.
_TILT = np.deg2rad(55.0)
_VIEW = np.array(
    [
        [1.0, 0.0, 0.0],
        [0.0, np.cos(_TILT), -np.sin(_TILT)],
        [0.0, np.sin(_TILT), np.cos(_TILT)],
    ]
)
_ROW_HEIGHT = 5.6  # Å, from one row of molecules to the next


def new_figure(width: float, height: float) -> Figure:
    """An empty white figure of so many inches that needs no window."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def with_margin(figure: Figure) -> Figure:
    """The same figure, whose outermost texts keep away from its edges."""
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.12)  # inches
    return figure


def tidy(axes: Axes, title: str, grid: str = "y") -> None:
    """The common look: a left-aligned title, no box, a faint grid along one direction."""
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", color=INK, pad=12)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(QUIET)
    axes.tick_params(which="both", colors=QUIET, labelcolor=INK, length=0)
    axes.set_axisbelow(True)
    axes.grid(axis="y" if grid == "y" else "x", color=GRID, linewidth=0.9)


def small_number(value: float) -> str:
    """Two significant digits, such as 0.021, 23 or 10 000; `< 0.01` for what is less."""
    if value < 0.01:
        return "< 0.01"
    if value >= 100:
        return f"{float(f'{value:.2g}'):,.0f}".replace(",", " ")
    return f"{value:.2g}"


def apart(ends: Sequence[float], low: float, high: float, least: float) -> list[float]:
    """Heights of labels, as a fraction of the axes: at the ends of their lines, but apart from each other.

    Args:
        ends: where the lines end, on a logarithmic axis.
        low, high: the limits of the axis.
        least: distance between two labels.
    """
    wanted = np.log(np.asarray(ends) / low) / np.log(high / low)
    heights = np.zeros(len(ends))
    order, floor, ceiling = np.argsort(wanted), -np.inf, np.inf
    for index in order:
        heights[index] = floor = max(float(wanted[index]), floor + least)
    # Those that were pushed past the top come down again, and push in turn.
    for index in order[::-1]:
        heights[index] = min(heights[index], max(1.0, float(wanted[index])), ceiling - least)
        ceiling = heights[index]
    return heights.tolist()


@dataclass(frozen=True)
class Image:
    """One image of the molecule, and what the model says of it.

    Attributes:
        name: what was done to the molecule.
        atoms: the image, Å.
        energy: eV.
        forces: [N, 3] eV/Å.
    """

    name: str
    atoms: Atoms
    energy: float
    forces: np.ndarray


def draw_images(axes: Axes, images: Sequence[Image]) -> None:
    """Images of the molecule in two columns, each with its energy and its forces as arrows.

    Args:
        axes: where to draw.
        images: the first two are drawn as mirror images, with a mirror between them.
    """
    rows = -(-len(images) // 2)
    for index, image in enumerate(images):
        row, column = divmod(index, 2)
        x, y = (-2.6, 2.6)[column], -_ROW_HEIGHT * row
        draw_molecule(axes, image.atoms, _VIEW, image.forces, offset=(x, y), arrow_scale=0.6)
        axes.text(x, y - 2.45, image.name, ha="center", va="center", fontsize=9, color=QUIET)
        energy = f"{image.energy:.6f} eV".replace("-", "−")
        axes.text(x, y - 3.0, energy, ha="center", va="center", fontsize=10, color=OURS, fontweight="bold")
    axes.plot([0, 0], [-2.0, 2.0], color=QUIET, linewidth=1.2, linestyle=(0, (5, 4)))
    axes.set_xlim(-5.2, 5.2)
    axes.set_ylim(-_ROW_HEIGHT * (rows - 1) - 3.4, 2.2)
    axes.set_aspect("equal")
    axes.set_anchor("N")
    axes.axis("off")


def draw_comparison(axes: Axes, comparison: Comparison, title: str) -> None:
    """Force errors of all networks on all versions of the test set, on a logarithmic scale."""
    versions, networks = comparison.versions, comparison.networks
    width = 0.8 / len(networks)
    values = 1e3 * np.array(
        [[comparison.errors[version][network].forces for version in versions] for network in networks]
    )
    for row, network in enumerate(networks):
        places = np.arange(len(versions)) + (row - (len(networks) - 1) / 2) * width
        colour = NETWORK_COLOURS[row % len(NETWORK_COLOURS)]
        axes.bar(places, values[row], width * 0.92, color=colour, label=network)
        for place, value in zip(places, values[row], strict=True):
            axes.annotate(
                small_number(value),
                (place, value),
                (0, 2),
                textcoords="offset points",
                ha="center",
                fontsize=7,
                color=INK,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
            )
    silence = 1e3 * comparison.silence
    axes.axhline(silence, color=QUIET, linewidth=1.0, linestyle=(0, (4, 3)), zorder=0.9)
    axes.annotate(
        "answering zero",
        (0.0, silence),
        (2, 3),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="left",
        fontsize=7,
        color=QUIET,
    )
    axes.set_yscale("log")
    axes.set_ylim(10 ** np.floor(np.log10(values.min() / 1.5)), 20 * values.max())
    axes.set_xticks(range(len(versions)), versions)
    axes.set_ylabel("force error (RMSE, meV/Å)", color=INK)
    tidy(axes, title)
    axes.legend(
        frameon=True,
        facecolor="white",
        edgecolor="none",
        framealpha=1.0,
        fontsize=8.5,
        loc="upper left",
        ncols=1,
        borderaxespad=0.2,
        labelcolor=INK,
    )


def draw_symmetries(axes: Axes, deviations: Sequence[Deviation], title: str) -> None:
    """Each deviation as a bar on a logarithmic scale, its tolerance as a tick; a zero sits at the left edge."""
    floor = 1e-18
    values = np.array([max(deviation.value, floor) for deviation in deviations])
    rows = np.arange(len(deviations))[::-1]
    colours = [OURS if deviation.ok else "#c8372d" for deviation in deviations]
    axes.barh(rows, values - floor, 0.62, left=floor, color=colours)
    tolerances = np.array([deviation.tolerance for deviation in deviations])
    axes.scatter(tolerances, rows, marker="|", s=120, color=WARM, linewidths=2.2, label="largest that passes")
    for row, deviation in zip(rows, deviations, strict=True):
        shown = "0" if deviation.value == 0 else f"{deviation.value:.0e}"
        axes.annotate(
            shown,
            (max(deviation.value, floor), row),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=7.5,
            color=INK,
        )
    axes.set_xscale("log")
    axes.set_xlim(floor, 1e-2)
    axes.set_yticks(rows, [f"{deviation.name} ({deviation.unit})" for deviation in deviations], fontsize=8.5)
    axes.set_ylim(-0.7, len(deviations) - 0.3)
    axes.set_xlabel("deviation from the identity", color=INK)
    tidy(axes, title, grid="x")
    axes.legend(frameon=False, fontsize=8.5, loc="lower right", bbox_to_anchor=(1.0, 1.0), labelcolor=INK)


def draw_energy(axes: Axes, result: MDResult, title: str) -> None:
    """Potential and total energy of a run at constant energy, meV/atom, from their first values."""
    potential = np.array([sample.potential / sample.atoms for sample in result.samples])
    time = np.array([sample.time for sample in result.samples])
    total = 1e3 * (np.array(result.totals) - result.totals[0])
    axes.plot(
        time,
        1e3 * (potential - potential[0]),
        color=NETWORK_COLOURS[2],
        linewidth=1.1,
        label="potential energy",
    )
    axes.plot(result.times, total, color=OURS, linewidth=2.0, label="total energy")
    drift = 1e3 * abs(result.drift())
    axes.set_xlabel("time (ps)", color=INK)
    axes.set_ylabel("energy, from the start (meV/atom)", color=INK)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.2 * (high - low))
    axes.set_xlim(0.0, max(result.times))
    axes.annotate(
        f"drift {small_number(drift)} meV/atom in {max(result.times):.3g} ps",
        (0.012, 0.985),
        xycoords="axes fraction",
        ha="left",
        va="top",
        fontsize=9,
        color=OURS,
        fontweight="bold",
    )
    tidy(axes, title)
    axes.legend(frameon=False, fontsize=8.5, loc="upper right", borderaxespad=0.2, labelcolor=INK)


def save_comparison(comparison: Comparison, path: Path) -> Path:
    """The picture of `draw_comparison` in a file."""
    figure = new_figure(8.4, 4.4)
    draw_comparison(
        figure.subplots(), comparison, "The same test molecules, turned, mirrored, moved, relabelled"
    )
    figure.savefig(path, dpi=DPI)
    return path


def save_symmetries(deviations: Sequence[Deviation], path: Path) -> Path:
    """The picture of `draw_symmetries` in a file."""
    figure = new_figure(8.4, 1.3 + 0.3 * len(deviations))
    draw_symmetries(figure.subplots(), deviations, "What should not change does not")
    figure.savefig(path, dpi=DPI)
    return path


def save_energy(result: MDResult, path: Path) -> Path:
    """The picture of `draw_energy` in a file."""
    figure = new_figure(8.4, 3.8)
    draw_energy(figure.subplots(), result, "Dynamics at constant energy")
    figure.savefig(path, dpi=DPI)
    return path


def save_images(images: Sequence[Image], path: Path) -> Path:
    """The picture of `draw_images` in a file."""
    figure = new_figure(5.4, 5.7)
    draw_images(figure.subplots(), images)
    figure.savefig(path, dpi=DPI)
    return path


def save_hero(images: Sequence[Image], comparison: Comparison, result: MDResult, path: Path) -> Path:
    """The whole story side by side: see `draw_images`, `draw_comparison` and `draw_energy`."""
    figure = new_figure(15.0, 4.6)
    left, middle, right = figure.subplots(1, 3, gridspec_kw={"width_ratios": [1.05, 1.3, 1.0]})
    draw_images(left, images)
    left.set_title("Symmetry is built in", loc="left", fontsize=12, fontweight="bold", color=INK, pad=12)
    draw_comparison(middle, comparison, "… so a turned molecule is no surprise")
    draw_energy(right, result, "… and dynamics conserves energy")
    figure.savefig(path, dpi=DPI)
    return path
