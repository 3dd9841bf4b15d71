"""Silicon: what is measured beside the verbs is what it says, and the whole road is run."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import SimpleNamespace

import ase.build
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator
from ase.calculators.tersoff import Tersoff, TersoffParameters

from cynosure.analysis import at_rest, elastic
from cynosure.analysis.strain import gradient_of, strained
from cynosure.deploy import MDResult
from cynosure.deploy.dynamics import Sample

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def materials(monkeypatch) -> SimpleNamespace:
    """The modules of the example, which is imported from the root of the repository."""
    monkeypatch.syspath_prepend(ROOT)
    names = ("frames", "measure", "comparison")
    return SimpleNamespace(**{name: importlib.import_module(f"examples.materials.{name}") for name in names})


@pytest.fixture
def tersoff() -> Tersoff:
    """Silicon of Tersoff, Phys. Rev. B 39, 5566 (1989), which has bonds of three bodies and ends at 3 Å."""
    parameters = TersoffParameters(
        m=3.0,
        gamma=1.0,
        lambda3=0.0,
        c=1.0039e5,
        d=16.217,
        h=-0.59825,
        n=0.78734,
        beta=1.1e-6,
        lambda2=1.7322,
        B=471.18,
        R=2.85,
        D=0.15,
        lambda1=2.4799,
        A=1830.8,
    )
    return Tersoff({("Si", "Si", "Si"): parameters})


@pytest.fixture
def diamond(tersoff) -> Atoms:
    return at_rest(tersoff, ase.build.bulk("Si", cubic=True), fmax=1e-7).atoms


@pytest.fixture
def silicon(materials) -> list[Atoms]:
    """The frames of the example."""
    path = materials.frames.DATA
    if not path.is_file():
        pytest.skip(f"the frames are not beside the repository: {path}")
    return materials.frames.read(path)


def labelled(atoms: Atoms, calculator, group: str, energy: float = 0.0) -> Atoms:
    """A frame with the labels of a calculator, its energy raised by so much."""
    own = atoms.copy()
    own.calc = calculator
    results = {
        "energy": own.get_potential_energy() + energy,
        "forces": own.get_forces(),
        "stress": own.get_stress(),
    }
    own.calc = SinglePointCalculator(own, **results)
    own.info["group"] = group
    return own


def test_labels_tell_the_constants_of_what_made_them(materials, tersoff, diamond):
    # The frame in the middle is not at rest, as that of the data is not; its lattice constant is not the answer.
    middle = strained(diamond, 1.0001 * np.eye(3))
    frames = [labelled(middle, tersoff, "Elastic")]
    for i, j in ((0, 0), (0, 1)):
        for size in (-0.015, -0.01, -0.005, 0.005, 0.01, 0.015):
            strain = np.zeros((3, 3))
            strain[i, j] = strain[j, i] = size
            frames.append(labelled(strained(middle, gradient_of(strain)), tersoff, "Elastic"))
    found = materials.frames.FromFrames.of(frames)
    expected = elastic(tersoff, middle, clamped=True, relax=False).tensor.cubic()
    assert (found.c11, found.c12, found.c44) == pytest.approx(
        (expected.c11, expected.c12, expected.c44), rel=1e-4
    )
    assert found.lattice == pytest.approx(diamond.cell.lengths()[0], rel=1e-6)
    assert abs(middle.cell.lengths()[0] / found.lattice - 1) > 5e-5


def test_a_pair_potential_gives_a_vacancy_the_energy_of_an_atom(materials):
    """Unrelaxed, what is lost is the bonds of one atom: twice its share of the energy, of which it brings one back."""
    calculator = LennardJones(rc=3.0, ro=2.2, smooth=True)
    crystal = ase.build.bulk("Ar", "fcc", a=1.56, cubic=True)
    found = materials.measure.vacancy(calculator, crystal, 4, steps=0)
    crystal.calc = calculator
    assert found.formation == found.unrelaxed
    assert found.formation == pytest.approx(-crystal.get_potential_energy() / len(crystal), rel=1e-10)


def test_a_vacancy_relaxes_with_or_without_the_symmetry_of_a_tetrahedron(materials, tersoff, diamond):
    bond = diamond.cell.lengths()[0] * np.sqrt(3) / 4
    tetrahedral = materials.measure.vacancy(tersoff, diamond, 2, paired=False)
    assert tetrahedral.converged
    assert len(tetrahedral.atoms) == 63
    assert tetrahedral.formation < tetrahedral.unrelaxed - 1e-3
    # All six distances of the four neighbours are one: they move along their lost bonds.
    assert np.ptp(tetrahedral.distances) < 1e-6
    assert abs(tetrahedral.distances[0] / (bond * np.sqrt(8 / 3)) - 1) > 1e-3
    # One step of the other way: two short distances, four longer ones.
    paired = materials.measure.vacancy(tersoff, diamond, 2, steps=1)
    assert paired.distances[1] < paired.distances[2] - 0.1
    np.testing.assert_allclose(paired.distances[1], paired.distances[0], atol=1e-6)


def test_labels_that_cost_more_for_a_vacancy_raise_its_energy_by_that(materials, tersoff, diamond):
    perfect = labelled(diamond, tersoff, "Elastic", energy=8 * 0.01)
    cell = diamond.repeat(2)[1:]
    rng = np.random.default_rng(0)
    frames = []
    for extra in (0.4, 0.5, 0.6):
        cell.positions += rng.normal(scale=0.02, size=cell.positions.shape)
        frames.append(labelled(cell, tersoff, "Vacancy", energy=63 * 0.01 + extra))
    raised, error = materials.measure.correction(tersoff, frames, perfect)
    assert raised == pytest.approx(0.5, abs=1e-9)
    assert error == pytest.approx(0.1 / np.sqrt(3), abs=1e-9)


def test_sound_has_the_speed_of_the_elastic_constants(materials, tersoff, diamond):
    pytest.importorskip("phonopy", reason="phonopy is an extra")
    from cynosure.analysis import phonons

    transverse, longitudinal = materials.measure.moduli_of_sound(phonons(tersoff, diamond, relax=False))
    expected = elastic(tersoff, diamond, relax=False).tensor.cubic()
    assert transverse == pytest.approx(expected.c44, rel=3e-3)
    assert longitudinal == pytest.approx(expected.c11, rel=3e-3)


def test_means_of_a_run_have_the_error_of_their_noise(materials):
    rng = np.random.default_rng(0)
    volumes = np.where(np.arange(1100) < 100, 9.0, 8.0) ** 3 * (1 + 0.01 * rng.normal(size=1100))
    samples = [
        Sample(step, 0.01 * step, 0.0, 0.0, 64, 300.0 + step % 2, 1e-4, volume)
        for step, volume in enumerate(volumes.tolist())
    ]
    hot = materials.measure.HotCrystal.of(MDResult("npt", Atoms(), samples), 300.0, 2, settle=1.0)
    numbers = hot.to_json(at_rest=3.9)
    mean, error = numbers["lattice"]
    # An edge has a third of the noise of its cube; means of a thousand, √1000 times less.
    assert mean == pytest.approx(4.0, abs=4 * 4 * 0.01 / 3 / np.sqrt(1000))
    assert error == pytest.approx(4 * 0.01 / 3 / np.sqrt(1000), rel=0.7)
    assert numbers["expansion"][0] == pytest.approx(mean / 3.9 - 1)
    assert numbers["temperature"][0] == pytest.approx(300.5)
    assert numbers["atoms"] == 64


def test_no_twin_of_a_held_out_frame_is_trained_on(materials, silicon):
    kept, held = materials.frames.divide(silicon)
    assert len(kept) + len(held) == len(silicon) == 214
    assert {frame.info["group"] for frame in held} == {"AIMD-NVT", "Elastic", "Surface", "Vacancy"}
    energies = [
        np.array([one.get_potential_energy() / len(one) for one in part if one.info["group"] == "Elastic"])
        for part in (kept, held)
    ]
    assert len(energies[1]) == 6
    # Twins have one energy, to what DFT is converged to; no other two strained frames do.
    assert np.abs(energies[0][:, None] - energies[1]).min() > 1e-3
    assert np.abs(energies[1][0] - energies[1][1]) < 1e-6


def test_stresses_are_put_in_order(materials, silicon, tersoff):
    """A potential that has seen none of the labels tells: its stress of the solid is like theirs in one order only."""
    for group in ("AIMD-NVT", "Vacancy"):
        solid = [frame for frame in silicon if frame.info["group"] == group]
        solid = [frame for frame in solid if frame.get_potential_energy() / len(frame) < -5.1][::6]
        labels = np.array([frame.get_stress() for frame in solid])
        found = []
        for frame in solid:
            own = frame.copy()
            own.calc = tersoff
            found.append(own.get_stress()[3:])
        assert np.corrcoef(labels[:, 3:].ravel(), np.ravel(found))[0, 1] > 0.85
        assert np.corrcoef(labels[:, [4, 3, 5]].ravel(), np.ravel(found))[0, 1] < 0.6


def test_the_labels_of_the_data(materials, silicon):
    found = materials.frames.FromFrames.of(silicon)
    assert found.residual < 0.01
    assert found.lattice == pytest.approx(5.4686, abs=1e-4)
    vacant = materials.frames.with_vacancy(silicon)
    assert {len(frame) for frame in vacant} == {63}
    # An atom that lost a bond has three neighbours, and there are four of these: so the solid is told from the liquid.
    for frame in vacant:
        distances = frame.get_all_distances(mic=True) + 9 * np.eye(63)
        assert 3 <= np.sum((distances < 2.9).sum(axis=1) == 3) <= 4


def test_a_number_that_is_off_is_missed(materials):
    check = materials.comparison.Check
    assert check.relative(1.04, 1.0, 0.05).held
    assert not check.relative(0.94, 1.0, 0.05).held
    assert not check(2e-3, 0.0, 2e-3, 1e-3).held


def test_the_whole_road_by_one_command(run_example, silicon, tmp_path):
    pytest.importorskip("phonopy", reason="phonopy is an extra")
    done = run_example("materials", "--quick", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stdout + done.stderr
    numbers = json.loads((tmp_path / "out" / "numbers.json").read_text())
    for identity in ("acoustic modes at Γ, THz", "bulk modulus of the equation of state, of (C11 + 2 C12)/3"):
        assert numbers["checks"][identity]["held"], numbers["checks"]
    assert numbers["lattice constant"] == pytest.approx(5.47, rel=0.03)
    assert 40 < numbers["equation of state"]["bulk modulus"] < 200
    assert (tmp_path / "out" / "materials.png").stat().st_size < 200_000
    assert "experiment" in done.stdout
    # A folder that holds something is left as it is.
    again = run_example("materials", "--quick", "--out", str(tmp_path / "out"))
    assert again.returncode == 2
    assert "name another folder" in again.stderr


def test_without_the_frames_it_says_so(run_example, tmp_path):
    pytest.importorskip("phonopy", reason="phonopy is an extra")
    done = run_example(
        "materials", "--quick", "--out", str(tmp_path / "out"), "--data", str(tmp_path / "none.xyz")
    )
    assert done.returncode == 2
    assert "name the file by --data" in done.stderr
    assert not (tmp_path / "out").exists()
