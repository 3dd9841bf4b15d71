"""The loss is the formula of its docstring, and what has no label has no influence."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cynosure.data import Frames
from cynosure.graph import batch, from_atoms
from cynosure.potentials import PotentialConfig, TargetConfig
from cynosure.training.config import LossConfig
from cynosure.training.loss import DEFAULT_WEIGHTS, Loss, resolve_weights
from cynosure.training.targets import Target, targets_of

CUTOFF = 3.0


def graph_of(atoms):
    return from_atoms(atoms, CUTOFF, atoms.calc.results)


def noisy_outputs(graph, seed=0, size=0.1):
    """Outputs that miss every label by something of `size`, also where there is no label; leaves of autograd."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"energy": (graph.num_structures,), "forces": (graph.num_atoms, 3)}
    shapes["stress"] = (graph.num_structures, 3, 3)
    outputs = {}
    for name, shape in shapes.items():
        label = graph.labels.get(name, torch.zeros(shape, dtype=torch.float64))
        noise = size * torch.randn(shape, generator=generator, dtype=torch.float64)
        outputs[name] = (torch.nan_to_num(label) + noise).requires_grad_()
    return outputs


def loss_of(loss, outputs, graph):
    return loss(loss.terms(outputs, targets_of(graph)))


@pytest.mark.parametrize("kind", ["squared", "huber"])
def test_the_formula(make_crystals, kind):
    graph = batch([graph_of(atoms) for atoms in make_crystals(3)])
    outputs = noisy_outputs(graph)
    config = LossConfig(energy=2.0, forces=3.0, stress=0.5, kind=kind, delta=0.05)
    scale, n = 0.7, 2
    volume = graph.volume.numpy()[:, None, None]
    miss = {name: (outputs[name].detach() - graph.labels[name]).numpy() for name in outputs}
    x = {"energy": miss["energy"] / n / scale, "forces": miss["forces"] / scale}
    x["stress"] = miss["stress"] * volume / n / scale
    size = {name: np.abs(value) for name, value in x.items()}
    if kind == "squared":
        h = {name: value**2 for name, value in x.items()}
    else:
        h = {
            name: np.where(value < 0.05, value**2 / (2 * 0.05), value - 0.05 / 2)
            for name, value in size.items()
        }
    expected = 2.0 * h["energy"].mean() + 3.0 * h["forces"].mean() + 0.5 * h["stress"].mean()
    assert loss_of(Loss(config, scale), outputs, graph).item() == pytest.approx(expected, rel=1e-12)


def test_the_energy_weighs_more_and_more(make_crystals):
    graph = batch([graph_of(atoms) for atoms in make_crystals(3)])
    outputs = noisy_outputs(graph)
    rising = Loss(LossConfig(energy=8.0, forces=3.0, stress=0.5, energy_rise=16.0), 0.7)
    terms = rising.terms(outputs, targets_of(graph))
    for progress, weight in ((0.0, 0.5), (0.25, 1.0), (0.5, 2.0), (1.0, 8.0)):
        constant = Loss(LossConfig(energy=weight, forces=3.0, stress=0.5), 0.7)
        assert rising(terms, progress).item() == pytest.approx(constant(terms).item(), rel=1e-12)
    assert rising(terms).item() == rising(terms, 1.0).item()


@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 100))
@settings(deadline=None, derandomize=True, max_examples=20)
def test_rescaled_data_have_the_same_loss(scale, seed):
    """Energies, forces and stress in another unit of energy, and its scale with them, change nothing."""
    generator = torch.Generator().manual_seed(seed)
    loss = Loss(LossConfig(energy=1, forces=1, stress=0), 1.0)
    rescaled = Loss(LossConfig(energy=1, forces=1, stress=0), scale)
    residual = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    targets = {"forces": Target(None, torch.zeros(5, 3, dtype=torch.float64), None)}
    first = loss(loss.terms({"forces": residual}, targets))
    second = rescaled(rescaled.terms({"forces": scale * residual}, targets))
    assert float(first) == pytest.approx(float(second), rel=1e-12)


