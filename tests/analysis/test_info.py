"""A file is told apart, described, and what is suspicious about it is named."""

from __future__ import annotations

import re

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from cynosure.analysis import Report, describe_data, info
from cynosure.data import Frames
from cynosure.kernels import core
from cynosure.potentials import build

needs_core = pytest.mark.skipif(not core.available(), reason="the compiled core is off or was not built")


def labelled(atoms: Atoms, rng: np.random.Generator, *, stress: bool = False) -> Atoms:
    """A shaken copy with labels such as a calculation could have given."""
    atoms = atoms.copy()
    atoms.positions += rng.normal(0.0, 0.02, atoms.positions.shape)
    forces = rng.normal(0.0, 0.5, atoms.positions.shape)
    forces -= forces.mean(axis=0)
    results = {"energy": -3.0 * len(atoms) + 0.01 * rng.normal(), "forces": forces}
    if stress:
        results["stress"] = rng.normal(0.0, 0.01, 6)
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def relabel(atoms: Atoms, **labels) -> None:
    atoms.calc.results.update(labels)


@pytest.fixture
def good() -> list[Atoms]:
    rng = np.random.default_rng(0)
    return [labelled(molecule("CH3CH2OH"), rng) for _ in range(20)]


def cells(report: Report) -> str:
    return str(report)


def warned(frames: list[Atoms]) -> list[str]:
    return list(describe_data(Frames.from_atoms(frames, source="data.xyz")).warnings)


def test_a_good_set_is_described_without_a_warning(good, tmp_path):
    path = tmp_path / "data.xyz"
    for number, atoms in enumerate(good):
        atoms.info["config_type"] = "warm" if number < 15 else "hot"
    write(path, good)
    report = info(path)
    text = cells(report)
    assert not report.is_model
    assert report.warnings == ()
    assert report.next_steps == (f"cynosure train {path}",)
    assert "20 frames" in report.title
    for expected in (
        "9 to 9 per frame, 180 in all",
        "H (120), C (40), O (20)",
        "20 of 20",
        "0 of 20",
        "warm  15",
        "hot  5",
    ):
        assert expected in text, text
    energies = [atoms.get_potential_energy() / 9 for atoms in good]
    assert f"{min(energies):.4f} to {max(energies):.4f} eV/atom" in text
    forces = np.concatenate([atoms.get_forces() for atoms in good])
    assert f"RMS {np.sqrt(np.mean(forces**2)):.3f}" in text
    assert f"largest {np.linalg.norm(forces, axis=1).max():.2f}" in text


def test_crystals_have_pressures():
    rng = np.random.default_rng(0)
    frames = [labelled(bulk("Si", cubic=True), rng, stress=True) for _ in range(6)]
    report = describe_data(Frames.from_atoms(frames))
    pressures = [-frame.get_stress()[:3].mean() * 160.21766 for frame in frames]
    assert f"pressure {min(pressures):.2f} to {max(pressures):.2f} GPa" in cells(report)
    assert "6 periodic" in cells(report)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda frames: frames[3].positions.__setitem__(1, frames[3].positions[0] + 0.4),
            "frame 3: atoms 0 and 1, 0.69",
        ),
        (lambda frames: frames[3].positions.__setitem__(1, frames[3].positions[0]), "frame 3: .*on one spot"),
        (
            lambda frames: frames[4].calc.results["forces"].__setitem__(2, [90, 0, 0]),
            "90 eV/Å: data.xyz, frame 4, atom 2",
        ),
        (
            lambda frames: frames[4].calc.results["forces"].__iadd__(0.3),
            r"in 1 frames .*worst 0\.520.*frame 4",
        ),
        (
            lambda frames: relabel(frames[5], forces=np.zeros((9, 3))),
            "1 frames have forces that are all zero .*frame 5",
        ),
        (
            lambda frames: frames.append(frames[2].copy()),
            "1 frames repeat .*frame 20 that of data.xyz, frame 2",
        ),
        (lambda frames: relabel(frames[6], energy=-30.0), "1 energies are far .*frame 6"),
        (lambda frames: frames[7].calc.results.pop("forces"), "only some frames have forces"),
        (lambda frames: frames[8].numbers.__setitem__(0, 7), "fewer than 5 frames have N"),
    ],
)
def test_what_looks_wrong_is_named(good, spoil, message):
    spoil(good)
    found = warned(good)
    assert any(re.search(message, warning) for warning in found), found


def test_only_what_is_wrong_is_named(good):
    relabel(good[6], energy=-30.0)
    assert len(warned(good)) == 1


def test_lone_atoms_are_for_e0s():
    frames = []
    for symbol in "HCO":
        atoms = Atoms(symbol)
        atoms.calc = SinglePointCalculator(atoms, energy=-10.0)
        frames.append(atoms)
    report = describe_data(Frames.from_atoms(frames, source="atoms.xyz"))
    assert report.next_steps == ("cynosure train DATA --e0s atoms.xyz",)
    assert report.warnings == ()


