"""The inference path against the potential itself: same numbers, every architecture, every kind of structure."""

from __future__ import annotations

import ase.build
import numpy as np
import pytest
import torch
from ase import Atoms
from torch import Tensor

from cynosure.graph import AtomGraph, batch, from_atoms
from cynosure.kernels import CompiledProgram, compiled_program, core
from cynosure.potentials import Evaluator
from cynosure.potentials import evaluator as evaluator_module

needs_core = pytest.mark.skipif(not core.available(), reason="the compiled core is off or was not built")
OUTPUTS = ("energy", "energies", "forces", "stress", "virials")


def structures() -> dict[str, Atoms]:
    crystal = ase.build.bulk("Si", cubic=True)
    thin = Atoms(
        "SiO", [[0, 0, 0], [1.2, 1.1, 0.9]], cell=[[2.4, 0, 0], [0.9, 2.5, 0], [0.4, 0.3, 2.6]], pbc=True
    )
    slab = ase.build.bulk("Si") * (2, 1, 1)
    slab.pbc = (True, True, False)
    crystal.rattle(0.1, seed=1)
    slab.rattle(0.1, seed=2)
    return {
        "molecule": ase.build.molecule("CH3CH2OH"),
        "crystal": crystal,
        "thin": thin,
        "slab": slab,
        "atom": Atoms("O", [[1.0, 2.0, 3.0]]),
        "far apart": Atoms("OH", [[0, 0, 0], [0, 0, 30.0]]),
    }


def everything(cutoff: float = 4.0) -> AtomGraph:
    return batch([from_atoms(atoms, cutoff) for atoms in structures().values()])


