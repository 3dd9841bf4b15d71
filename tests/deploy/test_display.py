"""What a terminal shows of a run: few lines however long it is, and nothing odd where there is no terminal."""

from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from cynosure.deploy import DynamicsDisplay, RelaxDisplay, Sample
from cynosure.deploy.relaxation import RelaxStep


def shown(
    steps: int, every: int, *, terminal: bool = False, pressure: float = 1.5, uncertainty: float = math.nan
) -> list[str]:
    text = io.StringIO()
    with DynamicsDisplay(
        steps, 0.5, console=Console(file=text, force_terminal=terminal, width=100)
    ) as display:
        for step in range(0, steps + 1, every):
            display(Sample(step, step * 5e-4, -12.5, 0.25, 2, 300.0, pressure, 100.0, uncertainty))
    return text.getvalue().splitlines()


def test_a_line_for_each_of_about_twenty_samples_and_for_the_last():
    lines = shown(100_000, 10)
    assert len(lines) == 2 + 21
    assert lines[2].split() == ["0", "0.0000", "-12.50000", "0.2500", "-6.125000", "300.0", "1.500"]
    assert lines[-1].split()[:2] == ["100000", "50.0000"]
    assert len({len(line) for line in lines}) == 1, "the columns stand under their heads"


def test_every_sample_of_a_short_run():
    assert [line.split()[0] for line in shown(5, 1)[2:]] == ["0", "1", "2", "3", "4", "5"]


def test_no_pressure_without_a_volume():
    assert len(shown(5, 1, pressure=math.nan)[2].split()) == 6


def test_an_ensemble_has_a_column_more():
    lines = shown(5, 1, uncertainty=0.125)
    assert lines[0].endswith("max σ(F)")
    assert lines[1].endswith("eV/Å")
    assert [line.split()[-1] for line in lines[2:]] == 6 * ["0.1250"]
    assert len({len(line) for line in lines}) == 1


def test_a_terminal_gets_a_bar_with_the_rate():
    assert any("steps/s" in line for line in shown(2000, 10, terminal=True))


@pytest.mark.parametrize(("stress", "volume", "cells"), [(0.5, 160.0, 5), (math.nan, 0.0, 3)])
def test_relaxation_is_a_table(stress, volume, cells):
    text = io.StringIO()
    show = RelaxDisplay(Console(file=text, width=100))
    for step in range(3):
        show(RelaxStep(step, -5.0, 0.1, stress, volume))
    lines = text.getvalue().splitlines()
    assert len(lines) == 5
    assert all(len(line.split()) == cells for line in lines[2:])
