"""The public checks: they pass what is equivariant, and say what is wrong with what is not."""

import pytest
import torch

from cynosure import nn
from cynosure.testing import PotentialContract, assert_equivariant, contract_structures


def test_an_equivariant_layer_passes_in_either_precision():
    layer = nn.Linear("4x0e+2x1o", "3x0e+2x1o")
    assert_equivariant(layer, "4x0e+2x1o", "3x0e+2x1o")
    assert layer.weights[0].dtype == torch.float32  # the caller's module is left as it was


def test_a_layer_that_mixes_components_is_caught():
    with pytest.raises(AssertionError, match=r"output 0 \(2x1o\) is not equivariant under a rotation"):
        assert_equivariant(torch.nn.Linear(6, 6, bias=False), "2x1o", "2x1o")


def test_a_layer_that_forgets_parity_is_caught_by_a_rotoinversion():
    def even(x):
        return x.square()

    with pytest.raises(AssertionError, match="under a rotoinversion"):
        assert_equivariant(even, "3x0o", "3x0o")
    assert_equivariant(even, "3x0o", "3x0e")
    assert_equivariant(even, "3x0", "3x0")  # no parity is claimed, so none is asked


def test_a_deviation_of_a_millionth_is_caught():
    def crooked(x):
        return x + 1e-6 * x[:, [1, 0, 2]]

    with pytest.raises(AssertionError, match="deviates by"):
        assert_equivariant(crooked, "1o", "1o")
    assert_equivariant(crooked, "1o", "1o", tolerance=1e-5)


def test_several_inputs_and_outputs_and_plain_arguments():
    def both(x, y, scale):
        return torch.linalg.cross(x, y) * scale, (x * y).sum(1, keepdim=True)

    assert_equivariant(both, ["1o", "1o"], ["1e", "0e"], arguments=(3.0,))
    with pytest.raises(AssertionError, match=r"output 0 \(1x1o\)"):
        assert_equivariant(both, ["1o", "1o"], ["1o", "0e"], arguments=(3.0,))


def test_an_output_of_another_size_is_an_error():
    with pytest.raises(ValueError, match="output 0"):
        assert_equivariant(lambda x: x, "1o", "2e")
    with pytest.raises(ValueError, match="returned 1 tensors; irreps_out has 2"):
        assert_equivariant(lambda x: x, "1o", ["1o", "1o"])


def test_the_contract_wants_a_potential_and_covers_every_kind_of_cell():
    with pytest.raises(TypeError, match="must define make"):
        PotentialContract().make(["H"])
    periodicity = {tuple(atoms.pbc.tolist()) for atoms in contract_structures().values()}
    assert periodicity == {(False, False, False), (True, True, True), (True, True, False)}
