"""The files that a comparison of forces leaves behind."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from cynosure.lab import page
from cynosure.lab.forces.figure import save_forces
from cynosure.lab.forces.outcome import Comparison
from cynosure.lab.forces.report import conclusion, tables, warnings


def write_forces(found: Comparison, folder: Path) -> dict[str, Path]:
    """Write `forces.png`, `forces.json` (numbers in eV, Å, ps and K, and the sentences) and `report.html`.

    Returns:
        `picture`, `json` and `report` to their paths.

    Raises:
        OSError: a file cannot be written.
    """
    return page.write_all(
        folder,
        "forces",
        lambda path: save_forces(found, path),
        to_json(found),
        lambda picture: render(found, picture),
    )


def to_json(found: Comparison) -> dict[str, Any]:
    """The comparison as plain values, in the units of `Outcome`."""
    ways = []
    for way in found.ways:
        values = asdict(found.outcomes[way.key])
        values.pop("run")
        ways.append({"way": way.key, "name": way.name, "words": way.words, **values})
    return {
        "source": found.source,
        "frames": found.frames,
        "silence": found.silence,
        "trajectories": found.trajectories,
        "temperature": found.temperature,
        "picoseconds": found.picoseconds,
        "ways": ways,
        "conclusion": conclusion(found),
        "warnings": list(warnings(found)),
    }


def render(found: Comparison, picture: Path) -> str:
    """The page as HTML, its picture inside.

    Args:
        found: what was measured.
        picture: the PNG file of `save_forces`.
    """
    sections = [
        "<h1>Forces with and without an energy</h1>"
        + page.paragraph("; ".join(f"{way.name}: {way.words}" for way in found.ways) + ".", lead=True),
        page.picture(picture, "energy along trajectories, and what each way to get forces breaks"),
        *(page.paragraph(sentence) for sentence in conclusion(found)),
        *(page.titled_table(table) for table in tables(found)),
        *(["<h2>To bear in mind</h2>"] if warnings(found) else []),
        *(page.paragraph(sentence) for sentence in warnings(found)),
        "<h2>How it was measured</h2>" + page.paragraph(found.method),
    ]
    return page.document(f"Ways to get forces: {found.source}", sections, found.total_seconds)
