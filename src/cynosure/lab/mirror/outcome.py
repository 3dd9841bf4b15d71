"""What came of showing hands to each network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cynosure.lab.mirror.cases import CASES, Case
from cynosure.lab.mirror.molecules import Composition
from cynosure.lab.runs import Run

# What is measured with: new molecules of compositions that were trained on, of ASE's, and of compositions that were not
# trained on; each with its mirror image.
KINDS = ("familiar", "real", "new")
SETS = tuple(f"{kind} {side}" for kind in KINDS for side in ("left", "right"))


@dataclass(frozen=True)
class Outcome:
    """What was measured of one network.

    Attributes:
        run: which one.
        scores: of each of `SETS`: the part whose hand is told rightly, or the mean absolute error of the energy, eV.
        difference: root mean square of p(molecule) − p(mirror image) over new compositions; eV for the energy.
        sum: the same of p(molecule) + p(mirror image).
        steps: optimiser steps.
        seconds: s of processor time, training and measuring.
    """

    run: Run
    scores: Mapping[str, float]
    difference: float
    sum: float
    steps: int
    seconds: float


@dataclass(frozen=True)
class Mirror:
    """All networks beside each other.

    Attributes:
        outcomes: case to what came of it.
        training: how many molecules each network was trained on.
        measured: how many molecules of each set.
        trained_on, never_seen: compositions.
        spread: eV, standard deviation of the energies within a composition, over new compositions.
        seed: of molecules and weights.
        method: how it was measured, in words.
    """

    outcomes: Mapping[str, Outcome]
    training: int
    measured: int
    trained_on: tuple[Composition, ...]
    never_seen: tuple[Composition, ...]
    spread: float
    seed: int
    method: str = ""

    def of(self, case: Case) -> Outcome:
        """What came of a case."""
        return self.outcomes[case.key]

    @property
    def hands(self) -> tuple[Case, ...]:
        """Those that are asked for the hand."""
        return tuple(case for case in CASES if case.asks_hand)

    @property
    def energies(self) -> tuple[Case, ...]:
        """Those that are asked for the energy."""
        return tuple(case for case in CASES if not case.asks_hand)

    @property
    def total_seconds(self) -> float:
        """s of processor time, all together."""
        return sum(outcome.seconds for outcome in self.outcomes.values())
