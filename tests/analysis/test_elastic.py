"""Elastic constants are the second derivatives of the energy, and turn with the crystal."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from ase.units import GPa

from cynosure.analysis import ElasticTensor, elastic
from cynosure.analysis.strain import VOIGT, gradient_of, green_lagrange, strained
from cynosure.deploy import Calculator
from cynosure.o3 import random_rotation


def full(voigt: np.ndarray) -> np.ndarray:
    """[3, 3, 3, 3] from Voigt's notation."""
    place = {pair: i for i, pair in enumerate(VOIGT)} | {pair[::-1]: i for i, pair in enumerate(VOIGT)}
    found = np.zeros((3, 3, 3, 3))
    for index in np.ndindex(3, 3, 3, 3):
        found[index] = voigt[place[index[:2]], place[index[2:]]]
    return found


def test_springs_between_neighbours_in_fcc(fcc, fcc_springs):
    """C11 = √2 k/r and C12 = C44 = C11/2, by Σ over the twelve neighbours of k r² nᵢnⱼnₖnₗ / 2V."""
    found = elastic(fcc_springs, fcc)
    c11 = np.sqrt(2) * 3.0 / (5.0 / np.sqrt(2)) / GPa
    cubic = found.tensor.cubic()
    assert (cubic.c11, cubic.c12, cubic.c44) == pytest.approx((c11, c11 / 2, c11 / 2), rel=1e-6)
    assert cubic.anisotropy == pytest.approx(2.0, rel=1e-6)
    assert found.tensor.stable
    assert found.asymmetry < 1e-6
    assert not found.report("fcc").warnings


def test_constants_are_second_derivatives_of_the_energy_even_under_stress(pairs, silicon):
    """For a triclinic crystal, as it is: all 21 constants, by differences of energies alone."""
    calculator = Calculator(pairs())
    found = elastic(calculator, silicon, clamped=True, relax=False, strain=0.002)
    assert found.rest.result.after.stress > 0.5, "a crystal without stress would prove less"
    h = 2e-3

    def energy(*steps: tuple[int, float]) -> float:
        strain = np.zeros((3, 3))
        for i, size in steps:
            a, b = VOIGT[i]
            strain[a, b] += size / 2
            strain[b, a] += size / 2
        under = strained(silicon, gradient_of(strain))
        under.calc = calculator
        return under.get_potential_energy()

    expected = np.array(
        [
            [sum(s * t * energy((i, s * h), (j, t * h)) for s in (1, -1) for t in (1, -1)) for j in range(6)]
            for i in range(6)
        ]
    ) / (4 * h**2 * silicon.cell.volume * GPa)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found.tensor.voigt, expected, atol=1e-3 * scale)
    assert found.asymmetry < 1e-6 * scale
    assert "is not at rest" in found.report("silicon").warnings[0]


def test_the_tensor_turns_with_the_crystal(zincblende, zincblende_springs):
    rotation = random_rotation(generator=torch.Generator().manual_seed(1)).numpy()
    turned = zincblende.copy()
    turned.set_cell(zincblende.cell.array @ rotation.T, scale_atoms=True)
    still, moved = (
        elastic(zincblende_springs, atoms, strain=0.002, fmax=1e-7).tensor for atoms in (zincblende, turned)
    )
    expected = np.einsum("ai,bj,ck,dl,ijkl->abcd", rotation, rotation, rotation, rotation, full(still.voigt))
    np.testing.assert_allclose(full(moved.voigt), expected, atol=2e-6 * still.voigt.max())
    np.testing.assert_allclose(moved.eigenvalues, still.eigenvalues, rtol=1e-5)
    assert (still.cubic() is not None, moved.cubic() is not None) == (True, False), (
        "named in its own axes only"
    )
    assert moved.hill().young == pytest.approx(still.hill().young, rel=1e-5)
    assert moved.anisotropy() == pytest.approx(still.anisotropy(), rel=1e-4)
    along = np.array([[1.0, 0.0, 0.0], [1.0, 2.0, -0.5]])
    np.testing.assert_allclose(moved.young(along @ rotation.T), still.young(along), rtol=1e-5)


