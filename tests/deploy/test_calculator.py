"""The ASE calculator: ASE's names, shapes and signs; nothing stale, nothing computed twice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.calculators.calculator import PropertyNotImplementedError
from ase.constraints import FixAtoms
from ase.stress import full_3x3_to_voigt_6_stress

import cynosure
from cynosure.deploy import Calculator
from cynosure.graph import from_atoms
from cynosure.kernels import NotLowered


class Counted(torch.nn.Module):
    """A potential that remembers which outputs it was asked for."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.calls: list[set[str]] = []

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.model, name)

    def lowered(self):
        raise NotLowered("this one counts its calls")

    def forward(self, graph, outputs=("energy", "forces"), **how):
        self.calls.append(set(outputs))
        return self.model(graph, outputs=outputs, **how)


def structures(silicon, ethanol) -> dict[str, Atoms]:
    slab = bulk("Si") * (2, 1, 1)
    slab.pbc = (True, True, False)
    slab.center(vacuum=4.0, axis=2)
    triclinic = make_supercell(bulk("Si"), [[1, 1, 0], [0, 1, 1], [1, 0, 2]])
    for made, seed in ((slab, 2), (triclinic, 3)):
        made.rattle(0.1, seed=seed)
    in_a_box = ethanol.copy()
    in_a_box.set_cell([12.0, 9.0, 10.0])
    return {
        "crystal": silicon,
        "molecule": ethanol,
        "molecule in a box": in_a_box,
        "slab": slab,
        "triclinic": triclinic,
        "one atom": Atoms("C"),
        "one atom in a thin cell": Atoms("Si", cell=np.diag([2.2, 2.4, 2.3]), pbc=True),
    }


NAMES = [
    "crystal",
    "molecule",
    "molecule in a box",
    "slab",
    "triclinic",
    "one atom",
    "one atom in a thin cell",
]


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_the_model_says(model, silicon, ethanol, name):
    atoms = structures(silicon, ethanol)[name]
    expected = model(from_atoms(atoms, model.cutoff), outputs=("energy", "energies", "forces", "stress"))
    atoms.calc = Calculator(model)
    assert atoms.get_potential_energy() == pytest.approx(float(expected["energy"]), rel=1e-13)
    assert atoms.get_potential_energy(force_consistent=True) == atoms.get_potential_energy()
    np.testing.assert_allclose(atoms.get_potential_energies(), expected["energies"], rtol=1e-13)
    np.testing.assert_allclose(atoms.get_forces(), expected["forces"], atol=1e-12)
    if atoms.cell.volume > 0:
        np.testing.assert_allclose(atoms.get_stress(voigt=False), expected["stress"][0], atol=1e-13)
        np.testing.assert_allclose(atoms.get_stresses().sum(axis=0), atoms.get_stress(), atol=1e-14)


def test_the_stress_has_the_sign_and_order_of_ase(model, silicon):
    """Against (1/V) dE/dε by finite strain, component by component, under tension and shear."""
    silicon.calc = Calculator(model)
    stress = silicon.get_stress()
    h, cell = 1e-4, silicon.cell.array.copy()
    numeric = np.zeros((3, 3))
    for a in range(3):
        for b in range(3):
            energies = []
            for sign in (1, -1):
                strain = np.eye(3)
                strain[a, b] += sign * h / 2
                strain[b, a] += sign * h / 2
                strained = silicon.copy()
                strained.calc = Calculator(model)
                strained.set_cell(cell @ strain, scale_atoms=True)
                energies.append(strained.get_potential_energy())
            numeric[a, b] = (energies[0] - energies[1]) / (2 * h * silicon.cell.volume)
    tolerance = 1e-7
    assert np.abs(stress).min() > 100 * tolerance
    np.testing.assert_allclose(stress, full_3x3_to_voigt_6_stress(numeric), rtol=0, atol=tolerance)


