"""Reading one structure: the right frame, everything that dynamics need, and plain words for what is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.io import write

from cynosure.deploy import read_structure, read_structures


@pytest.fixture
def frames(silicon) -> list[Atoms]:
    made = []
    for number in range(3):
        frame = silicon.copy()
        frame.positions += number
        frame.set_momenta(np.full((8, 3), float(number)))
        frame.set_constraint(FixAtoms([1]))
        made.append(frame)
    return made


def test_the_last_frame_or_the_one_that_is_named(frames, tmp_path):
    path = tmp_path / "many.traj"
    write(path, frames)
    for name, expected in ((path, 2), (f"{path}@0", 0), (f"{path}@-2", 1)):
        atoms = read_structure(name)
        np.testing.assert_allclose(atoms.positions, frames[expected].positions)
        np.testing.assert_allclose(atoms.get_momenta(), frames[expected].get_momenta())
        assert len(atoms.constraints) == 1


@pytest.mark.parametrize(
    ("chosen", "numbers"),
    [("", [0, 1, 2]), ("@:", [0, 1, 2]), ("@1:", [1, 2]), ("@::2", [0, 2]), ("@-1", [2])],
)
def test_several_frames_come_with_their_numbers(frames, tmp_path, chosen, numbers):
    write(tmp_path / "many.traj", frames)
    found = read_structures(f"{tmp_path / 'many.traj'}{chosen}")
    assert list(found) == numbers
    for number, atoms in found.items():
        np.testing.assert_allclose(atoms.positions, frames[number].positions)


@pytest.mark.parametrize("chosen", ["@3", "@-4", "@5:", "@::0"])
def test_frames_that_are_not_there_are_told(frames, tmp_path, chosen):
    write(tmp_path / "many.traj", frames)
    with pytest.raises(ValueError, match=r"no such frame; the file has 3"):
        read_structures(f"{tmp_path / 'many.traj'}{chosen}")


def test_one_structure_is_not_several(frames, tmp_path):
    write(tmp_path / "many.traj", frames)
    with pytest.raises(ValueError, match="several frames"):
        read_structure(f"{tmp_path / 'many.traj'}@:")


def test_a_name_with_an_at_sign_is_a_name(frames, tmp_path):
    path = tmp_path / "run@2"
    write(path, frames[1], format="extxyz")
    np.testing.assert_allclose(read_structure(path).positions, frames[1].positions)


def test_what_is_missing_is_named(tmp_path):
    for name in ("gone.xyz", "gone.xyz@3"):
        with pytest.raises(FileNotFoundError, match=r"no file .*gone\.xyz "):
            read_structure(tmp_path / name)
    with pytest.raises(ValueError, match="not a file"):
        read_structure(tmp_path)


def test_what_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "broken.xyz"
    path.write_text("3\nhello\nH 0 0 0\n")
    with pytest.raises(ValueError, match=r"ASE cannot read .*broken\.xyz"):
        read_structure(path)
    write(tmp_path / "one.xyz", Atoms("H"))
    with pytest.raises(ValueError, match="@7"):
        read_structure(tmp_path / "one.xyz@7")


def test_impossible_structures_are_refused(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text("2\nProperties=species:S:1:pos:R:3\nH 0 0 0\nH nan 0 0\n")
    with pytest.raises(ValueError, match="position of atom 1 is not finite"):
        read_structure(path)
    write(tmp_path / "empty.traj", Atoms())
    with pytest.raises(ValueError, match="no atoms"):
        read_structure(tmp_path / "empty.traj")
    path.write_text('1\nLattice="inf 0 0 0 1 0 0 0 1" Properties=species:S:1:pos:R:3 pbc="F F F"\nH 0 0 0\n')
    with pytest.raises(ValueError, match="cell is not finite"):
        read_structure(path)


def test_moments_and_charges_stay_columns(tmp_path):
    """ASE takes columns of these names for results of a calculator, which go when a model becomes the calculator."""
    atoms = molecule("H2O")
    moments = np.arange(9.0).reshape(3, 3)
    atoms.calc = SinglePointCalculator(atoms, energy=1.0, magmoms=moments, dipole=np.ones(3))
    atoms.arrays["charges"] = np.array([0.4, -0.8, 0.4])
    write(tmp_path / "told.xyz", atoms)
    found = read_structure(tmp_path / "told.xyz")
    found.calc = None
    np.testing.assert_array_equal(found.arrays["magmoms"], moments)
    np.testing.assert_array_equal(found.arrays["charges"], [0.4, -0.8, 0.4])
    np.testing.assert_array_equal(found.info["dipole"], np.ones(3))
    assert "energy" not in found.info
