"""Train networks with and without parity labels on chiral molecules, and ask them about mirror images."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.data import atomic_numbers
from torch import Tensor

from cynosure.data import Frames, GraphDataset, epoch_batches
from cynosure.graph import batch, from_atoms
from cynosure.lab.mirror.cases import CASES, DEFAULTS, LEFT, Case
from cynosure.lab.mirror.molecules import ELEMENTS, HAND, REAL, Hands, both, make_hands, mirrored
from cynosure.lab.mirror.outcome import SETS, Mirror, Outcome
from cynosure.lab.one_thread import one_thread
from cynosure.lab.progress import Progress, Watch
from cynosure.lab.running import Experiment, do_runs
from cynosure.lab.runs import Run
from cynosure.lab.trained import (
    FEWEST_STEPS,
    OWN,
    PLACES,
    in_common,
    require_possible,
    require_settable,
    train_in,
    validations_every,
)
from cynosure.potentials import Potential, flatten
from cynosure.training import TrainConfig, from_settings
from cynosure.training.config import merge
from cynosure.training.setup import resolve_model, resolve_sizes

# What the experiment itself decides.
_OWN = (
    *OWN,
    "model.energy",
    "model.targets",
    "model.inputs",
    "model.derivatives",
    "model.parity",
)
_FEWEST = 20  # molecules: fewer have hardly one of each kind


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        molecules: to train on.
        measured: to measure with, of compositions that were trained on, and as many of real molecules and of other
            compositions; with as many mirror images.
        steps: every network takes at least so many optimiser steps, and goes a whole number of times through its
            molecules.
        seed: of the molecules, the initial weights and the order of molecules.
    """

    molecules: int = 400
    measured: int = 210
    steps: int = 3000
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("molecules", _FEWEST), ("measured", _FEWEST), ("steps", FEWEST_STEPS)):
            if getattr(self, name) < least:
                raise ValueError(f"the number of {name} must be at least {least}; got {getattr(self, name)}")


FULL = Plan()
# The whole way in less than a minute; hardly anything is learnt, and what parity promises holds all the same.
QUICK = Plan(molecules=70, measured=42, steps=210)


