"""Chemistry: normal modes and intensities are those of the formulas, spectra too, and the whole road is run."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from ase.md.verlet import VelocityVerlet

import cynosure

ROOT = Path(__file__).resolve().parents[2]
# N_A/(12 ε₀ c²) in km/mol for 1 e²/amu, and cm⁻¹ of √(eV/Å²/amu)/(2πc), from the constants of CODATA 2018.
INTENSITY = (
    6.02214076e23 * 1.602176634e-19**2 / (12 * 8.8541878128e-12 * 299792458**2 * 1.66053906660e-27) / 1e3
)
FREQUENCY = np.sqrt(1.602176634e-19 / 1e-20 / 1.66053906660e-27) / (2 * np.pi * 29979245800)


@pytest.fixture
def chemistry(monkeypatch) -> SimpleNamespace:
    """The modules of the example, which is imported from the root of the repository."""
    monkeypatch.syspath_prepend(ROOT)
    names = ("harmonic", "spectrum", "measure", "make_data")
    pytest.importorskip("tblite.ase", reason="tblite has no wheel for this system")
    return SimpleNamespace(**{name: importlib.import_module(f"examples.chemistry.{name}") for name in names})


class Springs(Calculator):
    """A molecule of springs, energy ½ k (|r_i − r_j| − d)² for each, and of charges that ride on the atoms."""

    implemented_properties = ["energy", "forces", "dipole"]

    def __init__(self, charges, springs):
        super().__init__()
        self.charges, self.springs = np.array(charges), springs

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        energy, forces = 0.0, np.zeros((len(atoms), 3))
        for i, j, constant, length in self.springs:
            vector = atoms.positions[j] - atoms.positions[i]
            distance = np.linalg.norm(vector)
            energy += constant * (distance - length) ** 2 / 2
            pull = constant * (distance - length) * vector / distance
            forces[i] += pull
            forces[j] -= pull
        self.results = {"energy": energy, "forces": forces, "dipole": self.charges @ atoms.positions}


def triangle():
    """H, C, O held by three springs, at rest."""
    atoms = Atoms("HCO", [[0.0, 0.0, 0.0], [1.1, 0.2, 0.3], [0.4, 1.2, -0.5]])
    springs = [(i, j, k, atoms.get_distance(i, j)) for i, j, k in ((0, 1, 30.0), (1, 2, 60.0), (0, 2, 10.0))]
    return atoms, Springs([0.3, 0.2, -0.5], springs)


def test_the_stretch_of_two_atoms_far_from_a_third_is_that_of_the_formula(chemistry):
    """CO with a spring, and H that nothing holds: ν = √(k/μ)/2πc, intensity of the charges times the square of 1/√μ."""
    atoms = Atoms("COH", [[0, 0, 0], [0.6, 0.8, 0], [5, 0, 1]])
    modes = chemistry.harmonic.normal_modes(
        atoms, *chemistry.harmonic.by_differences(atoms, Springs([0.4, -0.4, 0.0], [(0, 1, 80.0, 1.0)]))
    )
    mass, other = atoms.get_masses()[:2]
    reduced = mass * other / (mass + other)
    assert modes.frequencies[-1] == pytest.approx(np.sqrt(80.0 / reduced) * FREQUENCY, rel=1e-5)
    assert modes.intensities[-1] == pytest.approx(INTENSITY * 0.4**2 / reduced, rel=1e-5)
    np.testing.assert_allclose(modes.frequencies[:2], 0, atol=5)  # (a root of what differences leave)
    assert len(modes.frequencies) == 3


def test_modes_neither_move_nor_turn_the_molecule_and_do_not_depend_on_its_orientation(chemistry):
    atoms, springs = triangle()
    modes = chemistry.harmonic.normal_modes(atoms, *chemistry.harmonic.by_differences(atoms, springs))
    roots = np.sqrt(atoms.get_masses())[:, None]
    for mode in modes.vectors.reshape(-1, 3, 3):
        np.testing.assert_allclose((roots * mode).sum(axis=0), 0, atol=1e-10)
        positions = atoms.positions - atoms.get_center_of_mass()
        np.testing.assert_allclose(np.cross(positions, roots * mode).sum(axis=0), 0, atol=1e-10)
    assert modes.frequencies.min() > 100
    turned = atoms.copy()
    turned.rotate(70, (1, 2, 3))
    again = chemistry.harmonic.normal_modes(turned, *chemistry.harmonic.by_differences(turned, springs))
    np.testing.assert_allclose(again.frequencies, modes.frequencies, rtol=1e-5)
    np.testing.assert_allclose(again.intensities, modes.intensities, rtol=1e-3)


def test_a_saddle_has_a_negative_frequency(chemistry):
    atoms, springs = triangle()
    hessian, slopes = chemistry.harmonic.by_differences(atoms, springs)
    modes = chemistry.harmonic.normal_modes(atoms, hessian, slopes)
    falling = chemistry.harmonic.normal_modes(atoms, -hessian, slopes)
    np.testing.assert_allclose(falling.frequencies, -modes.frequencies[::-1], rtol=1e-10)


def test_a_models_hessian_is_that_of_differences_and_its_dipole_ignores_translation(chemistry):
    settings = {
        "cutoff": 4.0,
        "channels": 4,
        "targets": {"dipole": {"tensor": "i"}},
    }
    atoms = chemistry.make_data.glycolaldehyde()
    calculator = cynosure.Calculator(cynosure.build(settings, species=["H", "C", "O"]), dtype="float64")
    differences, slopes = chemistry.harmonic.by_differences(atoms, calculator)
    hessian = calculator.get_property("hessian", atoms)
    assert np.abs(hessian).max() > 0.1
    np.testing.assert_allclose(differences, hessian, atol=2e-4 * np.abs(hessian).max())
    moved = atoms.copy()
    moved.positions += [1.0, 2.0, 3.0]
    dipoles = [calculator.get_property("dipole", one) for one in (atoms, moved)]
    np.testing.assert_allclose(*dipoles, atol=1e-12)
    assert np.abs(slopes).max() > 100 * np.abs(slopes.reshape(-1, 3, 3).sum(axis=0)).max()


def test_the_spectrum_of_harmonic_motion_has_the_harmonic_area_at_the_harmonic_place(chemistry):
    """Also with a step of an eleventh of the period, where Verlet is 1.3 % too fast and 10 % off in the intensity.

    The spring starts at rest with a kinetic energy of k_B T, half of which is there in the mean, as in Verlet's own
    ensemble, ⟨p²/m⟩ = k_B T.
    """
    spectrum = chemistry.spectrum
    mass, constant, charge, temperature = 2.0, 40.0, 0.3, 300.0
    expected = np.sqrt(constant / mass) * FREQUENCY
    atoms = Atoms("H2", [[0, 0, 0], [0, 0, 1.0]], masses=[2 * mass, 2 * mass])
    springs = Springs([charge, -charge], [(0, 1, constant, 1.0)])
    for step in (0.1, 1.25):
        moving = atoms.copy()
        moving.calc = springs
        speed = np.sqrt(units.kB * temperature / (2 * mass))
        moving.set_velocities([[0, 0, -speed], [0, 0, speed]])
        motion, dipoles = VelocityVerlet(moving, step * units.fs), []
        every = round(2.5 / step)
        for _ in motion.irun(round(1000 / step)):
            if motion.nsteps % every == 0:
                dipoles.append(moving.get_dipole_moment())
        found = spectrum.Spectrum.of(
            spectrum.Motion(np.array([dipoles]), temperature, 0.0), every * step, step
        )
        band = found.band(0.5 * expected, 1.5 * expected)
        assert band["centre"] == pytest.approx(expected, rel=2e-3)
        assert band["area"] == pytest.approx(INTENSITY * charge**2 / mass, rel=0.02)
        assert found.band(1.5 * expected, 3 * expected)["area"] < 0.01 * band["area"]


def test_molecules_together_move_as_each_alone(chemistry):
    spectrum = chemistry.spectrum
    model = cynosure.build({"channels": 4, "targets": {"dipole": {"tensor": "i"}}}, species=["H", "C", "O"])
    calculator = cynosure.Calculator(model, dtype="float64")
    molecule = chemistry.make_data.glycolaldehyde()
    starts = spectrum.thermal(calculator, molecule, 3, 100.0, 5, seed=0)
    assert len({one.positions.tobytes() for one in starts}) == 3
    for one in starts:
        np.testing.assert_allclose(one.get_momenta().sum(axis=0), 0, atol=1e-12)
    all_at_once = spectrum.of_model(calculator, starts, 16)
    each = [spectrum.of_model(calculator, [one], 16) for one in starts]
    np.testing.assert_allclose(all_at_once.dipoles, np.concatenate([one.dipoles for one in each]), atol=1e-9)
    assert all_at_once.temperature == pytest.approx(np.mean([one.temperature for one in each]), rel=1e-9)
    assert all_at_once.dipoles.shape == (3, 3, 3)


def test_molecules_are_laid_on_each_other(chemistry):
    molecule = chemistry.make_data.glycolaldehyde()
    turned = molecule.copy()
    turned.rotate(50, (3, 1, 2))
    turned.positions += [1.0, 2.0, 3.0]
    assert chemistry.measure.rmsd(turned, molecule) < 1e-10
    turned.positions[0] += 0.1
    assert 0.01 < chemistry.measure.rmsd(turned, molecule) < 0.1


def test_the_whole_road_by_one_command(run_example, tmp_path):
    pytest.importorskip("tblite.ase", reason="tblite has no wheel for this system")
    done = run_example("chemistry", "--quick", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stdout + done.stderr
    numbers = json.loads((tmp_path / "out" / "numbers.json").read_text())
    assert numbers["errors"]["forces"]["relative"] < 0.4
    assert numbers["errors"]["dipole"]["relative"] < 0.2
    assert numbers["harmonic"]["mean error"] < 100
    assert numbers["harmonic"]["hessian beside differences"] < 0.05
    assert numbers["relaxation"]["rmsd"] < 0.5 * numbers["relaxation"]["start"]
    assert (tmp_path / "out" / "chemistry.png").stat().st_size < 200_000
    assert "harmonic frequencies: mean error" in done.stdout
    # A folder that holds something is left as it is.
    again = run_example("chemistry", "--quick", "--out", str(tmp_path / "out"))
    assert again.returncode == 2
    assert "name another folder" in again.stderr
