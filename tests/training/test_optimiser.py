"""The optimiser: Muon's step by its formula, Adam for the rest, and a memory that survives a stop."""

import math

import pytest
import torch

from cynosure.training.config import OptimiserConfig
from cynosure.training.muon import is_matrix
from cynosure.training.optimiser import Optimiser


def parameters(seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = {"square": (16, 16), "stack": (3, 8, 24), "thin": (32, 1), "vector": (5,)}
    return {
        name: torch.nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64))
        for name, shape in shapes.items()
    }


def differentiate(named, seed):
    generator = torch.Generator().manual_seed(seed)
    for parameter in named.values():
        parameter.grad = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)


def test_what_is_a_matrix():
    assert {name for name, parameter in parameters().items() if is_matrix(parameter)} == {"square", "stack"}


def test_a_step_of_muon_is_its_formula():
    named = parameters()
    config = OptimiserConfig(kind="muon", momentum=0.9, matrix_scale=0.3, weight_decay=0.5)
    optimiser = Optimiser(named, config)
    before, momentum = named["stack"].detach().clone(), torch.zeros(3, 8, 24, dtype=torch.float64)
    for number in range(3):
        differentiate(named, number)
        momentum = 0.9 * momentum + 0.1 * named["stack"].grad
        source = 0.1 * named["stack"].grad + 0.9 * momentum
        x = source / torch.linalg.matrix_norm(source, keepdim=True)
        for _ in range(5):
            square = x @ x.mT
            x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
        before = (1 - 0.02 * 0.5) * before - 0.02 * 0.3 * math.sqrt(24) * x
        optimiser.step(0.02)
        torch.testing.assert_close(named["stack"].detach(), before, rtol=0, atol=1e-12)


def test_an_entry_moves_by_rate_times_scale():
    named = parameters()
    optimiser = Optimiser(named, OptimiserConfig(matrix_scale=0.4))
    before = {name: parameter.detach().clone() for name, parameter in named.items()}
    differentiate(named, 0)
    optimiser.step(0.01)
    for name in ("square", "stack"):
        moved = (named[name].detach() - before[name]).square().mean().sqrt()
        assert float(moved) == pytest.approx(0.4 * 0.01, rel=0.15)


def test_what_is_no_matrix_and_everything_if_asked_goes_by_adam():
    named, same = parameters(), parameters()
    for kind, names in (("muon", ("thin", "vector")), ("adam", tuple(named))):
        optimiser = Optimiser(named, OptimiserConfig(kind=kind, weight_decay=0.1))
        adam = torch.optim.AdamW(
            [same[name] for name in names], lr=0.02, amsgrad=True, weight_decay=0.1, betas=(0.9, 0.999)
        )
        for name in named:
            same[name].data.copy_(named[name].data)
        for number in range(3):
            differentiate(named, number)
            differentiate(same, number)
            optimiser.step(0.02)
            adam.step()
        for name in names:
            torch.testing.assert_close(named[name], same[name], rtol=1e-12, atol=1e-12)


def test_a_long_gradient_is_shortened_and_a_short_one_left():
    named = parameters()
    differentiate(named, 0)
    length = math.sqrt(sum(float(parameter.grad.square().sum()) for parameter in named.values()))
    before = {name: parameter.grad.clone() for name, parameter in named.items()}
    for clip, factor in ((2 * length, 1.0), (length / 4, 0.25)):
        optimiser = Optimiser(named, OptimiserConfig(clip=clip))
        assert float(optimiser.clip()) == pytest.approx(length, rel=1e-12)
        for name, parameter in named.items():
            torch.testing.assert_close(parameter.grad, factor * before[name], rtol=1e-12, atol=1e-12)
    optimiser.zero_grad()
    assert all(parameter.grad is None for parameter in named.values())


@pytest.mark.parametrize("kind", ["muon", "adam"])
def test_it_goes_on_as_if_nothing_had_happened(kind):
    named = parameters()
    optimiser = Optimiser(named, OptimiserConfig(kind=kind))
    for number in range(6):
        if number == 3:
            weights = {name: parameter.detach().clone() for name, parameter in named.items()}
            kept = {name: tensor.clone() for name, tensor in optimiser.tensors().items()}
        differentiate(named, number)
        optimiser.step(0.01)
    assert any(name.endswith("/stack") for name in kept)
    resumed = parameters(seed=1)
    for name, parameter in resumed.items():
        parameter.data.copy_(weights[name])
    second = Optimiser(resumed, OptimiserConfig(kind=kind))
    second.load(kept)
    for number in range(3, 6):
        differentiate(resumed, number)
        second.step(0.01)
    for name, parameter in named.items():
        assert torch.equal(parameter, resumed[name])