def test_forces_along_a_path_are_those_without_a_skin(model, silicon):
    """Atoms cross faces, are wrapped back, and the cell breathes and shears meanwhile."""
    rng = np.random.default_rng(5)
    with_skin, without = Calculator(model, skin=0.6), Calculator(model, skin=0.0)
    velocity = rng.normal(0.0, 0.03, (len(silicon), 3)) + np.array([0.15, 0.0, -0.1])
    cell = silicon.cell.array.copy()
    crossed = False
    for step in range(60):
        strain = np.eye(3) + 0.02 * np.sin(step / 7) * np.array([[1, 0.5, 0], [0, -0.5, 0.3], [0, 0, 1]])
        silicon.positions += velocity
        silicon.set_cell(cell @ strain, scale_atoms=True)
        if step % 17 == 16:
            before = silicon.positions.copy()
            silicon.wrap()
            crossed |= bool(np.abs(silicon.positions - before).max() > 1.0)
        results = []
        for calculator in (with_skin, without):
            silicon.calc = calculator
            results.append((silicon.get_potential_energy(), silicon.get_forces(), silicon.get_stress()))
        for kept, fresh in zip(*results, strict=True):
            # 1e-12 of the energies' size, 6e4 eV of E0s, is what a sum in another order costs.
            np.testing.assert_allclose(kept, fresh, rtol=1e-15, atol=1e-12)
    assert crossed
    assert with_skin.neighbour_list_builds < 30 < without.neighbour_list_builds


def test_only_what_is_asked_for_is_computed(model, silicon):
    counted = Counted(model)
    silicon.calc = Calculator(counted)
    silicon.get_potential_energy()
    silicon.get_potential_energy()
    assert counted.calls == [{"energy", "energies"}], "an energy alone takes no derivative, and is kept"
    silicon.get_forces()
    assert counted.calls[1:] == [{"energy", "energies", "forces"}]
    silicon.positions[0, 0] += 0.01
    silicon.get_potential_energy()
    silicon.get_forces()
    assert len(counted.calls) == 3, "energy and forces of the next step come together"
    silicon.get_stress()
    silicon.positions[0, 0] += 0.01
    silicon.get_forces()
    silicon.get_stress()
    silicon.get_potential_energy()
    assert counted.calls[4:] == [{"energy", "energies", "forces", "stress"}]
    for _ in range(3):
        silicon.positions[0, 0] += 0.01
        silicon.get_potential_energy()
    assert counted.calls[6:] == [{"energy", "energies"}] * 2, "a scan of energies alone is cheap again"


def test_what_was_asked_for_together_comes_together_at_every_step():
    settings = {
        "model": "nequip",
        "layers": 1,
        "channels": 2,
        "inputs": {"spins": {"tensor": "i", "axial": True, "per": "atom", "odd": True}},
        "derivatives": {"torque": {"formula": "-energy/turn(spins)"}},
    }
    atoms = bulk("Fe", cubic=True)
    atoms.arrays["spins"] = np.eye(3)[:2]
    counted = Counted(cynosure.build(settings, ["Fe"]))
    atoms.calc = Calculator(counted)
    for _ in range(5):
        atoms.positions[0, 0] += 0.01
        atoms.get_potential_energy()
        atoms.get_forces()
        atoms.calc.get_property("torque", atoms)
    # The first step asks for one after the other; from then on all three are expected.
    assert counted.calls[3:] == [{"energy", "energies", "forces", "torque"}] * 4


def test_a_change_of_anything_that_matters_is_noticed(model, silicon):
    silicon.calc = Calculator(model)
    energies = [silicon.get_potential_energy()]
    for change in (
        lambda: silicon.positions.__setitem__((0, 0), silicon.positions[0, 0] + 0.3),
        lambda: silicon.set_cell(silicon.cell * 1.01),
        lambda: silicon.set_pbc((True, False, True)),
        lambda: silicon.numbers.__setitem__(2, 6),
    ):
        change()
        energies.append(silicon.get_potential_energy())
    fresh = silicon.copy()
    fresh.calc = Calculator(model)
    assert energies[-1] == pytest.approx(fresh.get_potential_energy(), rel=1e-14)
    assert len(set(energies)) == len(energies)


def test_one_calculator_serves_structures_of_other_sizes(model, silicon, ethanol):
    calculator = Calculator(model)
    for atoms in (silicon, ethanol, silicon[:3], ethanol, Atoms("O"), silicon):
        atoms.calc = calculator
        forces = atoms.get_forces()
        atoms.calc = Calculator(model)
        np.testing.assert_allclose(forces, atoms.get_forces(), atol=1e-12)


def test_constraints_hold_atoms_and_leave_the_calculator_alone(model, silicon):
    silicon.set_constraint(FixAtoms([0, 1]))
    silicon.calc = Calculator(model)
    assert np.all(silicon.get_forces()[:2] == 0)
    assert np.all(np.abs(silicon.get_forces(apply_constraint=False)[:2]).max(axis=1) > 0)