def measure_mirror(
    out: str | Path,
    plan: Plan = FULL,
    *,
    settings: Mapping[str, Any] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Mirror:
    """Measure which networks can tell the hands of chiral molecules apart.

    1. Look at the settings, and make left-handed molecules: of ten compositions, three of which are never trained on,
       and of those that ASE brings along.
    2. For every case, unless it is there already: train its network on left-handed molecules, or on as many of which
       every second is its mirror image; to tell the hand, or the energy.
    3. Ask it about molecules that it was not trained on, and about their mirror images, in float64.

    Args:
        out: the folder; one that holds the experiment with the same settings is gone on with.
        plan: how much is measured.
        settings: of training, as `from_settings` takes them; the same for every network, but for what makes the cases.
        on_progress: called now and then, and after each run.

    Raises:
        ValueError: bad settings, or some that the experiment decides itself; a folder with something else in it;
            training that diverges.
        Interrupted: stopped by a signal; what is finished is kept.
        OSError: a file cannot be written.
    """
    config = _config(settings or {})
    hands = make_hands(plan.molecules, plan.molecules // 5, plan.measured, plan.seed)
    dataset = GraphDataset(Frames.from_atoms(list(hands.training)), float(config.model["cutoff"]))
    config = resolve_sizes(config, dataset)
    batches = len(epoch_batches(dataset.edge_counts(), int(config.batch.max_edges), plan.seed, 0))
    epochs = -(-plan.steps // batches)
    cases = {case.key: case for case in CASES}

    def measure(run: Run, parent: Path, watch: Watch) -> Outcome:
        case = cases[run.network]
        own = {
            "model": {**config.model, **case.model},
            "seed": plan.seed,
            "epochs": epochs,
            "val_every": validations_every(epochs),
        }
        began = time.process_time()
        given = shown(case, hands.training), shown(case, hands.validation)
        model, steps = train_in(parent / case.key, config.model_copy(update=own), *given, watch, run)
        measured = ask(model, case, hands)
        return Outcome(run, *measured, steps, round(time.process_time() - began, 3))

    setup = {
        **in_common(config, _OWN),
        "molecules": plan.molecules,
        "measured": plan.measured,
        "steps": plan.steps,
    }
    runs = [Run(None, plan.molecules, plan.seed, network=case.key) for case in CASES]
    with one_thread():
        experiment = Experiment(
            "the mirror experiment", Outcome, setup, lambda run: epochs * batches, measure
        )
        outcomes = do_runs(experiment, runs, out, on_progress)
    return Mirror(
        outcomes={run.network: outcome for run, outcome in outcomes.items()},
        training=plan.molecules,
        measured=plan.measured,
        trained_on=hands.trained_on,
        never_seen=hands.never_seen,
        spread=_spread(hands.new),
        seed=plan.seed,
        method=_method(plan, hands, epochs * batches),
    )


def shown(case: Case, molecules: Sequence[Atoms]) -> list[Atoms]:
    """What a case is trained on: left-handed molecules, or as many of which the second half are mirror images."""
    if case.shown == LEFT:
        return list(molecules)
    half = len(molecules) // 2
    return [*molecules[:half], *map(mirrored, molecules[half:])]


def ask(model: Potential, case: Case, hands: Hands) -> tuple[dict[str, float], float, float]:
    """Scores, difference and sum of an `Outcome`.

    Args:
        model: the trained network; it is asked in float64.
        case: what it is.
        hands: the molecules.
    """
    model = model.double()
    scores, halves = {}, {}
    for name, molecules in (("familiar", hands.familiar), ("real", hands.real), ("new", hands.new)):
        every = both(molecules)
        answers = _answers(model, every, case)
        labels = torch.tensor(
            [one.info[HAND] if case.asks_hand else one.get_potential_energy() for one in every],
            dtype=torch.float64,
        )
        right = (answers.sign() == labels).double() if case.asks_hand else (answers - labels).abs()
        halves = dict(zip(("left", "right"), answers.chunk(2), strict=True))
        for side, part in zip(("left", "right"), right.chunk(2), strict=True):
            scores[f"{name} {side}"] = float(part.mean())
    assert tuple(scores) == SETS
    return scores, _rms(halves["left"] - halves["right"]), _rms(halves["left"] + halves["right"])


def _answers(model: Potential, molecules: Sequence[Atoms], case: Case) -> Tensor:
    """[S] the hand as a number, or the energy in eV."""
    name = HAND if case.asks_hand else "energy"
    return model(batch([from_atoms(one, model.cutoff) for one in molecules]), (name,))[name].double()


def _rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


def _spread(molecules: Sequence[Atoms]) -> float:
    """eV, how much energies of one composition differ: what there is to learn from conformations."""
    groups: dict[str, list[float]] = {}
    for one in molecules:
        groups.setdefault(one.get_chemical_formula(), []).append(one.get_potential_energy())
    return float(np.sqrt(np.mean([np.var(energies) for energies in groups.values()])))


def _config(settings: Mapping[str, Any]) -> TrainConfig:
    """The settings that all networks share, checked with those of each case."""
    require_settable(settings, _OWN, "experiment")
    chosen = merge(DEFAULTS, [*flatten(settings).items(), *PLACES])
    config = resolve_model(from_settings(chosen), base=None)
    require_possible(
        config, {case.name: case.model for case in CASES}, [atomic_numbers[one] for one in ELEMENTS]
    )
    return config


def _method(plan: Plan, hands: Hands, steps: int) -> str:
    return (
        f"Every network took {steps:,} optimiser steps on {plan.molecules} molecules of "
        f"{', '.join(map(str, hands.trained_on))}, and of real ones ({', '.join(REAL.values())}): left hands, or as "
        "many of which the second half are mirror images. Best weights were chosen by "
        f"{plan.molecules // 5} others like them. All were asked, in float64, about {plan.measured} new molecules of "
        f"these compositions, {plan.measured} of the real ones, {plan.measured} of compositions that were never "
        f"trained on ({', '.join(map(str, hands.never_seen))}), and about the mirror images of all. A molecule of a "
        "composition is a centre with four different substituents, its bonds stretched by 5 % and bent by some 9°; its "
        "hand is the sign of (r₁ − r₄) · ((r₂ − r₄) × (r₃ − r₄)), with r₁ to r₄ the substituents by descending atomic "
        "number: + for S, − for R. A real molecule has ASE's geometry (G2 set), rattled by 0.05 Å; + is the hand that "
        "it has there. Orientation and order of atoms are random. The energy is one of distances: "
        "springs along bonds and a repulsion of all other pairs, equal for mirror images as any energy of nature's "
        "electrons."
    )
