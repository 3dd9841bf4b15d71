"""The picture of a screening: how far each structure lies above the lowest of its composition, against its volume."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox

from cynosure.analysis.screen_result import Place, Screening

_BLUE, _RED, _GREY = "#4878a8", "#c44e52", "#8a8f98"
# More compositions than this, and more names in a panel, nobody reads.
_MOST_PANELS, _MOST_NAMES = 12, 25
_WIDTH, _HEIGHT, _ACROSS = 5.6, 4.3, 3
# Where a name may stand beside its point, in points (1/72 inch), the best place first. From further away a line leads
# to the point.
_NEAR = 7
_OFFSETS = tuple(
    (x * reach, y * reach)
    for reach in (_NEAR, 2 * _NEAR, 3 * _NEAR)
    for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))
)


def picture_of(found: Screening) -> bytes:
    """A PNG with a panel for each composition."""
    drawn = io.BytesIO()
    plot_screening(found).savefig(drawn, format="png", dpi=150)
    return drawn.getvalue()


def plot_screening(found: Screening) -> Figure:
    """A figure with a panel for each composition that has several structures at rest, or one if none has.

    Structures that are the same have one point. Where they have no volume, their ranks stand for it.
    """
    panels = {
        formula: points
        for formula, places in found.rankings.items()
        if (points := [place for place in places if place.rank is not None and not place.same_as])
    }
    # (A structure that is alone is compared with nothing.)
    compared = [formula for formula in panels if len(panels[formula]) > 1] or list(panels)
    kept = sorted(compared, key=lambda formula: -len(panels[formula]))[:_MOST_PANELS]
    across = min(_ACROSS, max(1, len(kept)))
    down = max(1, math.ceil(len(kept) / across))
    figure = Figure(figsize=(_WIDTH * across, _HEIGHT * down), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(down, across, squeeze=False).ravel().tolist()
    for axes, formula in zip(grid, kept, strict=False):
        draw_ranking(axes, formula, panels[formula], found.what)
    for axes in grid[len(kept) :]:
        axes.set_axis_off()
    if left := len(panels) - len(kept):
        more = "composition is" if left == 1 else "compositions are"
        figure.supxlabel(f"{left} more {more} in the table", fontsize=9, color=_GREY)
    # (Names find their places when nothing else moves any more.)
    for axes, formula in zip(grid, kept, strict=False):
        write_names(axes, panels[formula])
    return figure


def draw_ranking(axes: Axes, formula: str, places: Sequence[Place], what: str = "energy") -> None:
    """The places of one composition, on axes of any figure; the lowest has another colour.

    Args:
        axes: where to draw.
        formula: the title.
        places: of structures at rest, in their order.
        what: is ranked, `energy` or `enthalpy`.
    """
    axes.axhline(0.0, color=_GREY, linewidth=0.8, linestyle=":")
    colours = [_RED, *[_BLUE] * (len(places) - 1)]
    axes.scatter(*zip(*_points(places), strict=True), s=34, color=colours, zorder=3)
    axes.set_xlabel("volume (Å³/atom)" if _have_volume(places) else "rank")
    axes.set_ylabel(f"{what} above the lowest (meV/atom)")
    axes.set_title(formula, loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(0.16, 0.12)
    if not _have_volume(places):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def write_names(axes: Axes, places: Sequence[Place]) -> None:
    """Write the name of each place beside its point, where it covers no other name and no point.

    To be called when the figure is complete. A name that has no room is left out.
    """
    figure = axes.get_figure(root=True)
    if figure is None or not isinstance(figure.canvas, FigureCanvasAgg):
        return
    figure.draw_without_rendering()  # lays the axes out, so that places on the page are known
    renderer = figure.canvas.get_renderer()
    points = _points(places)
    size = 5.0 * figure.dpi / 72
    taken = [
        Bbox.from_extents(x - size, y - size, x + size, y + size) for x, y in axes.transData.transform(points)
    ]
    page = axes.get_tightbbox(renderer)
    for i, place in enumerate(places[:_MOST_NAMES]):
        label = axes.annotate(
            place.outcome.name,
            points[i],
            _OFFSETS[0],
            textcoords="offset points",
            fontsize=9,
            color="#1d2430",
            annotation_clip=False,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )
        label.set_in_layout(False)
        if _put(label, [box for j, box in enumerate(taken) if j != i], page, renderer):
            taken.append(label.get_window_extent(renderer))
            _lead(axes, label, points[i])
        else:
            label.remove()


def _lead(axes: Axes, label: Annotation, point: tuple[float, float]) -> None:
    """A thin line from a name to its point, where they are apart."""
    offset = label.get_position()
    if max(map(abs, offset)) > _NEAR:
        line = {"arrowstyle": "-", "linewidth": 0.6, "color": _GREY, "shrinkA": 0, "shrinkB": 3}
        axes.annotate("", point, offset, textcoords="offset points", arrowprops=line, zorder=1).set_in_layout(
            False
        )


def _have_volume(places: Sequence[Place]) -> bool:
    return all(not math.isnan(place.outcome.volume) for place in places)


def _points(places: Sequence[Place]) -> list[tuple[float, float]]:
    """Volume (or rank) in Å³/atom and height in meV/atom."""
    by_volume = _have_volume(places)
    return [
        (place.outcome.volume if by_volume else float(place.rank or 0), 1000 * place.above)
        for place in places
    ]


def _put(label: Annotation, taken: Sequence[Bbox], page: Bbox | None, renderer: RendererBase) -> bool:
    for dx, dy in _OFFSETS:
        label.set_position((dx, dy))
        label.set_horizontalalignment("left" if dx > 0 else "right" if dx < 0 else "center")
        label.set_verticalalignment("bottom" if dy > 0 else "top" if dy < 0 else "center")
        box = label.get_window_extent(renderer)
        inside = page is None or (
            page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1
        )
        if inside and not any(box.overlaps(other) for other in taken):
            return True
    return False
