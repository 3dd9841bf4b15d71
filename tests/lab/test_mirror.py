"""Labels of hands turn with nothing and flip in a mirror, and networks keep what their parity labels promise."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from ase.collections import g2
from ase.data import covalent_radii

import cynosure
from cynosure.graph import batch, from_atoms
from cynosure.lab.mirror import (
    CASES,
    REAL,
    Mirror,
    Outcome,
    Plan,
    compositions,
    conclusion,
    hand,
    measure_mirror,
    mirror_symmetric_energy,
    mirrored,
    random_molecule,
    signed_volume,
    write_mirror,
)
from cynosure.lab.mirror.experiment import ask, shown
from cynosure.lab.mirror.molecules import HAND, both, make_hands
from cynosure.lab.mirror.outcome import SETS
from cynosure.lab.mirror.report import tables, warnings
from cynosure.lab.runs import Run
from cynosure.o3 import random_rotation


@pytest.fixture(scope="module")
def molecules():
    rng = np.random.default_rng(0)
    return [random_molecule(composition, rng) for composition in compositions() for _ in range(3)]


@pytest.fixture(scope="module")
def hands():
    return make_hands(40, 20, 30, seed=1)


# Molecules and their labels.


def test_the_hand_turns_with_nothing_and_flips_in_a_mirror(molecules):
    generator = torch.Generator().manual_seed(0)
    rng = np.random.default_rng(2)
    plane = np.diag([1.0, 1.0, -1.0])
    for atoms in molecules:
        volume = signed_volume(atoms.numbers, atoms.positions)
        turn = random_rotation(generator=generator).numpy()
        moved, order = atoms.positions @ turn.T + [1.0, -2.0, 3.0], rng.permutation(5)
        assert signed_volume(atoms.numbers[order], moved[order]) == pytest.approx(volume, rel=1e-12)
        assert signed_volume(atoms.numbers, moved @ plane) == pytest.approx(-volume, rel=1e-12)
        assert signed_volume(atoms.numbers, -atoms.positions) == -volume
        assert hand(atoms.numbers, atoms.positions) == -hand(atoms.numbers, atoms.positions @ plane) == 1


def test_clockwise_with_the_lightest_behind_is_r():
    # Seen from +z, with hydrogen behind: Br at twelve o'clock, Cl at four, F at eight.
    clock = [[0.0, 1.0, 0.3], [0.87, -0.5, 0.3], [-0.87, -0.5, 0.3], [0.0, 0.0, -1.0], [0.0, 0.0, 0.0]]
    r = Atoms(["Br", "Cl", "F", "H", "C"], clock)
    assert hand(r.numbers, r.positions) == -1
    s = Atoms(["Br", "F", "Cl", "H", "C"], clock)
    assert hand(s.numbers, s.positions) == 1


def test_ten_compositions_are_all_there_are(molecules):
    assert len(set(compositions())) == 10
    assert str(compositions()[-1]) == "SiHBrClF"
    formulas = {atoms.get_chemical_formula() for atoms in molecules}
    assert len(formulas) == 10
    firsts = {atoms.get_chemical_symbols()[0] for atoms in molecules}
    assert len(firsts) > 3  # atoms come in any order


def springs_and_repulsion(atoms):
    """Of a centre and its substituents: four bonds, six other pairs."""
    (centre,) = np.flatnonzero(np.isin(atoms.numbers, [6, 14]))
    energy = 0.0
    for i, j in itertools.combinations(range(5), 2):
        gap = atoms.get_distance(i, j) - covalent_radii[atoms.numbers[[i, j]]].sum()
        energy += 10.0 * gap**2 if centre in (i, j) else 4.0 * np.exp(-gap / 0.6)
    return energy


def test_energies_of_mirror_images_and_of_turned_molecules_are_equal(molecules):
    turn = random_rotation(generator=torch.Generator().manual_seed(3)).numpy()
    for atoms in molecules[:10]:
        energy = mirror_symmetric_energy(atoms.numbers, atoms.positions)
        assert atoms.get_potential_energy() == energy
        assert energy == pytest.approx(springs_and_repulsion(atoms), rel=1e-12)
        image = mirrored(atoms)
        assert image.get_potential_energy() == pytest.approx(energy, rel=1e-12)
        assert image.info[HAND] == -atoms.info[HAND] == -1.0
        for positions in (atoms.positions @ turn.T, atoms.positions @ np.diag([1.0, 1.0, -1.0])):
            assert mirror_symmetric_energy(atoms.numbers, positions) == pytest.approx(energy, rel=1e-12)
    spread = [mirror_symmetric_energy(one.numbers, one.positions) for one in molecules[:3]]
    assert np.ptp(spread) > 1e-3


def test_compositions_that_are_measured_are_never_trained_on(hands):
    trained, new = set(hands.trained_on), set(hands.never_seen)
    assert (len(trained), len(new)) == (7, 3)
    assert not trained & new

    def formulas(molecules):
        return {one.get_chemical_formula() for one in molecules}

    real = {"H2O2", "H4N2", "C3H8O"}
    assert formulas(hands.real) == real
    assert not formulas(hands.familiar) & real
    assert formulas(hands.training) == formulas(hands.familiar) | real == formulas(hands.validation)
    assert not formulas(hands.training) & formulas(hands.new)
    assert all(one.info[HAND] == 1.0 for one in (*hands.training, *hands.familiar, *hands.real, *hands.new))
    again = make_hands(40, 20, 30, seed=1)
    assert all(np.array_equal(a.positions, b.positions) for a, b in zip(hands.new, again.new, strict=True))
    left, mixed = (shown(case, hands.training) for case in CASES[:2])
    assert len(left) == len(mixed) == 40
    assert {one.info[HAND] for one in left} == {1.0}
    assert sum(one.info[HAND] for one in mixed) == 0
    assert [len(part) for part in (both(hands.new), hands.new)] == [60, 30]


@pytest.mark.parametrize("numbers", [[6, 1, 9, 17, 17], [1, 9, 17, 35, 53], [6, 1, 9, 17]])
def test_what_has_no_hand_is_refused(numbers):
    with pytest.raises(ValueError, match=r"a centre .C or Si. with four different substituents"):
        signed_volume(numbers, np.eye(5)[: len(numbers), :3])


# What parity promises, whatever the weights.


def test_the_real_molecules_are_those_of_ase_that_have_a_hand():
    """Of a pseudoscalar of random weights, a molecule has none exactly if it can be laid onto its mirror image."""
    every = [molecule(name) for name in g2.names]
    species = sorted({symbol for one in every for symbol in one.symbols})
    settings = {"layers": 3, "l_max": 2, "channels": 4, "parity": True, "targets": {HAND: {"irreps": "0o"}}}
    # (Symmetry is that of geometries with seven digits behind the point.)
    model = cynosure.build(settings, species, dtype=torch.float64)
    handed = {
        name
        for name, one in zip(g2.names, every, strict=True)
        if abs(float(model(from_atoms(one, model.cutoff), (HAND,))[HAND])) > 1e-3
    }
    nearly_flat = {"H2COH", "CH3CONH2"}
    assert handed == {*REAL, *nearly_flat}


@pytest.mark.parametrize("kind", REAL)
def test_a_real_molecule_is_the_one_of_ase_rattled(kind):
    rng = np.random.default_rng(4)
    found, own = random_molecule(kind, rng), molecule(kind)
    assert sorted(found.symbols) == sorted(own.symbols)
    lengths = [np.sort(one.get_all_distances(), axis=None) for one in (found, own)]
    assert 0.01 < np.abs(lengths[0] - lengths[1]).max() < 0.4
    assert found.info[HAND] == 1.0
    assert mirrored(found).info[HAND] == -1.0
    assert mirrored(found).get_potential_energy() == pytest.approx(found.get_potential_energy(), rel=1e-12)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
def test_parity_labels_decide_what_a_mirror_does(case, hands):
    torch.manual_seed(0)
    settings = {"layers": 3, "l_max": 1, "channels": 4, "cutoff": 5.0, **case.model}
    model = cynosure.build(settings, ["H", "C", "N", "O", "F", "Si", "Cl", "Br", "I"], dtype=torch.float64)
    molecules = hands.new[:6]
    images = [Atoms(one.numbers, one.positions @ np.diag([1.0, 1.0, -1.0])) for one in molecules]

    def answers(every):
        name = HAND if case.asks_hand else "energy"
        return model(batch([from_atoms(one, model.cutoff) for one in every]), (name,))[name]

    p, image = answers(molecules), answers(images)
    assert float(p.abs().min()) > 1e-6
    odd, even = float((p + image).abs().max()), float((p - image).abs().max())
    if "SO(3)" in case.network:
        assert min(odd, even) > 1e-5
    elif case.network.endswith("0o"):
        assert odd < 1e-12
    else:
        assert even < 1e-12
    scores, difference, total = ask(model, case, hands)
    assert tuple(scores) == SETS
    if case.network.endswith("0o"):
        assert scores["new left"] == scores["new right"]
        assert (difference > 1e-3, total < 1e-12) == (True, True)
    elif case.asks_hand and "SO(3)" not in case.network:
        assert scores["new left"] + scores["new right"] == pytest.approx(1.0, abs=1e-12)
        assert difference < 1e-12


def test_invariants_have_no_pseudoscalar():
    settings = {"l_max": 0, "parity": True, "targets": {HAND: {"irreps": "0o"}}}
    with pytest.raises(ValueError, match=r"targets\.hand is 1x0o, which symmetry forbids"):
        cynosure.build(settings, ["H", "C"])


# The experiment.


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"molecules": 5}, "number of molecules must be at least 20; got 5"),
        ({"measured": 1}, "number of measured must be at least 20"),
        ({"steps": 1}, "number of steps must be at least 20"),
    ],
)
def test_a_plan_that_makes_no_experiment_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Plan(**change)


def test_what_is_wrong_is_said_before_training(tmp_path):
    for settings, message in (
        ({"model": {"parity": False}}, r"'model\.parity' cannot be set: the experiment decides"),
        (
            {"model": {"l_max": 0}},
            r"O.3., 0o, shown left hands: targets\.hand is 1x0o, which symmetry forbids",
        ),
        ({"model": {"chanels": 4}}, "did you mean 'channels'"),
    ):
        with pytest.raises(ValueError, match=message):
            measure_mirror(tmp_path / "out", Plan(steps=20), settings=settings)
    with pytest.raises(ValueError, match="some element is never trained on"):
        make_hands(40, 20, 30, seed=0, never_seen=9)
    assert not (tmp_path / "out").exists()


def example(**changed):
    scores = {
        "hand-o3-left": (1.0, 1.0, 0.99, 0.98, 0.9, 0.9),
        "hand-o3-both": (1.0, 1.0, 0.95, 0.95, 0.95, 0.95),
        "hand-so3-left": (1.0, 0.0, 1.0, 0.0, 1.0, 0.0),
        "hand-so3-both": (1.0, 1.0, 1.0, 1.0, 0.8, 0.7),
        "hand-even-both": (0.4, 0.6, 0.4, 0.6, 0.3, 0.7),
        "hand-invariant-both": (0.5, 0.5, 0.5, 0.5, 0.5, 0.5),
        "energy-o3-left": (0.010,) * 6,
        "energy-o3-both": (0.011,) * 6,
        "energy-so3-left": (0.010, 0.020, 0.011, 0.021, 0.010, 0.030),
        "energy-so3-both": (0.015,) * 6,
        **changed,
    }
    outcomes = {}
    for case in CASES:
        labelled = "SO(3)" not in case.network
        odd = case.network.endswith("0o")
        run = Run(None, 100, 0, network=case.key)
        values = dict(zip(SETS, scores[case.key], strict=True))
        difference, total = (2.0 if odd or not labelled else 0.0), (0.0 if odd else 1.0)
        difference = difference if case.asks_hand else 0.0 if labelled else 0.004
        outcomes[case.key] = Outcome(run, values, difference, total, 20, 1.0)
    every = compositions()
    return Mirror(outcomes, 100, 50, every[:7], every[7:], 0.5, 0, method="By hand.")


def test_the_conclusion_is_what_came_out():
    found = example()
    odd, free, even, energies, last = conclusion(found)
    assert "tells 90.0 % of the left hands of new compositions and 90.0 % of their mirror images" in odd
    assert "and of ASE's molecules 99.0 % and 98.0 %; it never saw a right one" in odd
    assert "by construction" in odd
    assert "100 % of the new left hands and 0 % of the right ones: whatever it is shown, it says left" in free
    assert (
        "has to be shown both: then it tells 100 % of the compositions that it knows and 75.0 % of new"
        in free
    )
    assert "tell 50.0 % and 50.0 % of all hands" in even
    assert "right for exactly one of them" in even
    assert "equal exactly. Those of SO(3) differ by 4.00 meV" in energies
    assert "O(3) 10.0, SO(3) 15.0 and 15.0 meV" in energies
    assert "What to do next" in last
    assert warnings(found) == ()
    broken = dict(found.outcomes)
    for key in ("hand-o3-left", "hand-even-both"):
        broken[key] = replace(broken[key], difference=1.0, sum=1.0)
    words = conclusion(replace(found, outcomes=broken))
    assert "lacks the symmetry" in words[0]
    assert "they lack the symmetry" in words[2]
    assert "Not sure of the hands" in warnings(example(**{"hand-o3-left": (0.7,) * 6}))[0]


def test_the_files_of_the_experiment(tmp_path):
    found = example()
    written = write_mirror(found, tmp_path)
    assert written["picture"].read_bytes().startswith(b"\x89PNG")
    values = json.loads(written["json"].read_text())
    assert [one["case"] for one in values["cases"]] == [case.key for case in CASES]
    page = written["report"].read_text()
    assert page.count("src='data:image/png;base64,") == 1
    assert "By hand." in page
    assert "nan" not in re.sub(r"base64,[^']+", "", page)
    hand_rows, energy_rows = (table.rows for table in tables(found))
    told = ("100 / 100", "99.0 / 98.0", "90.0 / 90.0", "90.0 %")
    assert hand_rows[0] == ("O(3), 0o", "left", *told, "2.00", "0")
    errors = ("10.0 / 20.0", "11.0 / 21.0", "10.0 / 30.0")
    assert energy_rows[2] == ("SO(3), 0", "left", *errors, "4.00")
    names = [case.name for case in CASES]
    assert len(set(itertools.chain(names, [case.key for case in CASES]))) == 20 - (
        len(names) - len(set(names))
    )
