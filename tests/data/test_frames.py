"""The columnar store: what goes in comes out, subsets share, summaries count."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator

from cynosure.data import Frames


def structures() -> list[Atoms]:
    """Molecules and a crystal, some with labels, in groups."""
    found = [molecule("H2O"), molecule("CH4"), bulk("Si"), molecule("H2O"), Atoms("O")]
    for number, atoms in enumerate(found):
        atoms.info["group" if number % 2 else "config_type"] = "crystal" if atoms.pbc.all() else "molecule"
        atoms.info["energy"] = -float(number)
        if number % 2 == 0:
            atoms.new_array("forces", np.random.default_rng(number).normal(size=(len(atoms), 3)))
    found[2].info["stress"] = np.arange(6.0)
    del found[4].info["energy"], found[4].info["config_type"]
    return found


def test_what_goes_in_comes_out():
    frames = Frames.from_atoms(structures(), source="here")
    assert len(frames) == 5
    for number, (frame, atoms) in enumerate(zip(frames, structures(), strict=True)):
        assert frame.atomic_numbers.tolist() == atoms.numbers.tolist()
        np.testing.assert_array_equal(frame.positions, atoms.positions)
        np.testing.assert_array_equal(frame.cell, atoms.cell.array)
        assert frame.pbc.tolist() == atoms.pbc.tolist()
        assert frame.source == f"here, frame {number}"
        assert np.isnan(frame.energy) == (number == 4)
        assert np.isnan(frame.forces).all() == (number % 2 == 1)
        assert np.isnan(frame.stress).all() == (number != 2)
    assert [set(frame.labels()) for frame in frames] == [
        {"energy", "forces"},
        {"energy"},
        {"energy", "forces", "stress"},
        {"energy"},
        {"forces"},
    ]
    assert frames.groups == ["molecule", "molecule", "crystal", "molecule", ""]


def test_summary_counts():
    frames = Frames.from_atoms(structures())
    assert frames.species() == [1, 6, 8, 14]
    assert frames.label_counts() == {"energy": 4, "forces": 3, "stress": 1}
    summary = frames.summary()
    assert summary.elements == {"H": 8, "C": 1, "O": 3, "Si": 2}
    assert summary.groups == {"molecule": 3, "crystal": 1, "": 1}
    assert (summary.n_frames, summary.n_atoms) == (5, 14)
    assert str(summary).splitlines() == [
        "structures: 5 frames, 14 atoms (H 8, C 1, O 3, Si 2)",
        "  energy: 4 of 5 frames, info key 'energy'",
        "  forces: 3 of 5 frames, arrays key 'forces'",
        "  stress: 1 of 5 frames, info key 'stress'",
        "  groups: molecule 3, crystal 1, (none) 1",
    ]


def test_subset_is_in_its_order_and_shares_memory():
    frames = Frames.from_atoms(structures())
    part = frames.subset([3, 0])
    assert [frame.source for frame in part] == ["structures, frame 3", "structures, frame 0"]
    assert part.species() == [1, 8]
    assert part.label_counts() == {"energy": 2, "forces": 1, "stress": 0}
    assert part.atom_counts.tolist() == [3, 3]
    assert part.energies.tolist() == [-3.0, 0.0]
    assert part.subset([1])[0].source == "structures, frame 0"
    assert np.shares_memory(part[0].positions, frames[3].positions)
    mask = np.array([False, True, False, False, True])
    assert [frame.source[-1] for frame in frames.subset(mask)] == ["1", "4"]
    assert len(frames.subset([])) == 0
    with pytest.raises(IndexError):
        frames.subset([5])


def test_indices_have_bounds():
    frames = Frames.from_atoms(structures())
    assert frames[-1].source == "structures, frame 4"
    for index in (5, -6):
        with pytest.raises(IndexError, match="of 5 frames"):
            frames[index]


def test_arrays_are_read_only():
    frame = Frames.from_atoms(structures())[0]
    with pytest.raises(ValueError, match="read-only"):
        frame.positions[0] = 0.0


def test_atoms_come_back_with_their_labels():
    for frame, atoms in zip(Frames.from_atoms(structures()), structures(), strict=True):
        back = frame.to_atoms()
        assert back.get_chemical_formula() == atoms.get_chemical_formula()
        again = Frames.from_atoms([back])
        assert again.content_hash() == Frames.from_atoms([atoms]).content_hash()
        assert again[0].group == frame.group


def test_content_hash_follows_the_content_only():
    base = Frames.from_atoms(structures()).content_hash()
    assert Frames.from_atoms(structures(), source="elsewhere").content_hash() == base
    assert Frames.from_atoms(structures()).subset([0, 1, 2, 4, 3]).content_hash() != base
    assert Frames.from_atoms(structures()).subset(range(4)).content_hash() != base
    for change in ("positions", "energy", "forces", "cell", "pbc", "species", "stress"):
        changed = structures()
        if change == "positions":
            changed[0].positions[0, 0] += 1e-12
        if change == "energy":
            changed[0].info["energy"] += 1e-12
        if change == "forces":
            changed[0].arrays["forces"][0] += 1e-12
        if change == "cell":
            changed[0].cell[0, 0] += 1e-12
        if change == "pbc":
            changed[2].pbc[0] = False
        if change == "species":
            changed[0].numbers[0] = 16
        if change == "stress":
            changed[2].info["stress"] = np.arange(6.0) * (1 + 1e-12)
        assert Frames.from_atoms(changed).content_hash() != base, change


def test_no_structures():
    with pytest.raises(ValueError, match="structures: there are no frames"):
        Frames.from_atoms([])


def test_a_group_of_numbers_is_read_as_text():
    atoms = Atoms("He", info={"group": 3})
    frame = Frames.from_atoms([atoms])[0]
    assert frame.group == "3"
    assert frame.to_atoms().info["group"] == "3"
    assert frame.to_atoms().calc is None


def test_voigt_order_of_the_atoms_given_back():
    atoms = bulk("Si")
    atoms.calc = SinglePointCalculator(atoms, stress=np.arange(6.0))
    np.testing.assert_array_equal(Frames.from_atoms([atoms])[0].to_atoms().get_stress(), np.arange(6.0))
