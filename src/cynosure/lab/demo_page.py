"""report.html of the demonstration: the whole story on one page that needs nothing but itself."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING

from cynosure.lab import page
from cynosure.lab.figures import small_number
from cynosure.potentials import write_atomically

if TYPE_CHECKING:
    from cynosure.lab.demo import DemoResult


def write(result: DemoResult) -> Path:
    """Write the page to `result.report`, atomically, and return its path.

    Raises:
        OSError: it cannot be written.
    """
    write_atomically(result.report, render(result).encode())
    return result.report


def render(result: DemoResult) -> str:
    """The page as HTML, its pictures inside."""
    sections = (_opening, _learning, _images, _symmetries, _comparison, _dynamics, _next_steps)
    return page.document(
        "Cynosure: the demonstration", [section(result) for section in sections], result.seconds
    )


def _opening(result: DemoResult) -> str:
    errors = result.metrics.errors
    rotation = max(one.value for one in result.deviations if one.name == "rotation: forces")
    drift, length = 1e3 * abs(result.dynamics.drift()), result.dynamics.times[-1]
    numbers = [
        (f"{1e3 * errors['forces'].mae:.3g} meV/Å", "force error on test frames (MAE)"),
        (f"{1e3 * errors['energy_per_atom'].mae:.2g} meV/atom", "energy error on test frames (MAE)"),
        (f"{rotation:.0e} eV/Å", "change of the forces under rotation"),
        (f"{small_number(drift)} meV/atom", f"drift of the total energy in {length:.3g} ps"),
    ]
    return (
        "<h1>A potential that knows its symmetries</h1>"
        "<p class='lead'>(R)-methyloxirane, C<sub>3</sub>H<sub>6</sub>O: ten atoms, three dimensions, two hands. A "
        "network trained on 500 frames of it, on this machine, just now.</p>" + page.cards(numbers)
    )


def _learning(result: DemoResult) -> str:
    rows = [
        (what, unit, *(f"{value:.4g}" for value in (stats.mae, stats.rmse, stats.max)))
        for what, unit, stats in result.metrics.rows()
    ]
    link = html.escape(result.training_report.relative_to(result.out).as_posix(), quote=True)
    return (
        "<h2>1. What it learnt</h2>"
        "<p>The labels are energies and forces of GFN2-xTB along molecular dynamics at 500 K. The errors are on 100 "
        "frames of another trajectory, none of which it has seen.</p>"
        + page.table(("", "unit", "MAE", "RMSE", "max"), rows)
        + f"<p><a href='{link}'>The report of the training</a> has the learning curves, the parity plots and every "
        "setting.</p>"
    )


def _images(result: DemoResult) -> str:
    return (
        "<h2>2. One molecule, four images</h2>"
        "<p>The arrows are the forces that the network predicts for each image; the numbers are its energies. Turn the "
        "molecule, and the forces turn with it. The mirror image is another molecule: no rotation makes a right hand "
        "of a left one. Its energy is the same all the same, and its forces are the mirror image of the forces.</p>"
        + page.picture(
            result.pictures["images"], "a molecule, its mirror image and two turned copies", narrow=True
        )
    )


def _symmetries(result: DemoResult) -> str:
    rows = [
        (
            one.name,
            f"{one.value:.1e}",
            f"{one.tolerance:.0e}",
            one.unit,
            f"<span class='{'ok' if one.ok else 'bad'}'>{'ok' if one.ok else 'too large'}</span>",
        )
        for one in result.deviations
    ]
    cells = [tuple(page.text(cell) for cell in row[:-1]) + row[-1:] for row in rows]
    return (
        "<h2>3. Every promise, measured</h2>"
        "<p>None of this was trained. It holds for any weights, up to the rounding of the arithmetic, since the "
        "network is made only of operations that respect it.</p>"
        + page.picture(result.pictures["symmetries"], "deviations from each symmetry")
        + "<details><summary>The numbers</summary>"
        + page.html_table(("", "deviation", "largest that passes", "unit", ""), cells)
        + "</details>"
    )


def _comparison(result: DemoResult) -> str:
    comparison = result.comparison
    rows = [
        (
            f"test frames {version}",
            *(f"{1e3 * errors.forces:.0f}" for errors in comparison.errors[version].values()),
        )
        for version in comparison.versions
    ]
    return (
        "<h2>4. What it costs not to know them</h2>"
        "<p>A plain network reads the list of coordinates. Trained on the same frames, all upright, it does a fair job "
        "on upright test frames. Turn, mirror, move or relabel these, and physics has not noticed, but the plain "
        "network is lost. One can show it randomly turned copies instead: then it does equally well on all "
        "orientations, and little better than by answering that there are no forces at all.</p>"
        + page.picture(
            result.pictures["comparison"], "force errors of three networks on five versions of the test set"
        )
        + "<details><summary>The numbers: root mean square error of the forces, meV/Å</summary>"
        + page.table(("", *comparison.networks), rows)
        + "</details>"
    )


def _dynamics(result: DemoResult) -> str:
    drift, excursion = 1e3 * abs(result.dynamics.drift()), 1e3 * result.dynamics.excursion()
    return (
        "<h2>5. It runs</h2>"
        "<p>Dynamics at constant energy in steps of 0.5 fs, started at 300 K. Forces that are the derivative of a "
        f"smooth energy conserve it: in {result.dynamics.times[-1]:.3g} ps the total energy drifts by "
        f"{page.text(small_number(drift))} meV/atom, and is never more than {excursion:.2g} meV/atom from its "
        "start.</p>"
        + page.picture(result.pictures["energy"], "potential and total energy along the dynamics")
    )


def _next_steps(result: DemoResult) -> str:
    lines = "\n".join(
        f"<i># {page.text(what)}</i>\n{page.text(command)}" for what, command in result.next_steps()
    )
    return f"<h2>What to type next</h2><pre>{lines}</pre>"