def assert_agree(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        assert found[name].shape == value.shape
        assert not found[name].requires_grad
        scale = 1.0 + float(value.nan_to_num().abs().max()) if name != "energy" else 1.0
        torch.testing.assert_close(found[name], value, rtol=0, atol=tolerance * scale, equal_nan=True)


@needs_core
def test_agrees_with_the_potential(build, architecture):
    model = build(**architecture)
    evaluator = Evaluator(model)
    assert evaluator.engine == "core"
    assert_agree(evaluator.evaluate(everything(), OUTPUTS), model(everything(), OUTPUTS), 1e-10)


@needs_core
def test_forces_are_the_derivative_of_the_energy_it_gives(build):
    evaluator, graph = Evaluator(build(parity=True)), from_atoms(structures()["molecule"], 4.0)
    forces = evaluator.evaluate(graph)["forces"]
    for atom, axis in ((0, 0), (3, 1), (8, 2)):
        energies = []
        for step in (1e-4, -1e-4):
            moved = structures()["molecule"]
            moved.positions[atom, axis] += step
            energies.append(float(evaluator.evaluate(from_atoms(moved, 4.0))["energy"]))
        slope = -(energies[0] - energies[1]) / 2e-4
        assert slope == pytest.approx(float(forces[atom, axis]), abs=1e-6)


@needs_core
@pytest.mark.parametrize("channels", [16, 32, 37])
def test_float32_is_as_exact_as_its_rounding(build, channels):
    model = build(torch.float32, channels=channels, parity=True, layers=3, radial_hidden=[64, 64])
    exact = build(torch.float64, channels=channels, parity=True, layers=3, radial_hidden=[64, 64])
    exact.load_state_dict(model.state_dict())
    graph = everything()
    evaluator = Evaluator(model)
    found, expected = evaluator.evaluate(graph, OUTPUTS), exact(graph, OUTPUTS)
    size = float(expected["forces"].abs().max())
    assert float((found["forces"] - expected["forces"]).abs().max()) < 1e-5 * max(1.0, size)
    assert float((found["energies"] - expected["energies"]).abs().max()) < 1e-5


@needs_core
def test_tables_alone_cost_less_than_a_hundred_thousandth_of_an_ev_per_angstrom(build, monkeypatch):
    # In float64, where nothing else is lost, with the tables that float32 gets.
    monkeypatch.setitem(compiled_program._TERMS, torch.float64, compiled_program._TERMS[torch.float32])
    monkeypatch.setitem(
        compiled_program._TOLERANCE, torch.float64, compiled_program._TOLERANCE[torch.float32]
    )
    model = build(parity=True, channels=16, radial_hidden=[64, 64])
    program, result = model.lowered()
    compiled = CompiledProgram(program, result, torch.float64)
    for atoms in (structures()["molecule"], structures()["crystal"], structures()["slab"]):
        graph = from_atoms(atoms, 4.0)
        species = model.index_of(graph.atomic_numbers)
        _, scale, _ = model.per_species(species)
        _, forces, _ = compiled.run(graph.receivers, graph.senders, species, graph.edge_vectors(), scale)
        expected = model(graph, ("forces",))["forces"]
        assert forces is not None
        error = float((forces - expected).abs().max())
        assert 0 < error < 1e-5 * max(1.0, float(expected.abs().max()))


@needs_core
def test_two_threads_agree_with_one_and_repeat_bit_by_bit(build):
    crystal = ase.build.bulk("Si", cubic=True) * (3, 3, 2)
    crystal.rattle(0.1, seed=0)
    graph, before = from_atoms(crystal, 4.0), torch.get_num_threads()
    evaluator = Evaluator(build())
    results = []
    try:
        for threads in (1, 2, 2, 3):
            torch.set_num_threads(threads)
            results.append(evaluator.evaluate(graph, OUTPUTS))
    finally:
        torch.set_num_threads(before)
    for result in results[1:]:
        assert_agree(result, results[0], 1e-12)
    assert all(torch.equal(results[1][name], results[2][name]) for name in OUTPUTS)


def mixed(cells: int, seed: int = 0) -> Atoms:
    """Silicon, oxygen and carbon at random on a crystal, its atoms in no order."""
    rng = np.random.default_rng(seed)
    atoms = ase.build.bulk("Si", cubic=True) * (cells, 2, 2)
    atoms.rattle(0.1, seed=seed)
    atoms.symbols[:] = rng.choice(["Si", "O", "C"], len(atoms))
    return atoms[rng.permutation(len(atoms))]


@needs_core
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("large", [1, 10**9], ids=["laid out anew", "as it comes"])
def test_many_atoms_agree_with_the_potential(build, monkeypatch, threads, large):
    monkeypatch.setattr(evaluator_module, "_LARGE", large)
    model, graph, before = build(parity=True, layers=3), from_atoms(mixed(7), 4.0), torch.get_num_threads()
    expected = model(graph, OUTPUTS)
    try:
        torch.set_num_threads(threads)
        found = Evaluator(model).evaluate(graph, OUTPUTS)
    finally:
        torch.set_num_threads(before)
    assert_agree(found, expected, 1e-10)


@needs_core
def test_what_does_not_reach_the_energy_is_left_out(build):
    program = Evaluator(build(parity=True, layers=4)).programs[0]
    # Of the 27 paths of the third layer, 12 lead to irreps that the last does not read.
    assert program is not None
    assert program.paths == [3, 15, 15, 3]


@needs_core
def test_changed_weights_are_noticed(build):
    model = build()
    evaluator, graph = Evaluator(model), everything()
    before = evaluator.evaluate(graph)["energy"]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1)
    after = evaluator.evaluate(graph)
    assert float((after["energy"] - before).abs().max()) > 1e-3
    assert_agree(after, model(graph), 1e-10)
    model.float()
    assert evaluator.evaluate(graph)["forces"].dtype == torch.float32


@needs_core
def test_changed_elements_are_noticed(build):
    model = build()
    evaluator = Evaluator(model)
    graph = from_atoms(structures()["molecule"], 4.0)
    evaluator.evaluate(graph)
    graph.atomic_numbers[2] = 1  # in place
    assert_agree(evaluator.evaluate(graph, OUTPUTS), model(graph, OUTPUTS), 1e-10)


def test_a_setting_without_counterpart_goes_through_autograd(build):
    model = build(layer_norm=True)
    evaluator = Evaluator(model)
    assert evaluator.engine == "autograd"
    assert evaluator.why_not
    assert_agree(evaluator.evaluate(everything(), OUTPUTS), model(everything(), OUTPUTS), 1e-10)


def test_weights_that_are_not_finite_give_what_the_potential_gives(build):
    model = build(torch.float32)
    with torch.no_grad():
        next(model.parameters()).fill_(torch.nan)
    assert not bool(Evaluator(model).evaluate(everything())["forces"].isfinite().all())


