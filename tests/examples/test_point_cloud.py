"""Point clouds: clouds are labelled as they are said to be, and the whole road tells shapes and hands."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    return importlib.import_module("examples.point_cloud.run")


def test_only_the_screw_has_a_hand(example):
    """The triple product of its steps tells it; every other shape lies in a plane or equals its mirror image."""
    rng = np.random.default_rng(0)
    for hand in (1, -1):
        cloud = example.cloud("screw", rng, hand)
        steps = np.diff(cloud.positions, axis=0)
        assert np.sign(np.linalg.det(steps)) == hand == cloud.info["hand"]
        turned = example.anywhere(cloud, rng)
        distances = [np.sort(one.get_all_distances().ravel()) for one in (cloud, turned)]
        np.testing.assert_allclose(*distances, atol=1e-12)
    for name, points in example.SHAPES.items():
        cloud = example.cloud(name, rng)
        assert cloud.info["shape"].sum() == 1
        if name != "screw":
            assert cloud.info["hand"] == 0
            flat = np.linalg.matrix_rank(np.array(points) - points[0]) < 3
            assert flat or name == "corner"  # three equal arms: exchanging two is a mirror


def test_the_whole_road(run_example, tmp_path):
    done = run_example("point_cloud", "--quick", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    numbers = json.loads((tmp_path / "out" / "numbers.json").read_text())
    assert numbers["shapes_right"] > 0.95
    assert numbers["hands_right"] > 0.95
    assert (tmp_path / "out" / "point_cloud.png").stat().st_size > 10_000
    again = run_example("point_cloud", "--quick", "--out", str(tmp_path / "out"))
    assert again.returncode == 2
    assert "name another folder by --out" in again.stderr
