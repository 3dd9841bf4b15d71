"""A run that is killed outright goes on and ends, bit by bit, where an undisturbed one ends."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from cynosure.training import train
from cynosure.training.metrics_log import read_log

SCRIPT = """
import json, sys
from cynosure.training import from_settings, train
settings, out, replay, resume = sys.argv[1:]
train(
    from_settings(json.loads(settings)), out=out, replay=replay or None, resume=resume == "yes", checkpoint_seconds=0.05
)
"""


def start(config, out, replay="", resume="no"):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, json.dumps(config.to_json()), str(out), str(replay), resume],
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )


def checkpointed_step(out):
    path = out / "checkpoint.safetensors"
    if not path.exists():
        return 0
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["cynosure_checkpoint"])["state"]["step"]


def kill_between_checkpoints(process, out, after):
    """Kill the process once a checkpoint beyond step `after` is there, a little later."""
    while checkpointed_step(out) <= after:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.01)
    time.sleep(0.03)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def assert_same_end(whole, run):
    expected, got = load_file(whole / "checkpoint.safetensors"), load_file(run / "checkpoint.safetensors")
    assert expected.keys() == got.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensor, got[name]), name
    timeless = [
        [{key: value for key, value in record.items() if key != "elapsed"} for record in read_log(path)]
        for path in (whole / "metrics.jsonl", run / "metrics.jsonl")
    ]
    assert timeless[0] == timeless[1]


@pytest.fixture
def config(settings):
    return settings(epochs=40, batch={"max_edges": 40})


def test_killed_twice(config, tmp_path):
    whole, run = tmp_path / "whole", tmp_path / "run"
    kill_between_checkpoints(start(config, run), run, after=0)
    first = checkpointed_step(run)
    kill_between_checkpoints(start(config, run, resume="yes"), run, after=first)
    train(config, out=run, resume=True)
    train(config, out=whole)
    assert 0 < first < checkpointed_step(run)
    assert_same_end(whole, run)


def test_killed_while_it_repeats_a_log(config, tmp_path):
    whole, run = tmp_path / "whole", tmp_path / "run"
    train(config, out=whole)
    kill_between_checkpoints(start(config, run, whole / "metrics.jsonl"), run, after=0)
    assert checkpointed_step(run) < checkpointed_step(whole)
    train(config, out=run, resume=True)
    assert_same_end(whole, run)
