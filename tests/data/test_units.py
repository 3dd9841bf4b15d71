"""Units against numbers typed in from CODATA 2018, and the errors for those there are not."""

import pytest

from cynosure.data import unit_factor
from cynosure.data.units import ENERGY_UNITS, LENGTH_UNITS, PRESSURE_UNITS, unit_factors

HARTREE = 27.211386245988  # eV
BOHR = 0.529177210903  # Å
ELEMENTARY_CHARGE = 1.602176634e-19  # J in one eV
AVOGADRO = 6.02214076e23
KCAL_PER_MOL = 4184.0 / (AVOGADRO * ELEMENTARY_CHARGE)
GPA = 1e9 * 1e-30 / ELEMENTARY_CHARGE  # eV/Å³


@pytest.mark.parametrize(
    ("quantity", "unit", "value"),
    [
        ("energy", "eV", 1.0),
        ("energy", "meV", 1e-3),
        ("energy", "Ha", HARTREE),
        ("energy", "Hartree", HARTREE),
        ("energy", "Ry", HARTREE / 2),
        ("energy", "kcal/mol", KCAL_PER_MOL),
        ("energy", "KJ/mol", KCAL_PER_MOL / 4.184),
        ("length", "Å", 1.0),
        ("length", "\N{ANGSTROM SIGN}", 1.0),  # the other code point that looks like Å
        ("length", "Angstrom", 1.0),
        ("length", "Bohr", BOHR),
        ("length", "nm", 10.0),
        ("length", "pm", 0.01),
        ("forces", "eV/Å", 1.0),
        ("forces", "eV/A", 1.0),
        ("forces", "meV/Angstrom", 1e-3),
        ("forces", "Ha/Bohr", HARTREE / BOHR),
        ("forces", "Ry / bohr", HARTREE / BOHR / 2),
        ("forces", "kcal/mol/Å", KCAL_PER_MOL),
        ("forces", "kJ/mol/nm", KCAL_PER_MOL / 41.84),
        ("stress", "eV/Å^3", 1.0),
        ("stress", "eV/Å³", 1.0),
        ("stress", "eV/A3", 1.0),
        ("stress", "meV/A**3", 1e-3),
        ("stress", "Ha/Bohr^3", HARTREE / BOHR**3),
        ("stress", "kcal/mol/nm^3", KCAL_PER_MOL / 1000),
        ("stress", "GPa", GPA),
        ("stress", "kBar", GPA / 10),
        ("stress", "-kbar", -GPA / 10),
        ("stress", "bar", GPA / 1e4),
        ("stress", "Pa", GPA / 1e9),
        ("virial", "Ha", HARTREE),
    ],
)
def test_factors(quantity, unit, value):
    # ASE's constants are CODATA 2014, which differ in the eighth digit.
    assert unit_factor(quantity, unit) == pytest.approx(value, rel=3e-8)


@pytest.mark.parametrize(
    ("quantity", "unit", "message"),
    [
        ("energy", "erg", "'erg' is not a known unit of energy; use eV, meV, Ha"),
        ("energy", "eV/Å", "not a known unit of energy"),
        ("energy", "-eV", "not a known unit of energy"),
        ("length", "inch", "use Å"),
        ("forces", "eV", "an energy over a length"),
        ("forces", "N", "an energy over a length"),
        ("forces", "eV/Å^3", "an energy over a length"),
        ("forces", "Bohr/Ha", "an energy over a length"),
        ("forces", "/", "an energy over a length"),
        ("forces", "", "an energy over a length"),
        ("stress", "eV/Å", "GPa, kBar"),
        ("stress", "psi", "GPa, kBar"),
        ("virial", "kBar", "an energy"),
        ("charge", "e", "units are known for energy, length, forces, stress, virial"),
    ],
)
def test_unknown_units_are_refused_with_those_there_are(quantity, unit, message):
    with pytest.raises(ValueError, match=message.replace("^", r"\^")):
        unit_factor(quantity, unit)
    with pytest.raises(ValueError, match="unit"):
        unit_factors({quantity: unit})


def test_tables_are_spelt_so_that_they_can_be_found():
    for quantity, table in (("energy", ENERGY_UNITS), ("length", LENGTH_UNITS), ("stress", PRESSURE_UNITS)):
        for unit, factor in table.items():
            assert unit_factor(quantity, unit) == factor
            assert unit_factor(quantity, unit.upper()) == factor
