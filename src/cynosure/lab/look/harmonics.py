"""The picture of the real spherical harmonics."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cynosure.lab.figures import DPI, INK, QUIET, new_figure, with_margin
from cynosure.lab.look.surface import (
    NEGATIVE,
    POSITIVE,
    Mesh,
    draw_axes,
    draw_surface,
    surface_values,
    view_from,
)
from cynosure.o3 import Irreps

VIEW = view_from(up=22, aside=32)
# What each component is proportional to, on the unit sphere.
POLYNOMIALS = {
    0: ("1",),
    1: ("x", "y", "z"),
    2: ("xz", "xy", "2y² − x² − z²", "yz", "z² − x²"),
}
_WORDS = {0: "a scalar", 1: "a vector", 2: "such as the shear of a stress"}


def component_names(l: int) -> tuple[str, ...]:
    """What the components of a degree are called: x, y and z for l = 1, and else their μ."""
    if l == 1:
        return POLYNOMIALS[1]
    return tuple(f"{m:d}".replace("-", "−") for m in range(-l, l + 1))


def save_harmonics(l_max: int, mesh: Mesh, path: Path) -> Path:
    """Surfaces r = |Y_lμ| in one row for each degree, with its irrep; the colour is the sign of Y.

    All of a row are drawn to the same scale.
    """
    width = 2 * l_max + 1
    figure = new_figure(1.55 * width + 3.3, 1.75 * (l_max + 1) + 0.9)
    axes = figure.subplots()
    for l, (_, irrep) in enumerate(Irreps.spherical_harmonics(l_max)):
        y = -2.9 * l
        rows = [surface_values(l, component, mesh.directions) for component in np.eye(2 * l + 1)]
        scale = 1.05 / max(float(np.abs(values).max()) for values in rows)
        for m, values in zip(range(-l, l + 1), rows, strict=True):
            draw_surface(axes, mesh, values, VIEW, scale, (2.5 * m, y))
            name = f"μ = {m:d}".replace("-", "−")
            if l in POLYNOMIALS:
                name = f"{name}:  {POLYNOMIALS[l][l + m]}"
            axes.text(2.5 * m, y - 1.38, name, ha="center", va="center", fontsize=8.5, color=INK)
        left = -2.5 * l_max - 4.6
        axes.text(left, y + 0.15, str(irrep), fontsize=19, fontweight="bold", color=INK, va="center")
        parity = "even: inversion leaves it" if irrep.p > 0 else "odd: inversion changes its sign"
        axes.text(
            left, y - 0.5, f"l = {l}, {_WORDS.get(l, f'{2 * l + 1} numbers')}", fontsize=8.5, color=QUIET
        )
        axes.text(left, y - 0.9, parity, fontsize=8.5, color=QUIET)
    right, top = 2.5 * l_max + 1.2, 1.3
    draw_axes(axes, VIEW, (right - 0.5, top - 1.0), 0.75)
    for colour, word in ((POSITIVE, "Y > 0"), (NEGATIVE, "Y < 0")):
        axes.plot([], [], "o", color=colour, markersize=9, label=word)
    axes.legend(frameon=False, fontsize=9, loc="upper right", bbox_to_anchor=(0.9, 1.0), labelcolor=INK)
    axes.set_xlim(-2.5 * l_max - 4.8, right + 0.5)
    axes.set_ylim(-2.9 * l_max - 1.8, top + 0.2)
    axes.set_aspect("equal")
    axes.axis("off")
    axes.set_title(
        "Real spherical harmonics: distance from the centre is |Y|",
        loc="left",
        fontsize=12,
        fontweight="bold",
        color=INK,
    )
    with_margin(figure).savefig(path, dpi=DPI)
    return path
