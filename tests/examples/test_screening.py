"""Polymorphs: the crystals are those of their sources, the comparison counts right, and the whole road is run."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.neighborlist import neighbor_list

from cynosure.analysis import Outcome, Screening

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def screening(monkeypatch) -> SimpleNamespace:
    """The modules of the example, which is imported from the root of the repository."""
    monkeypatch.syspath_prepend(ROOT)
    return SimpleNamespace(
        **{name: importlib.import_module(f"examples.screening.{name}") for name in ("crystals", "comparison")}
    )


def test_crystals_have_the_bonds_of_their_kind(screening):
    """Four oxygens around silicon; six around titanium, and in stishovite."""
    for name, atoms in screening.crystals.candidates().items():
        if "shaken" in name:
            continue
        first, second, lengths = neighbor_list("ijd", atoms, 2.4)
        metal = atoms.numbers != 8
        assert set(atoms.symbols) in ({"Ti", "O"}, {"Si", "O"})
        assert np.count_nonzero(~metal) == 2 * np.count_nonzero(metal), name
        bonds = metal[first] & ~metal[second]
        coordination, lengths = np.bincount(first[bonds], minlength=len(atoms)), lengths[bonds]
        octahedra = "Ti" in atoms.symbols or name == "stishovite"
        assert set(coordination[metal]) == {6 if octahedra else 4}, name
        shortest, longest = (1.7, 2.3) if octahedra else (1.54, 1.63)
        assert shortest < lengths.min(), name
        assert lengths.max() < longest, name


@pytest.mark.parametrize(
    ("name", "density"),  # g/cm³, measured ones
    [
        ("rutile", 4.25),
        ("anatase", 3.89),
        ("brookite", 4.12),
        ("α-quartz", 2.65),
        ("α-cristobalite", 2.33),
        ("coesite", 2.92),
        ("stishovite", 4.28),
    ],
)
def test_crystals_are_as_dense_as_they_are(screening, name, density):
    atoms = screening.crystals.POLYMORPHS[name].atoms()
    found = float(atoms.get_masses().sum()) / atoms.cell.volume / 0.602214076
    assert found == pytest.approx(density, rel=0.01)


def test_a_comparison_counts_from_its_zero(screening):
    def outcome(name: str, energy: float) -> Outcome:
        atoms = Atoms("TiO2", cell=[3, 3, 3], pbc=True)
        atoms.calc = SinglePointCalculator(atoms, energy=3 * energy)
        return Outcome(name, "", atoms)

    energies = {"anatase": -1.0, "brookite": -0.985, "columbite": -0.99, "rutile": -0.97}
    found = Screening(tuple(outcome(name, energy) for name, energy in energies.items()))
    rows = screening.comparison.compared(found)["TiO2"]
    assert list(rows) == ["anatase", "columbite", "brookite", "rutile"]
    assert rows["rutile"]["above"] == pytest.approx(30.0)
    # (2.61 kJ/mol of TiO2 are 27 meV of three atoms.)
    assert rows["rutile"]["calorimetry"] == pytest.approx(-27.05 / 3, abs=0.01)
    verdict = screening.comparison.verdict(rows)
    assert verdict["PBE"]["largest difference"] == pytest.approx(15.0)
    assert not verdict["PBE"]["same order"]
    assert verdict["PBE"]["crystals"] == 4
    assert verdict["calorimetry"]["crystals"] == 3


def test_the_whole_road_by_one_command(run_example, tmp_path):
    done = run_example("screening", "--quick", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stdout + done.stderr
    numbers = json.loads((tmp_path / "out" / "numbers.json").read_text(encoding="utf-8"))
    assert set(numbers["TiO2"]) == {"rutile", "anatase"}
    assert (tmp_path / "out" / "screening.png").stat().st_size < 200_000
    assert (tmp_path / "out" / "screen" / "ranking.csv").exists()
    assert "calorim." in done.stdout
    # A folder that holds something is left as it is.
    again = run_example("screening", "--quick", "--out", str(tmp_path / "out"))
    assert again.returncode == 2
    assert "name another folder" in again.stderr


def test_without_a_model_it_says_how_to_get_one(run_example, tmp_path):
    done = run_example("screening", "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert "cynosure import 7net-0" in done.stderr
    assert not (tmp_path / "out").exists()
