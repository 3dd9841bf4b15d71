"""The training path against autograd through the potential: the same loss, the same derivatives for every weight."""

from __future__ import annotations

import ase.build
import numpy as np
import pytest
import torch
from ase import Atoms
from torch import Tensor

from cynosure.graph import AtomGraph, batch, from_atoms
from cynosure.kernels import core
from cynosure.potentials import Evaluator, NequIP, Potential, Trainable

needs_core = pytest.mark.skipif(not core.available(), reason="the compiled core is off or was not built")
OUTPUTS = ("energy", "energies", "forces", "stress", "virials")


def frames() -> AtomGraph:
    crystal = ase.build.bulk("Si", cubic=True)
    crystal.rattle(0.1, seed=1)
    thin = Atoms(
        "SiO", [[0, 0, 0], [1.2, 1.1, 0.9]], cell=[[2.4, 0, 0], [0.9, 2.5, 0], [0.4, 0.3, 2.6]], pbc=True
    )
    atom = Atoms("O", [[1.0, 2.0, 3.0]])
    return batch([from_atoms(a, 4.0) for a in (ase.build.molecule("CH3CH2OH"), crystal, atom, thin)])


def loss(outputs: dict[str, Tensor]) -> Tensor:
    """Something of every output, to first and to second order."""
    total = torch.zeros((), dtype=torch.float64)
    for number, name in enumerate(sorted(outputs)):
        value = outputs[name].to(torch.float64)
        value = value[~value.isnan()]
        if name in ("energy", "energies"):  # without what E0s contribute
            value = value - value.detach().round()
        factors = torch.randn(
            value.shape, generator=torch.Generator().manual_seed(number), dtype=torch.float64
        )
        total = total + (factors * value).sum() + 0.1 * value.square().sum()
    return total


def gradients(outputs: dict[str, Tensor], model: Potential) -> list[Tensor]:
    parameters = list(model.parameters())
    return list(torch.autograd.grad(loss(outputs), parameters, allow_unused=True, materialize_grads=True))


def assert_agree(found, expected, tolerance: float) -> None:
    for value, reference in zip(found, expected, strict=True):
        assert value.shape == reference.shape
        assert value.dtype == reference.dtype
        size = float(reference.detach().nan_to_num().abs().max())
        torch.testing.assert_close(value, reference, rtol=0, atol=tolerance * (size or 1.0), equal_nan=True)


@needs_core
def test_values_and_derivatives_agree_with_autograd(build, architecture):
    model, graph = build(**architecture), frames()
    trainable = Trainable(model)
    if architecture.keys() & {"envelope", "learned_frequencies", "distance_transform", "density"}:
        assert trainable.engine == "autograd"
        assert trainable.why_not is not None
        assert "in training" in trainable.why_not
        return
    assert trainable.engine == "core"
    expected, found = model(graph, OUTPUTS, differentiable=True), trainable(graph, OUTPUTS)
    assert found.keys() == expected.keys()
    assert_agree(found.values(), [expected[name] for name in found], 1e-12)
    assert_agree(gradients(found, model), gradients(expected, model), 1e-11)


@needs_core
@pytest.mark.parametrize("threads", [1, 2])
def test_many_atoms_of_several_species(build, threads):
    rng, before = np.random.default_rng(0), torch.get_num_threads()
    atoms = ase.build.bulk("Si", cubic=True) * (7, 2, 2)
    atoms.rattle(0.1, seed=0)
    atoms.symbols[:] = rng.choice(["Si", "O", "C"], len(atoms))
    model, graph = build(parity=True, layers=3), from_atoms(atoms, 4.0)
    expected = model(graph, OUTPUTS, differentiable=True)
    try:
        torch.set_num_threads(threads)
        found = Trainable(model)(graph, OUTPUTS)
        derivatives = gradients(found, model)
    finally:
        torch.set_num_threads(before)
    assert_agree(found.values(), [expected[name] for name in found], 1e-11)
    assert_agree(derivatives, gradients(expected, model), 1e-10)


@needs_core
def test_derivatives_are_those_of_finite_differences(build):
    model, graph = build(layers=2, parity=True), frames()
    trainable = Trainable(model)
    found = gradients(trainable(graph, OUTPUTS), model)
    constant = trainable(graph, OUTPUTS)["energies"].detach().round()

    def value() -> float:
        outputs = trainable(graph, OUTPUTS)
        # `loss` rounds away what E0s contribute; here the same for both ends.
        assert torch.equal(outputs["energies"].detach().round(), constant)
        return float(loss(outputs).detach())

    generator = torch.Generator().manual_seed(0)
    for parameter, gradient in zip(model.parameters(), found, strict=True):
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        ends = []
        for step in (1e-5, -2e-5):
            with torch.no_grad():
                parameter.add_(direction, alpha=step)
            ends.append(value())
        with torch.no_grad():
            parameter.add_(direction, alpha=1e-5)
        slope = (ends[0] - ends[1]) / 2e-5
        assert slope == pytest.approx(float((direction * gradient).sum()), rel=1e-6, abs=1e-6)


