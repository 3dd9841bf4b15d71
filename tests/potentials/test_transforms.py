"""A whole model under torch.compile and torch.func."""

from __future__ import annotations

import ase.build
import pytest
import torch

from cynosure.graph import from_atoms
from cynosure.kernels import core


def crystal():
    atoms = ase.build.bulk("Si", cubic=True)
    atoms.rattle(0.1, seed=0)
    return from_atoms(atoms, 4.0)


@pytest.mark.skipif(
    not core.available(), reason="torch.compile cannot trace the plain-torch convolution (limits.md)"
)
@pytest.mark.filterwarnings("ignore")  # torch.compile's own
def test_a_compiled_model_gives_the_same(build):
    model, graph = build(layers=2, channels=4), crystal()
    compiled = torch.compile(model, backend="aot_eager")
    found, expected = compiled(graph), model(graph)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-12, atol=1e-12)


def test_transforms_of_torch_func_see_the_same_derivatives(build):
    model, graph = build(layers=2, channels=4), crystal()
    species, vectors = model.index_of(graph.atomic_numbers), graph.edge_vectors()

    def energy(vectors: torch.Tensor) -> torch.Tensor:
        return model.atomic_energies(graph, species, vectors).sum()

    leaf = vectors.clone().requires_grad_()
    (expected,) = torch.autograd.grad(energy(leaf), leaf)
    torch.testing.assert_close(torch.func.grad(energy)(vectors), expected, rtol=1e-11, atol=1e-11)


def test_derivatives_with_respect_to_parameters_by_torch_func(build):
    model, graph = build(layers=2, channels=4), crystal()
    species, vectors = model.index_of(graph.atomic_numbers), graph.edge_vectors()
    parameters = dict(model.named_parameters())

    class Energies(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self):
            return self.model.atomic_energies(graph, species, vectors).square().sum()

    def value(given: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.func.functional_call(Energies(), {f"model.{name}": p for name, p in given.items()}, ())

    found = torch.func.grad(value)(parameters)
    expected = torch.autograd.grad(value(parameters), list(parameters.values()))
    for (name, gradient), reference in zip(found.items(), expected, strict=True):
        torch.testing.assert_close(gradient, reference, rtol=1e-10, atol=1e-10, msg=name)
