"""The model's numbers beside those of its labels, of DFT elsewhere, and of experiments; and what they are held to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from examples.materials.frames import FromFrames

from cynosure.analysis import Phonons

# DFT of others. Elastic constants: Zongo et al., npj Comput. Mater. 10, 218 (2024), Table 2. Vacancy: Seeberger and
# Vidal, EPJ Photovolt. 8, 85505 (2017), Table 1 (neutral, pairs of neighbours, 432 atoms; tetrahedral: 3.86 eV).
DFT = {"C11": 153.1, "C12": 57.0, "C44": 74.3, "vacancy": 3.67}
# Lattice constant at 295.7 K: CODATA, Rev. Mod. Phys. 93, 025010 (2021). Elastic constants at 298 K: McSkimin and
# Andreatch, J. Appl. Phys. 35, 2161 (1964). Neutrons, room temperature: Dolling (1963), Nilsson and Nelin, Phys. Rev. B
# 6, 3777 (1972), as in Giannozzi et al., Phys. Rev. B 43, 7231 (1991). Vacancy, ± 0.2: Dannefaer, Mascher and Kerr,
# Phys. Rev. Lett. 56, 2195 (1986).
EXPERIMENT = {
    "lattice": 5.431,
    "bulk": 97.9,
    "C11": 165.8,
    "C12": 63.9,
    "C44": 79.6,
    "optical": 15.53,
    "X": (4.49, 12.32, 13.90),
    "L": (3.43, 11.35, 12.60, 14.68),
    "vacancy": 3.6,
}
# How far a number may be from its reference, as a part of it; and frequencies that should vanish, THz.
LATTICE_BOUND, ELASTIC_BOUND, SOUND_BOUND, ACOUSTIC_BOUND = 0.001, 0.05, 0.02, 1e-3


class Check(NamedTuple):
    """A number that should be near another.

    Attributes:
        value, expected: both.
        off: the difference, relative unless nothing is expected.
        bound: the most that it may be.
    """

    value: float
    expected: float
    off: float
    bound: float

    @classmethod
    def relative(cls, value: float, expected: float, bound: float) -> Check:
        """Off by a part of what is expected."""
        return cls(value, expected, value / expected - 1, bound)

    @property
    def held(self) -> bool:
        """Whether it is no farther off."""
        return bool(abs(self.off) <= self.bound)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**self._asdict(), "held": self.held}


def checks(numbers: Mapping[str, Any], labels: FromFrames) -> dict[str, Check]:
    """What the numbers of a run are held to."""
    elastic, phonons = numbers["elastic"], numbers["phonons"]
    return {
        "lattice constant, of the labels'": Check.relative(
            numbers["lattice constant"], labels.lattice, LATTICE_BOUND
        ),
        "C11, of the labels'": Check.relative(elastic["C11"], labels.c11, ELASTIC_BOUND),
        "C12, of the labels'": Check.relative(elastic["C12"], labels.c12, ELASTIC_BOUND),
        "C44 clamped, of the labels'": Check.relative(elastic["C44 clamped"], labels.c44, ELASTIC_BOUND),
        "bulk modulus of the equation of state, of (C11 + 2 C12)/3": Check.relative(
            numbers["equation of state"]["bulk modulus"],
            (elastic["C11"] + 2 * elastic["C12"]) / 3,
            SOUND_BOUND,
        ),
        "C11 of sound, of C11": Check.relative(phonons["C11 of sound"], elastic["C11"], SOUND_BOUND),
        "C44 of sound, of C44": Check.relative(phonons["C44 of sound"], elastic["C44"], SOUND_BOUND),
        "acoustic modes at Γ, THz": Check(phonons["acoustic"], 0.0, phonons["acoustic"], ACOUSTIC_BOUND),
        "imaginary modes, part of all": Check(phonons["imaginary"], 0.0, phonons["imaginary"], 0.0),
    }


def at(found: Phonons, point: str) -> list[float]:
    """Frequencies at a named point of the path, rising, THz; those within 0.01 THz of each other once."""
    x = found.bands.ticks[found.bands.labels.index(point)]
    modes = found.bands.frequencies[int(np.argmin(np.abs(found.bands.x - x)))]
    return [
        float(one) for one, before in zip(modes, [-np.inf, *modes[:-1]], strict=True) if one - before > 0.01
    ]


def table(numbers: Mapping[str, Any], labels: FromFrames) -> str:
    """The numbers of the crystal as text, GPa, Å, THz and eV."""
    elastic, phonons, vacancies = numbers["elastic"], numbers["phonons"], numbers["vacancy"]
    last = vacancies["paired"][-1]
    hot = numbers["hot"][0]
    rows: list[tuple[str, str, str, str, str]] = [
        ("silicon", "model", "its labels", "other DFT", "experiment"),
        _row("lattice constant, Å", 4, numbers["lattice constant"], labels.lattice, None, "lattice"),
        _row("bulk modulus, GPa", 1, numbers["equation of state"]["bulk modulus"], labels.bulk, None, "bulk"),
        _row("C11, GPa", 1, elastic["C11"], labels.c11, "C11", "C11"),
        _row("C12, GPa", 1, elastic["C12"], labels.c12, "C12", "C12"),
        _row("C44 clamped, GPa", 1, elastic["C44 clamped"], labels.c44),
        _row("C44, GPa", 1, elastic["C44"], None, "C44", "C44"),
        _row("optical mode at Γ, THz", 2, phonons["optical"], None, None, "optical"),
        _row("modes at X, THz", 2, phonons["X"], None, None, "X"),
        _row("modes at L, THz", 2, phonons["L"], None, None, "L"),
        _row(
            f"vacancy, {last['sites']} sites, eV",
            2,
            last["formation energy"],
            vacancies["of labels"],
            "vacancy",
            "vacancy",
        ),
        _row(f"lattice constant at {hot['wanted']:.0f} K, Å", 4, hot["lattice"][0]),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            text.ljust(width) if place == 0 else text.rjust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join(lines)


def verdicts(found: Mapping[str, Check]) -> str:
    """Every check in a line."""
    lines = []
    for name, one in found.items():
        text = f"{one.off:+.2%}, within {one.bound:.1%}" if one.expected else f"{one.off:.1e}"
        lines.append(f"{'held  ' if one.held else 'MISSED'}  {name}: {text}")
    return "\n".join(lines)


def _row(
    what: str,
    digits: int,
    model: float | list[float],
    labels: float | None = None,
    dft: str | None = None,
    experiment: str | None = None,
) -> tuple[str, str, str, str, str]:
    others = (DFT[dft] if dft else None, EXPERIMENT[experiment] if experiment else None)
    cells = [_text(value, digits) for value in (model, labels, *others)]
    return what, cells[0], cells[1], cells[2], cells[3]


def _text(value: float | tuple[float, ...] | list[float] | None, digits: int) -> str:
    if value is None:
        return ""
    values = value if isinstance(value, tuple | list) else (value,)
    return " ".join(f"{one:.{digits}f}" for one in values)
