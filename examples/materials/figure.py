"""The figure of the example: equation of state, phonons, parity of the labels, and the crystal at a temperature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from examples.materials.comparison import EXPERIMENT
from examples.materials.measure import HotCrystal
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from cynosure.analysis import EquationOfState, Phonons
from cynosure.analysis.crystal_plots import draw_bands, draw_energies
from cynosure.training import Metrics

INK, QUIET = "#1d2430", "#69717f"
BLUE, RED, GREEN = "#4878a8", "#c44e52", "#55a868"
_MOST_POINTS = 4000
_COLOURS = 64
# Experiment's frequencies at points of the path, THz.
_MEASURED = {"Γ": (EXPERIMENT["optical"],), "X": EXPERIMENT["X"], "L": EXPERIMENT["L"]}

Pairs = Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]


def draw(
    path: Path,
    energies: EquationOfState,
    phonons: Phonons,
    pairs: Pairs,
    errors: Metrics,
    hot: Sequence[HotCrystal],
    at_rest: float,
) -> None:
    """Write the figure, a PNG.

    Args:
        path: of the file.
        energies, phonons: of the crystal.
        pairs: labels and predictions of held-out frames, by quantity.
        errors: of these.
        hot: runs at constant pressure.
        at_rest: lattice constant of the crystal at rest, Å.
    """
    figure = Figure(figsize=(11.5, 8.0), dpi=120, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    upper, lower = figure.subfigures(2, 1, hspace=0.04)
    left, right = upper.subfigures(1, 2, width_ratios=(1.0, 1.6))
    axes = left.subplots()
    draw_energies(axes, energies)
    _finish(axes, f"Equation of state: B₀ = {energies.bulk_modulus:.1f} GPa")
    bands, density = right.subplots(1, 2, sharey=True, width_ratios=(4, 1))
    draw_bands(bands, density, phonons)
    _measured(bands, phonons)
    _finish(bands, "Phonons")
    _finish(density, "")
    left, right = lower.subfigures(1, 2, width_ratios=(1.0, 1.6))
    _parity(left.subplots(), *pairs["forces"], errors)
    _hot(right.subplots(2, 1, sharex=True), hot, at_rest)
    canvas.draw()
    # (So few colours are hardly seen, and take half the room.)
    Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(_COLOURS).save(
        path, optimize=True
    )


def _measured(axes: Axes, found: Phonons) -> None:
    """Experiment's frequencies at the points of high symmetry that have some, wherever the path meets them."""
    points = [
        (x, frequency)
        for x, name in zip(found.bands.ticks.tolist(), found.bands.labels, strict=True)
        for frequency in _MEASURED.get(name, ())
    ]
    axes.plot(
        *np.array(points).T,
        "o",
        color=RED,
        ms=4,
        mfc="white",
        clip_on=False,
        zorder=3,
        label="experiment (neutrons)",
    )
    axes.legend(frameon=False, fontsize=8, loc="upper right", bbox_to_anchor=(1.0, 1.12))


def _parity(axes: Axes, labels: NDArray[np.float64], found: NDArray[np.float64], errors: Metrics) -> None:
    kept = np.random.default_rng(0).permutation(len(labels))[:_MOST_POINTS]
    limits = np.array([min(labels.min(), found.min()), max(labels.max(), found.max())])
    limits += np.array([-0.05, 0.05]) * np.ptp(limits)
    axes.plot(limits, limits, color=QUIET, lw=0.8)
    axes.scatter(labels[kept], found[kept], s=6, color=BLUE, alpha=0.4, linewidths=0)
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    axes.set_xlabel("DFT, eV/Å")
    axes.set_ylabel("model, eV/Å")
    text = "RMSE\n" + "\n".join(
        f"{what} {stats.rmse:.3g} {unit}" for what, unit, stats in errors.rows() if " on " not in what
    )
    axes.text(0.04, 0.96, text, transform=axes.transAxes, va="top", color=INK, fontsize=9)
    _finish(axes, f"Forces of {errors.n_structures} held-out frames")


def _hot(panels: NDArray, hot: Sequence[HotCrystal], at_rest: float) -> None:
    lattice, temperature = panels
    for one, colour in zip(hot, (BLUE, RED), strict=False):
        mean, error = one.mean(one.lattice)
        lattice.plot(one.times, one.lattice, color=colour, lw=0.6, alpha=0.6)
        kept = [one.settle, one.times[-1]]
        lattice.plot(
            kept, [mean, mean], color=colour, lw=1.6, label=f"{one.wanted:.0f} K: {mean:.4f} ± {error:.4f} Å"
        )
        temperature.plot(one.times, one.temperatures, color=colour, lw=0.6)
    lattice.axhline(at_rest, color=QUIET, lw=1.0, ls="--", label=f"at rest: {at_rest:.4f} Å")
    lattice.set_ylabel("lattice constant, Å")
    low, high = lattice.get_ylim()
    lattice.set_ylim(low, high + 0.3 * (high - low))  # room for the legend
    lattice.legend(frameon=False, fontsize=8, ncols=3, loc="upper left")
    temperature.set_ylabel("temperature, K")
    temperature.set_xlabel("time, ps")
    temperature.set_xlim(0, max(one.times[-1] for one in hot))
    _finish(lattice, f"Constant pressure: {hot[0].atoms} atoms at 1 bar")
    _finish(temperature, "")


def _finish(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=11, color=INK, loc="left")
    axes.tick_params(colors=QUIET, labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
