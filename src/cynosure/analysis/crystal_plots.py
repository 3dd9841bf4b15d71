"""Pictures of equations of state, elastic constants and phonons."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.figure import Figure

from cynosure.analysis.elastic import Elastic
from cynosure.analysis.eos import EquationOfState
from cynosure.analysis.phonon_result import PER_CM, Phonons
from cynosure.analysis.strain import VOIGT_NAMES

_BLUE, _RED, _GREY = "#4878a8", "#c44e52", "#8a8f98"


def plot_eos(found: EquationOfState) -> Figure:
    """Energies against volumes with their fit, and pressures of the stress with −dE/dV of the fit."""
    figure, (energy, pressure) = _figure(9.0, 3.9, 2)
    draw_energies(energy, found)
    atoms = len(found.rest.atoms)
    fine = np.linspace(found.volumes[0], found.volumes[-1], 300)
    pressure.plot(fine / atoms, found.pressure_at(fine), color=_BLUE, label="−dE/dV of the fit")
    pressure.plot(found.volumes / atoms, found.pressures, "o", color=_RED, label="stress of the model")
    pressure.axhline(0.0, color=_GREY, linewidth=0.8, linestyle=":")
    pressure.axvline(found.volume / atoms, color=_GREY, linewidth=0.8, linestyle=":")
    pressure.set_xlabel("volume (Å³/atom)")
    pressure.set_ylabel("pressure (GPa)")
    pressure.set_title(
        f"B₀ = {found.bulk_modulus:.2f} GPa, B₀′ = {found.derivative:.2f}", loc="left", fontsize=10
    )
    pressure.legend(frameon=False)
    pressure.spines[["top", "right"]].set_visible(False)
    return figure


def draw_energies(axes: Axes, found: EquationOfState) -> None:
    """Energies against volumes with their fit, on axes of any figure."""
    atoms = len(found.rest.atoms)
    fine = np.linspace(found.volumes[0], found.volumes[-1], 300)
    axes.plot(fine / atoms, 1000 * (found.energy_at(fine) - found.energy) / atoms, color=_BLUE, label="fit")
    axes.plot(
        found.volumes / atoms, 1000 * (found.energies - found.energy) / atoms, "o", color=_RED, label="model"
    )
    axes.axvline(found.volume / atoms, color=_GREY, linewidth=0.8, linestyle=":")
    axes.set_xlabel("volume (Å³/atom)")
    axes.set_ylabel("energy above E₀ (meV/atom)")
    axes.set_title(f"V₀ = {found.volume / atoms:.3f} Å³/atom", loc="left", fontsize=10)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def plot_elastic(found: Elastic) -> Figure:
    """The constants as a map, and Young's modulus over the directions, where the crystal is stable."""
    figure = Figure(figsize=(10.5, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    _draw_constants(figure, figure.add_subplot(1, 2, 1), found.tensor.voigt)
    if not found.tensor.stable:
        axes = figure.add_subplot(1, 2, 2)
        axes.set_axis_off()
        words = f"Not stable:\nthe least eigenvalue is {found.tensor.eigenvalues[0]:.2f} GPa,\nso moduli mean nothing"
        axes.text(0.5, 0.5, words, ha="center", va="center", color=_RED, fontsize=12)
        return figure
    _draw_young(figure, found)
    return figure


def plot_phonons(found: Phonons) -> Figure:
    """Bands along the path and, beside them, the density of states."""
    figure = Figure(figsize=(9.0, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    bands, density = figure.subplots(1, 2, sharey=True, width_ratios=(4, 1))
    draw_bands(bands, density, found)
    wave_numbers = density.secondary_yaxis("right", functions=(lambda f: f * PER_CM, lambda w: w / PER_CM))
    wave_numbers.set_ylabel("wave number (cm⁻¹)")
    return figure


def draw_bands(bands: Axes, density: Axes, found: Phonons) -> None:
    """Bands along the path on the one, the density of states on the other axes, which share y, of any figure."""
    path = found.bands
    # Where the path jumps, x stands still; a line across it would be no band.
    breaks = [0, *(np.flatnonzero(np.diff(path.x) == 0) + 1), len(path.x)]
    for start, end in zip(breaks[:-1], breaks[1:], strict=True):
        bands.plot(path.x[start:end], path.frequencies[start:end], color=_BLUE, linewidth=1.1)
    places, names = _joined(path.ticks, path.labels)
    bands.set_xticks(places, names)
    for x in places:
        bands.axvline(x, color="#d4d7dc", linewidth=0.8, zorder=0)
    bands.set_xlim(path.x[0], path.x[-1])
    bands.set_xlabel("wave vector")
    bands.set_ylabel("frequency (THz)")
    density.plot(found.density.states, found.density.frequencies, color=_BLUE, linewidth=1.1)
    density.fill_betweenx(found.density.frequencies, 0, found.density.states, color=_BLUE, alpha=0.2)
    density.set_xlabel("states per THz\nand primitive cell")
    density.set_xlim(0, None)
    for axis in (bands, density):
        axis.axhline(0.0, color=_GREY, linewidth=0.8)
        axis.spines[["top", "right"]].set_visible(False)
    low, high = bands.get_ylim()
    if found.stable:
        bands.set_ylim(min(0.0, float(path.frequencies.min())), high)
    else:
        for axis in (bands, density):
            axis.axhspan(low, 0.0, color=_RED, alpha=0.08, linewidth=0)
        bands.text(0.01, 0.015, "imaginary", transform=bands.transAxes, color=_RED, fontsize=9)
        bands.set_ylim(low, high)


def _figure(width: float, height: float, panels: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(1, panels))


def _draw_constants(figure: Figure, axes: Axes, constants: np.ndarray) -> None:
    largest = float(np.abs(constants).max()) or 1.0
    image = axes.imshow(constants, cmap="RdBu_r", norm=TwoSlopeNorm(0.0, -largest, largest))
    for i, j in np.ndindex(6, 6):
        dark = abs(constants[i, j]) > 0.6 * largest
        text = f"{constants[i, j]:.1f}".replace("-0.0", "0.0")
        axes.text(j, i, text, ha="center", va="center", fontsize=8.5, color="white" if dark else "black")
    names = [f"{i + 1}\n{pair}" for i, pair in enumerate(VOIGT_NAMES)]
    axes.set_xticks(range(6), names)
    axes.set_yticks(range(6), [name.replace("\n", " ") for name in names])
    axes.set_xlabel("strain")
    axes.set_ylabel("stress")
    axes.tick_params(length=0)
    axes.set_title("Elastic constants (GPa)", loc="left", fontsize=11)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, shrink=0.8, label="GPa")


def _draw_young(figure: Figure, found: Elastic) -> None:
    """A surface whose distance from the centre, and colour, is Young's modulus along the direction."""
    axes = figure.add_subplot(1, 2, 2, projection="3d")
    polar, around = np.meshgrid(np.linspace(0, np.pi, 91), np.linspace(0, 2 * np.pi, 181), indexing="ij")
    directions = np.stack(
        [np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], axis=-1
    )
    young = found.tensor.young(directions)
    low, high = float(young.min()), float(young.max())
    # (Where all directions are alike, the colours would show rounding.)
    spread = max(high - low, 0.01 * high)
    scale = ScalarMappable(
        Normalize((low + high - spread) / 2, (low + high + spread) / 2), colormaps["viridis"]
    )
    x, y, z = np.moveaxis(directions * young[..., None], -1, 0)
    axes.plot_surface(
        x,
        y,
        z,
        facecolors=scale.to_rgba(young),
        rstride=1,
        cstride=1,
        linewidth=0,
        antialiased=False,
        shade=False,
    )
    for set_limits in (axes.set_xlim, axes.set_ylim, axes.set_zlim):
        set_limits(-high, high)
    axes.set_box_aspect((1, 1, 1))
    axes.set_xlabel("x (GPa)")
    axes.set_ylabel("y (GPa)")
    axes.set_zlabel("z (GPa)")
    axes.tick_params(labelsize=7)
    axes.set_title(f"Young's modulus by direction: {low:.0f} to {high:.0f} GPa", fontsize=11)
    figure.colorbar(scale, ax=axes, shrink=0.7, pad=0.12, label="GPa")


def _joined(ticks: np.ndarray, labels: tuple[str, ...]) -> tuple[list[float], list[str]]:
    """Names of points; both where the path jumps from one to the other."""
    places: list[float] = []
    names: list[str] = []
    for tick, label in zip(ticks.tolist(), labels, strict=True):
        if places and abs(places[-1] - tick) < 1e-9:
            names[-1] += f"|{label}"
        else:
            places.append(tick)
            names.append(label)
    return places, names