def test_without_labels_the_next_step_names_them():
    report = describe_data(Frames.from_atoms([molecule("H2O")], source="data.xyz"))
    assert "--key energy=COLUMN" in report.next_steps[0]


def test_named_columns_and_units(good, tmp_path):
    path = tmp_path / "data.xyz"
    for atoms in good:
        energy = atoms.get_potential_energy()
        atoms.calc = None
        atoms.info["mine"] = energy / 0.0433641153087705
    write(path, good)
    text = cells(info(path, {"energy": "mine"}, {"energy": "kcal/mol"}))
    assert "-3.0" in text
    assert "energy in kcal/mol" in text


@pytest.fixture
def saved(tmp_path):
    model = build(
        {"layers": 2, "l_max": 1, "channels": 4, "radial_hidden": (4, 4), "cutoff": 3.5},
        ["H", "O"],
        e0s={"H": -13.5, "O": -2040.25},
        avg_neighbours=7.5,
    )
    model.provenance = {"data": "water.xyz", "train": {"epochs": 12, "history": "x" * 500}}
    path = tmp_path / "model.safetensors"
    model.save(path)
    return path, model


def test_a_model_is_described(saved):
    path, model = saved
    report = info(path)
    text = cells(report)
    assert report.is_model
    count = sum(parameter.numel() for parameter in model.parameters())
    for expected in (
        f"{count:,} in float32",
        "H, O",
        "3.5 Å",
        "7.5 per atom",
        "rotation, translation, permutation, reflection",
        "evaluated and passed",
        "l_max  1",
        "O  -2040.250000",
        "train.epochs  12",
        "E0s: fitted",
    ):
        assert expected in text, text
    assert max(len(line) for line in text.splitlines()) < 150
    assert f"cynosure check {path} STRUCTURE" in report.next_steps


@needs_core
def test_the_memory_of_a_model_grows_with_atoms_and_density(saved):
    path, _ = saved

    def needed(**arguments) -> float:
        found = re.search(r"needed  about ([\d.]+) GB", cells(info(path, **arguments)))
        assert found, arguments
        return float(found[1])

    few = needed(atoms=1_000_000)
    assert needed(atoms=10_000_000) == pytest.approx(10 * few, rel=0.02)
    assert needed(atoms=1_000_000, density=0.1) == few, "the default is that of liquid water"
    assert needed(atoms=1_000_000, density=0.2) > 1.5 * few


def test_a_model_without_counterpart_in_the_core_has_no_estimate(tmp_path):
    path = tmp_path / "model.safetensors"
    build({"model": "nequip", "layers": 2, "l_max": 1, "channels": 2, "layer_norm": True}, ["H"]).save(path)
    assert "no estimate: the network runs through autograd" in cells(info(path, atoms=100))


def test_a_folder_with_a_model_is_that_model(saved):
    path, _ = saved
    assert info(path.parent).title == info(path).title


def test_a_model_under_another_name_is_a_model(saved, tmp_path):
    path, _ = saved
    other = tmp_path / "model.xyz"
    other.write_bytes(path.read_bytes())
    assert info(other).is_model


def test_a_model_without_parity_promises_no_reflection(tmp_path):
    path = tmp_path / "model.safetensors"
    build({"model": "nequip", "layers": 1, "l_max": 1, "channels": 2, "parity": False}, ["H"]).save(path)
    assert "but not reflection" in cells(info(path))


def test_bad_files_are_refused_in_plain_words(saved, tmp_path):
    path, _ = saved
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        info(path)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ValueError, match="checksum"):
        info(path)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ValueError, match=r"notes\.txt"):
        info(tmp_path / "notes.txt")
    (tmp_path / "empty.xyz").write_bytes(b"")
    with pytest.raises(ValueError, match=r"empty\.xyz"):
        info(tmp_path / "empty.xyz")
    with pytest.raises(FileNotFoundError, match=r"gone\.xyz"):
        info(tmp_path / "gone.xyz")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="folder without a model"):
        info(tmp_path / "folder")


def test_declared_tensors_are_listed(tmp_path):
    settings = {
        "channels": 2,
        "layers": 1,
        "radial_hidden": [4],
        "inputs": {"spins": {"tensor": "i", "axial": True, "per": "atom", "odd": True, "key": "magmoms"}},
        "targets": {"alpha": {"tensor": "ij=ji", "unit": "Å³"}},
        "derivatives": {"torque": {"formula": "-energy/turn(spins)", "unit": "eV"}},
    }
    build(settings, ["Fe"]).save(tmp_path / "model.safetensors")
    found = cells(info(str(tmp_path / "model.safetensors")))
    assert "i (1x1e) per atom, odd in time, column 'magmoms'" in found
    assert "ij=ji (1x0e+1x2e) per structure, Å³, column 'alpha'" in found
    assert "-energy/turn(spins), eV, column 'torque'" in found
