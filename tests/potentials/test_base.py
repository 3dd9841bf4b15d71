"""Around the network: E0s, scale and shift, lone atoms, repulsion, derivatives, and what is refused."""

import math

import ase
import ase.build
import numpy as np
import pytest
import torch

import cynosure
from cynosure.graph import from_atoms
from cynosure.potentials import Potential, derivatives
from cynosure.potentials.zbl import zbl_energies

SMALL = {"channels": 4, "layers": 2, "l_max": 1}
E0S = {"H": -13.6, "O": -2037.8}


def water() -> ase.Atoms:
    atoms = ase.build.molecule("H2O")
    atoms.rattle(0.05, seed=1)
    return atoms


@pytest.mark.parametrize("kind", ["isolated", "given"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_lone_atom_has_exactly_its_e0(kind, dtype):
    model = cynosure.build(
        SMALL, ["H", "O"], e0s=E0S, e0_kind=kind, shift=-3.0, scale=2.0, seed=5, dtype=dtype
    )
    for symbol, e0 in E0S.items():
        outputs = model(from_atoms(ase.Atoms(symbol), model.cutoff))
        assert float(outputs["energy"]) == e0
        assert outputs["forces"].tolist() == [[0, 0, 0]]


def test_with_fitted_e0s_a_lone_atom_is_finite_and_feels_no_force():
    model = cynosure.build(SMALL, ["H", "O"], e0s=E0S, e0_kind="fitted", seed=5)
    outputs = model(from_atoms(ase.Atoms("O"), model.cutoff))
    assert torch.isfinite(outputs["energy"]).all()
    assert outputs["forces"].tolist() == [[0, 0, 0]]


def test_atoms_that_part_reach_the_energy_of_lone_atoms_smoothly():
    model = cynosure.build(SMALL, ["H", "O"], e0s=E0S, e0_kind="isolated", shift=-3.0, dtype=torch.float64)
    total = 2 * E0S["O"]
    for distance, bound in [(model.cutoff - 1e-3, 1e-6), (model.cutoff - 1e-5, 1e-12)]:
        outputs = model(from_atoms(ase.Atoms("O2", positions=[[0, 0, 0], [distance, 0, 0]]), model.cutoff))
        assert abs(float(outputs["energy"]) - total) <= max(bound, 1e-11)


def test_scale_shift_and_e0_enter_as_the_formula_says():
    graph = from_atoms(water(), 5.0)
    plain = cynosure.build(SMALL, ["H", "O"], dtype=torch.float64)(graph, ("energies",))["energies"]
    scaled = cynosure.build(
        SMALL,
        ["H", "O"],
        e0s=E0S,
        scale={"H": 2.0, "O": 3.0},
        shift={"H": 0.5, "O": -1.0},
        dtype=torch.float64,
    )(graph, ("energies",))["energies"]
    is_oxygen = graph.atomic_numbers == 8
    expected = torch.where(is_oxygen, E0S["O"] + 3 * plain - 1.0, E0S["H"] + 2 * plain + 0.5)
    torch.testing.assert_close(scaled, expected, rtol=1e-14, atol=0)


def test_energies_are_summed_in_float64():
    model = cynosure.build(SMALL, ["O"], e0s={"O": -2037.797})
    atoms = ase.Atoms(
        "O1000", positions=10.0 * np.stack(np.unravel_index(np.arange(1000), (10, 10, 10)), axis=1)
    )
    outputs = model(from_atoms(atoms, model.cutoff), ("energy", "energies"))
    assert outputs["energy"].dtype == torch.float64
    lone = float(model(from_atoms(ase.Atoms("O"), model.cutoff), ("energy",))["energy"])
    assert (
        abs(float(outputs["energy"]) - 1000 * lone) < 1e-2
    )  # float32 alone would be off by more than 0.1 eV


def test_e0s_survive_a_change_of_dtype():
    model = cynosure.build(SMALL, ["O"], e0s={"O": -2037.797123456789}, e0_kind="given")
    outputs = model.float().double()(from_atoms(ase.Atoms("O"), model.cutoff), ("energy",))
    assert float(outputs["energy"]) == -2037.797123456789


def test_virials_and_stress_belong_together():
    atoms = ase.build.bulk("Si", cubic=True)
    atoms.rattle(0.1, seed=2)
    model = cynosure.build(SMALL, ["Si"], dtype=torch.float64)
    outputs = model(from_atoms(atoms, model.cutoff), ("stress", "virials"))
    total = -outputs["virials"].sum(0) / atoms.get_volume()
    torch.testing.assert_close((total + total.T) / 2, outputs["stress"][0], rtol=1e-10, atol=1e-14)


def test_stress_without_a_volume_is_not_a_number():
    model = cynosure.build(SMALL, ["H", "O"])
    assert torch.isnan(model(from_atoms(water(), model.cutoff), ("stress",))["stress"]).all()


def test_training_outputs_reach_the_weights():
    model = cynosure.build(SMALL, ["H", "O"])
    outputs = model(from_atoms(water(), model.cutoff), ("energy", "forces"), differentiable=True)
    (outputs["energy"].sum() + outputs["forces"].square().sum()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


def test_plain_outputs_carry_no_graph_and_run_without_gradients():
    model = cynosure.build(SMALL, ["H", "O"])
    graph = from_atoms(water(), model.cutoff)
    expected = model(graph)["forces"]
    for context in (torch.no_grad(), torch.inference_mode()):
        with context:
            outputs = model(graph, ("energy", "forces"))
        assert not any(value.requires_grad for value in outputs.values())
        torch.testing.assert_close(outputs["forces"], expected)


def test_constants_made_in_inference_mode_can_be_trained_on_later():
    model = cynosure.build({"channels": 3, "layers": 2, "l_max": 3}, ["H", "O"])
    graph = from_atoms(water(), model.cutoff)
    with torch.inference_mode():
        model(graph)
    model(graph, ("forces",), differentiable=True)["forces"].square().sum().backward()


def test_an_unknown_element_is_named():
    model = cynosure.build(SMALL, ["H", "O"])
    with pytest.raises(ValueError, match="does not know C; it was built for H, O"):
        model(from_atoms(ase.build.molecule("CH4"), model.cutoff))


def test_an_unknown_output_is_named():
    model = cynosure.build(SMALL, ["H", "O"])
    with pytest.raises(ValueError, match="no output 'force'"):
        model(from_atoms(water(), model.cutoff), ("force",))


def test_a_missing_gradient_raises():
    vectors = torch.randn(3, 3, requires_grad=True)
    with pytest.raises(RuntimeError, match="does not depend on the edge vectors"):
        derivatives.edge_gradient(torch.zeros(2), vectors, differentiable=False)
    with pytest.raises(RuntimeError, match="does not depend on the edge vectors"):
        derivatives.edge_gradient(torch.zeros(2, requires_grad=True), vectors, differentiable=False)


def test_build_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match="did you mean 'l_max'"):
        cynosure.build({"lmax": 2}, ["H"])
    with pytest.raises(ValueError, match="no model 'mase'"):
        cynosure.build({"model": "mase"}, ["H"])
    with pytest.raises(ValueError, match="'Xx' is not a chemical symbol"):
        cynosure.build({}, ["Xx"])
    with pytest.raises(ValueError, match="no value for O"):
        cynosure.build({}, ["H", "O"], e0s={"H": -13.6})
    with pytest.raises(ValueError, match="at least one element"):
        cynosure.build({}, [])
    with pytest.raises(ValueError, match=r"'model\.layers'"):
        cynosure.build({"layers": 0}, ["H"])
    with pytest.raises(ValueError, match="float32 or float64"):
        cynosure.build({}, ["H"], dtype=torch.float16)


def test_build_is_seeded_and_leaves_the_global_state_alone():
    before = torch.random.get_rng_state()
    one, two, other = (cynosure.build(SMALL, ["H"], seed=seed).embedding for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert torch.equal(before, torch.random.get_rng_state())


def test_zbl_is_coulomb_at_short_distance_and_vanishes_at_the_covalent_distance():
    numbers, index = torch.tensor([14, 8]), (torch.tensor([0, 1]), torch.tensor([1, 0]))

    def pair(r: float) -> float:
        return float(zbl_energies(numbers, *index, torch.tensor([r, r], dtype=torch.float64), 5.0).sum())

    assert pair(1e-5) == pytest.approx(14 * 8 * 14.399645 / 1e-5, rel=1e-3)
    assert pair(0.5) > pair(1.0) > pair(1.5) > 0
    assert pair(1.11 + 0.66) == 0  # covalent radii of Si and O


def test_zbl_with_constants_of_its_own_may_reach_to_the_cutoff():
    """Written out for two atoms: Z_i Z_j k/r Σ c exp(−d r (Z_i^ν + Z_j^ν)/λ) u(r/r_c), half of it to each."""
    constants = {
        "charge": 14.4,
        "length": 0.24,
        "exponent": 0.3,
        "coefficients": [0.6, 0.4],
        "decays": [3.2, 0.9],
        "reach": "cutoff",
        "power": 5,
    }
    r, cutoff = 1.9, 5.0
    graph = from_atoms(ase.Atoms("SiO", positions=[[0, 0, 0], [r, 0, 0]]), cutoff)
    energies = [
        cynosure.build({**SMALL, "zbl": zbl}, ["Si", "O"], dtype=torch.float64)(graph, ("energies",))[
            "energies"
        ]
        for zbl in (constants, False)
    ]
    x, y = r * (14**0.3 + 8**0.3) / 0.24, r / cutoff
    screening = 0.6 * math.exp(-3.2 * x) + 0.4 * math.exp(-0.9 * x)
    envelope = 1 - 21 * y**5 + 35 * y**6 - 15 * y**7
    half = 14 * 8 * 14.4 / r * screening * envelope / 2
    torch.testing.assert_close(
        energies[0] - energies[1], torch.full((2,), half, dtype=torch.float64), rtol=1e-9, atol=1e-12
    )
    with pytest.raises(ValueError, match="'coefficients' has 2 numbers and 'decays' 1"):
        cynosure.build({**SMALL, "zbl": {**constants, "decays": [1.0]}}, ["Si"])


def test_zbl_is_part_of_energy_and_forces():
    graph = from_atoms(ase.Atoms("O2", positions=[[0, 0, 0], [0.6, 0, 0]]), 5.0)
    with_zbl = cynosure.build({**SMALL, "zbl": True}, ["O"], dtype=torch.float64)(graph)
    without = cynosure.build(SMALL, ["O"], dtype=torch.float64)(graph)
    assert float(with_zbl["energy"] - without["energy"]) > 10
    assert float((with_zbl["forces"] - without["forces"])[1, 0]) > 10


def test_a_model_is_one_method():
    class Springs(Potential):
        def __init__(self, config, calibration):
            super().__init__(config, calibration)
            self.stiffness = torch.nn.Parameter(torch.tensor(2.0))

        def atomic_energies(self, graph, species, vectors):
            pair = self.stiffness * (torch.linalg.vector_norm(vectors, dim=1) - 1).square() / 4
            return vectors.new_zeros(species.shape[0]).index_add(0, graph.receivers, pair)

    base = cynosure.build(SMALL, ["O"])
    model = Springs(base.config, base.calibration)
    outputs = model(from_atoms(ase.Atoms("O2", positions=[[0, 0, 0], [1.5, 0, 0]]), model.cutoff))
    assert float(outputs["energy"]) == pytest.approx(0.25)
    assert outputs["forces"][:, 0].tolist() == pytest.approx([1.0, -1.0])
