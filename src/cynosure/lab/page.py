"""report.html of the demonstration: the whole story on one page that needs nothing but itself."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cynosure import __version__
from cynosure.lab.figures import small_number
from cynosure.potentials import write_atomically

if TYPE_CHECKING:
    from cynosure.lab.demo import DemoResult

_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1d2430; --soft: #5f6978; --line: #e3e7ec; --card: #f6f8fb;
        --accent: #1c6dd0; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #12161d; --ink: #e5e9ef; --soft: #9ba6b4; --line: #2b3440; --card: #1a2029; --accent: #7db0ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
       font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 58rem; margin: 0 auto; padding: 2.6rem 1.25rem 4rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.015em; }
h2 { font-size: 1.3rem; margin: 3rem 0 .5rem; letter-spacing: -.01em; }
p { max-width: 44rem; margin: .5rem 0; } p.lead { color: var(--soft); font-size: 1.08rem; }
a { color: var(--accent); }
figure { margin: 1.1rem 0; background: #fff; border: 1px solid var(--line); border-radius: .7rem; padding: 1rem;
         text-align: center; }
figure img { max-width: 100%; height: auto; display: inline-block; }
figure.narrow img { max-width: 30rem; width: 100%; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(12.5rem, 1fr)); gap: .8rem; margin: 1.6rem 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .7rem; padding: .85rem 1rem; }
.card b { display: block; font-size: 1.15rem; font-weight: 650; white-space: nowrap; }
.card span { color: var(--soft); font-size: .86rem; display: block; line-height: 1.35; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .36rem 1.1rem .36rem 0; border-bottom: 1px solid var(--line); text-align: right; }
th { color: var(--soft); font-weight: 500; font-size: .86rem; vertical-align: bottom; max-width: 11rem; }
th:first-child, td:first-child { text-align: left; }
.ok { color: #1a8a4b; } .bad { color: #d0362b; font-weight: 600; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .7rem; padding: .9rem 1rem;
      overflow-x: auto; font: .85rem/1.6 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
pre i { color: var(--soft); font-style: normal; }
summary { cursor: pointer; color: var(--accent); margin: .6rem 0; }
footer { margin-top: 3.5rem; color: var(--soft); font-size: .86rem; }
"""


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
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>Cynosure: the demonstration</title><style>{_STYLE}</style></head>\n<body><main>\n"
        + "\n".join(section(result) for section in sections)
        + f"\n<footer>Cynosure {__version__}, {result.seconds:.0f} s from start to end.</footer></main></body></html>\n"
    )


def _opening(result: DemoResult) -> str:
    errors = result.metrics.errors
    rotation = max(one.value for one in result.deviations if one.name == "rotation: forces")
    drift, length = 1e3 * abs(result.dynamics.drift()), result.dynamics.times[-1]
    cards = [
        (f"{1e3 * errors['forces'].mae:.3g} meV/Å", "force error on test frames (MAE)"),
        (f"{1e3 * errors['energy_per_atom'].mae:.2g} meV/atom", "energy error on test frames (MAE)"),
        (f"{rotation:.0e} eV/Å", "change of the forces under rotation"),
        (f"{small_number(drift)} meV/atom", f"drift of the total energy in {length:.3g} ps"),
    ]
    boxes = "".join(
        f"<div class='card'><b>{_text(big)}</b><span>{_text(small)}</span></div>" for big, small in cards
    )
    return (
        "<h1>A potential that knows its symmetries</h1>"
        "<p class='lead'>(R)-methyloxirane, C<sub>3</sub>H<sub>6</sub>O: ten atoms, three dimensions, two hands. A "
        "network trained on 500 frames of it, on this machine, just now.</p>"
        f"<div class='cards'>{boxes}</div>"
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
        + _table(("", "unit", "MAE", "RMSE", "max"), rows)
        + f"<p><a href='{link}'>The report of the training</a> has the learning curves, the parity plots and every "
        "setting.</p>"
    )


def _images(result: DemoResult) -> str:
    return (
        "<h2>2. One molecule, four images</h2>"
        "<p>The arrows are the forces that the network predicts for each image; the numbers are its energies. Turn the "
        "molecule, and the forces turn with it. The mirror image is another molecule: no rotation makes a right hand "
        "of a left one. Its energy is the same all the same, and its forces are the mirror image of the forces.</p>"
        + _picture(
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
    cells = [tuple(_text(cell) for cell in row[:-1]) + row[-1:] for row in rows]
    return (
        "<h2>3. Every promise, measured</h2>"
        "<p>None of this was trained. It holds for any weights, up to the rounding of the arithmetic, since the "
        "network is made only of operations that respect it.</p>"
        + _picture(result.pictures["symmetries"], "deviations from each symmetry")
        + "<details><summary>The numbers</summary>"
        + _html_table(("", "deviation", "largest that passes", "unit", ""), cells)
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
        + _picture(
            result.pictures["comparison"], "force errors of three networks on five versions of the test set"
        )
        + "<details><summary>The numbers: root mean square error of the forces, meV/Å</summary>"
        + _table(("", *comparison.networks), rows)
        + "</details>"
    )


def _dynamics(result: DemoResult) -> str:
    drift, excursion = 1e3 * abs(result.dynamics.drift()), 1e3 * result.dynamics.excursion()
    return (
        "<h2>5. It runs</h2>"
        "<p>Dynamics at constant energy in steps of 0.5 fs, started at 300 K. Forces that are the derivative of a "
        f"smooth energy conserve it: in {result.dynamics.times[-1]:.3g} ps the total energy drifts by "
        f"{_text(small_number(drift))} meV/atom, and is never more than {excursion:.2g} meV/atom from its start.</p>"
        + _picture(result.pictures["energy"], "potential and total energy along the dynamics")
    )


def _next_steps(result: DemoResult) -> str:
    lines = "\n".join(f"<i># {_text(what)}</i>\n{_text(command)}" for what, command in result.next_steps())
    return f"<h2>What to type next</h2><pre>{lines}</pre>"


def _picture(path: Path, words: str, narrow: bool = False) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    kind = " class='narrow'" if narrow else ""
    return f"<figure{kind}><img alt='{html.escape(words, quote=True)}' src='data:image/png;base64,{data}'></figure>"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return _html_table(header, [[_text(cell) for cell in row] for row in rows])


def _html_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{_text(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<div class='scroll'><table><tr>{head}</tr>{body}</table></div>"


def _text(value: str) -> str:
    return html.escape(value)
