"""What there is to look at, as tables, sentences and files."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path as File

from cynosure.analysis import Report, Table
from cynosure.lab import page
from cynosure.lab.look.coupling import (
    Path,
    coefficient_table,
    coefficients,
    orthonormality,
    parse_path,
    save_coefficients,
)
from cynosure.lab.look.feature_drawing import save_features
from cynosure.lab.look.features import Features, hidden_features
from cynosure.lab.look.harmonics import save_harmonics
from cynosure.lab.look.surface import COARSE, FINE, sphere
from cynosure.potentials import write_atomically

_HIGHEST = 4  # degree of the spherical harmonics that are drawn


@dataclass(frozen=True)
class Look:
    """What there is to look at.

    Attributes:
        l_max: highest degree of the spherical harmonics.
        features: on an atom of a molecule.
        molecule: its name.
        path: of the Clebsch-Gordan coefficients.
        seed: of the weights and the rotation.
    """

    l_max: int
    features: Features
    molecule: str
    path: Path
    seed: int


def look(
    irreps: str = "1o+2e", molecule: str = "CH3CH2OH", path: str = "1o,1o,1e", l_max: int = 3, seed: int = 0
) -> Look:
    """Compute what there is to look at.

    Args:
        irreps, molecule, seed: see `hidden_features`.
        path: see `parse_path`.
        l_max: highest degree of the spherical harmonics, at most 4.

    Raises:
        ValueError: see `hidden_features` and `parse_path`; an l_max below 0 or above 4.
    """
    if not 0 <= l_max <= _HIGHEST:
        raise ValueError(f"spherical harmonics of l up to {_HIGHEST} can be looked at; got l_max {l_max}")
    return Look(l_max, hidden_features(irreps, molecule, seed), molecule, parse_path(path), seed)


def describe(seen: Look) -> Report:
    """The checks and the coefficients as tables, for the terminal."""
    return Report(
        title=f"Features of {seen.molecule} under rotation and inversion, and coefficients {seen.path}",
        tables=(feature_table(seen.features), coefficient_table(seen.path)),
    )


def feature_table(features: Features) -> Table:
    """How far the features of the moved molecule are from those of the molecule, moved."""
    return Table(
        "Features of the moved molecule against moved features, largest deviation",
        ("irrep", "typical size", "rotation R: D(R) x", "inversion: ± x"),
        tuple(
            (
                str(irrep),
                f"{features.sizes[irrep]:.2g}",
                _small(features.rotation[irrep]),
                _small(features.inversion[irrep]) if features.inversion else "no parity",
            )
            for irrep in features.sizes
        ),
    )


def _small(deviation: float) -> str:
    return f"{deviation:.0e}" if deviation else "0"


def sentences(seen: Look) -> list[str]:
    """What was found, as it came out, and what to do next."""
    features, found = seen.features, []
    worst = max(features.rotation.values())
    symbol = features.molecule.get_chemical_symbols()[features.atom]
    found.append(
        f"The features of atom {features.atom} ({symbol}) were computed twice: from the molecule and from the turned "
        f"molecule. Turning the former with the Wigner matrix D(R) gives the latter within {worst:.0e} (over all atoms "
        "and channels), although the weights are random: nothing had to be learnt."
    )
    if vanishing := features.vanishing():
        names = ", ".join(map(str, vanishing))
        found.append(
            f"{names} {'is' if len(vanishing) == 1 else 'are'} zero on every atom: the symmetry of the molecule leaves "
            "nothing that such a feature could be. Take one with less symmetry (--molecule)."
        )
    found.append(
        f"The coefficients of {seen.path} are orthonormal within {orthonormality(coefficients(seen.path)):.0e}."
    )
    found.append(
        "What to do next: --path 1o,1o,0e is the dot product of two vectors, 1o,1o,1e the cross product, 1o,1o,2e the "
        "rest; docs: Symmetry in ten minutes. Check a layer of your own with cynosure.testing.assert_equivariant."
    )
    return found


def write_look(
    seen: Look, out: str | File, quick: bool = False, on_step: Callable[[str, float], None] | None = None
) -> dict[str, File]:
    """Draw `harmonics.png`, `features.png` and `coefficients.png`, and write `report.html` with all of them.

    Args:
        seen: what to draw.
        out: the folder; made if it is not there. What it has of these names is replaced.
        quick: coarser surfaces.
        on_step: called before each picture with its name and the part of all of them that is done.

    Raises:
        ValueError: `out` is a file.
        OSError: a file cannot be written.
    """
    began = time.monotonic()
    folder = File(out)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"'{folder}' is a file; --out names a folder")
    folder.mkdir(parents=True, exist_ok=True)
    mesh = sphere(COARSE if quick else FINE)
    paths = {name: folder / f"{name}.png" for name in ("harmonics", "features", "coefficients")}
    pictures: dict[str, Callable[[File], File]] = {
        "harmonics": lambda path: save_harmonics(seen.l_max, mesh, path),
        "features": lambda path: save_features(seen.features, mesh, path),
        "coefficients": lambda path: save_coefficients(seen.path, path),
    }
    for number, (name, draw) in enumerate(pictures.items()):
        if on_step is not None:
            on_step(name, number / len(pictures))
        draw(paths[name])
    paths["report"] = folder / "report.html"
    write_atomically(paths["report"], render(seen, paths, time.monotonic() - began).encode())
    return paths


def render(seen: Look, paths: dict[str, File], seconds: float) -> str:
    """The page as HTML, its pictures inside."""
    found = sentences(seen)
    sections = [
        "<h1>Geometric tensors to look at</h1>",
        "<h2>Spherical harmonics</h2>"
        + page.paragraph(
            "The equivariant functions of a direction: the distance of the surface from the centre is |Y|, its "
            "colour the sign. Those of one degree turn among themselves."
        )
        + page.picture(paths["harmonics"], f"real spherical harmonics up to l = {seen.l_max}"),
        "<h2>Features of a network</h2>"
        + "".join(map(page.paragraph, found[:-2]))
        + page.picture(
            paths["features"], f"features of an atom of {seen.molecule}, before and after turning it"
        ),
        page.titled_table(feature_table(seen.features)),
        page.titled_table(coefficient_table(seen.path)),
        page.paragraph(found[-2]),
        page.picture(paths["coefficients"], f"Clebsch-Gordan coefficients {seen.path}"),
        page.paragraph(found[-1]),
    ]
    return page.document("Geometric tensors to look at", sections, seconds)
