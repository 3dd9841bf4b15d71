"""An equivariant potential has one and the same error on every version of the test set, whatever its weights."""

from __future__ import annotations

import pytest
import torch

import cynosure
from cynosure.lab import demo_frames
from cynosure.lab.comparison import compare, potential_predictor
from cynosure.lab.molecules import Molecules


def test_no_disguise_changes_the_errors_of_a_potential():
    architecture = {"layers": 2, "l_max": 2, "channels": 4, "cutoff": 3.0}
    model = cynosure.build(architecture, ["H", "C", "O"], dtype=torch.float64)
    comparison = compare(Molecules.of(demo_frames("test")[:10]), {"ours": potential_predictor(model)})
    assert len(comparison.versions) == 5
    assert comparison.networks == ("ours",)
    upright = comparison.errors["as it is"]["ours"]
    for version in comparison.versions:
        errors = comparison.errors[version]["ours"]
        assert errors.forces == pytest.approx(upright.forces, rel=1e-9)
        assert errors.energy_per_atom == pytest.approx(upright.energy_per_atom, rel=1e-9)


def test_silence_is_the_error_of_answering_zero():
    frames = Molecules.of(demo_frames("test")[:10])
    comparison = compare(frames, {"zero": lambda data: (data.energy, torch.zeros_like(data.forces))})
    for version in comparison.versions:
        assert comparison.errors[version]["zero"].forces == pytest.approx(comparison.silence, rel=1e-12)
