"""What comes next: in epochs and from a log exactly, by the clock in time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cynosure.training import pace as pace_module
from cynosure.training.checkpoint import RunState
from cynosure.training.pace import ByClock, ByEpochs, ByLog, Finish, Settle, Step, Validate


def follow(pace, batches=3, clock=None, step_seconds=0.0, validation_seconds=0.0, gains=None):
    """Do what a pace asks for, and return what that was: progress, `validate`, `settle` or `finish`.

    `gains` says of a validation, by its number, whether it is the best so far; all are, if None.
    """
    state, done = RunState(), []
    began = clock.now if clock else 0.0
    while True:
        if clock:
            state.elapsed = clock.now - began
        action = pace.next(state, batches)
        if isinstance(action, Finish):
            return [*done, "finish"]
        if isinstance(action, Validate):
            done.append("validate")
            state.validated_at, state.validations = state.step, state.validations + 1
            gain = gains is None or gains(state.validations)
            state.without_gain = 0 if gain else state.without_gain + 1
            if clock:
                clock.now += validation_seconds
            pace.note_validation(validation_seconds)
            continue
        if isinstance(action, Settle):
            done.append("settle")
            state.settling, state.without_gain = (state.elapsed, action.progress), 0
            continue
        assert isinstance(action, Step)
        done.append(action.progress)
        if clock:
            clock.now += step_seconds
        pace.note_step(step_seconds, 100)
        state.step += 1
        state.position += 1
        if state.position == batches:
            state.epoch, state.position = state.epoch + 1, 0


def test_epochs():
    assert follow(ByEpochs(3, 2), batches=2) == [
        *[0, 1 / 6, 1 / 3, 1 / 2],
        "validate",
        *[2 / 3, 5 / 6],
        "validate",
        "finish",
    ]


def test_a_log_is_repeated_as_it_is():
    records = [
        {"kind": "step", "step": 1, "progress": 0.0},
        {"kind": "step", "step": 2, "progress": 0.25},
        {"kind": "validation", "step": 2},
        {"kind": "step", "step": 3, "progress": 0.9},
    ]
    assert follow(ByLog(records)) == [0.0, 0.25, "validate", 0.9, "finish"]
    assert follow(ByLog([*records, {"kind": "validation", "step": 3}]))[-3:] == [0.9, "validate", "finish"]


@pytest.mark.parametrize("steps", [[], [2], [1, 3], [1, 1]])
def test_a_log_with_gaps_is_refused(steps):
    with pytest.raises(ValueError, match="steps 1, 2, 3"):
        ByLog([{"kind": "step", "step": step, "progress": 0.0} for step in steps])


class Clock:
    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@given(
    budget=st.floats(20, 5000),
    step=st.floats(0.01, 2.0),
    ratio=st.floats(0.05, 0.6),
    validation_edges=st.integers(1, 3000),
    final_edges=st.integers(1, 3000),
)
@settings(deadline=None, derandomize=True, max_examples=60)
def test_a_run_by_the_clock_leaves_the_time_it_needs(budget, step, ratio, validation_edges, final_edges):
    """Steps of 100 edges; evaluation costs `ratio` of training, by edge."""
    clock = Clock()
    validation = step * ratio * validation_edges / 100
    evaluation = step * ratio * final_edges / 100
    report = 5.0
    deadline = clock.now + budget
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pace_module, "time", clock)
        pace = ByClock(
            deadline, validation_edges=validation_edges, final_edges=final_edges, report_seconds=report
        )
        done = follow(pace, clock=clock, step_seconds=step, validation_seconds=validation)
    progress = [entry for entry in done if not isinstance(entry, str)]
    assert progress == sorted(progress)
    assert progress[0] == 0.0
    assert all(0 <= p <= 1 for p in progress)
    if validation + evaluation < 0.25 * (budget - report) and step < budget / 50:
        # A budget that has room for everything ends in time, with everything done, and uses what it has.
        assert clock.now + evaluation + report <= deadline
        assert progress[-1] > 0.8
        assert done[-2:] == ["validate", "finish"]
        assert done.count("validate") * validation < 0.2 * budget + 2 * validation
    else:
        assert clock.now + report <= deadline + step


def test_progress_by_the_clock_follows_the_time_of_training():
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pace_module, "time", clock)
        pace = ByClock(clock.now + 100, validation_edges=1, final_edges=1, report_seconds=10)
        progress = [
            p
            for p in follow(pace, clock=clock, step_seconds=0.1, validation_seconds=0.001)
            if isinstance(p, float)
        ]
    for number in (100, 300, 700):
        assert progress[number] == pytest.approx(0.1 * number / 90, abs=0.02)


@pytest.mark.parametrize("may_settle", [True, False])
@pytest.mark.parametrize("last_gain", [5, 20])
def test_a_standstill_shortens_the_rest(may_settle, last_gain):
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pace_module, "time", clock)
        began = clock.now
        pace = ByClock(
            clock.now + 1000,
            validation_edges=1,
            final_edges=1,
            report_seconds=10,
            may_settle=may_settle,
        )
        done = follow(
            pace,
            clock=clock,
            step_seconds=0.1,
            validation_seconds=0.001,
            gains=lambda number: number <= last_gain,
        )
    progress = [p for p in done if isinstance(p, float)]
    assert progress == sorted(progress)
    assert progress[-1] > 0.99
    assert done[-2:] == ["validate", "finish"]
    assert done.count("settle") == may_settle
    if not may_settle:
        assert pace.end == "the end of its time"
        assert clock.now - began > 980
        return
    # A validation takes place every sixtieth of the time; eight without gain, then a fifth of the time until there.
    assert pace.end == "a standstill of its validation errors"
    until = (last_gain + 8) * 1000 / 60
    assert clock.now - began == pytest.approx(1.2 * until, rel=0.03)
    after = done[done.index("settle") :]
    rise = [p for p in after if isinstance(p, float)]
    steps = [b - a for a, b in zip(rise, rise[1:], strict=False)]
    assert min(steps[1:-1]) == pytest.approx(max(steps[1:-1]), rel=0.1)


def test_a_log_settles_where_the_run_did():
    records = [{"kind": "step", "step": step, "progress": step / 4} for step in range(1, 4)]
    records.insert(2, {"kind": "settle", "step": 2})
    assert follow(ByLog(records)) == [0.25, 0.5, "settle", 0.75, "finish"]
