"""`cynosure eval` as it is typed."""

import json
import sys

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

import cynosure
from cynosure import cli


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.safetensors"
    cynosure.build({"channels": 2, "layers": 1, "l_max": 1, "cutoff": 3.0}, ["H", "O"]).save(path)
    return path


def labelled(seed, **labels):
    rng = np.random.default_rng(seed)
    atoms = Atoms("H2O", rng.uniform(0.5, 3.0, size=(3, 3)) + np.arange(3)[:, None], cell=[6, 6, 6], pbc=True)
    atoms.calc = SinglePointCalculator(atoms, **labels)
    return atoms


@pytest.fixture
def evaluate(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["cynosure", "eval", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as leaving:
            code = leaving.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_the_numbers_are_those_of_the_calculator(model, tmp_path, evaluate):
    frames = [
        labelled(seed, energy=float(seed), forces=np.full((3, 3), 0.1 * seed), stress=np.full(6, 0.01 * seed))
        for seed in range(3)
    ]
    write(tmp_path / "frames.xyz", frames)
    code, out, err = evaluate(model, tmp_path / "frames.xyz", "--json", tmp_path / "errors.json")
    assert code == 0, err
    result = json.loads((tmp_path / "errors.json").read_text())

    calculator = cynosure.Calculator(model)
    residuals = {"energy": [], "energy_per_atom": [], "forces": [], "stress": []}
    for atoms in frames:
        fresh = atoms.copy()
        fresh.calc = calculator
        difference = fresh.get_potential_energy() - atoms.get_potential_energy()
        residuals["energy"].append(difference)
        residuals["energy_per_atom"].append(difference / 3)
        residuals["forces"].append(fresh.get_forces() - atoms.get_forces())
        residuals["stress"].append(fresh.get_stress(voigt=False) - atoms.get_stress(voigt=False))
    assert result["n_structures"] == 3
    for name, values in residuals.items():
        flat = np.abs(np.concatenate([np.ravel(value) for value in values]))
        assert result[name]["n"] == flat.size
        assert result[name]["mae"] == pytest.approx(flat.mean(), rel=1e-4)
        assert result[name]["rmse"] == pytest.approx(np.sqrt((flat**2).mean()), rel=1e-4)
        assert result[name]["max"] == pytest.approx(flat.max(), rel=1e-4)
    assert "3 structures" in out
    assert "GPa" in out


def test_a_page_shows_the_errors(model, tmp_path, evaluate):
    write(tmp_path / "frames.xyz", [labelled(seed, energy=1.0, forces=np.ones((3, 3))) for seed in range(2)])
    code, out, err = evaluate(model, tmp_path / "frames.xyz", "--report", tmp_path / "page.html")
    assert code == 0, err
    page = (tmp_path / "page.html").read_text()
    forces = next(line for line in out.splitlines() if line.startswith("forces ")).split()
    assert f"<td>{forces[2]}</td><td>{forces[3]}</td><td>{forces[4]}</td>" in page
    for part in (
        "model.safetensors on frames.xyz",
        "Prediction against reference",
        "Where the force errors are",
    ):
        assert part in page
    for part in ("How it learnt", "Settings"):
        assert part not in page


def test_stress_components_in_a_wrong_order_are_noticed(model, tmp_path, evaluate):
    frames = []
    for seed in range(6):
        atoms = labelled(seed)
        atoms.calc = cynosure.Calculator(model)
        stress = atoms.get_stress()
        stress[[3, 4]] = stress[[4, 3]]
        atoms.calc = SinglePointCalculator(atoms, energy=0.0, stress=stress)
        frames.append(atoms)
    write(tmp_path / "frames.xyz", frames)
    code, out, _ = evaluate(model, tmp_path / "frames.xyz")
    assert code == 0
    assert "if what stands at yz xz xy is xz yz xy" in " ".join(out.split())


def test_only_what_is_labelled_is_measured_and_columns_and_units_can_be_named(model, tmp_path, evaluate):
    atoms = labelled(0)
    atoms.calc = None
    atoms.info["E_dft"] = -23.0605
    write(tmp_path / "frames.xyz", atoms)
    arguments = [model, tmp_path / "frames.xyz", "--json", tmp_path / "a.json", "--key", "energy=E_dft"]
    assert evaluate(*arguments)[0] == 0
    plain = json.loads((tmp_path / "a.json").read_text())
    assert set(plain) == {"n_structures", "energy", "energy_per_atom"}
    assert evaluate(*arguments, "--unit", "energy=kcal/mol")[0] == 0
    converted = json.loads((tmp_path / "a.json").read_text())
    assert abs(plain["energy"]["mae"] - converted["energy"]["mae"]) == pytest.approx(22.0605, abs=1e-3)


def test_what_is_wrong_is_said_without_a_traceback(model, tmp_path, evaluate):
    write(tmp_path / "bare.xyz", Atoms("H2", [[0, 0, 0], [0, 0, 0.8]]))
    write(tmp_path / "iron.xyz", labelled(0, energy=1.0))
    iron = labelled(0, energy=1.0)
    iron.symbols[0] = "Fe"
    write(tmp_path / "iron.xyz", iron)
    (tmp_path / "cut.safetensors").write_bytes(model.read_bytes()[:-7])
    cases = [
        ((model, tmp_path / "nothing.xyz"), "nothing.xyz"),
        ((tmp_path / "nothing.safetensors", tmp_path / "iron.xyz"), "nothing.safetensors"),
        ((tmp_path / "cut.safetensors", tmp_path / "iron.xyz"), "cut.safetensors"),
        ((tmp_path / "iron.xyz", tmp_path / "iron.xyz"), "iron.xyz"),
        ((model, tmp_path / "bare.xyz"), "no energy, forces or stress"),
        ((model, tmp_path / "iron.xyz"), "has Fe, which the model does not know"),
        ((model, tmp_path / "iron.xyz", "--device", "nowhere"), "nowhere"),
    ]
    for arguments, message in cases:
        code, _, err = evaluate(*arguments)
        assert code == 2, message
        assert err.startswith("error: ")
        assert message in err
