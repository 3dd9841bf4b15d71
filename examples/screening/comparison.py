"""What is known of the polymorphs: DFT of the kind that the model was trained on, and calorimetry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from examples.screening.crystals import POLYMORPHS

from cynosure.analysis import Screening

# kJ/mol of formula units of three atoms, in meV/atom.
_PER_KJ = 1000 / 96.48533 / 3

# From which structure energies are counted here, by formula.
ZERO = {"TiO2": "anatase", "SiO2": "α-quartz"}

# meV/atom above the structure of `ZERO`: differences of the Materials Project's energies above the hull (Jain et al.,
# APL Mater. 1, 011002 (2013), as of 2019; PBE): mp-390, mp-1840, mp-1439, mp-2657; mp-6930, mp-6945, mp-6947.
PBE = {
    "TiO2": {"anatase": 0.0, "brookite": 14.0, "columbite": 25.0, "rutile": 31.0},
    "SiO2": {"α-quartz": 0.0, "α-cristobalite": -8.0, "stishovite": 185.0},
}

# Enthalpies at 298 K, meV/atom. TiO2: Ranade et al., PNAS 99, 6476 (2002). SiO2: Akaogi et al., J. Geophys. Res. 100,
# 22337 (1995).
CALORIMETRY = {
    "TiO2": {"anatase": 0.0, "brookite": (0.71 - 2.61) * _PER_KJ, "rutile": -2.61 * _PER_KJ},
    "SiO2": {"α-quartz": 0.0, "coesite": 3.40 * _PER_KJ, "stishovite": (3.40 + 33.62) * _PER_KJ},
}


def compared(found: Screening) -> dict[str, Any]:
    """The rankings with what is known of each crystal: eV/atom, meV/atom, Å³/atom, as plain values."""
    return {formula: _of_formula(found, formula) for formula in found.rankings if formula in ZERO}


def _of_formula(found: Screening, formula: str) -> dict[str, Any]:
    energies = {one.outcome.name: one.outcome.energy for one in found.rankings[formula]}
    zero = energies.get(ZERO[formula], float("nan"))
    rows = {}
    for place in found.rankings[formula]:
        one = place.outcome
        rows[one.name] = {
            "rank": place.rank,
            "same as": place.same_as or None,
            "converged": one.converged,
            "steps": one.steps,
            "energy": one.energy,
            "above": 1000 * (one.energy - zero),
            "PBE": PBE[formula].get(one.name),
            "calorimetry": CALORIMETRY[formula].get(one.name),
            "volume": one.volume,
            "volume of experiment": _volume_of_experiment(one.name),
        }
    return rows


def _volume_of_experiment(name: str) -> float | None:
    if name not in POLYMORPHS:
        return None
    atoms = POLYMORPHS[name].atoms()
    return float(atoms.cell.volume) / len(atoms)


def verdict(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Whether the model orders the crystals as PBE and as calorimetry do, and the largest difference, meV/atom."""
    found = {}
    for what in ("PBE", "calorimetry"):
        known = {name: row[what] for name, row in rows.items() if row[what] is not None}
        own = {name: rows[name]["above"] for name in known}
        found[what] = {
            "crystals": len(known),
            "same order": sorted(known, key=lambda name: known[name])
            == sorted(own, key=lambda name: own[name]),
            "largest difference": max(abs(own[name] - known[name]) for name in known),
        }
    return found


def table(numbers: Mapping[str, Mapping[str, Any]]) -> str:
    """The comparison in columns of text."""
    lines = []
    for formula, rows in numbers.items():
        lines.append(f"{formula}, meV/atom above {ZERO[formula]}; Å³/atom")
        lines.append(f"  {'':<24}{'model':>9}{'PBE':>9}{'calorim.':>10}{'volume':>10}{'exper.':>9}")
        for name, row in rows.items():
            lines.append(
                f"  {name:<24}{row['above']:>9.1f}{_text(row['PBE'], 0):>9}{_text(row['calorimetry'], 1):>10}"
                f"{row['volume']:>10.3f}{_text(row['volume of experiment'], 3):>9}"
            )
    return "\n".join(lines)


def _text(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