def test_structures_without_a_label_leave_loss_and_gradient_alone(make_molecules):
    complete = make_molecules(3)
    bare = make_molecules(2, seed=1, forces=False)
    config = LossConfig(energy=0, forces=1.0, stress=0)
    loss = Loss(config, 0.5)
    alone = batch([graph_of(atoms) for atoms in complete])
    mixed = batch([graph_of(atoms) for atoms in [complete[0], bare[0], *complete[1:], bare[1]]])
    rows = torch.tensor([0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15])
    outputs = noisy_outputs(mixed)
    expected = loss_of(loss, {"forces": outputs["forces"][rows]}, alone)
    got = loss_of(loss, outputs, mixed)
    assert float(got.detach()) == pytest.approx(float(expected.detach()), rel=1e-14)
    (gradient,) = torch.autograd.grad(got, outputs["forces"])
    assert torch.isfinite(gradient).all()
    others = torch.ones(len(gradient), dtype=torch.bool)
    others[rows] = False
    assert bool((gradient[others] == 0).all())
    assert bool((gradient[rows] != 0).any())


def test_a_prediction_of_nan_without_a_label_is_harmless(make_molecules, make_crystals):
    """A molecule without a cell has no stress: the model says NaN and the labels say nothing."""
    graph = batch([graph_of(make_crystals(1)[0]), graph_of(make_molecules(1)[0])])
    outputs = noisy_outputs(graph)
    with torch.no_grad():
        outputs["stress"][1] = torch.nan
    got = loss_of(Loss(LossConfig(energy=1, forces=1, stress=1), 1.0), outputs, graph)
    got.backward()
    assert torch.isfinite(got)
    assert torch.isfinite(outputs["stress"].grad).all()


def test_a_batch_without_any_label_of_the_loss_is_an_error(make_molecules):
    graph = graph_of(make_molecules(1, forces=False)[0])
    with pytest.raises(ValueError, match="none of the structures has a label for forces"):
        loss_of(Loss(LossConfig(energy=0, forces=1, stress=0), 1.0), noisy_outputs(graph), graph)


def test_automatic_weights_follow_the_labels(make_molecules, make_crystals):
    resolved = resolve_weights(LossConfig(), Frames.from_atoms(make_molecules(2)))
    assert (resolved.energy, resolved.forces) == (DEFAULT_WEIGHTS["energy"], DEFAULT_WEIGHTS["forces"])
    assert resolved.stress == 0
    resolved = resolve_weights(LossConfig(forces=7.0, stress=0), Frames.from_atoms(make_crystals(2)))
    assert (resolved.forces, resolved.stress) == (7.0, 0.0)
    resolved = resolve_weights(LossConfig(), Frames.from_atoms(make_molecules(2, forces=False)))
    assert (resolved.energy, resolved.forces) == (DEFAULT_WEIGHTS["energy"], 0.0)


def test_a_loss_without_its_label_is_an_error(make_molecules):
    frames = Frames.from_atoms(make_molecules(2))
    with pytest.raises(ValueError, match=r"'stress' is not in .* although its loss weight is on"):
        resolve_weights(LossConfig(stress=1.0), frames)
    with pytest.raises(ValueError, match="nothing to learn from"):
        resolve_weights(LossConfig(energy=0, forces=0), frames)


def test_a_model_without_an_energy_learns_no_labels_of_it(make_molecules):
    frames = make_molecules(2)
    for atoms in frames:
        atoms.info["mu"] = [0.0, 0.0, 1.0]
    frames = Frames.from_atoms(
        frames, declared=PotentialConfig(model="nequip", targets={"mu": TargetConfig(tensor="i")}).columns
    )
    resolved = resolve_weights(LossConfig(), frames, energy=False)
    assert (resolved.energy, resolved.forces, resolved.stress, resolved.targets) == (0, 0, 0, {"mu": 1})
    with pytest.raises(ValueError, match=r"loss\.forces is 1\.0, but the model has no energy"):
        resolve_weights(LossConfig(forces=1.0), frames, energy=False)


def test_a_stress_label_needs_a_volume(make_molecules):
    molecule = graph_of(make_molecules(1)[0])
    labels = {**molecule.labels, "stress": torch.ones(1, 3, 3, dtype=torch.float64)}
    assert set(targets_of(replace(molecule, labels=labels))) == {"energy", "forces"}
