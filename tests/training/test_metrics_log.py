"""The log holds whole lines, once each, and numbers come back bit by bit."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cynosure.training.metrics_log import MetricsLog, parse_log, read_log


def step(number, **more):
    return {"kind": "step", "step": number, **more}


def test_a_resumed_log_has_no_torn_and_no_doubled_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path)
    log.append(step(1))
    log.append(step(2))
    kept = log.flush()
    assert kept == path.stat().st_size
    log.append(step(3))
    log.flush()
    with path.open("a") as file:
        file.write('{"kind": "st')
    resumed = MetricsLog(path, kept)
    resumed.append(step(3, again=True))
    resumed.flush()
    assert read_log(path) == [step(1), step(2), step(3, again=True)]


def test_a_log_shorter_than_its_checkpoint_is_refused(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("abc")
    with pytest.raises(ValueError, match="holds 3 bytes but the checkpoint knows 10"):
        MetricsLog(path, 10)
    assert path.read_text() == "abc"


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
@settings(deadline=None, derandomize=True, max_examples=30)
def test_numbers_survive(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("log") / "metrics.jsonl"
    log = MetricsLog(path)
    for number, value in enumerate(values):
        log.append(step(number, progress=value))
    log.flush()
    got = [record["progress"] for record in read_log(path)]
    assert [math.copysign(1, value) for value in got] == [math.copysign(1, value) for value in values]
    assert got == values


@pytest.mark.parametrize("line", ["{", "[]", "3", '{"kind": "other"}', "{}"])
def test_a_line_that_is_no_record_is_named(line):
    with pytest.raises(ValueError, match="the log, line 2, is not a record"):
        parse_log('{"kind": "step", "step": 1}\n' + line, "the log")


def test_no_log(tmp_path):
    with pytest.raises(FileNotFoundError, match="no log"):
        read_log(tmp_path / "metrics.jsonl")
