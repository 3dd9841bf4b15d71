"""A run, or the errors of a model, on one page that needs nothing but itself."""

from __future__ import annotations

import html
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cynosure import __version__
from cynosure.potentials import Potential, write_atomically
from cynosure.training import plots
from cynosure.training.config import TrainConfig
from cynosure.training.metrics import Metrics
from cynosure.training.plots import Pairs

_STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1d2733; --soft: #5b6673; --line: #e3e7ec; --card: #f7f9fb;
        --accent: #2563eb; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #12171e; --ink: #e4e9ef; --soft: #9aa6b3; --line: #2a333e; --card: #1a212a; --accent: #7aa8ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
       font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .3rem; letter-spacing: -.01em; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .7rem; }
p { max-width: 44rem; } p.lead { color: var(--soft); margin-top: 0; }
.cards { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1.6rem 0 .4rem; }
.card { flex: 1 1 11rem; background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
        padding: .8rem 1rem; }
.card b { display: block; font-size: 1.55rem; font-weight: 650; font-variant-numeric: tabular-nums; }
.card span { color: var(--soft); font-size: .85rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; min-width: 28rem; }
th, td { padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); text-align: right; }
th { color: var(--soft); font-weight: 500; font-size: .85rem; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
tr.part td:first-child { padding-left: 1.2rem; color: var(--soft); }
svg { display: block; max-width: 100%; height: auto; color: var(--ink); }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .9rem 1rem;
      overflow-x: auto; font: .82rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
summary { cursor: pointer; color: var(--accent); }
footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; }
"""


@dataclass(frozen=True)
class ReportContent:
    """What the report tells.

    Attributes:
        title: of the page.
        words: plain sentences, the first of which is the lead.
        tables: heading to errors; the first is of the frames that pictures are drawn of.
        pairs: quantity to (reference, prediction) of those frames.
        next_steps: commands to go on with.
        footer: versions and the like.
        run: settings and records of `metrics.jsonl`, if it tells of a run.
    """

    title: str
    words: Sequence[str]
    tables: Mapping[str, Metrics]
    pairs: Pairs
    next_steps: Sequence[str]
    footer: str
    run: tuple[TrainConfig, Sequence[Mapping[str, Any]]] | None = None


def write_report(path: Path, content: ReportContent) -> None:
    """Write the report, atomically.

    Raises:
        OSError: it cannot be written.
    """
    write_atomically(path, render(content).encode())


def render(content: ReportContent) -> str:
    """The page as HTML."""
    shown = next(iter(content.tables.values()))
    lead, *words = content.words
    parts = [
        f"<h1>{_text(content.title)}</h1><p class='lead'>{_text(lead)}</p>",
        _cards(shown),
        *[f"<p>{_text(sentence)}</p>" for sentence in words],
        *[f"<h2>{_text(heading)}</h2>{_table(metrics)}" for heading, metrics in content.tables.items()],
    ]
    if content.run is not None:
        parts.append(
            f"<h2>How it learnt</h2>{plots.learning_curves(content.run[1], shown.units)}"
            "<p>The score of validation is the loss of the averaged weights on frames that training never sees. The "
            "model that was saved is the one with the lowest.</p>"
        )
    if content.pairs:
        parts.append(
            f"<h2>Prediction against reference</h2>{plots.parity(content.pairs, shown.units)}"
            "<p>Each point is one number; on the line, model and reference agree.</p>"
        )
    if shown.forces_by_element:
        parts.append(f"<h2>Where the force errors are</h2>{plots.force_errors(shown)}")
    if shown.uncertainty:
        head, *rows = shown.uncertainty_rows()
        calibrated = (
            ""
            if content.run is None
            else "The factor between spread and uncertainty was chosen on these very frames (to make the ratio 1): "
            "frames that neither training nor this choice has seen tell more. "
        )
        parts.append(
            f"<h2>How well it knows its errors</h2>{plots.uncertainty(shown.uncertainty, shown.units)}"
            "<p>Each point is an equal part of the numbers, in order of the uncertainty that the members' spread gave "
            f"them; on the line, the errors are as large as was expected. {calibrated}If errors are normal, 68 % are "
            "within 1σ and 95 % within 2σ.</p>"
            f"{_rows(head, [('', row) for row in rows])}"
        )
    parts.append(f"<h2>What to do next</h2><pre>{_text(chr(10).join(content.next_steps))}</pre>")
    if content.run is not None:
        parts.append(
            "<h2>Settings</h2><details><summary>Every setting of this run, defaults included</summary>"
            f"<pre>{_text(content.run[0].to_text())}</pre></details>"
        )
    parts.append(f"<footer>{_text(content.footer)}</footer>")
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{_text(content.title)}</title><style>{_STYLE}</style></head>\n<body><main>\n"
        + "\n".join(parts)
        + "\n</main></body></html>\n"
    )


def versions(model: Potential) -> str:
    """What computed, and where."""
    threads = torch.get_num_threads()
    return (
        f"Cynosure {__version__}, torch {torch.__version__}, Python {platform.python_version()}; "
        f"{model.device.type}, {threads} thread{'s' if threads > 1 else ''}, {str(model.dtype).removeprefix('torch.')}."
    )


def _cards(metrics: Metrics) -> str:
    """The headline errors, large."""
    cards = [
        f"<div class='card'><b>{stats.mae:.3g} {_text(unit)}</b><span>{_text(what)}, mean absolute error</span></div>"
        for what, unit, stats in metrics.rows()
        if " on " not in what
    ]
    return f"<div class='cards'>{''.join(cards)}</div>"


def _table(metrics: Metrics) -> str:
    rows = [
        (
            " class='part'" if " on " in what else "",
            (what, unit, f"{stats.mae:.4g}", f"{stats.rmse:.4g}", f"{stats.max:.4g}", f"{stats.n:,}"),
        )
        for what, unit, stats in metrics.rows()
    ]
    return _rows(("quantity", "unit", "MAE", "RMSE", "max", "numbers"), rows)


def _rows(head: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    """A table: its head, and for each row the attributes of the row and the texts of its cells."""
    lines = [f"<tr>{''.join(f'<th>{_text(cell)}</th>' for cell in head)}</tr>"]
    lines += [
        f"<tr{kind}>{''.join(f'<td>{_text(cell)}</td>' for cell in cells)}</tr>" for kind, cells in rows
    ]
    return f"<div class='scroll'><table>{''.join(lines)}</table></div>"


def _text(value: str) -> str:
    return html.escape(value)
