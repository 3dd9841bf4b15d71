"""The species-wise linear map against one matrix product per node."""

import pytest
import torch

from cynosure.kernels import species_linear


@pytest.mark.parametrize("count", [1, 2, 5])
def test_each_node_gets_its_own_matrix(count):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(11, 3, 4, generator=generator, dtype=torch.float64)
    weight = torch.randn(count, 4, 6, generator=generator, dtype=torch.float64)
    species = torch.randint(0, count, (11,), generator=generator)
    expected = torch.stack([x[i] @ weight[species[i]] for i in range(11)])
    torch.testing.assert_close(species_linear(x, weight, species), expected, rtol=1e-13, atol=1e-13)


def test_derivatives():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5, 2, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 2, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    species = torch.tensor([2, 0, 2, 0, 0])  # species 1 is absent
    assert torch.autograd.gradcheck(lambda a, b: species_linear(a, b, species), (x, weight))
    assert torch.autograd.gradgradcheck(lambda a, b: species_linear(a, b, species), (x, weight))


def test_no_nodes():
    assert species_linear(
        torch.zeros(0, 3, 4), torch.zeros(2, 4, 5), torch.zeros(0, dtype=torch.int64)
    ).shape == (0, 3, 5)


def test_errors():
    with pytest.raises(ValueError, match="same C"):
        species_linear(torch.zeros(2, 1, 3), torch.zeros(1, 4, 4), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(ValueError, match="'species' has shape"):
        species_linear(torch.zeros(2, 1, 4), torch.zeros(1, 4, 4), torch.zeros(3, dtype=torch.int64))
