"""What the comparison of forces says, in words and tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from cynosure.analysis import Report, Table
from cynosure.lab.forces.outcome import Comparison, Outcome
from cynosure.lab.forces.ways import BALANCED, DIRECT, ENERGY, FIXED, RETRAINED

_KEPT = 1e-6  # a relative deviation below it is rounding, or the error of a finite difference
_FASTER = 3.0  # times the drift of forces that have an energy, from which on others are said to have none
_LEARNT = 0.9  # of the error of answering zero; below it a network has learnt something


class Quantity(NamedTuple):
    """A number that is measured of every way.

    Attributes:
        name: what it is.
        unit: its unit; empty for a ratio.
        value: in this unit, of an outcome; None where it could not be measured.
        brief: its name in a small picture, if it has another there.
    """

    name: str
    unit: str
    value: Callable[[Outcome], float | None]
    brief: str = ""

    @property
    def title(self) -> str:
        """With its unit."""
        return f"{self.name} ({self.unit})" if self.unit else self.name


QUANTITIES = (
    Quantity("force error", "meV/Å", lambda one: 1e3 * one.error),
    Quantity("force error, turned frames", "meV/Å", lambda one: 1e3 * one.turned, "force error, turned"),
    Quantity("|F(Rr) − R F(r)| / |F|", "", lambda one: one.equivariance, "equivariance error"),
    Quantity("net force", "meV/Å", lambda one: 1e3 * one.net_force),
    Quantity("net torque", "meV", lambda one: 1e3 * one.net_torque),
    Quantity("curl", "", lambda one: one.curl),
    Quantity("work around a small loop", "meV", lambda one: 1e3 * one.loop, "work, small loop"),
    Quantity("work of a full turn", "meV", lambda one: 1e3 * one.turn, "work, full turn"),
    Quantity(
        "drift of the energy", "meV/atom/ps", lambda one: None if one.drift is None else 1e3 * one.drift
    ),
    Quantity("heating", "K/ps", lambda one: one.heating),
)


def run_text(one: Outcome) -> str:
    """What came of a run, for the line that tells that it is finished."""
    return (
        f"{number(1e3 * one.error)} meV/Å, {number(1e3 * one.turned)} turned, curl {number(one.curl)}, drift "
        f"{_drift(one)}"
    )


def describe(found: Comparison) -> Report:
    """The comparison as tables, for the terminal."""
    return Report(
        title=f"Ways to get forces, on {found.source}: {found.frames} training frames",
        tables=tables(found),
        warnings=warnings(found),
    )


def tables(found: Comparison) -> tuple[Table, ...]:
    """A row for each quantity, a column for each way."""
    outcomes = [found.outcomes[way.key] for way in found.ways]
    rows = [
        (
            quantity.title,
            *("—" if (value := quantity.value(one)) is None else number(value) for one in outcomes),
        )
        for quantity in QUANTITIES
    ]
    held = [
        f"{found.trajectories - one.fell_apart} of {found.trajectories} to the end"
        if one.fell_apart < found.trajectories
        else f"none, {one.survived:.2g} ps"
        for one in outcomes
    ]
    title = (
        f"On held-out frames (answering zero is off by {number(1e3 * found.silence)} meV/Å), and in "
        f"{found.picoseconds:g} ps of dynamics"
    )
    columns = ("", *(way.name for way in found.ways))
    return (Table(title, columns, (*rows, ("trajectories that held together", *held))),)


def conclusion(found: Comparison) -> list[str]:
    """What was found, as it came out, a sentence or two each; and what to do next."""
    energy, direct, balanced, fixed = (found.outcomes[way.key] for way in (ENERGY, DIRECT, BALANCED, FIXED))
    return [
        _axes(found, fixed),
        _turning(direct, energy),
        _adding_up(direct, energy),
        _curl(direct, balanced, energy),
        _dynamics(found, energy, direct, balanced),
        "What to do next: for dynamics, relaxations and phonons, train an energy (cynosure train YOUR_FRAMES.xyz) and "
        "let its derivative be the forces. Declare a 1o target for vectors that are nobody's derivative; three "
        "invariants are never a vector.",
    ]


def _axes(found: Comparison, fixed: Outcome) -> str:
    start = (
        f"{FIXED.name}: three invariants read as x, y and z are off by {number(1e3 * fixed.error)} meV/Å on the "
        f"held-out frames and by {number(1e3 * fixed.turned)} on the same frames turned, where answering that there "
        f"are no forces is off by {number(1e3 * found.silence)}."
    )
    if fixed.equivariance < _KEPT:
        return f"{start} They turned with the molecule all the same."
    return (
        f"{start} They do not turn with the molecule (|F(Rr) − R F(r)| is {number(fixed.equivariance)} of |F|): 3x0e "
        "has three numbers, as a vector has, and is not one."
    )


def _turning(direct: Outcome, energy: Outcome) -> str:
    words = f"{DIRECT.name} and {ENERGY.name}: {number(1e3 * direct.error)} and {number(1e3 * energy.error)} meV/Å"
    if max(direct.equivariance, energy.equivariance) < _KEPT:
        return f"{words}, turned or not; both are equivariant within rounding."
    return f"{words}, and they do not turn with the molecule, so something is wrong with the network."


def _adding_up(direct: Outcome, energy: Outcome) -> str:
    start = (
        f"Nothing pulls or turns an isolated molecule from outside. {DIRECT.name} finds a net force of "
        f"{number(1e3 * direct.net_force)} meV/Å and a net torque of {number(1e3 * direct.net_torque)} meV; "
        f"{ENERGY.name} {number(1e3 * energy.net_force)} and {number(1e3 * energy.net_torque)}, since its energy does "
        "not change when the molecule moves or turns."
    )
    if direct.turn < 1e-6:
        return start
    return f"{start} Turning the molecule once round gains or costs {number(1e3 * direct.turn)} meV with the former."


def _curl(direct: Outcome, balanced: Outcome, energy: Outcome) -> str:
    start = (
        f"The antisymmetric part of ∂F/∂r is {number(direct.curl)} of the symmetric one for {DIRECT.name}, "
        f"{number(balanced.curl)} with net force and torque taken out, and {number(energy.curl)} for {ENERGY.name}"
    )
    if direct.curl < _KEPT:
        return f"{start}: no curl was found in any."
    return (
        f"{start}. A force field with curl is the derivative of no energy: around a small loop it does "
        f"{number(1e3 * direct.loop)} meV of work, {ENERGY.name} {number(1e3 * energy.loop)}."
    )


def _dynamics(found: Comparison, energy: Outcome, direct: Outcome, balanced: Outcome) -> str:
    parts = [f"{way.name} {_drift(found.outcomes[way.key])}" for way in found.ways]
    start = f"In {found.picoseconds:g} ps of dynamics the total energy drifts by {'; '.join(parts)}."
    retrained = found.outcomes[RETRAINED.key].drift
    if energy.drift is None or retrained is None:
        return f"{start} Not even {ENERGY.name} held together: it takes more steps (--steps) to say more."
    # What the measure itself gives to forces that have an energy, if another one.
    own = max(abs(energy.drift), abs(retrained))
    if any(one.drift is None or abs(one.drift) > _FASTER * own for one in (direct, balanced)):
        return (
            f"{start} Equivariance alone does not conserve energy; having one does, even if the total is measured by "
            f"another ({RETRAINED.name}). Small errors of direct forces add up, and taking out net force and torque "
            "does not remove the curl."
        )
    return f"{start} So far, direct forces drifted hardly more; longer dynamics (--picoseconds) tell."


def warnings(found: Comparison) -> tuple[str, ...]:
    """What a reader should bear in mind, one sentence each."""
    silent = [way.name for way in found.ways if found.outcomes[way.key].error > _LEARNT * found.silence]
    if not silent:
        return found.notes
    return (
        *found.notes,
        f"Hardly better than answering zero on the held-out frames: {'; '.join(silent)}. More frames or steps "
        "(--steps) may help, where symmetry lets them.",
    )


def _drift(one: Outcome) -> str:
    if one.drift is None:
        return f"not measured, all fell apart after {one.survived:.2g} ps"
    return f"{number(1e3 * one.drift)} meV/atom/ps"


def number(value: float) -> str:
    """Three digits; none behind the point from a hundred on, and powers of ten for what is rounding."""
    size = abs(value)
    if size == 0:
        return "0"
    text = f"{value:.0f}" if size >= 99.95 else f"{value:#.3g}" if size >= 1e-3 else f"{value:.0e}"
    return text.replace("-", "−") if size >= 1e-3 else text.replace("-", "−", 1) if value < 0 else text
