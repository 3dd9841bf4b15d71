"""Peptides are built as they are said to be, what is relaxed at φ and ψ stays there, and the whole road is run."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ase.calculators.lj import LennardJones

ROOT = Path(__file__).resolve().parents[2]
# α helix, extended, and C7 of an L residue; degrees.
SHAPES = [(-60.0, -45.0), (-150.0, 155.0), (-80.0, 75.0)]


@pytest.fixture
def biology(monkeypatch) -> SimpleNamespace:
    """The modules of the example, which is imported from the root of the repository."""
    monkeypatch.syspath_prepend(ROOT)
    return SimpleNamespace(
        **{name: importlib.import_module(f"examples.biology.{name}") for name in ("peptide", "scan")}
    )


def negative(angles):
    return [(-phi, -psi) for phi, psi in angles]


@pytest.mark.parametrize("hands", ["", "L", "D", "LDL"])
def test_lengths_angles_and_torsions_are_those_asked_for(biology, hands):
    angles = SHAPES[: len(hands)]
    atoms = biology.peptide.peptide(hands, angles)
    assert len(atoms) == 12 + 10 * len(hands)
    assert atoms.get_chemical_formula(mode="reduce") == "CH3CONH" + "CHCH3CONH" * len(hands) + "CH3"
    symbols, distances = np.array(atoms.get_chemical_symbols()), atoms.get_all_distances()
    allowed = {"CC": (1.521, 1.525), "CN": (1.336, 1.459), "CO": (1.229,), "CH": (1.09,), "HN": (1.01,)}
    bonds = biology.scan.bonds_of(len(hands))
    assert len(bonds) == len(atoms) - 1  # a tree: no rings
    for i, j in bonds:
        lengths = allowed["".join(sorted((symbols[i], symbols[j])))]
        assert min(abs(distances[i, j] - length) for length in lengths) < 1e-12
    for residue, (phi, psi) in enumerate(angles):
        found = biology.peptide.ramachandran_angles(atoms, residue)
        np.testing.assert_allclose(found, (phi, psi), atol=1e-9)
        # ASE defines torsions on its own.
        for quadruple, angle in zip(biology.peptide.ramachandran(residue), (phi, psi), strict=True):
            assert "".join(symbols[list(quadruple)]) in ("CNCC", "NCCN")
            assert atoms.get_dihedral(*quadruple) == pytest.approx(angle % 360, abs=1e-8)
        alpha = biology.peptide.alpha_carbons(len(hands))[residue]
        neighbours = alpha + np.array([-2, 1, 2, 6])
        assert list(symbols[neighbours]) == ["N", "H", "C", "C"]
        assert atoms.get_angle(alpha - 2, alpha, alpha + 6) == pytest.approx(111.0, abs=1e-9)
        assert atoms.get_angle(alpha - 2, alpha, alpha + 2) == pytest.approx(110.4, abs=1e-9)
        assert atoms.get_angle(alpha + 2, alpha, alpha + 6) == pytest.approx(110.5, abs=1e-9)


def test_carbons_are_tetrahedral_or_flat(biology):
    atoms = biology.peptide.peptide("LD", SHAPES[:2])
    around = [[] for _ in atoms]
    for i, j in biology.scan.bonds_of(2):
        around[i].append(j)
        around[j].append(i)
    counts = {"H": {1}, "O": {1}, "N": {3}, "C": {3, 4}}
    for middle, ends in enumerate(around):
        assert len(ends) in counts[atoms.symbols[middle]]
        angles = [atoms.get_angle(i, middle, j) for i in ends for j in ends if i < j]
        if len(ends) == 3:
            assert sum(angles) == pytest.approx(360, abs=1e-6)
            assert min(angles) > 114
        if len(ends) == 4:
            assert min(angles) > 106
            assert max(angles) < 112


@pytest.mark.parametrize("angles", SHAPES)
def test_nothing_is_in_the_way_of_another_in_shapes_that_exist(biology, angles):
    atoms = biology.peptide.peptide("LLL", [angles] * 3)
    distances = atoms.get_all_distances()
    bonded = {frozenset(bond) for bond in biology.scan.bonds_of(3)}
    apart = [distances[i, j] for i in range(len(atoms)) for j in range(i) if frozenset((i, j)) not in bonded]
    assert min(apart) > 1.6


def test_left_is_left(biology):
    """With the hydrogen of the α carbon towards the eye, CO, R and N go clockwise in an L amino acid (IUPAC-IUB)."""
    atoms = biology.peptide.peptide("LD", SHAPES[:2])
    assert atoms.arrays["hand"][biology.peptide.alpha_carbons(2)].tolist() == [1, -1]
    assert np.count_nonzero(atoms.arrays["hand"]) == 2
    assert biology.peptide.handedness(atoms) == [1, -1]
    for alpha, clockwise in zip(biology.peptide.alpha_carbons(2), (True, False), strict=True):
        eye, carbonyl, side, nitrogen = (
            atoms.positions[alpha + k] - atoms.positions[alpha] for k in (1, 6, 2, -2)
        )
        x = np.cross(eye, carbonyl)
        x /= np.linalg.norm(x)
        y = np.cross(eye / np.linalg.norm(eye), x)
        # Angles as they are seen from the hydrogen, from CO on, counterclockwise.
        turns = [np.arctan2(v @ y, v @ x) - np.arctan2(carbonyl @ y, carbonyl @ x) for v in (side, nitrogen)]
        to_side, to_nitrogen = np.array(turns) % (2 * np.pi)
        assert (to_side > to_nitrogen) == clockwise


def test_the_mirror_image_of_a_peptide_is_the_peptide_of_other_hands(biology):
    left = biology.peptide.peptide("LDL", SHAPES)
    right = biology.peptide.peptide("DLD", negative(SHAPES))
    mirrored = biology.peptide.mirrored(left)
    np.testing.assert_array_equal(mirrored.arrays["hand"], right.arrays["hand"])
    np.testing.assert_array_equal(mirrored.numbers, right.numbers)
    # Turned onto each other by a rotation, and not by a mirror (Kabsch).
    a, b = (one.positions - one.positions.mean(axis=0) for one in (mirrored, right))
    u, _, v = np.linalg.svd(a.T @ b)
    rotation = u @ np.diag([1, 1, np.linalg.det(u @ v)]) @ v
    np.testing.assert_allclose(a @ rotation, b, atol=1e-10)
    # (And another peptide does not fit.)
    other = biology.peptide.peptide("DLD", SHAPES)
    assert np.abs(other.get_all_distances() - left.get_all_distances()).max() > 0.5


def test_letters_and_angles_have_to_fit(biology):
    with pytest.raises(ValueError, match="hands are L or D"):
        biology.peptide.peptide("LX", SHAPES[:2])
    with pytest.raises(ValueError, match="two angles each"):
        biology.peptide.peptide("LD", SHAPES[:1])


def test_what_holds_phi_and_psi_takes_nothing_else(biology):
    """Projected forces do not change φ and ψ to first order, and lose two of all degrees of freedom."""
    atoms = biology.peptide.peptide("L", SHAPES[:1])
    held = biology.scan.Held(SHAPES[0])
    columns = []
    for row in np.eye(3 * len(atoms)):
        forces = row.reshape(-1, 3).copy()
        held.adjust_forces(atoms, forces)
        columns.append(forces.ravel())
    projector = np.array(columns)
    np.testing.assert_allclose(projector @ projector, projector, atol=1e-12)
    assert np.trace(projector) == pytest.approx(3 * len(atoms) - 2, abs=1e-10)
    direction = (projector @ np.random.default_rng(0).normal(size=len(projector))).reshape(-1, 3)
    ends = []
    for step in (1e-4, -1e-4):
        moved = atoms.copy()
        moved.positions += step * direction
        ends.append(np.array(biology.peptide.ramachandran_angles(moved)))
    np.testing.assert_allclose((ends[0] - ends[1]) / 2e-4, 0, atol=1e-5)


def test_a_step_that_is_held_is_the_projected_step_to_first_order(biology):
    atoms = biology.peptide.peptide("L", SHAPES[:1])
    held = biology.scan.Held(SHAPES[0])
    direction = np.random.default_rng(0).normal(size=(len(atoms), 3))
    tangent = direction.copy()
    held.adjust_forces(atoms, tangent)
    left = []
    for step in (1e-3, 1e-4):
        new = atoms.positions + step * direction
        held.adjust_positions(atoms, new)
        moved = atoms.copy()
        moved.positions = new
        np.testing.assert_allclose(biology.peptide.ramachandran_angles(moved), SHAPES[0], atol=1e-9)
        left.append(np.abs(new - atoms.positions - step * tangent).max())
    assert left[0] < 1e-4
    assert left[0] / left[1] == pytest.approx(100, rel=0.05)


@pytest.mark.parametrize("chain", [(8, 14), (6, 8, 14), (4, 6, 8, 14)])
def test_derivatives_of_lengths_angles_and_torsions(biology, chain):
    atoms = biology.peptide.peptide("L", SHAPES[:1])
    found = biology.scan._derivatives(atoms.positions, np.array([chain])).reshape(-1, 3)
    measure = {2: atoms.get_distance, 3: atoms.get_angle, 4: atoms.get_dihedral}[len(chain)]
    unit = 1.0 if len(chain) == 2 else np.pi / 180
    start = atoms.positions.copy()
    for atom in range(len(atoms)):
        for axis in range(3):
            ends = []
            for sign in (1, -1):
                atoms.positions = start
                atoms.positions[atom, axis] += sign * 1e-5
                ends.append(unit * measure(*chain))
            assert found[atom, axis] == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-7)


def test_a_relaxation_keeps_the_angles_it_holds(biology):
    start = biology.peptide.peptide("L", [(-80.0, 75.0)])
    angles = (-95.0, 105.0)
    turned = biology.scan.turned(start, angles)
    np.testing.assert_allclose(biology.peptide.ramachandran_angles(turned), angles, atol=1e-9)
    for i, j in biology.scan.bonds_of(1):
        assert turned.get_distance(i, j) == pytest.approx(start.get_distance(i, j), abs=1e-12)
    assert biology.peptide.handedness(turned) == [1]
    relaxed = biology.scan.relax(turned, LennardJones(sigma=1.2, epsilon=0.5), angles, fmax=0.05)
    np.testing.assert_allclose(biology.peptide.ramachandran_angles(relaxed), angles, atol=1e-9)
    moved = relaxed.copy()
    moved.calc = LennardJones(sigma=1.2, epsilon=0.5)
    assert moved.get_potential_energy() == pytest.approx(relaxed.get_potential_energy(), abs=1e-10)
    moved.positions = turned.positions
    assert moved.get_potential_energy() > relaxed.get_potential_energy() + 0.1


def test_the_approximate_hessian_leaves_the_whole_molecule_free(biology):
    atoms = biology.peptide.peptide("LD", SHAPES[:2])
    hessian = biology.scan.approximate_hessian(atoms)
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-10)
    floor = 0.3
    whole = [np.tile(axis, (len(atoms), 1)) for axis in np.eye(3)]
    whole += [np.cross(axis, atoms.positions) for axis in np.eye(3)]
    for mode in whole:
        np.testing.assert_allclose(hessian @ mode.ravel(), floor * mode.ravel(), atol=1e-9)
    assert np.linalg.eigvalsh(hessian)[6] > floor + 1e-6


def test_the_whole_road_by_one_command(run_example, tmp_path):
    pytest.importorskip("tblite", reason="labels are made by tblite: pip install 'cynosure[labels]'")
    done = run_example("biology", "--quick", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stdout + done.stderr
    numbers = json.loads((tmp_path / "out" / "numbers.json").read_text())
    # What symmetry says holds whatever was learned.
    assert max(numbers["mirror images"].values()) < 1e-10, numbers["mirror images"]
    assert numbers["errors"]["forces"] < 0.6 * numbers["errors"]["forces spread"]
    assert numbers["map"]["points"] == 9
    assert [row["hands"] for row in numbers["lengths"]] == ["L", "LD"]
    assert [row["atoms"] for row in numbers["lengths"]] == [22, 32]
    assert (tmp_path / "out" / "biology.png").stat().st_size > 20_000
    assert "meV/Å" in done.stdout
    # A folder that holds something is left as it is.
    again = run_example("biology", "--quick", "--out", str(tmp_path / "out"))
    assert again.returncode == 2
    assert "name another folder" in again.stderr
