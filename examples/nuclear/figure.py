"""The figure of the example: matter, its pair correlation, what motion conserves, and parity of the labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms
from examples.nuclear.interaction import is_proton
from examples.nuclear.measure import LIKE, UNITS, UNLIKE, Comparison, Conserved, PairCorrelation
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import Axes3D
from PIL import Image

INK, QUIET = "#1d2430", "#69717f"
PROTONS, NEUTRONS = "#d8443c", "#8fa3bd"
COLOURS = {UNLIKE: "#1c6dd0", LIKE[0]: "#69717f", LIKE[1]: "#d8443c"}
TITLES = {"energy": "Energy", "forces": "Force", "torque": "Torque on spins"}
_MOST_POINTS = 1500
_ARROW = 1.1  # fm
_COLOURS = 64


def draw(
    path: Path,
    comparison: Comparison,
    matter: Atoms,
    model: PairCorrelation,
    reference: PairCorrelation,
    conserved: Conserved,
) -> None:
    """Write the figure, a PNG.

    Args:
        path: of the file.
        comparison: of held-out frames.
        matter: a frame of the model's matter.
        model, reference: its pair correlation, and that of the exact interaction.
        conserved: of a free cluster with the model.
    """
    figure = Figure(figsize=(11.5, 7.2), dpi=130, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 3, height_ratios=(1.15, 1.0))
    snapshot = figure.add_subplot(grid[0, 0], projection="3d")
    assert isinstance(snapshot, Axes3D)
    _snapshot(snapshot, matter)
    _correlation(figure.add_subplot(grid[0, 1]), model, reference)
    _angular_momentum(figure.add_subplot(grid[0, 2]), conserved)
    for column, name in enumerate(UNITS):
        _parity(figure.add_subplot(grid[1, column]), comparison, name)
    canvas.draw()
    # (So few colours are hardly seen, and take half the room.)
    Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(_COLOURS).save(
        path, optimize=True
    )


def _snapshot(axes: Axes3D, matter: Atoms) -> None:
    spins, protons = matter.arrays["spins"], is_proton(matter)
    # The box is cut where there is least, so that matter does not look torn.
    side = matter.cell.lengths()
    waves = np.exp(2j * np.pi * matter.positions / side).mean(axis=0)
    positions = (matter.positions - np.angle(waves) / (2 * np.pi) * side + side / 2) % side
    for of_kind, colour, name in ((~protons, NEUTRONS, "neutron"), (protons, PROTONS, "proton")):
        axes.scatter(
            *positions[of_kind].T, s=62, c=colour, edgecolors=INK, linewidths=0.4, alpha=1.0, label=name
        )
    axes.quiver(*positions.T, *(_ARROW * spins).T, color=INK, linewidth=0.7, arrow_length_ratio=0.4)
    for axis in range(3):  # the edges of the box
        for corner in np.ndindex(2, 2):
            line = np.insert(np.array([corner, corner], dtype=float), axis, (0.0, 1.0), axis=1) * side
            axes.plot(*line.T, color=QUIET, lw=0.6)
    axes.set_axis_off()
    axes.set_box_aspect((1, 1, 1), zoom=1.25)  # pyright: ignore[reportArgumentType] (any number)
    axes.view_init(elev=14, azim=-62)
    axes.legend(loc="lower left", frameon=False, fontsize=9, handletextpad=0.2)
    density = len(matter) / matter.get_volume()
    axes.set_title(
        f"Pasta with the learned interaction,\n{density:.2f} fm⁻³, {protons.mean():.0%} protons",
        fontsize=11,
    )


def _correlation(axes: Axes, model: PairCorrelation, reference: PairCorrelation) -> None:
    for name, colour in COLOURS.items():
        axes.plot(reference.centres, reference.mean[name], color=colour, lw=1.6, label=name)
        axes.plot(model.centres, model.mean[name], "o", color=colour, ms=3.2, mfc="white", mew=1.0)
    axes.plot([], [], color=INK, lw=1.6, label="exact interaction")
    axes.plot([], [], "o", color=INK, ms=3.2, mfc="white", mew=1.0, label="learned")
    axes.set_xlim(1.0, model.centres[-1])
    _finish(axes, "Pair correlation g(r)", "r, fm", "")
    axes.legend(frameon=False, fontsize=9)


def _angular_momentum(axes: Axes, conserved: Conserved) -> None:
    """One component, the one that spins give away most of."""
    swing = np.ptp(conserved.of_spins, axis=0)
    component = int(np.argmax(swing))
    parts = (
        (conserved.of_motion, "of motion, Σ r × p", COLOURS[UNLIKE]),
        (conserved.of_spins, "of spins, (ħ/2) Σ σ", PROTONS),
        (conserved.of_motion + conserved.of_spins, "together", INK),
    )
    for values, name, colour in parts:
        axes.plot(conserved.times, values[:, component], color=colour, lw=1.6, label=name)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.35 * (high - low))  # room for the legend
    change = conserved.to_json()["angular momentum change"]
    title = f"A free cluster: angular momentum\n(together it changes by {change:.0e})"
    _finish(axes, title, "t, fm/c", "MeV fm/c")
    axes.legend(frameon=False, fontsize=9, loc="upper left")


def _parity(axes: Axes, comparison: Comparison, name: str) -> None:
    labels, found = comparison.labels[name], comparison.predictions[name]
    kept = np.random.default_rng(0).permutation(len(labels))[:_MOST_POINTS]
    limits = np.array([min(labels.min(), found.min()), max(labels.max(), found.max())])
    limits += np.array([-0.05, 0.05]) * np.ptp(limits)
    axes.plot(limits, limits, color=QUIET, lw=0.8)
    axes.scatter(
        labels[kept],
        found[kept],
        s=8 if len(kept) > 500 else 20,
        color=COLOURS[UNLIKE],
        alpha=0.5,
        linewidths=0,
    )
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    one = comparison.to_json()[name]
    _finish(axes, f"{TITLES[name]}, {UNITS[name]}", "exact", "learned")
    text = f"RMSE {one['rmse']:.2g}\n{one['relative']:.2%} of the spread"
    axes.text(0.04, 0.96, text, transform=axes.transAxes, va="top", color=INK, fontsize=9)


def _finish(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=11, color=INK)
    axes.set_xlabel(x, color=QUIET)
    axes.set_ylabel(y, color=QUIET)
    axes.tick_params(colors=QUIET, labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
