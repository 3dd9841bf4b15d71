"""Declared arrays: read from any column, kept by frame, given to graphs, and refused where they do not fit."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from ase.io import write

from cynosure.data import Frames, GraphDataset, read_frames
from cynosure.graph import Declared, Quantity, batch

SPINS = Declared("spins", Quantity("atom", (3,)), "magmoms", "input")
FIELD = Declared("field", Quantity("structure", (3,)), "field", "input", default=0.0)
DIPOLE = Declared("dipole", Quantity("structure", (3,)), "dipole", "target")
ALPHA = Declared("alpha", Quantity("structure", (3, 3)), "alpha", "target")
SHIELDING = Declared("shielding", Quantity("atom", (3, 3)), "nmr", "target")
HESSIAN = Declared("hessian", Quantity("pair", (3, 3)), "H", "target")
BONDS = Declared("bonds", Quantity("edge"), "bonds", "target", ends="bond_ends")
EVERY = (SPINS, FIELD, DIPOLE, ALPHA, SHIELDING, HESSIAN, BONDS)


def told(atoms: Atoms, seed: int = 0) -> Atoms:
    rng, n = np.random.default_rng(seed), len(atoms)
    atoms = atoms.copy()
    atoms.arrays["magmoms"] = rng.normal(size=(n, 3))
    atoms.info["field"] = rng.normal(size=3)
    atoms.info["dipole"] = rng.normal(size=3)
    atoms.info["alpha"] = rng.normal(size=(3, 3))
    atoms.arrays["nmr"] = rng.normal(size=(n, 9))
    atoms.info["H"] = rng.normal(size=(3 * n, 3 * n))
    return atoms


def with_bonds(atoms: Atoms) -> Atoms:
    atoms.info["bond_ends"] = np.array([[0, 1], [1, 0], [0, 2]])
    atoms.info["bonds"] = np.array([0.5, 0.25, 2.0])
    return atoms


def test_a_file_gives_them_back(tmp_path):
    water, lone = with_bonds(told(molecule("H2O"))), told(Atoms("O"), 1)
    write(tmp_path / "frames.xyz", [water, lone])
    frames = read_frames(tmp_path / "frames.xyz", declared=EVERY)
    assert frames.label_counts() == {
        **dict.fromkeys(("energy", "forces", "stress"), 0),
        **dict.fromkeys(("dipole", "alpha", "shielding", "hessian"), 2),
        "bonds": 1,
    }
    assert frames.summary().other_columns == ()
    data = GraphDataset(frames, 3.0)
    for graph, atoms in zip(data, (water, lone), strict=True):
        n = len(atoms)
        expected = {
            "spins": atoms.arrays["magmoms"],
            "field": atoms.info["field"][None],
            "dipole": atoms.info["dipole"][None],
            "alpha": atoms.info["alpha"][None],
            "shielding": atoms.arrays["nmr"].reshape(n, 3, 3),
        }
        for name, value in expected.items():
            np.testing.assert_allclose((graph.labels | graph.inputs)[name].numpy(), value, rtol=1e-7)
        blocks = graph.labels["hessian"].reshape(n, n, 3, 3)
        for i, j in ((0, 0), (0, n - 1), (n - 1, 0)):
            own = atoms.info["H"][3 * i : 3 * i + 3, 3 * j : 3 * j + 3]
            np.testing.assert_allclose(blocks[i, j].numpy(), own, rtol=1e-7)
    graph = data[0]
    numbers = {
        (int(i), int(j)): float(value)
        for i, j, value in zip(graph.receivers, graph.senders, graph.labels["bonds"], strict=True)
    }
    assert {ends: value for ends, value in numbers.items() if not np.isnan(value)} == {
        (0, 1): 0.5,
        (1, 0): 0.25,
        (0, 2): 2.0,
    }
    whole = batch(list(data))
    assert whole.labels["hessian"].shape == (10, 3, 3)
    assert whole.inputs["spins"].shape == (4, 3)


def test_more_than_memory_holds_is_the_same(tmp_path):
    structures = [with_bonds(told(molecule("H2O"), seed)) for seed in range(3)]
    held = Frames.from_atoms(structures, declared=EVERY)
    mapped = Frames.from_atoms(structures, declared=EVERY, in_memory_limit=100, cache_dir=tmp_path)
    assert mapped.summary().on_disk
    assert held.content_hash() == mapped.content_hash()
    assert held.subset([2, 0])[0].declared["dipole"].values == pytest.approx(
        structures[2].info["dipole"][None]
    )
    # What is declared is part of what a run knows its data by.
    structures[1].info["dipole"][0] += 1e-9
    assert Frames.from_atoms(structures, declared=EVERY).content_hash() != held.content_hash()


def test_targets_may_be_missing_and_inputs_have_defaults():
    some, none = told(molecule("H2O")), molecule("H2O")
    none.arrays["magmoms"] = np.zeros((3, 3))
    some.arrays["nmr"][1] = np.nan  # measured on two of three nuclei
    frames = Frames.from_atoms([some, none], declared=EVERY[:-1])
    assert frames.label_counts()["shielding"] == 1
    graph = batch(list(GraphDataset(frames, 3.0)))
    assert graph.labels["shielding"].isfinite().all(dim=2).all(dim=1).tolist() == [True, False, True] + 3 * [
        False
    ]
    assert torch.equal(graph.inputs["field"][1], torch.zeros(3, dtype=torch.float64))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda a: a.arrays.pop("magmoms"),
            r"frame 0: there is no column 'magmoms' for the input 'spins'.*default",
        ),
        (
            lambda a: a.arrays.update(magmoms=np.ones((3, 2))),
            r"'spins' \(column 'magmoms'\) has shape \(3, 2\); \(3, 3\)",
        ),
        (lambda a: a.info.update(dipole="up"), "'dipole' .* is not a number or an array: 'up'"),
        (lambda a: a.info.update(dipole=np.ones(4)), r"'dipole' .* has shape \(4,\); \(3,\)"),
        (lambda a: a.info.update(H=np.ones((9, 8))), r"'hessian' .* has shape \(9, 8\); \(9, 9\)"),
        (lambda a: a.arrays["magmoms"].fill(np.nan), "'spins' .* not finite"),
        (lambda a: a.info.update(dipole=np.array([1.0, np.inf, 0.0])), "'dipole' .* not finite"),
        (lambda a: a.info.pop("bond_ends"), "no column 'bond_ends'"),
        (lambda a: a.info.update(bond_ends=np.array([[0, 3]] * 3)), "names an atom beyond the 3"),
        (
            lambda a: a.info.update(bond_ends=np.array([[0, 1]])),
            "3 numbers in 'bonds', 1 edges in 'bond_ends'",
        ),
        (lambda a: a.info.update(bond_ends=np.array([0, 1, 2])), r"'bond_ends' has shape \(3,\)"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    atoms = with_bonds(told(molecule("H2O")))
    change(atoms)
    with pytest.raises(ValueError, match=message):
        Frames.from_atoms([atoms], declared=EVERY)


def test_a_bond_that_is_no_edge_is_named():
    atoms = with_bonds(told(molecule("H2O")))
    frames = Frames.from_atoms([atoms], declared=EVERY)
    with pytest.raises(
        ValueError, match=r"'bonds' has a number for the edge \[0, 1, .*not within the cutoff"
    ):
        GraphDataset(frames, 0.5)[0]
    # In a small crystal an atom has many images; the file has to say which.
    crystal = Atoms("O", cell=[2.0, 2.0, 2.0], pbc=True)
    crystal.info |= {"bonds": np.ones(1), "bond_ends": np.array([[0, 0]])}
    declared = [BONDS]
    with pytest.raises(ValueError, match="has several images"):
        GraphDataset(Frames.from_atoms([crystal], declared=declared), 2.5)[0]
    crystal.info["bond_ends"] = np.array([[0, 0, 0, 0, 1]])
    graph = GraphDataset(Frames.from_atoms([crystal], declared=declared), 2.5)[0]
    (number,) = graph.labels["bonds"].isfinite().nonzero().flatten().tolist()
    assert graph.shifts[number].tolist() == [0, 0, 1]
