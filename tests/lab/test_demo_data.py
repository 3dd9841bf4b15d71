"""The packaged data: labelled, of one hand, upright, small, and the two splits apart."""

from __future__ import annotations

import numpy as np
import pytest

from cynosure.lab import demo_frames, write_demo_data


@pytest.mark.parametrize(("split", "count"), [("train", 500), ("test", 100)])
def test_every_frame_is_labelled_and_of_the_same_molecule(split, count):
    frames = demo_frames(split)
    assert len(frames) == count
    for frame in frames:
        assert frame.get_chemical_formula() == "C3H6O"
        assert np.isfinite(frame.get_potential_energy())
        forces = frame.get_forces()
        # GFN2-xTB conserves momentum and angular momentum: the labels are derivatives of a scalar.
        assert np.abs(forces.sum(axis=0)).max() < 1e-5
        assert np.abs(np.cross(frame.positions, forces).sum(axis=0)).max() < 1e-4


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_frame_is_the_r_enantiomer_and_upright(split):
    for frame in demo_frames(split):
        # Atom 0 is the stereocentre; oxygen (2), the ring carbon (1) and the methyl carbon (3) run clockwise.
        oxygen, ring, methyl = (frame.positions[k] - frame.positions[0] for k in (2, 1, 3))
        assert np.dot(oxygen, np.cross(ring, methyl)) < 0
        np.testing.assert_allclose(frame.positions.mean(axis=0), 0.0, atol=1e-7)
    heavy = np.array([frame.positions[:4] for frame in demo_frames(split)])
    assert heavy.std(axis=0).max() < 0.3  # Å: the heavy atoms vibrate; the molecule does not tumble


def test_no_test_frame_is_near_a_training_frame():
    train = np.array([frame.positions for frame in demo_frames("train")])
    test = np.array([frame.positions for frame in demo_frames("test")])
    distance = np.sqrt(((train[:, None] - test[None]) ** 2).sum(-1).mean(-1))
    assert distance.min() > 0.02  # Å, root mean square over atoms


def test_the_data_is_copied_whole_and_is_small(tmp_path):
    paths = write_demo_data(tmp_path / "new" / "folder")
    assert set(paths) == {"train", "test"}
    assert sum(path.stat().st_size for path in paths.values()) < 1_000_000
    assert paths["test"].read_text().splitlines()[0] == "10"


def test_an_unknown_split_is_an_error():
    with pytest.raises(ValueError, match="train, test"):
        demo_frames("validation")
