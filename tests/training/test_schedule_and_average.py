"""The learning rate is a function of progress; the average is the recursion of its docstring."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cynosure.training.config import ScheduleConfig
from cynosure.training.ema import Average
from cynosure.training.schedule import learning_rate_factor


@given(warmup=st.floats(0, 0.9), final=st.floats(0, 1), p=st.floats(0, 1))
@settings(deadline=None, derandomize=True, max_examples=100)
def test_the_rate_rises_then_falls_within_its_bounds(warmup, final, p):
    schedule = ScheduleConfig(warmup=warmup, final=final)
    factor = learning_rate_factor(p, schedule)
    assert 0 <= factor <= 1
    if p >= warmup:
        assert factor >= final - 1e-12
        assert learning_rate_factor(min(1.0, p + 0.01), schedule) <= factor + 1e-12


def test_its_known_values():
    schedule = ScheduleConfig(warmup=0.1, final=0.2)
    values = {0.0: 0.0, 0.05: 0.5, 0.1: 1.0, 0.55: 0.6, 1.0: 0.2, 1.5: 0.2, -1.0: 0.0}
    for p, expected in values.items():
        assert learning_rate_factor(p, schedule) == pytest.approx(expected, abs=1e-12)
    assert learning_rate_factor(0.0, ScheduleConfig(warmup=0.0)) == 1.0


def test_the_average_follows_its_recursion():
    model, averaged = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    averaged.load_state_dict(model.state_dict())
    expected = [parameter.detach().clone().double() for parameter in model.parameters()]
    average = Average(model, averaged, decay=0.9)
    generator = torch.Generator().manual_seed(0)
    for step in range(1, 200):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator))
        average.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = [
            decay * old + (1 - decay) * new.detach().double()
            for old, new in zip(expected, model.parameters(), strict=True)
        ]
    for got, want in zip(average.model.parameters(), expected, strict=True):
        torch.testing.assert_close(got.double(), want, rtol=1e-5, atol=1e-5)


def test_a_constant_is_its_own_average():
    model, averaged = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    average = Average(model, averaged, decay=0.99)
    for step in range(1, 2000):
        average.update(step)
    for got, want in zip(averaged.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-6)
