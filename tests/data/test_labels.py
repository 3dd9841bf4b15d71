"""Which column a label is read from, what is said about it, and what is refused."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from cynosure.data import Frames, require_labels


def water(**info) -> Atoms:
    atoms = molecule("H2O")
    atoms.info.update(info)
    return atoms


def with_arrays(**arrays) -> Atoms:
    atoms = molecule("H2O")
    for name, value in arrays.items():
        atoms.new_array(name, np.full((3, 3), value))
    return atoms


@pytest.mark.parametrize(
    "key",
    [
        "energy",
        "REF_energy",
        "ref_energy",
        "dft_energy",
        "DFT_energy",
        "total_energy",
        "free_energy",
        "Energy",
    ],
)
def test_energies_under_well_known_names(key):
    frames = Frames.from_atoms([water(**{key: -3.5})])
    assert frames[0].energy == -3.5
    assert f"energy: 1 of 1 frames, info key '{key}'" in str(frames.summary())


@pytest.mark.parametrize(
    "key", ["forces", "force", "REF_forces", "ref_force", "dft_forces", "DFT_forces", "Forces"]
)
def test_forces_under_well_known_names(key):
    frames = Frames.from_atoms([with_arrays(**{key: 0.5})])
    np.testing.assert_array_equal(frames[0].forces, np.full((3, 3), 0.5))


@pytest.mark.parametrize("key", ["stress", "REF_stress", "dft_stress"])
@pytest.mark.parametrize("shape", [(6,), (9,), (3, 3)])
def test_stress_in_every_shape(key, shape):
    matrix = np.array([[1.0, 6, 5], [6, 2, 4], [5, 4, 3]])
    value = np.arange(1.0, 7.0) if shape == (6,) else matrix.reshape(shape)
    np.testing.assert_array_equal(Frames.from_atoms([water(**{key: value})])[0].stress, matrix)


def test_a_stress_matrix_is_made_symmetric():
    matrix = np.arange(9.0).reshape(3, 3)
    frame = Frames.from_atoms([water(stress=matrix)])[0]
    np.testing.assert_array_equal(frame.stress, 0.5 * (matrix + matrix.T))


def test_the_calculator_comes_first_and_a_named_column_before_it():
    atoms = water(energy=1.0, REF_energy=2.0)
    atoms.calc = SinglePointCalculator(atoms, energy=3.0, free_energy=4.0)
    assert Frames.from_atoms([atoms])[0].energy == 3.0
    assert Frames.from_atoms([atoms], keys={"energy": "REF_energy"})[0].energy == 2.0
    assert Frames.from_atoms([atoms], keys={"energy": "free_energy"})[0].energy == 4.0
    assert "not read: REF_energy, free_energy" in str(Frames.from_atoms([atoms]).summary())


def test_results_of_another_geometry_do_not_count_and_are_not_lost():
    atoms = water()
    atoms.calc = SinglePointCalculator(atoms, energy=3.0)
    atoms.positions[0] += 0.1
    assert Frames.from_atoms([atoms]).label_counts()["energy"] == 0
    assert atoms.calc.results == {"energy": 3.0}


def test_nothing_is_calculated():
    atoms = water()
    atoms.calc = EMT()
    assert Frames.from_atoms([atoms]).label_counts() == {"energy": 0, "forces": 0, "stress": 0}
    assert atoms.calc.results == {}


def test_two_names_for_one_label_are_not_mixed():
    with pytest.raises(
        ValueError, match=r"structures, frame 1: .*'REF_energy', but under the info key 'energy'"
    ):
        Frames.from_atoms([water(energy=1.0), water(REF_energy=1.0)])
    frames = Frames.from_atoms([water(energy=1.0), water(REF_energy=2.0)], keys={"energy": "REF_energy"})
    assert frames.label_counts()["energy"] == 1
    assert np.isnan(frames[0].energy)
    assert frames[1].energy == 2.0


def test_a_named_column_that_is_nowhere_lists_those_there_are():
    atoms = with_arrays(my_forces=1.0)
    atoms.info["REF_energy"] = 1.0
    with pytest.raises(
        ValueError, match=r"no frame has the column 'Eref' named for 'energy'.*REF_energy, my_f"
    ):
        Frames.from_atoms([atoms], keys={"energy": "Eref"})
    with pytest.raises(ValueError, match="columns there: none"):
        Frames.from_atoms([water()], keys={"virial": "V"})


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"enrgy": "E"}, "'enrgy'; the labels are energy, forces, stress, virial"),
        ({"stress": "REF_virial"}, "name it as virial=REF_virial"),
        ({"stress": "S", "virial": "V"}, "both stress and virial"),
    ],
)
def test_keys_that_cannot_be_meant(keys, message):
    with pytest.raises(ValueError, match=message):
        Frames.from_atoms([water(energy=1.0)], keys=keys)


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({"energy": [1.0, 2.0]}, r"label 'energy' \(info key 'energy'\) has shape \(2,\); one number"),
        ({"energy": "unknown"}, "'energy'.* is not a number or an array: 'unknown'"),
        ({"stress": [1.0, 2.0]}, r"\(3, 3\), \(9,\) or Voigt \(6,\) was expected"),
    ],
)
def test_values_of_the_wrong_shape(info, message):
    with pytest.raises(ValueError, match="structures, frame 0: .*" + message):
        Frames.from_atoms([water(**info)])


def test_forces_of_the_wrong_shape():
    atoms = molecule("H2O")
    atoms.new_array("forces", np.zeros(3))
    with pytest.raises(ValueError, match=r"'forces' .* has shape \(3,\); \(3, 3\) was expected"):
        Frames.from_atoms([atoms])


def test_units_are_converted_when_named_and_only_then():
    atoms = Atoms("He2", [[0, 0, 0], [0, 0, 1.0]], cell=[2, 2, 2], pbc=True)
    atoms.info.update(energy=1.0, stress=np.arange(6.0))
    atoms.new_array("forces", np.full((2, 3), 1.0))
    plain = Frames.from_atoms([atoms])[0]
    units = {"energy": "Ha", "length": "Bohr", "forces": "Ha/Bohr", "stress": "-kBar"}
    frames = Frames.from_atoms([atoms], units=units)
    hartree, bohr, kbar = 27.211386, 0.52917721, 6.2415091e-4
    assert (plain.energy, plain.positions[1, 2], plain.forces[0, 0]) == (1.0, 1.0, 1.0)
    assert frames[0].energy == pytest.approx(hartree)
    np.testing.assert_allclose(frames[0].positions, bohr * atoms.positions, rtol=1e-7)
    np.testing.assert_allclose(frames[0].cell, 2 * bohr * np.eye(3), rtol=1e-7)
    np.testing.assert_allclose(frames[0].forces, hartree / bohr, rtol=1e-7)
    np.testing.assert_allclose(frames[0].stress, -kbar * plain.stress, rtol=1e-7)
    text = str(frames.summary())
    for part in (
        "converted from Ha\n",
        "from Ha/Bohr",
        "from -kBar",
        "positions and cell: converted from Bohr",
    ):
        assert part in text
    assert "converted" not in str(Frames.from_atoms([atoms]).summary())
    only_energy = Frames.from_atoms([atoms], units={"energy": "Ha"})[0]
    assert only_energy.forces[0, 0] == 1.0


def test_a_virial_is_divided_by_the_converted_volume():
    atoms = Atoms("He", cell=[2, 2, 2], pbc=True, info={"virial": np.eye(3)})
    frames = Frames.from_atoms([atoms], units={"length": "nm", "virial": "meV"})
    np.testing.assert_allclose(frames[0].stress, -1e-3 / 8000.0 * np.eye(3))
    assert "converted from meV" in str(frames.summary())


def test_unknown_units_are_refused():
    with pytest.raises(ValueError, match="not a known unit of energy"):
        Frames.from_atoms([water(energy=1.0)], units={"energy": "furlong"})


def test_structures_are_not_changed():
    atoms = water(energy=1.0, config_type="x", key_value_pairs={"a": 1.0})
    atoms.calc = SinglePointCalculator(atoms, forces=np.ones((3, 3)))
    before, info = atoms.copy(), dict(atoms.info)
    frames = Frames.from_atoms([atoms], units={"length": "Bohr"})
    assert atoms == before
    assert atoms.info == info
    assert not np.shares_memory(frames[0].positions, atoms.positions)


def test_required_labels():
    frames = Frames.from_atoms([water(energy=1.0, my_stress=np.eye(3)), water()], source="data.xyz")
    require_labels(frames, ["energy"])
    require_labels(frames, [])
    with pytest.raises(
        ValueError, match=r"label 'stress' is not in data.xyz although its loss weight is on"
    ) as caught:
        require_labels(frames, ["energy", "stress"])
    for part in ("energy (info key 'energy', 1 of 2 frames)", "not read: my_stress", "--key stress=COLUMN"):
        assert part in str(caught.value)
    with pytest.raises(ValueError, match="found: no labels; columns not read: none"):
        require_labels(Frames.from_atoms([water()]), ["forces"])
    with pytest.raises(ValueError, match="no label 'dipole'"):
        require_labels(frames, ["dipole"])
    with pytest.raises(ValueError, match="'energy' is not in"):
        require_labels(frames.subset([1]), ["energy"])
