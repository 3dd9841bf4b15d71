"""Lithium in motion: charges, arrangements and diffusion are what they say, and the whole road is run."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import SimpleNamespace

import ase.build
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from ase.units import GPa, kB

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def ionic(monkeypatch) -> SimpleNamespace:
    """The modules of the example, which is imported from the root of the repository."""
    monkeypatch.syspath_prepend(ROOT)
    names = ("comparison", "crystal", "diffusion", "ewald", "measure")
    return SimpleNamespace(
        **{name: importlib.import_module(f"examples.ionic_conductor.{name}") for name in names}
    )


def walk(rng: np.random.Generator, frames: int, atoms: int, widths=(1.0, 1.0, 1.0)) -> np.ndarray:
    """[T, N, 3]: atoms that go a random step along each axis from frame to frame."""
    return np.cumsum(rng.normal(scale=widths, size=(frames, atoms, 3)), axis=0)


# Madelung's constants, of the shortest distance: Hund, Z. Phys. 94, 11 (1935), with the digits of later sums.
@pytest.mark.parametrize(
    ("structure", "cubic", "distance", "madelung"),
    [
        ("rocksalt", True, 1 / 2, 1.747564594633182),
        ("cesiumchloride", True, np.sqrt(3) / 2, 1.762674773070988),
        ("zincblende", True, np.sqrt(3) / 4, 1.638055053388790),
        ("zincblende", False, np.sqrt(3) / 4, 1.638055053388790),
    ],
)
def test_charges_of_a_crystal_have_the_constant_of_madelung(ionic, structure, cubic, distance, madelung):
    atoms = ase.build.bulk("NaCl", structure, a=3.0, cubic=cubic and structure != "cesiumchloride")
    charges = np.where(atoms.symbols == "Na", 1.0, -1.0)
    for width in (None, 0.5, 1.1):
        pairs = ionic.ewald.interactions(atoms.get_scaled_positions(), atoms.cell.array, width)
        energy = 0.5 * charges @ pairs @ charges / (len(atoms) / 2)
        assert energy == pytest.approx(-madelung * ionic.ewald.COULOMB / (3.0 * distance), rel=1e-13)
    assert pytest.approx(14.3996454, rel=1e-7) == ionic.ewald.COULOMB  # CODATA's e²/4πε₀, eV Å


def test_nothing_depends_on_the_width_or_on_whole_cells_between(ionic):
    rng = np.random.default_rng(0)
    cell = np.diag([3.0, 4.0, 5.0]) + rng.normal(scale=0.8, size=(3, 3))
    fraction = rng.random((6, 3))
    found = ionic.ewald.interactions(fraction, cell)
    np.testing.assert_allclose(found, found.T, atol=1e-12)
    shifted = fraction + rng.integers(-2, 3, size=(6, 3))
    for width in (0.5, 0.7, 1.0, 1.4, 2.0):
        np.testing.assert_allclose(ionic.ewald.interactions(shifted, cell, width), found, atol=1e-11)


def test_the_places_are_those_of_tetrahedra_in_a_crystal(ionic):
    found, cell = ionic.crystal.sites(), np.array(ionic.crystal.CELL[:3])
    assert {name: len(sites) for name, sites in found.items()} == {
        name: place.multiplicity for name, place in ionic.crystal.PLACES.items()
    }
    sulphur = np.concatenate([found[name] for name in ("S1", "S2", "S3")])
    # PS₄ and (Ge, P)S₄: four neighbours at the length of a bond, the fifth far away.
    for name, bond in (("P2", 1.96), ("M", 2.13)):
        between = found[name][:, None] - sulphur
        distances = np.sort(np.linalg.norm((between - np.round(between)) * cell, axis=2))
        np.testing.assert_allclose(distances[:, :4], bond, atol=0.02)
        assert distances[:, 4].min() > 3.5
    for name, taken in ionic.crystal.TAKEN.items():
        assert abs(taken - ionic.crystal.PLACES[name].occupancy * len(found[name])) < 0.5


def test_the_arrangements_of_lowest_energy(ionic):
    best = ionic.crystal.lowest(4)
    energies = [one.energy for one in best]
    assert np.diff(energies).min() > 1e-3
    for one in best:
        assert one.atoms.get_chemical_formula(mode="reduce") == "Li20Ge2P4S24"
        # What was added up in pieces is the energy of the whole.
        assert energy_of(ionic, one.atoms) == pytest.approx(one.energy, abs=1e-9)
    # No other way to fill the places is better, by chance or with one atom of a kind of place moved.
    found = ionic.crystal.sites()
    rng = np.random.default_rng(0)
    for _ in range(10):
        assert energy_of(ionic, filled(ionic, found, rng)) > energies[0] - 1e-9
    for name, number in (("Li1", 16), ("Li3", 8)):
        sites = found[name]
        where = [int(np.argmin(apart(best[0].atoms, site))) for site in sites]
        taken = [apart(best[0].atoms, site).min() < 1e-6 for site in sites]
        assert sum(taken) == ionic.crystal.TAKEN[name]
        for _ in range(5):
            to = rng.choice([one for one in range(number) if not taken[one]])
            moved = best[0].atoms.copy()
            moved.positions[where[rng.choice(np.flatnonzero(taken))]] = sites[to] @ moved.cell.array
            assert energy_of(ionic, moved) > energies[0] - 1e-9


def apart(atoms: Atoms, site: np.ndarray) -> np.ndarray:
    """[N] Å: how far each atom is from a site."""
    away = atoms.get_scaled_positions() - site
    return np.linalg.norm((away - np.round(away)) @ atoms.cell.array, axis=1)


def energy_of(ionic, atoms: Atoms) -> float:
    charges = np.array([ionic.crystal.CHARGES[symbol] for symbol in atoms.symbols])
    pairs = ionic.ewald.interactions(atoms.get_scaled_positions(), atoms.cell.array)
    return 0.5 * charges @ pairs @ charges


def filled(ionic, found, rng) -> Atoms:
    """The places filled by chance, as many of each as in the crystal."""
    symbols, positions = [], []
    for name, place in ionic.crystal.PLACES.items():
        chosen = rng.permutation(place.multiplicity) < ionic.crystal.TAKEN.get(name, place.multiplicity)
        for position, taken in zip(found[name], chosen, strict=True):
            if taken or name == "M":
                symbols.append(place.element if taken else "Ge")
                positions.append(position)
    return Atoms(symbols, scaled_positions=positions, cell=ionic.crystal.CELL, pbc=True)


def test_displacements_are_the_direct_sum(ionic):
    rng = np.random.default_rng(0)
    for frames, atoms in ((2, 1), (7, 3), (64, 5), (101, 2)):
        positions = 30 * rng.normal(size=(1, atoms, 3)) + walk(rng, frames, atoms, (1.0, 0.1, 5.0))
        direct = [
            np.square(positions[lag:] - positions[: frames - lag]).mean(axis=(0, 1)) for lag in range(frames)
        ]
        found = ionic.diffusion.mean_square_displacement(positions)
        np.testing.assert_allclose(found, direct, rtol=1e-10, atol=1e-10)


def test_free_flight_goes_with_the_square_of_time(ionic):
    rng = np.random.default_rng(0)
    velocities, lags = rng.normal(size=(4, 3)), np.arange(50)
    positions = rng.normal(size=(4, 3)) + lags[:, None, None] * velocities
    expected = np.square(lags)[:, None] * np.square(velocities).mean(axis=0)
    found = ionic.diffusion.mean_square_displacement(positions)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


def test_a_random_walk_diffuses_as_far_as_its_steps(ionic):
    """⟨x²⟩ = 2 D t along each axis, and 6 D t in all."""
    widths, interval, blocks = np.array([0.3, 0.1, 0.5]), 0.02, 8
    positions = walk(np.random.default_rng(0), 4000, 20, widths)
    expected = 1e-4 * np.square(widths) / (2 * interval)
    found = ionic.diffusion.Diffusion.of(positions, interval, blocks)
    value, error = found.coefficient
    assert 0.03 < error / value < 0.2
    assert abs(value - expected.mean()) < 3 * error
    for axis, wanted in zip("xyz", expected, strict=True):
        along, spread = found.to_json()[f"along {axis}"]
        assert abs(along - wanted) < 4 * spread
    total = ionic.diffusion.mean_square_displacement(positions).sum(axis=1)
    assert total[10] == pytest.approx(6e4 * expected.mean() * 10 * interval, rel=0.03)


def test_the_error_by_blocks_is_that_of_many_walks(ionic):
    rng = np.random.default_rng(0)
    found = [ionic.diffusion.Diffusion.of(walk(rng, 200, 5), 1.0, 4).coefficient for _ in range(600)]
    values, errors = np.array(found).T
    assert values.mean() == pytest.approx(0.5e-4, rel=0.03)
    assert np.sqrt(np.square(errors).mean()) == pytest.approx(values.std(ddof=1), rel=0.08)


def test_what_only_rattles_does_not_diffuse(ionic):
    rattle = np.random.default_rng(0).normal(size=(2000, 30, 3))
    value, error = ionic.diffusion.Diffusion.of(rattle, 1.0, 5).coefficient
    assert abs(value) < 4 * error
    assert abs(value) < 1e-8
    with pytest.raises(ValueError, match="frames are too few"):
        ionic.diffusion.Diffusion.of(rattle[:10], 1.0, 5)


def test_unwrapping_goes_on_across_faces(ionic):
    rng = np.random.default_rng(0)
    cell = 6 * np.eye(3) + rng.normal(scale=0.7, size=(3, 3))
    whole = 3 * rng.normal(size=(1, 8, 3)) + walk(rng, 300, 8, (0.3, 0.3, 0.3))
    whole -= np.floor(whole[0] @ np.linalg.inv(cell)) @ cell
    wrapped = whole - np.floor(whole @ np.linalg.inv(cell)) @ cell
    assert np.abs(whole - wrapped).max() > 6
    np.testing.assert_allclose(ionic.diffusion.unwrapped(wrapped, cell), whole, atol=1e-11)
    np.testing.assert_allclose(ionic.diffusion.unwrapped(whole, cell), whole, atol=1e-11)


def test_the_centre_of_mass_stays(ionic):
    rng = np.random.default_rng(0)
    masses, positions = np.array([1.0, 5.0, 2.0]), walk(rng, 40, 3)
    positions -= (masses[:, None] * (positions - positions[0])).sum(axis=1, keepdims=True) / masses.sum()
    drifting = positions + walk(rng, 40, 1) - rng.normal(size=3)
    held = ionic.diffusion.without_drift(drifting, masses)
    np.testing.assert_allclose(held, positions + (drifting - positions)[0], atol=1e-12)


def test_arrhenius(ionic):
    temperatures = np.array([600.0, 800.0, 1200.0])
    values = 2e-3 * np.exp(-0.25 / (kB * temperatures))
    fit = ionic.diffusion.Arrhenius.of(temperatures, values, 0.1 * values)
    assert fit.energy == pytest.approx(0.25, rel=1e-10)
    value, factor = fit.at(300.0)
    assert value == pytest.approx(2e-3 * np.exp(-0.25 / (kB * 300.0)), rel=1e-9)
    assert factor > fit.at(800.0)[1] > 1.0
    # The errors are those of what chance does to the fit.
    rng, spread = np.random.default_rng(0), np.array([0.03, 0.01, 0.02]) * values
    many = [
        ionic.diffusion.Arrhenius.of(temperatures, values + spread * rng.normal(size=3), spread)
        for _ in range(1000)
    ]
    assert np.std([one.energy for one in many]) == pytest.approx(many[0].covariance[0, 0] ** 0.5, rel=0.08)
    for temperature in (300.0, 1200.0):
        found = np.std([np.log(one.at(temperature)[0]) for one in many])
        assert found == pytest.approx(np.log(many[0].at(temperature)[1]), rel=0.08)
    with pytest.raises(ValueError, match="not positive"):
        ionic.diffusion.Arrhenius.of(temperatures, values * [1, -1, 1], values)


def test_ions_that_move_independently_conduct(ionic):
    # Sodium chloride in much water: 50.1 and 76.3 S cm²/mol for 1.334 and 2.032 × 10⁻⁵ cm²/s at 25 °C (Robinson and
    # Stokes, Electrolyte Solutions), here in 1 mol/l.
    for coefficient, expected in ((1.334e-5, 50.1), (2.032e-5, 76.3)):
        found = ionic.diffusion.conductivity(coefficient, 298.15, 6.02214076e-4)
        assert found == pytest.approx(expected, rel=2e-3)
    # What others give at 300 K comes back from their diffusion.
    room = ionic.comparison.ab_initio(300.0, 0.02)
    assert ionic.diffusion.conductivity(room, 300.0, 0.02) == pytest.approx(9.0)
    ratio = ionic.comparison.ab_initio(1000.0, 0.02) / room
    assert np.log(ratio) / (1 / 300 - 1 / 1000) * kB == pytest.approx(0.21)


def test_a_trajectory_is_read_as_it_was(ionic, tmp_path):
    """Frames of wrapped atoms that drift, with energies that do: the motion without the one, and the other."""
    rng = np.random.default_rng(0)
    atoms = Atoms("Li3S2", rng.random((5, 3)) * 5, cell=[5, 6, 7], pbc=True)
    masses = atoms.get_masses()
    steps = walk(rng, 60, 5, (0.3, 0.3, 0.3))
    steps -= np.einsum("tni,n->ti", steps, masses)[:, None] / masses.sum()
    frames = []
    for number, step in enumerate(steps):
        frame = atoms.copy()
        frame.positions += step + 0.1 * number
        frame.wrap()
        frame.set_velocities(np.full((5, 3), 0.01 * (1 + number % 2)))
        total = 2.0 + 0.005 * number  # 1 meV/atom from frame to frame
        potential = total - frame.get_kinetic_energy()
        frame.calc = SinglePointCalculator(
            frame, energy=potential, stress=0.01 * np.array([1, 2, 3, 4, 5, 6])
        )
        frame.info |= {"step": 10 * number, "time_ps": 0.02 * number}
        frames.append(frame)
    write(tmp_path / "motion.traj", frames)
    motion = ionic.measure.Motion.of(tmp_path / "motion.traj", settle=0.199)
    assert len(motion.times) == 50
    assert motion.interval == pytest.approx(0.02)
    assert motion.elements == ["Li", "S"]
    np.testing.assert_allclose(
        motion.positions - motion.positions[0], (steps - steps[10])[10:], atol=1e-9, rtol=0
    )
    assert motion.conservation()["drift per ps"] == pytest.approx(50.0)
    assert motion.conservation()["swing"] == pytest.approx(0.0, abs=1e-9)
    kinetic = 0.5 * masses.sum() * 3 * 0.01**2 * np.array([1, 4])
    assert motion.temperature == pytest.approx(2 * kinetic.mean() / (12 * kB))
    assert motion.conservation()["swing of the kinetic energy"] == pytest.approx(
        1e3 * np.ptp(kinetic) / 2 / 5
    )
    # The stress pulls inwards, and the motion pushes outwards.
    pressure = 2 * kinetic.mean() / (3 * 5 * 6 * 7) - 0.02
    assert motion.pressure == pytest.approx(pressure / GPa)
    # Runs of one temperature count together.
    other = ionic.measure.Motion.of(tmp_path / "motion.traj", settle=0.199)
    other.positions[:] *= 2.0
    numbers = ionic.measure.together([motion, other], 2)
    assert numbers["time"] == pytest.approx(2 * 49 * 0.02)
    expected = ionic.diffusion.Diffusion.of(steps[10:, 3:], 0.02, 2)
    assert numbers["of each run"]["S"][0] == pytest.approx(expected.coefficient)
    assert numbers["of each run"]["S"][1] == pytest.approx([4 * one for one in expected.coefficient])
    assert numbers["diffusion"]["S"]["coefficient"][0] == pytest.approx(2.5 * expected.coefficient[0])
    blocks = np.concatenate([expected.along, 4 * expected.along]).mean(axis=1)
    assert numbers["diffusion"]["S"]["coefficient"][1] == pytest.approx(blocks.std(ddof=1) / 2)
    squares = ionic.diffusion.mean_square_displacement(steps[10:, 3:]).sum(axis=1)
    assert numbers["mean square displacement in half of a run"]["S"] == pytest.approx(2.5 * squares[24])


def test_the_whole_road_by_one_command(run_example, tmp_path):
    out = tmp_path / "out"
    done = run_example("ionic_conductor", "--quick", "--out", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    numbers = json.loads((out / "numbers.json").read_text())
    assert [one["wanted"] for one in numbers["runs"]] == [300.0, 600.0]
    assert numbers["checks"]["drift of the energy, meV/atom in a ps"]["held"]
    assert (
        numbers["constant energy"]["swing"] < 0.1 * numbers["constant energy"]["swing of the kinetic energy"]
    )
    assert (out / "ionic_conductor.png").stat().st_size < 300_000
    assert "$ cynosure md" in done.stdout
    assert "these numbers mean nothing" in done.stdout
    # A folder that holds something is left as it is.
    again = run_example("ionic_conductor", "--quick", "--out", str(out))
    assert again.returncode == 2
    assert "name another folder" in again.stderr


def test_without_the_model_it_says_how_to_get_it(run_example, tmp_path):
    done = run_example(
        "ionic_conductor", "--out", str(tmp_path / "out"), "--model", str(tmp_path / "none.safetensors")
    )
    assert done.returncode == 2
    assert "cynosure import 7net-0 --trust" in done.stderr
    assert not (tmp_path / "out").exists()