def test_what_comes_out_is_the_callers_own(model, silicon):
    silicon.calc = Calculator(model)
    silicon.get_forces()[:] = 0.0
    assert np.abs(silicon.get_forces()).max() > 0


def test_a_stress_needs_a_volume(model, ethanol):
    ethanol.calc = Calculator(model)
    ethanol.get_forces()
    for ask in (ethanol.get_stress, ethanol.get_stresses):
        with pytest.raises(PropertyNotImplementedError, match="volume"):
            ask()
    assert np.isfinite(ethanol.get_potential_energy())
    ethanol.center(vacuum=5.0)
    assert np.isfinite(ethanol.get_stress()).all()


def test_an_unknown_element_is_named_with_those_that_are_known(model, silicon):
    silicon.numbers[4] = 26
    silicon.calc = Calculator(model)
    with pytest.raises(ValueError, match=r"does not know Fe; it was built for H, C, O, Si"):
        silicon.get_potential_energy()


def test_two_atoms_on_one_spot_are_named(model, ethanol):
    ethanol.calc = Calculator(model)
    ethanol.get_forces()
    ethanol.positions[5] = ethanol.positions[2]
    with pytest.raises(ValueError, match=r"2 and 5"):
        ethanol.get_forces()
    # Within the skin of the list that is kept, too.
    pair = Atoms("H2", positions=[[0, 0, 0], [0.2, 0, 0]])
    pair.calc = Calculator(model, skin=0.5)
    pair.get_potential_energy()
    pair.positions[1] = 0.0
    with pytest.raises(ValueError, match=r"0 and 1"):
        pair.get_potential_energy()
    assert pair.calc.neighbour_list_builds == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_position_that_is_not_finite_is_refused(model, silicon, bad):
    silicon.calc = Calculator(model)
    silicon.positions[3, 2] = bad
    with pytest.raises(ValueError, match="3"):
        silicon.get_forces()


def test_no_atoms_are_refused(model):
    empty = Atoms()
    empty.calc = Calculator(model)
    with pytest.raises(ValueError, match="no atoms"):
        empty.get_potential_energy()


def test_from_a_file_in_either_precision(model, silicon, tmp_path):
    path = tmp_path / "model.safetensors"
    model.save(path)
    assert cynosure.Calculator is Calculator
    silicon.calc = Calculator(model)
    energy, forces = silicon.get_potential_energy(), silicon.get_forces()
    for dtype, tolerance in ((None, 1e-12), ("float64", 1e-12), (torch.float32, 2e-4)):
        silicon.calc = Calculator(path, dtype=dtype)
        np.testing.assert_allclose(silicon.get_forces(), forces, atol=tolerance)
        assert silicon.get_potential_energy() == pytest.approx(energy, abs=max(tolerance, 1e-9))
    assert silicon.calc.model.dtype == torch.float32
    assert silicon.get_forces().dtype == np.float64


def test_the_model_given_is_never_changed(model):
    single = Calculator(model, dtype="float32")
    assert single.model.dtype == torch.float32
    assert model.dtype == torch.float64
    assert Calculator(model).model is model


def test_an_unknown_precision_is_refused(model):
    with pytest.raises(ValueError, match="float32 or float64"):
        Calculator(model, dtype="float16")


@pytest.mark.parametrize("device", ["abacus", "meta:x", "cuda:77"])
def test_a_device_that_is_not_there_is_refused(model, device):
    with pytest.raises(ValueError, match=f"the device '{device}' cannot be used here"):
        Calculator(model, device=device)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Calculator(tmp_path / "nowhere.safetensors")


def test_the_most_crowded_pair_is_found(model, ethanol):
    ethanol.calc = Calculator(model)
    ethanol.positions[0] = ethanol.positions[1] + [0.5, 0.0, 0.0]
    ethanol.get_potential_energy()
    ratio, i, j = ethanol.calc.closest_contact()
    assert {i, j} == {0, 1}
    assert ratio == pytest.approx(0.5 / (2 * 0.76))
    lone = Atoms("H")
    lone.calc = ethanol.calc
    lone.get_potential_energy()
    assert lone.calc.closest_contact() == (np.inf, -1, -1)
