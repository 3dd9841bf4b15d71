"""The figure of the example: displacements, diffusion against temperature, where lithium is, and the total energy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from examples.ionic_conductor.comparison import ab_initio
from examples.ionic_conductor.diffusion import Arrhenius
from examples.ionic_conductor.measure import Motion, squares
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from PIL import Image

INK, QUIET = "#1d2430", "#69717f"
COLOURS = {"Li": "#55a868", "S": "#d9a514", "P": "#8172b3", "Ge": "#c44e52"}
_COLOURS = 96
_BINS = 90


def draw(
    path: Path,
    wanted: float,
    runs: Sequence[Motion],
    free: Motion,
    fit: Arrhenius,
    numbers: Mapping[str, Any],
) -> None:
    """Write the figure, a PNG.

    Args:
        path: of the file.
        wanted: temperature of the runs that are shown in full, K.
        runs: these.
        free: at constant energy.
        fit: to the diffusion of lithium.
        numbers: as of `numbers.json`.
    """
    figure = Figure(figsize=(11.5, 8.0), dpi=120, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 2, hspace=0.12)
    _squares(figure.add_subplot(grid[0, 0]), runs, wanted)
    _arrhenius(figure.add_subplot(grid[0, 1]), fit, numbers)
    _density(figure.add_subplot(grid[1, 0]), runs, wanted)
    below = grid[1, 1].subgridspec(2, 1)
    parts, whole = figure.add_subplot(below[0]), figure.add_subplot(below[1])
    _energy(parts, whole, free, numbers["constant energy"])
    canvas.draw()
    # (So few colours are hardly seen, and take half the room.)
    Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(_COLOURS).save(
        path, optimize=True
    )


def _squares(axes: Axes, runs: Sequence[Motion], wanted: float) -> None:
    for element in runs[0].elements:
        times, found = squares(runs, element)
        axes.loglog(times[1:], found[1:], color=COLOURS[element], lw=1.8, label=element)
    times, found = squares(runs, "Li")
    # A line of slope one, for the eye.
    late = times[len(times) // 8 :]
    axes.loglog(late, 0.6 * found[-1] * late / late[-1], color=QUIET, lw=1.0, ls="--", label="∝ t")
    axes.legend(frameon=False, fontsize=9, loc="upper left")
    _finish(axes, f"Mean square displacement at {wanted:.0f} K, Å²", "t, ps", "")


def _arrhenius(axes: Axes, fit: Arrhenius, numbers: Mapping[str, Any]) -> None:
    runs = numbers["runs"]
    inverse = np.array([1000 / run["wanted"] for run in runs])
    values, errors = np.array([run["diffusion"]["Li"]["coefficient"] for run in runs]).T
    grid = np.linspace(0.95 * inverse.min(), 1.05 * inverse.max(), 100)
    fitted, factor = np.array([fit.at(1000 / one) for one in grid]).T
    density = numbers["crystal"]["density of lithium"]
    axes.fill_between(grid, fitted / factor, fitted * factor, color=COLOURS["Li"], alpha=0.2, lw=0)
    energy, error = numbers["arrhenius"]["activation energy"]
    axes.plot(grid, fitted, color=COLOURS["Li"], lw=1.6, label=f"E = {energy:.2f} ± {error:.2f} eV")
    axes.errorbar(inverse, values, errors, fmt="o", color=COLOURS["Li"], ms=5, mfc="white", capsize=3)
    known = [ab_initio(1000 / one, density) for one in grid]
    axes.plot(grid, known, color=INK, lw=1.2, ls="--", label="ab initio (Mo et al. 2012), E = 0.21 eV")
    axes.set_yscale("log")
    axes.legend(frameon=False, fontsize=9)
    _finish(axes, "Diffusion of lithium, cm²/s", "1000 K / T", "")


def _density(axes: Axes, runs: Sequence[Motion], wanted: float) -> None:
    """Where lithium is, seen along the second vector of the cell, and where the others are in the mean."""
    atoms = runs[0].atoms
    inverse, lengths = np.linalg.inv(atoms.cell.array), atoms.cell.lengths()
    lithium = np.concatenate([run.of_element("Li").reshape(-1, 3) for run in runs]) @ inverse % 1.0 * lengths
    counts, along, across = np.histogram2d(
        lithium[:, 2],
        lithium[:, 0],
        bins=(round(_BINS * lengths[2] / lengths[0]), _BINS),
        range=[(0, lengths[2]), (0, lengths[0])],
    )
    mesh = axes.pcolormesh(
        along, across, counts.T / counts.mean(), norm=LogNorm(0.05, 20), cmap="Greens", rasterized=True
    )
    for element in runs[0].elements:
        if element != "Li":
            mean = runs[0].of_element(element).mean(axis=0) @ inverse % 1.0 * lengths
            size, colour = 40 if element == "S" else 70, COLOURS[element]
            axes.scatter(
                mean[:, 2], mean[:, 0], s=size, color=colour, edgecolors=INK, linewidths=0.6, label=element
            )
    figure = axes.get_figure()
    assert figure is not None
    figure.colorbar(mesh, ax=axes, label="in units of its mean", shrink=0.8)
    axes.set_aspect("equal")
    axes.legend(frameon=False, fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3)
    _finish(axes, f"Density of lithium at {wanted:.0f} K, and the others in the mean", "c, Å", "a, Å")


def _energy(parts: Axes, whole: Axes, free: Motion, conserved: Mapping[str, float]) -> None:
    """What goes to and fro, and below it what should stay, on a scale of its own."""
    atoms = len(free.atoms)
    for axes, values, name, colour in (
        (parts, free.potential, "potential", "#4878a8"),
        (parts, free.kinetic, "kinetic", "#c44e52"),
        (whole, free.potential + free.kinetic, "total", INK),
    ):
        axes.plot(free.times, 1e3 * (values - values.mean()) / atoms, color=colour, lw=0.8, label=name)
    for axes in (parts, whole):
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + 0.4 * (high - low))  # room for the legend
        axes.legend(frameon=False, fontsize=9, loc="upper left", ncols=2)
    drift = f"the total drifts by {conserved['drift per ps']:+.1e} in a ps"
    _finish(parts, f"Energy without a thermostat, less its mean, meV/atom\n({drift})", "", "")
    _finish(whole, "", "t, ps", "")


def _finish(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=11, color=INK)
    axes.set_xlabel(x, color=QUIET)
    axes.set_ylabel(y, color=QUIET)
    axes.tick_params(colors=QUIET, labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