def test_relaxed_atoms_make_shear_softer_and_leave_the_rest(zincblende, zincblende_springs):
    clamped, relaxed = (
        elastic(zincblende_springs, zincblende, clamped=c).tensor.cubic() for c in (True, False)
    )
    assert (relaxed.c11, relaxed.c12) == pytest.approx((clamped.c11, clamped.c12), rel=1e-6)
    assert relaxed.c44 < 0.8 * clamped.c44
    # Clamped, with springs at rest, Cauchy's relation holds.
    assert clamped.c12 == pytest.approx(clamped.c44, rel=1e-6)


def test_moduli_of_an_isotropic_crystal_are_its_own():
    bulk, shear = 80.0, 30.0
    voigt = np.diag([2 * shear] * 3 + [shear] * 3)
    voigt[:3, :3] += bulk - 2 * shear / 3
    tensor = ElasticTensor(voigt)
    for moduli in (tensor.voigt_average(), tensor.reuss(), tensor.hill()):
        assert (moduli.bulk, moduli.shear) == pytest.approx((bulk, shear))
    young = tensor.young(np.random.default_rng(0).standard_normal((4, 3)))
    assert young == pytest.approx(np.full(4, tensor.hill().young))
    # Pulled along z, the crystal thins by Poisson's ratio.
    strain = np.linalg.solve(voigt, [0, 0, 1, 0, 0, 0])
    assert tensor.hill().poisson == pytest.approx(-strain[0] / strain[2])
    assert tensor.anisotropy() == pytest.approx(0.0, abs=1e-12)
    assert tensor.cubic().anisotropy == pytest.approx(1.0)
    assert tensor.eigenvalues == pytest.approx([2 * shear] * 5 + [3 * bulk])


def test_reuss_is_least_and_the_response_to_pressure():
    rng = np.random.default_rng(3)
    half = rng.standard_normal((6, 6))
    tensor = ElasticTensor(half @ half.T + np.eye(6))
    pressure = np.array([1.0, 1.0, 1.0, 0, 0, 0])
    dilatation = np.linalg.solve(tensor.voigt, pressure)[:3].sum()
    assert tensor.reuss().bulk == pytest.approx(1 / dilatation)
    assert tensor.reuss().bulk < tensor.hill().bulk < tensor.voigt_average().bulk
    assert tensor.reuss().shear < tensor.voigt_average().shear
    assert tensor.anisotropy() > 0


def test_an_unstable_crystal_is_told_and_has_no_moduli(zincblende, unstable_springs):
    """Nearest neighbours alone do not resist one kind of shear; second ones that push on make it gain energy."""
    found = elastic(unstable_springs, zincblende, clamped=True)
    assert found.rest.settled
    assert found.tensor.eigenvalues[0] < -1.0
    report = str(found.report("zincblende"))
    assert "NO: some small strain lowers the energy" in report
    assert "bulk modulus" not in report
    written = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert written["stable"] is False
    assert written["moduli"] is None


def test_noise_is_told(fcc, fcc_springs):
    found = elastic(fcc_springs, fcc)
    noisy = found.measured.copy()
    noisy[0, 1] += 0.05 * noisy.max()
    report = dataclasses.replace(found, measured=noisy).report("fcc")
    assert "C_ij and C_ji differ" in report.warnings[0]


def test_finite_strains_are_what_was_asked_for():
    strain = np.array([[0.02, 0.01, -0.03], [0.01, -0.04, 0.0], [-0.03, 0.0, 0.05]])
    np.testing.assert_allclose(green_lagrange(gradient_of(strain)), strain, atol=1e-14)
    with pytest.raises(ValueError, match="no crystal can be under the strain"):
        gradient_of(-0.6 * np.eye(3))


def test_settings_that_make_no_sense_are_refused(fcc, fcc_springs):
    for strain in (0.0, 0.2):
        with pytest.raises(ValueError, match="--strain"):
            elastic(fcc_springs, fcc, strain=strain)
    fcc.pbc = False
    with pytest.raises(ValueError, match="a crystal was expected"):
        elastic(fcc_springs, fcc)
