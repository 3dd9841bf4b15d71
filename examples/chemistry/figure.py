"""The figure of the example: errors of labels, of frequencies and intensities, and the infrared spectrum."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from examples.chemistry.harmonic import Modes
from examples.chemistry.measure import UNITS, Comparison
from examples.chemistry.spectrum import BANDS, Spectrum
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from cynosure.lab.molecule_drawing import draw_molecule

INK, QUIET = "#1d2430", "#69717f"
LEARNED, REFERENCE = "#1c6dd0", "#d8443c"
SMOOTH = 12.0  # cm⁻¹
DIPOLE = "#e08a1e"
# Atoms of `make_data.glycolaldehyde`.
HYDROGEN_BOND = (0, 7)
_ARROW = 4.0  # Å for each e Å
_COLOURS = 96
_TITLES = {"forces": "Force", "dipole": "Dipole"}


def draw(
    path: Path,
    comparison: Comparison,
    modes: tuple[Modes, Modes],
    spectra: tuple[Spectrum, Spectrum],
    molecule: Atoms,
    numbers: Mapping[str, Any],
) -> None:
    """Write the figure, a PNG.

    Args:
        path: of the file.
        comparison: of held-out frames.
        modes: of the model and of GFN2-xTB.
        spectra: of the model and of GFN2-xTB.
        molecule: the minimum, with its dipole.
        numbers: what the run has measured.
    """
    figure = Figure(figsize=(11.5, 7.6), dpi=130, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 4, height_ratios=(1.0, 1.15))
    _molecule(figure.add_subplot(grid[0, 0]), molecule)
    for column, name in enumerate(_TITLES, start=1):
        _parity(figure.add_subplot(grid[0, column]), comparison, name)
    _frequencies(figure.add_subplot(grid[0, 3]), *modes)
    _spectrum(figure.add_subplot(grid[1, :]), *spectra, modes[1], numbers)
    canvas.draw()
    # (So few colours are hardly seen, and take half the room.)
    Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(_COLOURS).save(
        path, optimize=True
    )


def _molecule(axes: Axes, molecule: Atoms) -> None:
    """Seen along the normal of its plane, with its hydrogen bond and its dipole."""
    view = molecule.get_moments_of_inertia(vectors=True)[1]
    draw_molecule(axes, molecule, view)
    seen = (molecule.positions - molecule.positions.mean(axis=0)) @ view.T
    axes.plot(*seen[list(HYDROGEN_BOND), :2].T, color=QUIET, lw=1.2, ls=(0, (2, 2)), zorder=5)
    dipole = molecule.get_dipole_moment()
    arrow = _ARROW * (dipole @ view.T)[:2]
    start = seen[:, :2].mean(axis=0) - arrow / 2
    axes.annotate(
        "", start + arrow, start, arrowprops={"arrowstyle": "-|>", "color": DIPOLE, "lw": 2.2}, zorder=40
    )
    size = np.linalg.norm(dipole) / units.Debye
    axes.text(
        0.5, -0.02, f"dipole {size:.2f} D", transform=axes.transAxes, ha="center", color=DIPOLE, fontsize=9
    )
    axes.set(xlim=(-2.5, 2.5), ylim=(-2.5, 2.5), aspect="equal")
    axes.set_axis_off()
    axes.set_title("Glycolaldehyde, HOCH₂–CHO", fontsize=11, color=INK)


def _parity(axes: Axes, comparison: Comparison, name: str) -> None:
    labels, found = comparison.labels[name], comparison.predictions[name]
    if name == "forces":
        labels, found = labels / 1e3, found / 1e3
    limits = np.array([min(labels.min(), found.min()), max(labels.max(), found.max())])
    limits += np.array([-0.05, 0.05]) * np.ptp(limits)
    axes.plot(limits, limits, color=QUIET, lw=0.8)
    axes.scatter(labels, found, s=8, color=LEARNED, alpha=0.5, linewidths=0)
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    one = comparison.to_json()[name]
    _finish(axes, f"{_TITLES[name]}, {'eV/Å' if name == 'forces' else UNITS[name]}", "GFN2-xTB", "learned")
    text = f"RMSE {one['rmse']:.3g} {UNITS[name]}\n{one['relative']:.2%} of the spread"
    axes.text(0.04, 0.96, text, transform=axes.transAxes, va="top", color=INK, fontsize=9)


def _frequencies(axes: Axes, model: Modes, reference: Modes) -> None:
    errors = model.frequencies - reference.frequencies
    axes.axhline(0, color=QUIET, lw=0.8)
    axes.vlines(reference.frequencies, 0, errors, color=LEARNED, lw=1.2)
    axes.plot(reference.frequencies, errors, "o", color=LEARNED, ms=4)
    reach = 1.25 * float(np.abs(errors).max())
    axes.set(ylim=(-reach, reach))
    mean = np.abs(errors).mean()
    axes.set_box_aspect(1)
    _finish(axes, "Harmonic frequencies,\nlearned − GFN2-xTB, cm⁻¹", "frequency, cm⁻¹", "")
    axes.text(
        0.04, 0.97, f"mean error {mean:.2g} cm⁻¹", transform=axes.transAxes, va="top", color=INK, fontsize=9
    )


def _spectrum(
    axes: Axes, model: Spectrum, reference: Spectrum, modes: Modes, numbers: Mapping[str, Any]
) -> None:
    learned, direct = model.smooth(SMOOTH).mean(axis=0), reference.smooth(SMOOTH).mean(axis=0)
    axes.fill_between(model.wavenumbers, learned, color=LEARNED, alpha=0.25, linewidth=0)
    axes.plot(
        model.wavenumbers, learned, color=LEARNED, lw=1.4, label=f"learned, MD of {len(model.each)} molecules"
    )
    axes.plot(
        reference.wavenumbers,
        direct,
        color=REFERENCE,
        lw=1.0,
        label=f"GFN2-xTB itself, MD of {len(reference.each)}",
    )
    top = 1.2 * max(learned[model.wavenumbers > 100].max(), direct[model.wavenumbers > 100].max())
    sticks = axes.twinx()
    sticks.vlines(modes.frequencies, 0, modes.intensities, color=INK, lw=1.2)
    axes.plot([], [], color=INK, lw=1.2, label="GFN2-xTB, harmonic (right axis)")
    axes.set(xlim=(3700, 50), ylim=(0, top))
    sticks.set(ylim=(0, 1.2 * modes.intensities.max()))
    title = (
        f"Infrared spectrum at {numbers['spectrum']['model']['temperature']:.0f} K from molecular dynamics"
    )
    _finish(axes, title, "wavenumber, cm⁻¹", "km/mol for each cm⁻¹")
    sticks.set_ylabel("km/mol", color=QUIET)
    sticks.tick_params(colors=QUIET, labelsize=9)
    sticks.spines[["top", "left", "bottom"]].set_visible(False)
    sticks.spines["right"].set_color(QUIET)
    for name, (low, high) in BANDS.items():
        axes.text((low + high) / 2, 0.985 * top, name, ha="center", va="top", color=QUIET, fontsize=9)
    axes.legend(frameon=False, fontsize=9, loc="center", bbox_to_anchor=(0.375, 0.72))


def _finish(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=11, color=INK)
    axes.set_xlabel(x, color=QUIET)
    axes.set_ylabel(y, color=QUIET)
    axes.tick_params(colors=QUIET, labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
