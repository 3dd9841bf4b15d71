"""The files that a measured mirror experiment leaves behind."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from cynosure.lab import page
from cynosure.lab.mirror.cases import CASES
from cynosure.lab.mirror.figure import save_mirror
from cynosure.lab.mirror.outcome import Mirror
from cynosure.lab.mirror.report import conclusion, tables, warnings


def write_mirror(found: Mirror, folder: Path) -> dict[str, Path]:
    """Write `mirror.png`, `mirror.json` (numbers in eV and s, and the sentences) and `report.html`.

    Returns:
        `picture`, `json` and `report` to their paths.

    Raises:
        OSError: a file cannot be written.
    """
    return page.write_all(
        folder,
        "mirror",
        lambda path: save_mirror(found, path),
        to_json(found),
        lambda picture: render(found, picture),
    )


def to_json(found: Mirror) -> dict[str, Any]:
    """The experiment as plain values, in the units of `Outcome`."""
    cases = []
    for case in CASES:
        values = asdict(found.of(case))
        values.pop("run")
        cases.append({"case": case.key, "name": case.name, "asks_hand": case.asks_hand, **values})
    return {
        "training": found.training,
        "measured": found.measured,
        "trained_on": [str(one) for one in found.trained_on],
        "never_seen": [str(one) for one in found.never_seen],
        "spread": found.spread,
        "seed": found.seed,
        "cases": cases,
        "conclusion": conclusion(found),
        "warnings": list(warnings(found)),
    }


def render(found: Mirror, picture: Path) -> str:
    """The page as HTML, its picture inside.

    Args:
        found: what was measured.
        picture: the PNG file of `save_mirror`.
    """
    first, *others = conclusion(found)
    sections = [
        "<h1>Left and right in the mirror</h1>" + page.paragraph(first, lead=True),
        page.picture(picture, "which networks tell the hands apart, and how far their energies differ"),
        *(page.paragraph(sentence) for sentence in others),
        *(page.titled_table(table) for table in tables(found)),
        *(["<h2>To bear in mind</h2>"] if warnings(found) else []),
        *(page.paragraph(sentence) for sentence in warnings(found)),
        "<h2>How it was measured</h2>" + page.paragraph(found.method),
    ]
    return page.document("Left and right in the mirror", sections, found.total_seconds)
