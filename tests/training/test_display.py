"""What a run shows, on a terminal and elsewhere."""

import io

import pytest
from rich.console import Console

from cynosure.training.display import (
    BarDisplay,
    LineDisplay,
    display_for,
    duration,
)
from cynosure.training.metrics import ErrorStats, Metrics

METRICS = Metrics(
    1,
    {
        "energy": ErrorStats(9.0, 9.0, 9.0, 1),
        "energy_per_atom": ErrorStats(0.0012, 0.002, 0.01, 1),
        "forces": ErrorStats(0.0234, 0.03, 0.1, 9),
        "stress": ErrorStats(0.001, 0.002, 0.003, 9),
    },
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (float("inf"), "?"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_errors_in_words():
    assert METRICS.in_words() == "energy 1.2 meV/atom, forces 23.4 meV/Å, stress 0.16 GPa"
    assert Metrics(1, {"forces": METRICS.errors["forces"]}).in_words() == "forces 23.4 meV/Å"


def training_step(display, step=3):
    display.step(step=step, epoch=1, progress=0.25, loss=0.5, rate=12.0, left=90.0)


def test_lines_come_now_and_then():
    stream = io.StringIO()
    display = LineDisplay(stream, interval=1000.0)
    training_step(display)
    assert stream.getvalue() == ""
    display.validation(step=3, score=1.0, best=False, metrics=METRICS)
    assert stream.getvalue() == ""
    display.validation(step=3, score=1.0, best=True, metrics=METRICS)
    assert "validation at step 3: energy 1.2 meV/atom" in stream.getvalue()
    eager = LineDisplay(stream, interval=0.0)
    training_step(eager)
    assert "step 3, epoch 1, 25 %: loss 0.5, 12 structures/s, 1 min 30 s left" in stream.getvalue()


def test_a_bar_has_the_rate_the_loss_and_the_time_left_on_a_narrow_terminal():
    stream = io.StringIO()
    display = BarDisplay(Console(file=stream, force_terminal=True, width=80))
    display.say("[bold]Plain [text]")
    display.validation(step=1, score=1.0, best=True, metrics=METRICS)
    training_step(display)
    display.evaluating("validation", 3, 10)
    display.close()
    text = stream.getvalue()
    for part in (
        "[bold]Plain [text]",
        "1 min 30 s left",
        "25 %",
        "12 structures/s",
        "loss 0.5",
        "energy 1.2",
    ):
        assert part in text
    assert "3 of 10" not in text
    display.evaluating("evaluation", 3, 10)
    display.close()
    assert "3 of 10 structures" in stream.getvalue()
    display.close()


def test_the_stream_decides():
    assert isinstance(display_for(io.StringIO()), LineDisplay)

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    assert isinstance(display_for(Terminal()), BarDisplay)
