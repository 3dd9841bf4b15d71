"""Train one network for each way to get forces, and measure what each way breaks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from torch import Tensor

from cynosure.data import Frames, GraphDataset, epoch_batches
from cynosure.lab.comparison import errors
from cynosure.lab.curve_frames import CurveFrames
from cynosure.lab.forces import measures
from cynosure.lab.forces.dynamics import run_nve
from cynosure.lab.forces.outcome import Comparison, Outcome
from cynosure.lab.forces.ways import ENERGY, WAYS, Forces, Molecule, Way
from cynosure.lab.molecules import Molecules
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
from cynosure.o3 import random_rotation
from cynosure.potentials import Potential, load
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
    "loss.energy",
    "loss.stress",
)
_TIMESTEP = 0.5  # fs
_SAMPLE_EVERY = 20  # steps
_LOOP_SIZE = 0.05  # Å, root mean square displacement of an atom on the small circles
_DISGUISE_SEED = 0  # of rotations, circles and velocities, the same for all runs
_TRAINING_SHARE = 0.5  # of the time of a run that trains, about


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        frames: numbers of training frames; all if None.
        seed: of the choice of frames, the initial weights and the order of frames.
        steps: every network takes at least so many optimiser steps, and goes a whole number of times through its
            frames.
        picoseconds: length of the dynamics.
        temperature: K, of the starting velocities.
        trajectories: how many, from different held-out frames.
        probes: held-out frames whose Jacobians and loops are measured.
    """

    frames: int | None = None
    seed: int = 0
    steps: int = 5000
    picoseconds: float = 3.0
    temperature: float = 500.0
    trajectories: int = 8
    probes: int = 8

    def __post_init__(self) -> None:
        for name, least in (("steps", FEWEST_STEPS), ("trajectories", 1), ("probes", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"the number of {name} must be at least {least}; got {getattr(self, name)}")
        if self.frames is not None and self.frames < 2:
            raise ValueError(f"the number of frames must be at least 2; got {self.frames}")
        if not 0.01 <= self.picoseconds <= 1000:
            raise ValueError(f"the dynamics can last from 0.01 to 1000 ps; got {self.picoseconds:g}")
        if not 0 < self.temperature <= 10_000:
            raise ValueError(f"the temperature must lie between 0 and 10000 K; got {self.temperature:g}")

    @property
    def dynamics_steps(self) -> int:
        """Steps of each trajectory, a whole number of samples."""
        return _SAMPLE_EVERY * max(1, round(1e3 * self.picoseconds / _TIMESTEP / _SAMPLE_EVERY))


FULL = Plan()
# The whole way in less than a minute; little is learnt, and what symmetry and energy promise holds all the same.
QUICK = Plan(frames=50, steps=250, picoseconds=0.1, trajectories=4, probes=3)


def compare_forces(
    frames: CurveFrames,
    out: str | Path,
    plan: Plan = FULL,
    *,
    settings: Mapping[str, Any] | None = None,
    notes: tuple[str, ...] = (),
    on_progress: Callable[[Progress], None] | None = None,
) -> Comparison:
    """Measure what the ways to get forces break.

    1. Look at everything that can be wrong before anything is trained.
    2. For every way, unless it is there already: train its network on the forces of the frames, with the settings and
       steps of all others, or take the network of the way that it belongs to.
    3. Measure its errors on held-out frames and on these turned, what its forces add up to, their curl, the work around
       loops, and the energy in dynamics, which for all ways is that of the first network.

    Networks are kept in the folder, as `energy.safetensors`, `direct.safetensors` and so on. Training
    that was interrupted goes on where it stopped.

    Args:
        frames: of one isolated molecule, with its atoms in one order.
        out: the folder; one that holds the experiment with the same data and settings is gone on with.
        plan: how much is measured.
        settings: of training, as `from_settings` takes them; the same for every network.
        notes: about the data, for the reader.
        on_progress: called now and then, and after each run.

    Raises:
        ValueError: frames that are not of one isolated molecule; too few of them; bad settings, or some that the
            experiment decides itself; a folder with something else in it; training that diverges.
        Interrupted: stopped by a signal; what is finished is kept.
        OSError: a file cannot be written.
    """
    try:
        pool, _, held_out = frames.molecules()
    except ValueError as error:
        raise ValueError(
            f"{frames.pool.source} is not for this experiment, which turns and bends one isolated molecule: {error}"
        ) from None
    if len(pool.numbers) < 2:
        raise ValueError(f"{frames.pool.source} has lone atoms, on which there are no forces")
    count = len(frames.pool) if plan.frames is None else plan.frames
    frames.require((count,), 1)
    training = frames.pool.subset(frames.chosen(count, plan.seed))
    config = _config(settings or {}, training.species())
    dataset = GraphDataset(training, float(config.model["cutoff"]))
    config = resolve_sizes(config, dataset)
    batches = len(epoch_batches(dataset.edge_counts(), int(config.batch.max_edges), plan.seed, 0))
    epochs = -(-plan.steps // batches)
    folder = Path(out)
    if folder.is_dir() and not (folder / "results.jsonl").exists():
        for way in WAYS:  # networks of something else
            _path(folder, way.key).unlink(missing_ok=True)

    def train(way: Way, run: Run, parent: Path, watch: Watch) -> None:
        own = {
            "model": {**config.model, **way.model},
            "seed": plan.seed + way.seed,
            "epochs": epochs,
            "val_every": validations_every(epochs),
        }
        given = _forces_only(training), _forces_only(frames.validation)
        model, _ = train_in(parent / way.key, config.model_copy(update=own), *given, watch, run)
        model.save(_path(folder, way.key))

    def measure(run: Run, parent: Path, watch: Watch) -> Outcome:
        way = next(way for way in WAYS if way.key == run.network)
        began = time.process_time()
        if way.network == way.key and not _path(folder, way.key).exists():
            watch.part(0.0, _TRAINING_SHARE)
            train(way, run, parent, watch)
            watch.part(_TRAINING_SHARE, 1.0)
        molecules = [Molecule(_network(folder, key), held_out.numbers) for key in (way.network, ENERGY.key)]
        outcome = measure_way(run, molecules[0].of(way), molecules[1].energy, held_out, plan, watch.advance)
        return replace(outcome, steps=epochs * batches, seconds=round(time.process_time() - began, 3))

    setup = {**in_common(config, _OWN), **_plain(plan), "data": frames.content_hash()}
    runs = [Run(None, count, plan.seed, network=way.key) for way in WAYS]
    with one_thread():
        experiment = Experiment(
            "the experiment on forces", Outcome, setup, lambda run: epochs * batches, measure
        )
        outcomes = do_runs(experiment, runs, folder, on_progress)
    return Comparison(
        source=Path(frames.pool.source).name,
        frames=count,
        outcomes={run.network: outcome for run, outcome in outcomes.items()},
        silence=frames.silence(),
        trajectories=min(plan.trajectories, len(held_out)),
        temperature=plan.temperature,
        picoseconds=plan.dynamics_steps * _TIMESTEP / 1e3,
        method=_method(frames, plan, epochs * batches),
        notes=notes,
    )


def measure_way(
    run: Run,
    forces: Forces,
    energy: Callable[[Tensor], Tensor],
    held_out: Molecules,
    plan: Plan,
    on_progress: Callable[[float], None] | None = None,
) -> Outcome:
    """Measure one force field.

    Args:
        run: which one.
        forces: the force field.
        energy: by which the energy of the trajectories is measured, [S, N, 3] to [S], eV.
        held_out: frames.
        plan: how much.
        on_progress: called with the part that is done.

    Returns:
        All of it, but `steps` and `seconds`.
    """
    generator = torch.Generator().manual_seed(_DISGUISE_SEED)
    rotations = random_rotation(len(held_out), generator=generator)
    turned = held_out.turned(rotations)
    predicted = forces(held_out.positions)
    chosen = torch.linspace(0, len(held_out) - 1, min(plan.probes, len(held_out))).round().long()
    probes = held_out.positions[chosen]
    axes = torch.eye(3, dtype=probes.dtype)
    starts = torch.linspace(0, len(held_out) - 1, min(plan.trajectories, len(held_out))).round().long()
    loops = [measures.loop_work(forces, one, *_circle(one, generator)) for one in probes for _ in range(3)]
    moved = run_nve(
        forces,
        energy,
        held_out.numbers,
        held_out.positions[starts],
        temperature=plan.temperature,
        seed=_DISGUISE_SEED,
        steps=plan.dynamics_steps,
        timestep=_TIMESTEP,
        sample_every=_SAMPLE_EVERY,
        on_progress=on_progress,
    )
    held = np.isfinite(moved.totals).any(axis=1)
    return Outcome(
        run=run,
        error=errors((held_out.energy, predicted), held_out).forces,
        turned=errors((turned.energy, forces(turned.positions)), turned).forces,
        equivariance=measures.equivariance_error(forces, held_out.positions, rotations),
        net_force=measures.net_force(predicted),
        net_torque=measures.net_torque(held_out.positions, predicted),
        curl=_rms([measures.curl(measures.jacobian(forces, one)) for one in probes]),
        loop=_rms(loops),
        turn=_rms([measures.turn_work(forces, one, axis) for one in probes for axis in axes]),
        drift=moved.drift,
        heating=moved.heating,
        survived=moved.survived,
        fell_apart=moved.fell_apart,
        times=moved.times[held].tolist(),
        totals=np.nanmean(moved.totals[held], axis=1).tolist(),
        steps=0,
        seconds=0.0,
    )


def _circle(positions: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two displacements [N, 3], at right angles and as long as `_LOOP_SIZE` says, in random directions."""
    random = torch.randn(positions.numel(), 2, generator=generator, dtype=positions.dtype)
    first, second = torch.linalg.qr(random)[0].T.reshape(2, *positions.shape)
    length = _LOOP_SIZE * len(positions) ** 0.5
    return length * first, length * second


def _rms(values: list[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _forces_only(frames: Frames) -> list[Atoms]:
    """The frames with forces and nothing else: what a direct head cannot learn from, none of the networks gets."""
    found = []
    for frame in frames:
        atoms = Atoms(frame.atomic_numbers, frame.positions)
        atoms.calc = SinglePointCalculator(atoms, forces=frame.forces)
        found.append(atoms)
    return found


def _config(settings: Mapping[str, Any], species: list[int]) -> TrainConfig:
    """The settings that all networks share, checked with those of each way."""
    require_settable(settings, _OWN, "experiment")
    config = resolve_model(from_settings(merge(settings, PLACES)), base=None)
    require_possible(config, {way.name: way.model for way in WAYS if way.network == way.key}, species)
    return config


def _plain(plan: Plan) -> dict[str, Any]:
    return {
        name: getattr(plan, name)
        for name in ("steps", "picoseconds", "temperature", "trajectories", "probes")
    }


def _path(folder: Path, key: str) -> Path:
    return folder / f"{key}.safetensors"


def _network(folder: Path, key: str) -> Potential:
    path = _path(folder, key)
    if not path.exists():
        raise ValueError(
            f"'{path}' is gone, which the other ways are measured with; remove '{folder}' and begin anew, or name "
            "another folder with --out"
        )
    return load(path)


def _method(frames: CurveFrames, plan: Plan, steps: int) -> str:
    return (
        f"Every network took {steps:,} optimiser steps with the same settings, seed and frames, and learnt from forces "
        f"alone; best weights were chosen by {len(frames.validation)} validation frames. All is measured in float64 on "
        f"{len(frames.held_out)} held-out frames. The Jacobian is made of central differences (1e-4 Å) at "
        f"{plan.probes} of them. The small loops are circles in the space of configurations, three for each of these "
        f"frames, on which atoms are displaced by {_LOOP_SIZE} Å (root mean square); a full turn is that of the rigid "
        f"molecule about each axis. Dynamics: velocity Verlet, {_TIMESTEP} fs, {plan.picoseconds:g} ps, "
        f"{plan.trajectories} trajectories from different frames, with the velocities of {plan.temperature:g} K, the "
        "same for all ways. Total energy is kinetic energy plus the energy of the −∇E network, for all ways: kinetic "
        "energy less the work that was done would be conserved by any forces, and say nothing. A force field with "
        "another energy behind it, as the retrained one, makes this total go up and down, within bounds; only one with "
        "none makes it go on rising or falling. Drift is the mean of the last fifth less that of the first, by the "
        "time between. A trajectory ten times as hot as at its start has fallen apart."
    )
