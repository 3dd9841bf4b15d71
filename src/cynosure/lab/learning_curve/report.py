"""What a learning curve says, in words and tables."""

from __future__ import annotations

import math

import numpy as np

from cynosure.analysis import Report, Table
from cynosure.lab.learning_curve.curve import Curve, Measured
from cynosure.lab.learning_curve.power_law import Estimate
from cynosure.lab.runs import network_name


def run_text(one: Measured) -> str:
    """What came of a run, for the line that tells that it is finished."""
    return f"{1e3 * one.held_out:.3g} meV/Å held out, {1e3 * one.training:.3g} on its own frames"


def exponent_text(exponent: Estimate) -> str:
    """The mean with its standard error, such as `0.31 ± 0.02`."""
    error = "" if math.isnan(exponent.standard_error) else f" ± {exponent.standard_error:.2f}"
    return _two_decimals(exponent.mean) + error


def conclusion(curve: Curve) -> str:
    """Whether equivariance changed the slope, as it came out: one sentence for the networks with l_max > 0."""
    if curve.baseline() != 0 or not (others := [network for network in curve.networks if network]):
        return (
            "Whether equivariance changes the slope cannot be said without an invariant network (l_max 0) and an "
            "equivariant one (l_max 1 or more)."
        )
    signs = {network: curve.change_of_exponent(network).sign() for network in others}
    if "unknown" in signs.values():
        return "One seed has no uncertainty, so that nothing can be said of the slopes; measure more seeds (--seeds 3)."
    parts = []
    for sign, words in (("larger", "a steeper"), ("smaller", "a less steep")):
        found = [network_name(network) for network in others if signs[network] == sign]
        if found:
            parts.append(f"{_and(found)} {'has' if len(found) == 1 else 'have'} {words} curve than l_max 0")
    rest = [network_name(network) for network in others if signs[network] == "not told apart"]
    if not parts:
        return (
            f"No change of slope was found: with {curve.seeds} seeds, the exponent of {_and(rest)} cannot be told "
            "from that of l_max 0."
        )
    if rest:
        parts.append(f"for {_and(rest)} no change of slope was found")
    return f"Equivariance changed the slope here: {'; '.join(parts)}."


def findings(curve: Curve) -> list[str]:
    """One sentence for each network but the baseline: its slope and its error beside those of the baseline."""
    baseline = curve.baseline()
    if baseline is None:
        return []
    return [_finding(curve, network) for network in curve.networks if network != baseline]


def _finding(curve: Curve, network: int | None) -> str:
    change, name, other = (
        curve.change_of_exponent(network),
        network_name(network),
        network_name(curve.baseline()),
    )
    start = f"{name} against {other}: the exponent differs by {_signed(change.mean)}"
    end = f"With {curve.frames[-1]} frames its error is {curve.ratio(network):.2f} times that of {other}."
    if change.sign() == "unknown":
        return f"{start}, with an uncertainty that one seed does not tell. {end}"
    low, high = change.mean - change.half_width, change.mean + change.half_width
    verdict = {
        "larger": "its curve is steeper",
        "smaller": "its curve is less steep",
        "not told apart": "the two slopes cannot be told apart",
    }[change.sign()]
    interval = f"95 % interval {_signed(low)} to {_signed(high)}"
    return f"{start} ± {change.standard_error:.2f} ({interval}), so {verdict}. {end}"


def warnings(curve: Curve) -> tuple[str, ...]:
    """What a reader should bear in mind, one sentence each."""
    found = list(curve.notes)
    if ignorant := _where(curve.as_good_as_silence()):
        found.append(
            f"{ignorant} frames is no better than answering that there are no forces. Such points are on no power law, "
            "although they enter the fit."
        )
    if limited := _where(curve.limited_by_more_than_frames()):
        found.append(
            f"{limited} frames: the error on the training frames is more than a third of that held out. More steps or "
            "a larger network might lower these points, so that the slope may come out too small."
        )
    return tuple(found)


def _where(points: list[tuple[int | None, int]]) -> str:
    """Such as `l_max 0 with 80 and 160`; empty if there is no point."""
    grouped: dict[str, list[str]] = {}
    for network, count in points:
        grouped.setdefault(network_name(network), []).append(str(count))
    return "; ".join(f"{name} with {_and(counts)}" for name, counts in grouped.items())


def describe(curve: Curve) -> Report:
    """The curve as tables, for the terminal."""
    return Report(
        title=f"Learning curve on {curve.source}: {curve.seeds} seed{'s' if curve.seeds > 1 else ''}",
        tables=(error_table(curve), exponent_table(curve)),
        warnings=warnings(curve),
    )


def error_table(curve: Curve) -> Table:
    """Errors for each network and number of frames, the geometric mean over the seeds."""
    rows = []
    for network in curve.networks:
        means = np.exp(np.log(1e3 * curve.errors(network)).mean(axis=0))
        cells = [_error_text(mean) for mean in means.tolist()]
        rows.append((network_name(network), *cells))
    return Table(
        "Held-out force error (RMSE, meV/Å)",
        ("training frames", *(str(count) for count in curve.frames)),
        tuple(rows),
    )


def exponent_table(curve: Curve) -> Table:
    """The fitted power law of each network."""
    rows = []
    for network in curve.networks:
        law = curve.law(network)
        seen = 1e3 * float(np.exp(np.log(curve.training_errors(network)[:, -1]).mean()))
        rows.append(
            (
                network_name(network),
                exponent_text(law.exponent),
                f"{100 * law.misfit:.1f} %",
                _error_text(seen),
            )
        )
    return Table(
        "Exponents, error ~ N^−b",
        ("", "b ± standard error", "points off the line", f"error on {curve.frames[-1]} training frames"),
        tuple(rows),
    )


def _error_text(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def _two_decimals(value: float, sign: str = "-") -> str:
    """With a true minus sign, and no sign before a zero."""
    return f"{round(value, 2) + 0.0:{sign}.2f}".replace("-", "−")


def _signed(value: float) -> str:
    return _two_decimals(value, "+")


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
