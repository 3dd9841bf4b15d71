"""The picture of features on an atom, before and after turning the molecule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrow

from cynosure.lab.figures import DPI, INK, QUIET, new_figure, with_margin
from cynosure.lab.look.features import Features
from cynosure.lab.look.surface import Mesh, draw_axes, draw_surface, surface_values, view_from
from cynosure.lab.molecule_drawing import draw_molecule
from cynosure.o3 import Irrep

_VIEW = view_from(up=18, aside=25)
_SIZE = 1.35  # Å, the longest radius of a surface
_ARROW = 1.9  # Å, the length of an arrow
_ARROW_COLOUR = "#0b2f66"
_HEADS = ("as it is", "turned by R, computed anew", "D(R) times the left one")


def save_features(features: Features, mesh: Mesh, path: Path) -> Path:
    """A row for each feature: on the molecule, on the turned molecule, and as D(R) makes it of the first.

    A feature of degree l is the surface of `surface_values`; one of degree 1 is an arrow too.
    """
    shown = features.shown()
    width, height = _extent(features)
    figure = new_figure(11.2, 11.2 / 3 * height / width * len(shown) + 0.6)
    panels = np.asarray(figure.subplots(len(shown), 3, squeeze=False))
    for row, (irrep, channel, values) in enumerate(shown):
        scale = _SIZE / max(float(np.abs(surface_values(irrep.l, values[0], mesh.directions)).max()), 1e-12)
        if irrep in features.vanishing():
            scale = 0.0
        if irrep.l == 0:  # a whole sphere hides more than lobes do
            scale *= 0.6
        molecules = (features.molecule, features.turned, features.turned)
        for column, (axes, atoms, value) in enumerate(zip(panels[row], molecules, values, strict=True)):
            _draw(axes, features, atoms, irrep, value, mesh, scale, alone=column == 2)
            axes.set_xlim(-width, width)
            axes.set_ylim(-height, height)
            axes.set_aspect("equal")
            axes.axis("off")
            if row == 0:
                axes.set_title(_HEADS[column], fontsize=11, fontweight="bold", color=INK)
        name = f"{irrep}" if features.irreps.count(irrep) == 1 else f"{irrep}, channel {channel + 1}"
        panels[row, 0].text(-width, height - 0.5, name, fontsize=15, fontweight="bold", color=INK)
        note = "zero: symmetry demands it" if scale == 0 else f"|x| = {np.linalg.norm(values[0]):.3f}"
        panels[row, 0].text(-width, height - 0.9, note, fontsize=9, color=QUIET)
        deviation = features.rotation[irrep]
        panels[row, 2].text(
            0, 0.25 - height, f"largest deviation {deviation:.0e}", fontsize=9, color=QUIET, ha="center"
        )
    draw_axes(panels[0, 0], _VIEW, (width - 0.9, height - 0.9), 0.6)
    with_margin(figure).savefig(path, dpi=DPI)
    return path


def _extent(features: Features) -> tuple[float, float]:
    """Half the width and height of a picture in which both molecules have room for a feature, Å."""
    seen = [atoms.positions @ _VIEW.T for atoms in (features.molecule, features.turned)]
    ends = [np.abs(positions[:, :2]).max(axis=0) + 0.5 for positions in seen]
    ends += [np.abs(positions[features.atom, :2]) + _ARROW for positions in seen]
    width, height = np.max(ends, axis=0)
    return float(width), float(height) + 0.5


def _draw(
    axes: Axes,
    features: Features,
    atoms: Atoms,
    irrep: Irrep,
    value: np.ndarray,
    mesh: Mesh,
    scale: float,
    alone: bool,
) -> None:
    """One molecule with one feature; `alone` leaves the molecule out."""
    if not alone:
        draw_molecule(axes, atoms, _VIEW)
    seen = _VIEW @ atoms.positions[features.atom]
    centre = (float(seen[0]), float(seen[1]))
    if scale == 0:
        return
    draw_surface(axes, mesh, surface_values(irrep.l, value, mesh.directions), _VIEW, scale, centre)
    if irrep.l == 1:
        # (x, y, z) are the components of degree 1 themselves.
        arrow = _ARROW * (_VIEW @ value)[:2] / np.linalg.norm(value)
        if np.linalg.norm(arrow) > 0.3:
            axes.add_patch(
                FancyArrow(
                    *centre,
                    *arrow,
                    width=0.07,
                    head_width=0.27,
                    head_length=0.27,
                    length_includes_head=True,
                    facecolor=_ARROW_COLOUR,
                    edgecolor="white",
                    linewidth=0.9,
                    zorder=30,  # seen through the surface where it points away from the eye
                )
            )
