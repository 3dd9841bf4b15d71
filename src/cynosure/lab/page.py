"""Pages of HTML that need nothing but themselves: the frame, the look, and the pieces they are made of."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cynosure import __version__
from cynosure.analysis import Table
from cynosure.potentials import write_atomically
from cynosure.training.display import duration

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


def write_all(
    folder: Path,
    name: str,
    draw: Callable[[Path], object],
    values: Mapping[str, Any],
    render: Callable[[Path], str],
) -> dict[str, Path]:
    """Write what an experiment leaves behind: a picture, all its numbers, and `report.html`.

    Args:
        folder: where to.
        name: of the picture (`.png`) and the numbers (`.json`).
        draw: writes the picture.
        values: plain values, all of them finite.
        render: makes the page, given the picture.

    Returns:
        `picture`, `json` and `report` to their paths.

    Raises:
        OSError: a file cannot be written.
    """
    paths = {
        "picture": folder / f"{name}.png",
        "json": folder / f"{name}.json",
        "report": folder / "report.html",
    }
    draw(paths["picture"])
    write_atomically(paths["json"], (json.dumps(values, indent=2, allow_nan=False) + "\n").encode())
    write_atomically(paths["report"], render(paths["picture"]).encode())
    return paths


def document(title: str, sections: Iterable[str], seconds: float) -> str:
    """A whole page.

    Args:
        title: of the window.
        sections: HTML, one below the other.
        seconds: how long it took to find what the page tells, for the footer.
    """
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{text(title)}</title><style>{_STYLE}</style></head>\n<body><main>\n"
        + "\n".join(sections)
        + f"\n<footer>Cynosure {__version__}, {duration(seconds)} from start to end.</footer></main></body></html>\n"
    )


def cards(numbers: Iterable[tuple[str, str]]) -> str:
    """Boxes side by side, each with a large text and a small one below."""
    boxes = "".join(
        f"<div class='card'><b>{text(big)}</b><span>{text(small)}</span></div>" for big, small in numbers
    )
    return f"<div class='cards'>{boxes}</div>"


def picture(path: Path, words: str, narrow: bool = False) -> str:
    """A PNG file inside the page, with words for those who do not see it."""
    data = base64.b64encode(path.read_bytes()).decode()
    kind = " class='narrow'" if narrow else ""
    return f"<figure{kind}><img alt='{html.escape(words, quote=True)}' src='data:image/png;base64,{data}'></figure>"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of plain text."""
    return html_table(header, [[text(cell) for cell in row] for row in rows])


def html_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose header is plain text and whose cells are HTML."""
    head = "".join(f"<th>{text(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<div class='scroll'><table><tr>{head}</tr>{body}</table></div>"


def paragraph(sentence: str, lead: bool = False) -> str:
    """A sentence of plain text; `lead` for the one at the top of the page."""
    return f"<p{' class=lead' if lead else ''}>{text(sentence)}</p>"


def titled_table(content: Table) -> str:
    """A table with its title as a heading."""
    return f"<h2>{text(content.title)}</h2>{table(content.columns, content.rows)}"


def text(value: str) -> str:
    """Plain text as HTML."""
    return html.escape(value)
