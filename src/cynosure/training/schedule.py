"""The learning rate as a pure function of progress."""

from __future__ import annotations

import math

from cynosure.training.config import ScheduleConfig


def learning_rate_factor(progress: float, schedule: ScheduleConfig) -> float:
    """What fraction of the highest learning rate holds at `progress`.

    With w the warm-up, f the final fraction and q = (p − w)/(1 − w):

        p < w:   p/w
        p ≥ w:   f + (1 − f)·(1 + cos πq)/2

    A function of p and nothing else, so that a run by the clock can be repeated from its logged p.

    Args:
        progress: p from 0 (start) to 1 (end).
        schedule: w and f.
    """
    p = min(max(progress, 0.0), 1.0)
    if p < schedule.warmup:
        return p / schedule.warmup
    q = (p - schedule.warmup) / (1.0 - schedule.warmup)
    return schedule.final + (1.0 - schedule.final) * 0.5 * (1.0 + math.cos(math.pi * q))
