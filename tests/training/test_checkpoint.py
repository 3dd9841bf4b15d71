"""A checkpoint comes back as it was, and the one before it survives whatever happens while it is written."""

import errno
import os
from dataclasses import replace

import pytest
import torch

from cynosure.training.checkpoint import (
    Checkpoint,
    RunState,
    load_checkpoint,
    save_checkpoint,
)

STATE = RunState(step=7, epoch=2, position=3, elapsed=1 / 3, best_score=0.1 + 0.2, log_bytes=99, ended_by="")


def checkpoint(seed=0, state=STATE):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(3, 4, generator=generator)
    tensors = {"model/weight": weight, "average/weight": weight, "optimiser/step/weight": torch.tensor(7.0)}
    tensors["model/double"] = torch.randn(5, generator=generator, dtype=torch.float64).as_strided(
        (2, 2), (1, 2)
    )
    return Checkpoint(state, {"config": {"a": [1, None, "ü"]}, "replay": None}, tensors)


def assert_same(got, want):
    assert got.state == want.state
    assert got.setup == want.setup
    assert got.tensors.keys() == want.tensors.keys()
    for name, tensor in want.tensors.items():
        assert got.tensors[name].dtype == tensor.dtype
        assert torch.equal(got.tensors[name], tensor)


def test_it_comes_back_as_it_was(tmp_path):
    save_checkpoint(tmp_path / "c", checkpoint())
    got = load_checkpoint(tmp_path / "c")
    assert_same(got, checkpoint())
    assert set(got.part("model")) == {"weight", "double"}
    assert set(got.part("optimiser")) == {"step/weight"}
    assert os.listdir(tmp_path) == ["c"]


@pytest.mark.parametrize("broken", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_old_one_whole(tmp_path, monkeypatch, broken):
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, checkpoint())

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if broken == "write":
        opened = os.fdopen

        class HalfWritten:
            """Takes half of the bytes, then finds the disk full."""

            def __init__(self, *arguments):
                self.file = opened(*arguments)

            def __enter__(self):
                return self

            def __exit__(self, *_):
                self.file.close()

            def write(self, data):
                self.file.write(data[: len(data) // 2])
                full()

        monkeypatch.setattr(os, "fdopen", HalfWritten)
    else:
        monkeypatch.setattr(os, broken, full)
    with pytest.raises(OSError, match=r"No space left on device.*before it is whole.*--resume"):
        save_checkpoint(path, checkpoint(seed=1, state=replace(STATE, step=8)))
    monkeypatch.undo()
    assert os.listdir(tmp_path) == [path.name]
    assert_same(load_checkpoint(path), checkpoint())


def test_the_first_one_on_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="there is none before it"):
        save_checkpoint(tmp_path / "c", checkpoint())
    assert os.listdir(tmp_path) == []


def test_a_damaged_one_is_refused(tmp_path):
    path = tmp_path / "c"
    save_checkpoint(path, checkpoint())
    whole = path.read_bytes()
    for cut in (0, 5, 200, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match="not a whole checkpoint"):
            load_checkpoint(path)
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        load_checkpoint(tmp_path / "nothing")
    path.write_bytes(whole.replace(b'\\"position\\"', b'\\"positiom\\"'))
    with pytest.raises(ValueError, match="damaged"):
        load_checkpoint(path)