@needs_core
@pytest.mark.parametrize("basis", ["bessel", "gaussian", "chebyshev"])
@pytest.mark.parametrize("number", [1, 2, 9])
def test_radial_functions_of_every_kind_from_zero_to_the_cutoff(build, basis, number):
    model = build(layers=2, radial_basis=basis, num_basis=number, envelope_power=5, radial_hidden=[6, 7, 5])
    distances = [1e-3, 0.02, 0.3, 0.39, 0.41, 2.0, model.cutoff - 1e-6, model.cutoff]
    pairs = batch([from_atoms(Atoms("SiO", [[0, 0, 0], [0, 0, r]]), model.cutoff) for r in distances])
    found, expected = Trainable(model)(pairs), model(pairs, differentiable=True)
    assert_agree(found.values(), [expected[name] for name in found], 1e-11)
    assert_agree(gradients(found, model), gradients(expected, model), 1e-10)


@needs_core
@pytest.mark.parametrize("channels", [16, 37])
def test_float32_is_as_exact_as_its_rounding(build, channels):
    model = build(torch.float32, channels=channels, parity=True, radial_hidden=[16, 12])
    exact = build(torch.float64, channels=channels, parity=True, radial_hidden=[16, 12])
    exact.load_state_dict(model.state_dict())
    graph = frames()
    found = gradients(Trainable(model)(graph), model)
    expected = gradients(exact(graph, differentiable=True), exact)
    assert_agree([value.double() for value in found], expected, 1e-4)


@needs_core
def test_threads_agree_and_repeat_bit_by_bit(build):
    crystal = ase.build.bulk("Si", cubic=True) * (3, 2, 2)
    crystal.rattle(0.1, seed=0)
    model, graph, before = build(), from_atoms(crystal, 4.0), torch.get_num_threads()
    trainable, results = Trainable(model), []
    try:
        for threads in (1, 2, 2, 3):
            torch.set_num_threads(threads)
            outputs = trainable(graph)
            results.append([*(value.detach() for value in outputs.values()), *gradients(outputs, model)])
    finally:
        torch.set_num_threads(before)
    for result in results[1:]:
        assert_agree(result, results[0], 1e-11)
    assert all(torch.equal(a, b) for a, b in zip(results[1], results[2], strict=True))


@needs_core
def test_two_evaluations_may_be_open_at_once(build):
    model, graph = build(), frames()
    trainable = Trainable(model)
    first, other = trainable(graph), trainable(from_atoms(ase.build.molecule("CH3CH2OH"), 4.0))
    gradients(other, model)
    assert_agree(gradients(first, model), gradients(model(graph, differentiable=True), model), 1e-11)


@needs_core
def test_a_second_derivative_is_refused_not_wrong(build):
    model, graph = build(), frames()
    outputs = Trainable(model)(graph)
    parameters = list(model.parameters())
    (gradient, *_) = torch.autograd.grad(loss(outputs), parameters, create_graph=True, allow_unused=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
    with pytest.raises(RuntimeError, match=r"once|second time"):
        torch.autograd.grad(loss(outputs), parameters)


@needs_core
def test_changed_parameters_and_buffers_are_taken_over(build):
    model, graph = build(), frames()
    trainable = Trainable(model)
    trainable(graph)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.mul_(1.1)
    expected = model(graph, OUTPUTS, differentiable=True)
    found = trainable(graph, OUTPUTS)
    assert_agree(found.values(), [expected[name] for name in found], 1e-12)
    assert_agree(gradients(found, model), gradients(expected, model), 1e-11)


def test_a_setting_without_counterpart_goes_through_autograd(build):
    model, graph = build(layer_norm=True), frames()
    trainable = Trainable(model)
    assert trainable.engine == "autograd"
    assert trainable.why_not
    expected = model(graph, differentiable=True)
    assert_agree(gradients(trainable(graph), model), gradients(expected, model), 1e-12)


@needs_core
def test_structures_without_edges_have_energies_and_no_forces(build):
    model, graph = build(), from_atoms(Atoms("OH", [[0, 0, 0], [0, 0, 30.0]]), 4.0)
    outputs = Trainable(model)(graph)
    expected = model(graph, differentiable=True)
    assert_agree(outputs.values(), [expected[name] for name in outputs], 1e-12)
    assert_agree(gradients(outputs, model), gradients(expected, model), 1e-11)


@needs_core
@pytest.mark.parametrize("isa", core.module().isas() if core.available() else ["none"])
def test_every_instruction_set_agrees(isa, rerun_under):
    rerun_under(
        isa, __file__, "agree_with_autograd and (both or odd or wide or readout) or float32_is_as_exact"
    )


class Doubled(NequIP):
    """Another network than its parent's, whose `lower` it inherits."""

    def atomic_energies(self, graph, species, vectors):
        return 2 * super().atomic_energies(graph, species, vectors)


class Mistaken(Doubled):
    """Says that it computes what NequIP does."""

    def lower(self):
        return super().lower()


def test_a_network_written_anew_does_not_run_as_its_parents(build):
    parent, graph = build(), frames()
    model = Doubled(parent.config, parent.calibration).double()
    assert Trainable(model).engine == Evaluator(model).engine == "autograd"
    assert_agree(Trainable(model)(graph).values(), model(graph).values(), 1e-12)


@needs_core
def test_a_description_that_is_not_the_networks_is_refused(build):
    parent = build()
    model = Mistaken(parent.config, parent.calibration).double()
    for door in (Trainable(model), Evaluator(model).evaluate):
        for _ in range(2):  # asking again does not help
            with pytest.raises(RuntimeError, match="`lower` of Mistaken does not say"):
                door(frames())


def test_an_unknown_output_is_refused(build):
    with pytest.raises(ValueError, match="no output 'dipole'"):
        Trainable(build())(frames(), ("dipole",))
