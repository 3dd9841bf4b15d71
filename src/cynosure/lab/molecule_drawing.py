"""Ball-and-stick drawings of a molecule, with arrows for its forces, in matplotlib alone."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Circle, FancyArrow, Polygon

# The customary colours of the elements, softened; any other element is drawn in the last one.
_COLOURS = {1: "#e9ecf1", 6: "#4a5058", 7: "#3f6fd0", 8: "#d8443c"}
_OTHER = "#9a7fb8"
_BOND_BONDED = 1.25  # of the sum of covalent radii: atoms nearer than this are drawn as bonded
_HYDROGEN_RADIUS, _RADIUS = 0.26, 0.40  # Å, as drawn
_BOND_WIDTH = 0.20  # Å
_BOND_SHADES = ((1.0, "#6b7078"), (0.72, "#a7adb6"), (0.34, "#d3d7dd"))
_RINGS = 14  # circles of growing brightness that shade one ball
_LIGHT = np.array([-0.30, 0.34])  # the highlight, in radii from the centre
_SHORTEST_ARROW = 0.2  # Å; a shorter one would be all head

Colour = tuple[float, float, float]


def draw_molecule(
    axes: Axes,
    atoms: Atoms,
    view: np.ndarray,
    forces: np.ndarray | None = None,
    offset: tuple[float, float] = (0.0, 0.0),
    arrow_scale: float = 0.5,
    arrow_colour: str = "#e08a1e",
) -> None:
    """Draw a molecule seen along −z of the view, nearer atoms in front.

    Args:
        axes: where to draw, one unit to the Å; its aspect should be equal and its limits set.
        atoms: the molecule, Å.
        view: [3, 3] orthogonal matrix that turns positions into view coordinates (x right, y up, z to the eye).
        forces: [N, 3] eV/Å, drawn as arrows; None draws none.
        offset: where in the picture the centre of the molecule comes to lie, Å.
        arrow_scale: Å of arrow per eV/Å of force.
        arrow_colour: of the arrows.
    """
    centred = atoms.positions - atoms.positions.mean(axis=0)
    seen = centred @ view.T + np.array([*offset, 0.0])
    numbers = atoms.numbers
    for i in range(len(atoms)):
        for j in range(i):
            reach = _BOND_BONDED * (covalent_radii[numbers[i]] + covalent_radii[numbers[j]])
            if np.linalg.norm(seen[i] - seen[j]) < reach:
                # Just behind the farther of its atoms, so that both balls cover its ends.
                _draw_bond(axes, seen[i, :2], seen[j, :2], 10 + min(seen[i, 2], seen[j, 2]) - 0.01)
    for i, number in enumerate(numbers):
        _draw_ball(axes, seen[i, :2], int(number), 10 + seen[i, 2])
    if forces is not None:
        for start, arrow in zip(seen[:, :2], arrow_scale * (forces @ view.T)[:, :2], strict=True):
            _draw_arrow(axes, start, arrow, arrow_colour)


def _mix(colour: Colour, other: Colour, amount: float) -> Colour:
    red, green, blue = ((1 - amount) * a + amount * b for a, b in zip(colour, other, strict=True))
    return red, green, blue


def _draw_ball(axes: Axes, centre: np.ndarray, number: int, order: float) -> None:
    """A shaded ball: circles that shrink towards a highlight at the upper left while they brighten."""
    radius = _HYDROGEN_RADIUS if number == 1 else _RADIUS
    colour = to_rgb(_COLOURS.get(number, _OTHER))
    black, white = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    for ring in range(_RINGS):
        t = ring / _RINGS
        shade = _mix(colour, black, 0.30 * (1 - t) ** 1.5)
        shade = _mix(shade, white, max(0.0, 1.5 * (t - 0.5)))
        at = centre + _LIGHT * radius * t
        ball = Circle(
            (at[0], at[1]), radius * (1 - t), facecolor=shade, linewidth=0, zorder=order + 1e-4 * ring
        )
        if ring == 0:
            ball.set_edgecolor(_mix(colour, black, 0.55))
            ball.set_linewidth(0.6)
        axes.add_patch(ball)


def _draw_bond(axes: Axes, first: np.ndarray, second: np.ndarray, order: float) -> None:
    """A stick: strips of one length, each narrower and brighter than the one below it."""
    along = second - first
    length = float(np.linalg.norm(along))
    if length == 0:  # seen end on, behind its atoms
        return
    across = np.array([-along[1], along[0]]) / length * _BOND_WIDTH / 2
    for width, colour in _BOND_SHADES:
        corners = [
            first - width * across,
            second - width * across,
            second + width * across,
            first + width * across,
        ]
        axes.add_patch(Polygon(np.array(corners), closed=True, facecolor=colour, linewidth=0, zorder=order))


def _draw_arrow(axes: Axes, start: np.ndarray, arrow: np.ndarray, colour: str) -> None:
    if np.linalg.norm(arrow) < _SHORTEST_ARROW:
        return
    axes.add_patch(
        FancyArrow(
            *start,
            *arrow,
            width=0.055,
            head_width=0.21,
            head_length=0.2,
            length_includes_head=True,
            color=colour,
            linewidth=0,
            zorder=30,
        )
    )
