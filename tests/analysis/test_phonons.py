"""Phonons against crystals of springs, whose dynamical matrix is known, and against the elastic constants."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import BaseCalculator

from cynosure.analysis import elastic, phonons
from cynosure.analysis.phonons import holds, longer, parse_supercell, repetitions
from cynosure.analysis.strain import VOIGT
from cynosure.analysis.thermal import THZ, thermal

pytest.importorskip("phonopy", reason="phonopy is an extra: pip install phonopy")

# √(eV/Å²/amu) in THz.
ROOT = 1e-12 * np.sqrt(units._e / units._amu) * 1e10 / (2 * np.pi)
EDGE, K = 5.0, 3.0


def spring_frequencies(points: np.ndarray, primitive: Atoms) -> np.ndarray:
    """THz, rising: D(q) = k/m Σ over the twelve neighbours of (1 − cos q·R) n nᵀ."""
    corners = [(a, b, 0) for a in (1, -1) for b in (1, -1)]
    neighbours = EDGE / 2 * np.array([np.roll(corner, turn) for corner in corners for turn in range(3)])
    directions = neighbours / np.linalg.norm(neighbours, axis=1, keepdims=True)
    waves = 2 * np.pi * points @ np.linalg.inv(primitive.cell.array).T
    phases = 1 - np.cos(waves @ neighbours.T)
    matrices = K / primitive.get_masses()[0] * np.einsum("qr,ri,rj->qij", phases, directions, directions)
    squares = np.linalg.eigvalsh(matrices)
    return ROOT * np.sign(squares) * np.sqrt(np.abs(squares))


@pytest.mark.parametrize("cubic", [False, True])
def test_a_crystal_of_springs_has_its_own_dynamical_matrix(fcc_springs, cubic):
    """On the whole path, of the primitive cell also where the conventional one is given."""
    found = phonons(fcc_springs, bulk("Ge", "fcc", a=EDGE, cubic=cubic), length=9.0, displacement=1e-3)
    assert len(found.primitive) == 1
    expected = spring_frequencies(found.bands.points, found.primitive)
    np.testing.assert_allclose(found.bands.frequencies, expected, atol=1e-5)
    assert found.bands.path == "ΓXWKΓLUWLK,UX"
    assert [found.bands.where(i) for i in (0, 1, len(found.bands.x) - 1)] == ["Γ", "Γ–X", "X"]
    assert found.bands.ticks[found.bands.labels.index("X")] == pytest.approx(2 * np.pi / EDGE)
    assert found.displacements == 1
    assert found.stable
    assert np.abs(found.gamma).max() < 1e-4, "translations"
    assert not found.report("fcc").warnings


def test_sound_is_as_fast_as_the_elastic_constants_say(zincblende, zincblende_springs):
    """Christoffel: ρ v² are the eigenvalues of C_ijkl n_j n_l, with the constants of relaxed atoms."""
    constants = elastic(zincblende_springs, zincblende).tensor.voigt * units.GPa
    found = phonons(zincblende_springs, zincblende, supercell=(4, 4, 4), displacement=1e-3)
    density = zincblende.get_masses().sum() / zincblende.cell.volume
    place = {pair: i for i, pair in enumerate(VOIGT)} | {pair[::-1]: i for i, pair in enumerate(VOIGT)}
    for direction in np.array([[1.0, 0, 0], [1, 1, 0], [1, 1, 1], [3, -1, 2]]):
        n = direction / np.linalg.norm(direction)
        christoffel = np.array(
            [
                [
                    sum(constants[place[i, j], place[k, l]] * n[j] * n[l] for j in range(3) for l in range(3))
                    for k in range(3)
                ]
                for i in range(3)
            ]
        )
        speeds = np.sqrt(np.linalg.eigvalsh(christoffel) / density)
        length = 1e-3  # Å⁻¹, without 2π
        point = found.primitive.cell.array @ n * length
        found.dynamics.run_qpoints([point])
        acoustic = np.sort(found.dynamics.qpoints.frequencies[0])[:3]
        np.testing.assert_allclose(acoustic, 2 * np.pi * ROOT * speeds * length, rtol=2e-4)


class Pinned(BaseCalculator):
    """Springs to the lattice sites of a crystal with one atom in its cell, beside another calculator."""

    implemented_properties = ["energy", "forces", "stress"]

    def __init__(self, inner: BaseCalculator, cell: np.ndarray, k: float) -> None:
        super().__init__()
        self.inner, self.cell, self.k = inner, cell, k

    def calculate(self, atoms, properties, system_changes):
        self.atoms = atoms.copy()
        fractional = np.linalg.solve(self.cell.T, atoms.positions.T).T
        away = (fractional - np.round(fractional)) @ self.cell
        self.results = {
            "energy": self.inner.get_potential_energy(atoms) + self.k / 2 * (away**2).sum(),
            "forces": self.inner.get_forces(atoms) - self.k * away,
            "stress": self.inner.get_stress(atoms),
        }


def test_the_sum_rule_is_measured_and_then_enforced(fcc, fcc_springs):
    """Springs to fixed sites are what it forbids: each atom feels k, and translations vibrate with √(k/m)."""
    pinned = Pinned(fcc_springs, fcc.cell.array, k=0.5)
    found = phonons(pinned, fcc, supercell=(3, 3, 3), displacement=1e-3, relax=False)
    before, after = found.sum_rule
    assert before.constants == pytest.approx(0.5, rel=1e-6)
    assert before.acoustic == pytest.approx(ROOT * np.sqrt(0.5 / fcc.get_masses()[0]), rel=1e-6)
    assert after.constants < 1e-12
    assert after.acoustic < 1e-5
    assert np.abs(found.gamma).max() == pytest.approx(after.acoustic)
    assert "missed by 0.5 eV/Å²" in str(found.report("fcc"))


def test_forces_at_rest_cancel(fcc_springs):
    """What the atoms of a crystal that is not at rest feel without displacement is no force constant."""
    dimer = bulk("Ge", "fcc", a=EDGE) * (2, 1, 1)
    dimer.positions[1] += [0.05, 0.0, 0.0]
    once, plus = (
        phonons(fcc_springs, dimer, supercell=(1, 2, 2), displacement=d, relax=False) for d in (1e-3, 5e-4)
    )
    assert once.rest.result.after.fmax > 0.1
    np.testing.assert_allclose(once.bands.frequencies, plus.bands.frequencies, atol=1e-3)
    assert "not vibrations about its minimum" in once.report("dimer").warnings[0]


@pytest.mark.parametrize("repeats", [(4, 4, 4), (3, 3, 3)])
def test_imaginary_modes_are_found_where_they_are(zincblende, unstable_springs, repeats):
    found = phonons(unstable_springs, zincblende, supercell=repeats)
    assert not found.stable
    assert found.imaginary > 0.01
    lowest = found.lowest
    assert lowest.frequency == pytest.approx(min(found.bands.frequencies.min(), lowest.frequency))
    found.dynamics.run_qpoints([lowest.point])
    assert found.dynamics.qpoints.frequencies.min() == pytest.approx(lowest.frequency, abs=1e-6)
    assert lowest.held == holds(found.dynamics, np.array(lowest.point))
    report = found.report("zincblende")
    assert "NO: imaginary frequencies" in str(report)
    assert f"{-lowest.frequency:.3f}i THz" in str(report)
    assert any("which is interpolated" in warning for warning in report.warnings) != lowest.held
    assert any("left out of the free energy" in warning for warning in report.warnings)


def test_the_density_counts_every_mode(zincblende, zincblende_springs):
    found = phonons(zincblende_springs, zincblende, length=7.0)
    assert np.trapezoid(found.density.states, found.density.frequencies) == pytest.approx(6.0, rel=0.01)
    classical = found.thermal.heat_capacity[-1]
    assert 2.9 < classical < 3.0
    json.loads(json.dumps(found.to_json(), allow_nan=False))


def test_masses_are_those_of_the_structure(fcc, fcc_springs):
    light, heavy = fcc.copy(), fcc.copy()
    light.set_masses([10.0])
    heavy.set_masses([40.0])
    one, two = (phonons(fcc_springs, atoms, supercell=(3, 3, 3)) for atoms in (light, heavy))
    np.testing.assert_allclose(one.bands.frequencies, 2 * two.bands.frequencies, atol=1e-5)


def test_oscillators_against_the_sum_over_their_levels():
    frequencies, weights = np.array([[1.0, 4.0, 9.0], [2.0, 5.0, 12.0]]), np.array([1.0, 3.0])
    temperatures = np.array([0.0, 50.0, 300.0, 2000.0])
    found = thermal(frequencies, weights, temperatures)
    levels = THZ * frequencies[..., None] * (np.arange(4000) + 0.5)
    share = weights / weights.sum()
    assert found.zero_point_energy == pytest.approx(share @ levels[..., 0].sum(axis=1))
    assert (found.free_energy[0], found.entropy[0], found.heat_capacity[0]) == (found.zero_point_energy, 0, 0)
    for t, temperature in enumerate(temperatures[1:], start=1):
        heat = units.kB * temperature
        chances = np.exp(-levels / heat)
        partition = chances.sum(axis=-1)
        mean = (levels * chances).sum(axis=-1) / partition
        square = (levels**2 * chances).sum(axis=-1) / partition
        free = -heat * np.log(partition)
        assert found.free_energy[t] == pytest.approx(share @ free.sum(axis=1))
        assert found.entropy[t] == pytest.approx(share @ ((mean - free) / heat).sum(axis=1))
        assert found.heat_capacity[t] == pytest.approx(share @ ((square - mean**2) / heat**2).sum(axis=1))


def test_what_is_no_vibration_is_left_out():
    kept = thermal(np.array([[1.0, 2.0, 3.0]]), np.ones(1), np.array([300.0]))
    more = thermal(np.array([[1.0, 2.0, 3.0], [-1.0, 0.0, 1e-7]]), np.ones(2), np.array([300.0]))
    assert more.left_out == pytest.approx(0.5)
    assert more.entropy == pytest.approx(kept.entropy / 2)


def test_supercells(fcc):
    assert repetitions(fcc, 10.0) == (3, 3, 3)
    assert repetitions(bulk("Ge", "fcc", a=EDGE, cubic=True), 10.0) == (2, 2, 2)
    assert repetitions(Atoms("Ge", cell=[3.0, 5.0, 20.0], pbc=True), 10.0) == (4, 2, 1)
    assert parse_supercell("2,3,4") == (2, 3, 4)
    assert parse_supercell(None) is None
    for text in ("2,2", "2,2,0", "two"):
        with pytest.raises(ValueError, match=f"'{text}' is no supercell"):
            parse_supercell(text)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"length": 0.0}, "--length"),
        ({"supercell": (0, 1, 1)}, "the supercell is"),
        ({"displacement": float("nan")}, "the displacement is"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fcc, fcc_springs, settings, message):
    with pytest.raises(ValueError, match=message):
        phonons(fcc_springs, fcc, **settings)


def test_without_phonopy_it_is_said_how_to_get_it(fcc, fcc_springs, monkeypatch):
    monkeypatch.setitem(sys.modules, "phonopy", None)
    with pytest.raises(ValueError, match=r"pip install 'cynosure\[phonons\]'"):
        phonons(fcc_springs, fcc)


@pytest.mark.parametrize("cubic", [False, True])
def test_a_supercell_holds_whole_waves(fcc_springs, cubic):
    """Two cubes hold the zone boundary along their edge, and three primitive cells a wave of that length of theirs."""
    cells = [bulk("Ge", "fcc", a=EDGE, cubic=kind) for kind in (False, True)]
    for atoms in cells:
        atoms.rotate(40.0, (1, 2, 3), rotate_cell=True)
    found = phonons(fcc_springs, cells[cubic], supercell=(2, 2, 2) if cubic else (3, 3, 3), relax=False)
    third, boundary = np.linalg.inv(cells[0].cell) @ [1 / 3, 0, 0], np.linalg.inv(cells[1].cell) @ [1.0, 0, 0]
    to_primitive = found.primitive.cell.array
    assert holds(found.dynamics, to_primitive @ boundary) == cubic
    assert holds(found.dynamics, to_primitive @ third) != cubic
    assert holds(found.dynamics, np.zeros(3))


def test_the_next_supercell_is_longer(fcc, fcc_springs):
    assert longer(phonons(fcc_springs, fcc, supercell=(2, 2, 3))) == ("--supercell", "3,3,4")
