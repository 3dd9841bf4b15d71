"""MACE: what its settings default to."""

import pytest

from cynosure.potentials import resolve


def test_invariant_edges_have_invariant_features_if_nothing_else_is_said():
    assert resolve({"model": "mace", "l_max": 0}).model_dump()["hidden_l_max"] == 0
    assert resolve({"model": "mace"}).model_dump()["hidden_l_max"] == 1
    with pytest.raises(ValueError, match="'hidden_l_max' is 1"):
        resolve({"model": "mace", "l_max": 0, "hidden_l_max": 1})
