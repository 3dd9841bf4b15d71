"""Surfaces r = |f(direction)| coloured by the sign of f, drawn in matplotlib's plane."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from cynosure.o3 import spherical_harmonics

# Blue and orange, which colour-blind eyes tell apart.
POSITIVE, NEGATIVE = "#1c6dd0", "#e08a1e"
_LIGHT = np.array([-0.35, 0.55, 0.76])  # from the upper left, in front
_DARKEST = 0.45  # brightness of what faces away from the light

FINE, COARSE = 4, 3  # subdivisions of the icosahedron: 5120 and 1280 triangles


def view_from(up: float, aside: float) -> NDArray[np.float64]:
    """[3, 3]: turns positions into view coordinates (x right, y up, z to the eye).

    Args:
        up: degrees by which the eye is above the plane of x and z.
        aside: degrees by which it has gone from z towards x.
    """
    a, b = np.deg2rad(aside), np.deg2rad(up)
    about_y = np.array([[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return about_x @ about_y


@dataclass(frozen=True)
class Mesh:
    """A sphere of triangles.

    Attributes:
        directions: [V, 3] unit vectors.
        faces: [T, 3] indices of the corners of each, anticlockwise seen from outside.
    """

    directions: NDArray[np.float64]
    faces: NDArray[np.int64]


@functools.cache
def sphere(subdivisions: int) -> Mesh:
    """An icosahedron whose triangles are divided in four so many times, and its corners put on the sphere."""
    golden = (1 + 5**0.5) / 2
    corners = [(0, a, b * golden) for a in (-1, 1) for b in (-1, 1)]
    points = np.array([np.roll(corner, turn) for turn in range(3) for corner in corners], dtype=float)
    near = np.linalg.norm(points[:, None] - points, axis=-1) < 2.1  # the edges have length 2
    found = [
        (i, j, k)
        for i in range(12)
        for j in range(i + 1, 12)
        for k in range(j + 1, 12)
        if near[i, j] and near[j, k] and near[i, k]
    ]
    faces = np.array([f if np.linalg.det(points[list(f)]) > 0 else (f[0], f[2], f[1]) for f in found])
    for _ in range(subdivisions):
        edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
        unique, place = np.unique(edges, axis=0, return_inverse=True)
        ab, bc, ca = (place.reshape(-1) + len(points)).reshape(3, -1)
        a, b, c = faces.T
        points = np.concatenate([points, points[unique].mean(axis=1)])
        quarters = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        faces = np.concatenate([np.stack(quarter, axis=1) for quarter in quarters])
    return Mesh(points / np.linalg.norm(points, axis=1, keepdims=True), faces)


def surface_values(
    l: int, coefficients: NDArray[np.float64], directions: NDArray[np.float64]
) -> NDArray[np.float64]:
    """f(n) = Σ_μ x_μ Y_lμ(n) / √(2l + 1), whose largest value over all directions is at most |x|.

    As x turns into D(R) x, f turns with the molecule: f(R n) is then what f(n) was.

    Args:
        l: degree.
        coefficients: [2l + 1] x.
        directions: [V, 3] unit vectors n.

    Returns:
        [V].
    """
    harmonics = spherical_harmonics(l, torch.as_tensor(directions)).numpy()
    return harmonics @ coefficients / np.sqrt(2 * l + 1)


def draw_surface(
    axes: Axes,
    mesh: Mesh,
    values: NDArray[np.float64],
    view: NDArray[np.float64],
    scale: float = 1.0,
    centre: tuple[float, float] = (0.0, 0.0),
    order: float = 25.0,
) -> None:
    """Draw the surface r = |f| as seen along −z of the view, shaded, nearer parts in front.

    Args:
        axes: where to draw; its aspect should be equal and its limits set.
        mesh: directions.
        values: [V] f at each of them.
        view: [3, 3], see `view_from`.
        scale: units of the axes per unit of f.
        centre: of the surface, in the picture.
        order: the zorder.
    """
    seen = mesh.directions * np.abs(values)[:, None] @ view.T
    corners = seen[mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    shown = normals[:, 2] > 1e-9 * float(np.abs(normals).max())
    shown = np.flatnonzero(shown)[np.argsort(corners[shown][:, :, 2].mean(axis=1))]
    smooth = _smooth(mesh, normals)[shown]
    light = smooth @ (_LIGHT / np.linalg.norm(_LIGHT))
    brightness = _DARKEST + (1 - _DARKEST) * np.clip(light, 0, 1)
    positive = values[mesh.faces[shown]].mean(axis=1) >= 0
    base = np.where(positive[:, None], to_rgb(POSITIVE), to_rgb(NEGATIVE))
    shine = 0.45 * np.clip(light, 0, 1)[:, None] ** 12
    colours = np.clip(base * brightness[:, None] + shine, 0, 1)
    polygons = scale * corners[shown][:, :, :2] + np.array(centre)
    # A thin edge of its own colour closes the seams between neighbours.
    axes.add_collection(
        PolyCollection(list(polygons), facecolors=colours, edgecolors=colours, linewidths=0.4, zorder=order)
    )


def _smooth(mesh: Mesh, normals: np.ndarray) -> NDArray[np.float64]:
    """[T, 3] unit normals, each the mean over the triangles that share a corner with it, so that no facet shows."""
    corners = np.zeros_like(mesh.directions)
    for corner in mesh.faces.T:
        np.add.at(corners, corner, normals)
    smooth = corners[mesh.faces].sum(axis=1)
    return smooth / np.maximum(np.linalg.norm(smooth, axis=1, keepdims=True), 1e-300)


def draw_axes(axes: Axes, view: NDArray[np.float64], centre: tuple[float, float], length: float) -> None:
    """Three small arrows that say which way x, y and z go."""
    for name, direction in zip("xyz", view.T, strict=True):
        tip = length * direction[:2]
        axes.annotate(
            "",
            (centre[0] + tip[0], centre[1] + tip[1]),
            centre,
            arrowprops={
                "arrowstyle": "-|>",
                "color": "#69717f",
                "linewidth": 1.1,
                "shrinkA": 0,
                "shrinkB": 0,
            },
        )
        label = 1.3 * tip + np.array(centre)
        axes.text(label[0], label[1], name, ha="center", va="center", fontsize=9, color="#1d2430")
