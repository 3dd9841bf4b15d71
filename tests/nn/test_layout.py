"""The feature layout: to e3nn's order and back, and the action of the group."""

import pytest
import torch

from cynosure.nn import layout
from cynosure.o3 import Irreps, random_rotation, wigner_D

IRREPS = Irreps("3x0e+2x1o+2x2e")


def test_e3nn_order_and_back():
    x = torch.arange(IRREPS.dim, dtype=torch.float64).repeat(2, 1)
    there = layout.to_e3nn(IRREPS, x)
    # Channels of 1o come first in our block: components x of both channels, then y, then z.
    assert there[0, 3:9].tolist() == [3, 5, 7, 4, 6, 8]
    assert torch.equal(layout.from_e3nn(IRREPS, there), x)


def test_split_and_join_are_inverse_and_views():
    x = torch.randn(4, IRREPS.dim)
    blocks = layout.split(IRREPS, x)
    assert [tuple(block.shape) for block in blocks] == [(4, 1, 3), (4, 3, 2), (4, 5, 2)]
    assert torch.equal(layout.join(blocks), x)
    blocks[0].zero_()
    assert float(x[:, :3].abs().sum()) == 0


def test_transform_acts_on_components_and_leaves_channels():
    x = torch.randn(IRREPS.dim, dtype=torch.float64)
    matrix = -random_rotation(generator=torch.Generator().manual_seed(3))
    turned = layout.transform(IRREPS, x, matrix)
    torch.testing.assert_close(turned[:3], x[:3])
    vectors = x[3:9].view(3, 2)
    torch.testing.assert_close(turned[3:9].view(3, 2), matrix @ vectors, rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(turned[9:].view(5, 2), wigner_D(IRREPS[2][1], matrix) @ x[9:].view(5, 2))


def test_the_validator_names_the_size():
    with pytest.raises(ValueError, match=r"'x' has size 18 on its last axis .* has size 19"):
        layout.check(IRREPS, torch.zeros(2, 18))
