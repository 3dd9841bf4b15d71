"""What the tests of the group share: e3nn as an oracle, and a seeded source of randomness."""

import warnings

import pytest
import torch


@pytest.fixture(scope="session")
def e3nn_o3():
    """`e3nn.o3`, imported with its own deprecation warnings silenced, for the import alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from e3nn import o3
    return o3


@pytest.fixture(autouse=True)
def seeded():
    """The same draws in every run, and nothing of them left behind."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)
