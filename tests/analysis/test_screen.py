"""A screening: relaxed as `relax` does it, ranked, resumed bit for bit, and bad candidates told in words."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import bulk, molecule
from ase.io import read, write

from cynosure.analysis import screen
from cynosure.analysis.candidates import candidates_from, formula_of
from cynosure.deploy import Calculator, relax
from cynosure.potentials import Calibration, Potential, PotentialConfig

CUTOFF = 4.5
FILES = ("ranking.csv", "relaxed.extxyz", "screen.png")


class Wells(Potential):
    """Σ over pairs of 4ε ((s/r)⁸ − (s/r)⁴), smoothly cut off: with a core, and minima at every dense packing.

    Args:
        core: how much of the first term there is; with none of it everything collapses.
    """

    def __init__(self, core: float = 1.0, size: float = 2.0) -> None:
        ones, zeros = (1.0,) * 3, (0.0,) * 3
        calibration = Calibration(species=(1, 8, 14), e0s=(-1.0, -2.0, -3.0), scale=ones, shift=zeros)
        super().__init__(PotentialConfig(model="wells", cutoff=CUTOFF), calibration)
        self.core = torch.nn.Parameter(torch.tensor(core, dtype=torch.float64))
        self.size, self.zeros = size, zeros

    def atomic_energies(self, graph, species, vectors):
        lengths = torch.linalg.vector_norm(vectors, dim=1)
        x = lengths / CUTOFF
        envelope = torch.where(x < 1, (1 - x) ** 3 * (1 + 3 * x + 6 * x**2), torch.zeros_like(x))
        quarter = (self.size / lengths) ** 4
        halves = 0.5 * (self.core * quarter**2 - quarter) * envelope
        return vectors.new_zeros(graph.num_atoms).index_add(0, graph.receivers, halves)


@pytest.fixture(scope="module")
def wells() -> Wells:
    return Wells()


@pytest.fixture
def packings() -> dict[str, Atoms]:
    """Silicon as fcc, hcp, bcc and simple cubic, none of them at rest; and a molecule."""
    found = {
        "sc": bulk("Si", "sc", a=2.1),
        "bcc": bulk("Si", "bcc", a=2.6, cubic=True),
        "fcc": bulk("Si", "fcc", a=3.3),
        "hcp": bulk("Si", "hcp", a=2.3, c=3.9),
    }
    found["hcp"].rattle(0.05, seed=1)
    return {**found, "oxygen": Atoms("O2", positions=[[0, 0, 0], [0, 0, 2.2]])}


def rows_of(folder) -> list[dict[str, str]]:
    with (folder / "ranking.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def contents(folder) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def test_candidates_are_relaxed_as_relax_does_it_and_ranked(wells, packings, tmp_path):
    found = screen(wells, packings, tmp_path / "out", fmax=1e-4)
    assert found.settled
    for one in found.outcomes:
        alone = relax(wells, packings[one.name], cell=one.name != "oxygen", fmax=1e-4)
        assert one.energy == alone.after.energy / len(packings[one.name])
        assert np.array_equal(one.atoms.positions, alone.atoms.positions)
        assert np.array_equal(one.atoms.cell.array, alone.atoms.cell.array)
        assert one.atoms.calc.results.keys() == alone.atoms.calc.results.keys()
        assert all(
            np.array_equal(value, alone.atoms.calc.results[key])
            for key, value in one.atoms.calc.results.items()
        )
        assert one.steps == alone.after.step
    silicon = found.rankings["Si"]
    energies = [place.outcome.energy for place in silicon]
    assert energies == sorted(energies)
    assert [place.above for place in silicon] == [energy - energies[0] for energy in energies]
    assert len(silicon) == 4
    assert [place.outcome.name for place in found.rankings["O"]] == ["oxygen"]
    rows = rows_of(tmp_path / "out")
    assert [row["formula"] for row in rows] == ["O", "Si", "Si", "Si", "Si"]
    assert [row["name"] for row in rows[1:]] == [place.outcome.name for place in silicon]
    frames = read(tmp_path / "out" / "relaxed.extxyz", ":")
    assert [frame.info["name"] for frame in frames] == [row["name"] for row in rows]
    for row, frame in zip(rows, frames, strict=True):
        assert float(row["energy (eV/atom)"]) == pytest.approx(
            frame.get_potential_energy() / len(frame), abs=1e-7
        )
        if row["formula"] == "Si":
            volume = frame.cell.volume / len(frame)
            assert float(row["volume (Å³/atom)"]) == pytest.approx(volume, abs=1e-5)
            # (Silicon: 28.085 g/mol, and Avogadro's number.)
            assert float(row["density (g/cm³)"]) == pytest.approx(28.085 / 0.602214076 / volume, rel=1e-5)
        else:
            assert row["volume (Å³/atom)"] == row["density (g/cm³)"] == ""


def test_one_structure_in_two_guises_has_one_rank(wells, packings):
    twin = packings["fcc"].repeat((2, 1, 1))
    twin.rotate(30, "x", rotate_cell=True)
    given = {"fcc": packings["fcc"], "twin": twin, "sc": packings["sc"], "water": molecule("H2O")}
    places = screen(wells, given, fmax=1e-4).rankings["Si"]
    assert [place.rank for place in places] == [1, 1, 2]
    first, second, last = places
    assert {first.outcome.name, second.outcome.name} == {"fcc", "twin"}
    assert second.same_as == first.outcome.name
    assert second.remark == f"as {first.outcome.name}"
    assert first.same_as == last.same_as == ""


def test_pressure_ranks_by_enthalpy(wells, packings):
    """dH/dp = V, and the stress is −p."""
    pressures = (4.0, 5.0, 6.0)
    given = {name: packings[name] for name in ("fcc", "sc", "bcc")}
    found = [screen(wells, given, pressure=p, fmax=1e-5) for p in pressures]
    for i, name in enumerate(given):
        low, middle, high = (one.outcomes[i] for one in found)
        assert low.converged
        slope = (high.enthalpy - low.enthalpy) / (2 * units.GPa)
        assert slope == pytest.approx(middle.volume, rel=1e-3)
        assert middle.enthalpy == pytest.approx(middle.energy + 5 * units.GPa * middle.volume, rel=1e-12)
        np.testing.assert_allclose(
            middle.atoms.get_stress() / units.GPa, [-5, -5, -5, 0, 0, 0], atol=1e-3, err_msg=name
        )
    order = [place.outcome.enthalpy for place in found[1].rankings["Si"]]
    assert order == sorted(order)
    assert "enthalpy" in str(found[1].report("x").tables[0].columns)


def test_a_molecule_under_pressure_is_told(wells, packings):
    found = screen(wells, packings, pressure=1.0, steps=3)
    assert "periodic in all three directions" in found.outcomes[-1].problem
    with pytest.raises(ValueError, match="--fixed-cell"):
        screen(wells, packings, pressure=1.0, fixed_cell=True)


def test_a_fixed_cell_stays(wells, packings):
    found = screen(wells, {"hcp": packings["hcp"]}, fixed_cell=True)
    assert np.array_equal(found.outcomes[0].atoms.cell.array, packings["hcp"].cell.array)
    assert not np.array_equal(found.outcomes[0].atoms.positions, packings["hcp"].positions)


def test_what_is_finished_is_not_computed_again(wells, packings, tmp_path, monkeypatch):
    first = screen(wells, packings, tmp_path / "out", fmax=1e-3)
    before = contents(tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(Calculator, "calculate", lambda *_: pytest.fail("computed again"))
        notes: list[str] = []
        again = screen(wells, packings, tmp_path / "out", fmax=1e-3, on_note=notes.append)
    assert notes == ["5 of 5 candidates were finished before."]
    assert (again.finished_before, first.finished_before) == (5, 0)
    assert contents(tmp_path / "out") == before
    for one, other in zip(first.outcomes, again.outcomes, strict=True):
        assert one.energy == other.energy
        assert np.array_equal(one.atoms.get_forces(), other.atoms.get_forces())


def test_one_more_candidate_is_one_more_relaxation(wells, packings, tmp_path):
    some = {name: packings[name] for name in ("sc", "fcc")}
    screen(wells, some, tmp_path / "out")
    notes: list[str] = []
    found = screen(wells, packings, tmp_path / "out", on_note=notes.append)
    assert notes[0] == "2 of 5 candidates were finished before."
    assert len(notes) == 4
    screen(wells, packings, tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert len(found.outcomes) == 5


def test_another_model_or_other_settings_are_noticed(wells, packings, tmp_path):
    given = {"fcc": packings["fcc"]}
    screen(wells, given, tmp_path / "out")
    for model, options, message in (
        (wells, {"fmax": 0.02}, "fmax was 0.01 and is 0.02"),
        (wells, {"pressure": 1.0}, "pressure was 0.0 and is 1.0"),
        (wells, {"fixed_cell": True}, "fixed cell was False and is True"),
        (wells, {"dtype": "float32"}, "dtype was float64 and is float32"),
        (Wells(core=1.01), {}, "the model is another"),
    ):
        with pytest.raises(ValueError, match=f"{message}.*--overwrite"):
            screen(model, given, tmp_path / "out", **options)
    other = screen(Wells(core=1.01), given, tmp_path / "out", overwrite=True)
    assert other.finished_before == 0
    assert float(rows_of(tmp_path / "out")[0]["energy (eV/atom)"]) == pytest.approx(
        other.outcomes[0].energy, abs=1e-7
    )
    assert len(list((tmp_path / "out" / "finished").iterdir())) == 1


def test_a_structure_that_changed_is_noticed(wells, packings, tmp_path):
    screen(wells, packings, tmp_path / "out", fmax=1e-3)
    packings["sc"].set_cell(1.01 * packings["sc"].cell, scale_atoms=True)
    notes: list[str] = []
    screen(wells, packings, tmp_path / "out", fmax=1e-3, on_note=notes.append)
    assert notes[0].startswith("sc has changed since")
    assert notes[1] == "4 of 5 candidates were finished before."
    screen(wells, packings, tmp_path / "whole", fmax=1e-3)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_more_steps_go_to_those_that_gave_up(wells, packings, tmp_path):
    few = screen(wells, packings, tmp_path / "out", fmax=1e-3, steps=12)
    gave_up = {one.name for one in few.outcomes if not one.converged}
    assert 0 < len(gave_up) < 5, [one.steps for one in few.outcomes]
    for one in few.outcomes:
        if one.name in gave_up:
            assert one.problem.startswith("NOT converged after 12 steps")
            assert "allow more --steps" in one.problem
    assert all(place.rank is None for place in few.rankings["Si"] if place.outcome.name in gave_up)
    rows = {row["name"]: row for row in rows_of(tmp_path / "out")}
    assert {name for name, row in rows.items() if row["converged"] == "no"} == gave_up
    assert all(rows[name]["energy (eV/atom)"] and not rows[name]["rank"] for name in gave_up)
    more = screen(wells, packings, tmp_path / "out", fmax=1e-3, steps=300)
    assert more.settled
    assert more.finished_before == 5 - len(gave_up)
    screen(wells, packings, tmp_path / "whole", fmax=1e-3, steps=300)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    # And with few steps again, nobody is said to be at rest who took more.
    fewer = screen(wells, packings, tmp_path / "out", fmax=1e-3, steps=12)
    assert {one.name for one in fewer.outcomes if not one.converged} == gave_up


def test_bad_candidates_are_told_and_the_others_go_on(wells, packings, tmp_path):
    unsound = bulk("Si")
    unsound.positions[1, 2] = np.nan
    spot = bulk("Si")
    spot.positions[1] = spot.positions[0]
    write(tmp_path / "gold.extxyz", bulk("Au"))
    write(tmp_path / "fcc.extxyz", packings["fcc"])
    write(tmp_path / "unsound.traj", unsound)
    write(tmp_path / "spot.extxyz", spot)
    (tmp_path / "broken.cif").write_text("no crystal")
    found = screen(wells, [tmp_path], tmp_path / "out")
    problems = {one.name: one.problem for one in found.outcomes}
    assert problems.pop("fcc") == ""
    for name, words in (
        ("gold", "does not know Au"),
        ("unsound", "position of atom 1 is not finite"),
        ("spot", "on one spot"),
        ("broken", "ASE cannot read"),
    ):
        assert words in problems.pop(name)
    assert not problems
    assert not found.settled
    rows = {row["name"]: row for row in rows_of(tmp_path / "out")}
    assert rows["gold"]["formula"] == "Au"
    assert rows["gold"]["converged"] == "no"
    assert "does not know Au" in rows["gold"]["remark"]
    assert rows["broken"]["formula"] == rows["broken"]["energy (eV/atom)"] == ""
    assert [frame.info["name"] for frame in read(tmp_path / "out" / "relaxed.extxyz", ":")] == ["fcc"]
    words = str(found.report("title"))
    assert "4 of 5 did not come to rest" in words
    assert "ASE cannot read" in words


def test_a_collapse_is_told(packings, tmp_path):
    """Without repulsion the crystal falls into itself, and the molecule too."""
    found = screen(Wells(core=0.0), packings, tmp_path / "out")
    for one in found.outcomes:
        assert "have run into each other" in one.problem, one
        assert ("of its volume" in one.problem) == (one.name != "oxygen")
        assert one.steps > 0
    assert not (tmp_path / "out" / "screen.png").exists()
    # It is as finished as any other.
    assert screen(Wells(core=0.0), packings, tmp_path / "out").finished_before == 5


def test_what_breaks_down_is_told_and_tried_again(wells, packings, tmp_path, monkeypatch):
    healthy = Calculator.calculate

    def short_of_memory(self, atoms=None, *arguments):
        if len(atoms) == 2 and atoms.pbc.all():
            raise MemoryError("not enough")
        return healthy(self, atoms, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Calculator, "calculate", short_of_memory)
        found = screen(wells, packings, tmp_path / "out")
    assert {one.name: one.problem for one in found.outcomes if not one.converged} == {
        "bcc": "MemoryError: not enough",
        "hcp": "MemoryError: not enough",
    }
    again = screen(wells, packings, tmp_path / "out")
    assert again.settled
    assert again.finished_before == 3


def test_the_picture_has_a_panel_for_each_composition(wells, packings, tmp_path):
    from cynosure.analysis.screen_plot import plot_screening

    given = {**packings, "short": Atoms("O2", positions=[[0, 0, 0], [0, 0, 3.0]])}
    given["chain"] = Atoms("O3", positions=[[0, 0, 0], [0, 0, 2.3], [0, 0, 4.7]])
    found = screen(wells, given, tmp_path / "out", fmax=1e-3)
    figure = plot_screening(found)
    silicon, oxygen = figure.axes
    assert (silicon.get_title(loc="left"), oxygen.get_title(loc="left")) == ("Si", "O")
    distinct = [place for place in found.rankings["Si"] if not place.same_as]
    np.testing.assert_allclose(
        silicon.collections[0].get_offsets(),
        [[place.outcome.volume, 1000 * place.above] for place in distinct],
    )
    assert [text.get_text() for text in silicon.texts if text.get_text()] == [
        place.outcome.name for place in distinct
    ]
    assert "rank" in oxygen.get_xlabel()
    assert (tmp_path / "out" / "screen.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_names_are_of_files_frames_and_what_frames_say(packings, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    write(tmp_path / "a" / "POSCAR", packings["fcc"])
    write(tmp_path / "b" / "POSCAR", packings["sc"])
    named = packings["bcc"].copy()
    named.info["name"] = "cubic"
    write(tmp_path / "many.extxyz", [packings["fcc"], named, packings["sc"]])
    found = candidates_from([tmp_path / "a", tmp_path / "b" / "POSCAR", tmp_path / "many.extxyz"])
    assert [one.name for one in found] == [
        str(tmp_path / "a" / "POSCAR"),
        str(tmp_path / "b" / "POSCAR"),
        "many@0",
        "cubic",
        "many@2",
    ]
    assert [one.source for one in found[2:]] == [f"{tmp_path / 'many.extxyz'}@{i}" for i in range(3)]
    for choice, expected in (
        ("@1:", ["cubic", "many@2"]),
        ("@-1", ["many@2"]),
        ("@::2", ["many@0", "many@2"]),
    ):
        assert [one.name for one in candidates_from([f"{tmp_path / 'many.extxyz'}{choice}"])] == expected
    twice = candidates_from([tmp_path / "many.extxyz@1", tmp_path / "many.extxyz@1"])
    assert len({one.name for one in twice}) == 2


def test_a_folder_is_what_ase_may_read(packings, tmp_path):
    write(tmp_path / "fcc.extxyz", packings["fcc"])
    for name in ("README.md", "notes.txt", ".hidden.xyz", "picture.png"):
        (tmp_path / name).write_text("nothing")
    (tmp_path / "deeper.xyz").mkdir()
    assert [one.name for one in candidates_from([tmp_path])] == ["fcc"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no structure to relax"):
        candidates_from([tmp_path / "empty"])
    with pytest.raises(FileNotFoundError, match=r"gone\.cif"):
        candidates_from([tmp_path / "gone.cif"])


def test_results_are_not_candidates_of_their_own_screening(wells, packings, tmp_path):
    write(tmp_path / "fcc.extxyz", packings["fcc"])
    for given in (tmp_path, tmp_path / "fcc.extxyz", f"{tmp_path / 'fcc.extxyz'}@0"):
        with pytest.raises(ValueError, match="folder of the results"):
            screen(wells, [given], tmp_path)


def test_other_files_are_not_lost(wells, packings, tmp_path):
    (tmp_path / "relaxed.extxyz").write_text("old")
    with pytest.raises(FileExistsError, match="--overwrite"):
        screen(wells, packings, tmp_path)
    assert (tmp_path / "relaxed.extxyz").read_text() == "old"
    screen(wells, packings, tmp_path, steps=1, overwrite=True)
    (tmp_path / "setup.json").write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        screen(wells, packings, tmp_path, steps=1)
    (tmp_path / "file").write_text("old")
    with pytest.raises(ValueError, match="is a file"):
        screen(wells, packings, tmp_path / "file")


def test_a_damaged_record_is_computed_again(wells, packings, tmp_path):
    screen(wells, packings, tmp_path / "out", fmax=1e-3)
    before = contents(tmp_path / "out")
    one, *_ = sorted((tmp_path / "out" / "finished").iterdir())
    one.write_text(one.read_text()[:40])
    assert screen(wells, packings, tmp_path / "out", fmax=1e-3).finished_before == 4
    assert contents(tmp_path / "out") == before
    assert json.loads(one.read_text())["problem"] == ""


@pytest.mark.parametrize(
    ("symbols", "expected"),
    [
        ("O4Ti2", "TiO2"),
        ("O2Si", "SiO2"),
        ("OFePO3Li", "LiFePO4"),
        ("OH2", "H2O"),
        ("HHHN", "NH3"),
        ("C2H6O", "C2H6O"),
        ("ClNa", "NaCl"),
        ("AsGa", "GaAs"),
        ("CSi", "SiC"),
        ("O12Zr2La3Li7", "Li7La3Zr2O12"),
        ("Si8", "Si"),
        ("O3CeBa", "BaCeO3"),
        ("HeH", "HHe"),
    ],
)
def test_a_composition_has_one_formula(symbols, expected):
    atoms = Atoms(symbols)
    assert formula_of(atoms) == expected
    assert formula_of(atoms[::-1]) == formula_of(atoms.repeat(1) + atoms) == expected


@pytest.mark.parametrize(("option", "value"), [("fmax", 0.0), ("steps", -1), ("pressure", float("nan"))])
def test_settings_that_make_no_sense_are_refused(wells, packings, tmp_path, option, value):
    with pytest.raises(ValueError, match=option):
        screen(wells, packings, tmp_path / "out", **{option: value})
    assert not (tmp_path / "out").exists()
