"""Units at the border: what a file's numbers are multiplied by to become eV, Å, eV/Å and eV/Å³."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from ase import units as ase_units

_PER_MOL = 1.0 / ase_units.mol

# One table for all quantities, spelt in lower case. Values are ASE's (CODATA 2014).
ENERGY_UNITS: dict[str, float] = {
    "ev": 1.0,
    "mev": 1e-3,
    "ha": ase_units.Hartree,
    "hartree": ase_units.Hartree,
    "eh": ase_units.Hartree,
    "ry": ase_units.Rydberg,
    "rydberg": ase_units.Rydberg,
    "kcal/mol": ase_units.kcal * _PER_MOL,
    "kj/mol": ase_units.kJ * _PER_MOL,
}
LENGTH_UNITS: dict[str, float] = {
    "å": 1.0,
    "a": 1.0,
    "angstrom": 1.0,
    "bohr": ase_units.Bohr,
    "a0": ase_units.Bohr,
    "nm": ase_units.nm,
    "pm": 1e-3 * ase_units.nm,
}
PRESSURE_UNITS: dict[str, float] = {
    "gpa": ase_units.GPa,
    "kbar": 0.1 * ase_units.GPa,
    "bar": 1e-4 * ase_units.GPa,
    "pa": 1e-9 * ase_units.GPa,
}
# What each name in a units mapping measures. `length` converts positions and cell.
_EXAMPLES = {
    "energy": "eV, meV, Ha (Hartree, Eh), Ry (Rydberg), kcal/mol, kJ/mol",
    "length": "Å (A, Angstrom), Bohr (a0), nm, pm",
    "forces": "an energy over a length: eV/Å, meV/Å, Ha/Bohr, Ry/Bohr, kcal/mol/Å, kJ/mol/nm, …",
    "stress": "GPa, kBar, bar, Pa, or an energy over a length cubed: eV/Å^3, Ha/Bohr^3, …; a leading minus"
    " (-kBar) where the file counts compression as positive",
    "virial": "an energy: eV, meV, Ha, Ry, kcal/mol, kJ/mol",
}


def unit_factor(quantity: str, unit: str) -> float:
    """What to multiply a number in `unit` by to get eV, Å, eV/Å or eV/Å³.

    Spelling is free in case and in Å/A/Angstrom; a cube may be `^3`, `³`, `**3` or `3`.

    Args:
        quantity: `energy`, `length`, `forces`, `stress` or `virial`.
        unit: for example `kcal/mol`, `Bohr`, `Ha/Bohr`, `kBar`; `-kBar` also turns the sign.

    Raises:
        ValueError: no such quantity or unit; the message lists those there are.

    Examples:
        >>> unit_factor("forces", "meV/Å")
        0.001
    """
    if quantity not in _EXAMPLES:
        raise ValueError(f"units are known for {', '.join(_EXAMPLES)}; got a unit for '{quantity}'")
    text = unicodedata.normalize("NFKC", unit).casefold().replace(" ", "")
    sign = 1.0
    if quantity == "stress" and text.startswith("-"):
        sign, text = -1.0, text[1:]
    if quantity in ("energy", "virial"):
        factor = ENERGY_UNITS.get(text)
    elif quantity == "length":
        factor = LENGTH_UNITS.get(text)
    elif quantity == "forces":
        factor = _energy_over_length(text, power=1)
    else:
        factor = PRESSURE_UNITS.get(text) or _energy_over_length(text, power=3)
    if factor is None:
        raise ValueError(f"'{unit}' is not a known unit of {quantity}; use {_EXAMPLES[quantity]}")
    return sign * factor


def unit_factors(units: Mapping[str, str]) -> dict[str, float]:
    """`unit_factor` of every entry of a mapping from quantity to unit.

    Raises:
        ValueError: as `unit_factor`.
    """
    return {quantity: unit_factor(quantity, unit) for quantity, unit in units.items()}


def _energy_over_length(text: str, power: int) -> float | None:
    """The factor of `energy/length` or `energy/length^3`, or None where the text is not one."""
    energy, slash, length = text.rpartition("/")
    if power == 3:
        # "³" has become a plain 3 in the normal form.
        if not length.endswith("3"):
            return None
        length = length[:-1].rstrip("^*")
    if not slash or energy not in ENERGY_UNITS or length not in LENGTH_UNITS:
        return None
    return ENERGY_UNITS[energy] / LENGTH_UNITS[length] ** power