@needs_core
def test_an_energy_alone_takes_no_derivative(build, monkeypatch):
    evaluator = Evaluator(build())
    assert evaluator.engine == "core"
    seeds = []
    run = CompiledProgram.run

    def watched(self, *arguments, **how):
        seeds.append(arguments[4])
        return run(self, *arguments, **how)

    monkeypatch.setattr(CompiledProgram, "run", watched)
    evaluator.evaluate(everything(), ("energy",))
    evaluator.evaluate(everything(), ("energy", "forces"))
    assert [seed is None for seed in seeds] == [True, False]


@needs_core
def test_a_core_that_computes_wrongly_is_refused(build, monkeypatch):
    run = CompiledProgram.run

    def wrong(self, *arguments, **how):
        output, *rest = run(self, *arguments, **how)
        return output + 0.1, *rest

    monkeypatch.setattr(CompiledProgram, "run", wrong)
    with pytest.raises(RuntimeError, match="CYNOSURE_CORE=off"):
        Evaluator(build()).evaluate(everything())


@needs_core
@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("species", lambda t: t + 4, r"'species' is \d at node"),
        ("receivers", lambda t: t + 1000, "'receivers' names node"),
        ("senders", lambda t: t - 1000, "'senders' names node"),
        ("senders", lambda t: t[1:], r"'senders' is torch.int64"),
        ("receivers", lambda t: t.int(), "'receivers' is torch.int32"),
        ("vectors", lambda t: t.float(), "'vectors' is torch.float32"),
        ("vectors", lambda t: t[:, :2], r"'vectors' is .* \(\d+, 2\)"),
    ],
)
def test_a_wrong_argument_of_a_program_is_named(build, name, change, message):
    model = build()
    program, graph = Evaluator(model).programs[0], from_atoms(structures()["molecule"], 4.0)
    assert program is not None
    arguments = {
        "receivers": graph.receivers,
        "senders": graph.senders,
        "species": model.index_of(graph.atomic_numbers),
        "vectors": graph.edge_vectors(),
    }
    arguments[name] = change(arguments[name])
    with pytest.raises(ValueError, match=message):
        program.run(**arguments)


@needs_core
@pytest.mark.parametrize(
    ("visits", "message"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7, 9], "'visits' has 9 at place 8"),
        ([0, 1, 2, -1, 4, 5, 6, 7, 8], "'visits' has -1 at place 3"),
        ([0, 1, 2, 2, 4, 5, 6, 7, 8], "'visits' has 2 at place 3"),
        ([0, 1, 2], r"'visits' is torch.int64 \(3,\)"),
    ],
)
def test_visits_that_miss_a_node_are_refused(build, visits, message):
    model = build()
    program, graph = Evaluator(model).programs[0], from_atoms(structures()["molecule"], 4.0)
    assert program is not None
    species = model.index_of(graph.atomic_numbers)
    with pytest.raises(ValueError, match=message):
        program.run(
            graph.receivers, graph.senders, species, graph.edge_vectors(), visits=torch.tensor(visits)
        )


@needs_core
def test_nodes_and_edges_in_any_order_give_the_same(build):
    model = build()
    program, graph = Evaluator(model).programs[0], from_atoms(structures()["crystal"], 4.0)
    assert program is not None
    species, seed = model.index_of(graph.atomic_numbers), torch.ones(graph.num_atoms)
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(graph.num_edges, generator=generator)
    visits = torch.randperm(graph.num_atoms, generator=generator)
    first, *others = (
        program.run(
            graph.receivers[o],
            graph.senders[o],
            species,
            graph.edge_vectors()[o],
            seed,
            virials=True,
            visits=v,
        )
        for o in (torch.arange(graph.num_edges), order)
        for v in (None, visits)
    )
    for results in others:
        for found, expected in zip(results, first, strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@needs_core
@pytest.mark.parametrize("isa", core.module().isas() if core.available() else ["none"])
def test_every_instruction_set_agrees(isa, rerun_under):
    rerun_under(isa, __file__, "agrees_with_the_potential and (both or odd or wide) or float32_is_as_exact")


def test_an_unknown_output_and_an_unknown_element_are_refused(build):
    evaluator = Evaluator(build())
    with pytest.raises(ValueError, match="no output 'dipole'"):
        evaluator.evaluate(everything(), ("dipole",))
    with pytest.raises(ValueError, match="does not know Fe"):
        evaluator.evaluate(from_atoms(Atoms("Fe", [[0, 0, 0]]), 4.0))
