"""The files that a measured pencil experiment leaves behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cynosure.lab import page
from cynosure.lab.pencil.figure import save_pencil
from cynosure.lab.pencil.outcome import TURNED, Pencil
from cynosure.lab.pencil.report import conclusion, tables, warnings


def write_pencil(pencil: Pencil, folder: Path) -> dict[str, Path]:
    """Write `pencil.png`, `pencil.json` (numbers in eV, Å and s, and the sentences) and `report.html`.

    Returns:
        `picture`, `json` and `report` to their paths.

    Raises:
        OSError: a file cannot be written.
    """
    return page.write_all(
        folder,
        "pencil",
        lambda path: save_pencil(pencil, path),
        to_json(pencil),
        lambda picture: render(pencil, picture),
    )


def to_json(pencil: Pencil) -> dict[str, Any]:
    """The experiment as plain values: eV/Å, eV/atom and s, one for each number of frames; not reached is null."""
    networks = []
    for network in pencil.networks:
        found = [pencil.reached(network, target) for target in pencil.targets]
        networks.append(
            {
                "network": network.name,
                "l_max": network.l_max,
                "copies": network.copies,
                "forces": {version: pencil.forces(network, version).tolist() for version in pencil.versions},
                "energy_per_atom": {
                    version: pencil.energies(network, version).tolist() for version in pencil.versions
                },
                "training": pencil.training(network).tolist(),
                "seconds": pencil.seconds(network).tolist(),
                "steps": pencil.steps(network),
                "frames_to_reach": [{"frames": one.frames, "or_fewer": one.or_fewer} for one in found],
            }
        )
    return {
        "source": pencil.source,
        "frames": list(pencil.frames),
        "seeds": pencil.seeds,
        "silence": pencil.silence,
        "targets": {"version": TURNED, "forces": list(pencil.targets)},
        "networks": networks,
        "conclusion": conclusion(pencil),
        "warnings": list(warnings(pencil)),
    }


def render(pencil: Pencil, picture: Path) -> str:
    """The page as HTML, its picture inside.

    Args:
        pencil: what was measured.
        picture: the PNG file of `save_pencil`.
    """
    first, *others = conclusion(pencil)
    sections = [
        "<h1>The turned pencil is the same pencil</h1>" + page.paragraph(first, lead=True),
        page.picture(
            picture, "force errors of each network on disguised frames, and against training frames"
        ),
        *(page.paragraph(sentence) for sentence in others),
        *(page.titled_table(table) for table in tables(pencil)),
        *(["<h2>To bear in mind</h2>"] if warnings(pencil) else []),
        *(page.paragraph(sentence) for sentence in warnings(pencil)),
        "<h2>How it was measured</h2>" + page.paragraph(pencil.method),
    ]
    return page.document(f"The turned pencil: {pencil.source}", sections, pencil.total_seconds)
