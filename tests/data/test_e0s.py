"""Energies of isolated atoms: fitted, read, given; rank told, gaps named."""

import json

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from hypothesis import given, settings
from hypothesis import strategies as st

from cynosure.data import Frames, fit_e0s, isolated_e0s, parse_e0s, require_e0s
from cynosure.data import e0s as e0s_module

TRUE = {1: -13.6, 6: -1026.9, 8: -2037.8}


def with_energy(atoms: Atoms, extra: float = 0.0) -> Atoms:
    atoms.info["energy"] = sum(TRUE[number] for number in atoms.numbers) + extra
    return atoms


def molecules(*names: str) -> Frames:
    return Frames.from_atoms([with_energy(molecule(name)) for name in names])


def test_independent_compositions_determine_every_e0():
    fit = fit_e0s(molecules("H2O", "CH4", "CO2", "C2H6", "CH3OH"))
    assert fit.rank == fit.n_species == 3
    assert fit.e0s == pytest.approx(TRUE, abs=1e-9)
    assert fit.rmse_per_atom < 1e-10
    assert "rank 3 of 3" in str(fit)
    assert "do not determine" not in str(fit)


def test_one_composition_gives_the_shortest_solution():
    fit = fit_e0s(molecules("H2O", "H2O"))
    assert (fit.rank, fit.n_species) == (1, 2)
    energy = 2 * TRUE[1] + TRUE[8]
    # The solution of least norm lies along the composition (2, 1).
    assert fit.e0s == pytest.approx({1: 2 * energy / 5, 8: energy / 5}, rel=1e-12)
    assert "rank 1 of 2" in str(fit)
    assert "--e0s FILE" in str(fit)


@settings(deadline=None, derandomize=True, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.sampled_from([2, 7, 4096]))
def test_block_by_block_equals_all_at_once(seed, n, block):
    random = np.random.default_rng(seed)
    structures = []
    for _ in range(n):
        numbers = random.choice([1, 6, 8, 14], size=random.integers(1, 9))
        structures.append(
            Atoms(numbers, random.normal(size=(len(numbers), 3)), info={"energy": random.normal()})
        )
    frames = Frames.from_atoms(structures)
    species = frames.species()
    counts = np.array([[np.sum(atoms.numbers == z) / len(atoms) for z in species] for atoms in structures])
    energies = np.array([atoms.info["energy"] / len(atoms) for atoms in structures])
    solution, _, rank, _ = np.linalg.lstsq(counts, energies, rcond=1e-10)
    rmse = np.sqrt(np.mean((counts @ solution - energies) ** 2))
    default = e0s_module._BLOCK
    try:
        e0s_module._BLOCK = block
        fit = fit_e0s(frames)
    finally:
        e0s_module._BLOCK = default
    np.testing.assert_allclose(list(fit.e0s.values()), solution, atol=1e-9)
    assert fit.rank == rank
    assert fit.rmse_per_atom == pytest.approx(rmse, abs=1e-9)


def test_frames_without_energy_do_not_enter():
    structures = [with_energy(molecule("H2O")), molecule("CH4"), with_energy(molecule("H2O"))]
    fit = fit_e0s(Frames.from_atoms(structures))
    assert list(fit.e0s) == [1, 8]


def test_no_energies_cannot_be_fitted():
    with pytest.raises(ValueError, match=r"no frame of structures has an energy.*--key energy=COLUMN"):
        fit_e0s(Frames.from_atoms([molecule("H2O")]))


def write_atoms(path, symbols="HCO", extra=()):
    atoms = [with_energy(Atoms(symbol)) for symbol in symbols] + list(extra)
    ase.io.write(path, atoms, format="extxyz")
    return path


def test_isolated_atoms_from_a_file(tmp_path):
    path = write_atoms(tmp_path / "atoms.xyz", "OHCH")
    assert isolated_e0s(path) == TRUE
    assert list(isolated_e0s(path)) == [1, 6, 8]
    assert isolated_e0s(path, units={"energy": "meV"}) == pytest.approx(
        {z: 1e-3 * e for z, e in TRUE.items()}
    )
    assert parse_e0s(str(path)) == (TRUE, "isolated")


def test_isolated_atoms_under_a_named_column(tmp_path):
    ase.io.write(tmp_path / "a.xyz", Atoms("H", info={"E_atom": -13.0}), format="extxyz")
    assert isolated_e0s(tmp_path / "a.xyz", keys={"energy": "E_atom"}) == {1: -13.0}
    with pytest.raises(ValueError, match="frame 0: the isolated atom has no energy"):
        isolated_e0s(tmp_path / "a.xyz")


def test_a_molecule_is_no_isolated_atom(tmp_path):
    path = write_atoms(tmp_path / "a.xyz", "HC", [with_energy(molecule("H2O"))])
    with pytest.raises(ValueError, match=r"a\.xyz, frame 2: .* has 3 atoms"):
        isolated_e0s(path)


def test_two_energies_for_one_element(tmp_path):
    path = write_atoms(tmp_path / "a.xyz", "HC", [with_energy(Atoms("H"), extra=1e-3)])
    with pytest.raises(ValueError, match=r"frame 2: H is there with two energies, -13.6 and -13.599"):
        isolated_e0s(path)


def test_given_as_json(tmp_path):
    expected = ({1: -13.6, 14: 2.0}, "given")
    assert parse_e0s('{"Si": 2, "H": -13.6}') == expected
    assert parse_e0s(' {"14": 2.0, "1": -13.6}') == expected
    (tmp_path / "e0s.json").write_text('{"Si": 2, "H": -13.6}')
    assert parse_e0s(tmp_path / "e0s.json") == expected


def test_an_ase_database_may_end_in_json_too(tmp_path):
    from ase.calculators.singlepoint import SinglePointCalculator

    atom = Atoms("H")
    atom.calc = SinglePointCalculator(atom, energy=-13.6)
    ase.io.write(tmp_path / "atoms.json", atom)
    assert parse_e0s(tmp_path / "atoms.json") == ({1: -13.6}, "isolated")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"H": ', "not valid JSON"),
        ('{"Hx": 1.0}', "'Hx' is not a chemical symbol"),
        ('{"X": 1.0}', "'X' is not a chemical symbol"),
        ('{"0": 1.0}', "'0' is not a chemical symbol"),
        ('{"119": 1.0}', "'119' is not a chemical symbol"),
        ('{"H": "1.0"}', "E0 of H must be a finite number"),
        ('{"H": NaN}', "E0 of H must be a finite number"),
        ('{"H": -Infinity}', "E0 of H must be a finite number"),
        ('{"H": true}', "E0 of H must be a finite number"),
        ('{"H": null}', "E0 of H must be a finite number"),
        ('{"H": 1.0, "1": 2.0}', "H is there twice"),
    ],
)
def test_wrong_json(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        parse_e0s(text)
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=r"a\.json.*" + message):
        parse_e0s(tmp_path / "a.json")


def test_a_json_file_that_is_no_mapping(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([1, 2]))
    with pytest.raises(ValueError, match="a JSON object"):
        parse_e0s(tmp_path / "a.json")


def test_neither_json_nor_a_file():
    with pytest.raises(FileNotFoundError, match="no file 'fti', and it is not JSON"):
        parse_e0s("fti")


def test_elements_without_e0_are_named():
    require_e0s(TRUE, [1, 8])
    with pytest.raises(
        ValueError, match=r"the data have N, Si but no E0 is given for them .*one for H, C, O"
    ):
        require_e0s(TRUE, [14, 1, 7])
    with pytest.raises(ValueError, match=r"no E0 is given for it .*one for no element"):
        require_e0s({}, [1])
