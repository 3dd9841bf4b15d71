"""Molecular dynamics at constant energy with any force field, and the energy along the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms, units
from numpy.typing import NDArray
from torch import Tensor

from cynosure.deploy.velocities import degrees_of_freedom, maxwell_boltzmann
from cynosure.lab.forces.ways import Forces

_APART = 10.0  # times the starting temperature, from which on a trajectory counts as fallen apart
_WINDOW = 0.2  # of a trajectory, over which its start and its end are averaged


@dataclass(frozen=True)
class Trajectories:
    """What T trajectories did; NaN where one has fallen apart.

    Attributes:
        times: [K] ps.
        totals: [K, T] eV/atom, kinetic and potential energy, from the start.
        temperatures: [K, T] K.
    """

    times: NDArray[np.float64]
    totals: NDArray[np.float64]
    temperatures: NDArray[np.float64]

    @property
    def survived(self) -> float:
        """ps, how long the trajectories held together, in the mean."""
        held = np.isfinite(self.totals).sum(axis=0)
        return float(np.mean(self.times[np.maximum(held - 1, 0)]))

    @property
    def fell_apart(self) -> int:
        """How many trajectories did not reach the end."""
        return int((~np.isfinite(self.totals[-1])).sum())

    @property
    def drift(self) -> float | None:
        """eV/atom/ps, the mean over the trajectories of `drift_of`; None if all fell apart."""
        return _mean_drift(self.times, self.totals)

    @property
    def heating(self) -> float | None:
        """K/ps, the same of the temperature."""
        return _mean_drift(self.times, self.temperatures)


def _mean_drift(times: NDArray[np.float64], values: NDArray[np.float64]) -> float | None:
    whole = values[:, np.isfinite(values[-1])]
    return float(np.mean(drift_of(times, whole))) if whole.shape[1] else None


def drift_of(times: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """[T] how fast values [K, T] move: the mean of the last fifth less that of the first, by the time between."""
    window = max(1, round(_WINDOW * len(times)))
    rise = values[-window:].mean(axis=0) - values[:window].mean(axis=0)
    return rise / (times[-window:].mean() - times[:window].mean())


def run_nve(
    forces: Forces,
    energy: Callable[[Tensor], Tensor],
    numbers: Tensor,
    positions: Tensor,
    *,
    temperature: float,
    seed: int,
    steps: int,
    timestep: float = 0.5,
    sample_every: int = 20,
    on_progress: Callable[[float], None] | None = None,
) -> Trajectories:
    """Velocity Verlet of several copies of a molecule side by side.

    Kinetic energy less the work that the forces did is conserved whatever the forces are, that being Newton's law; it
    tells nothing. So the potential energy is that of `energy`, one function for all force fields that are compared. It
    is conserved if the forces are its derivative. If they are the derivative of another energy, the total goes up and
    down with the difference of the two; and only if they are not the derivative of any does it go on rising or falling.

    Args:
        forces: the force field.
        energy: positions [T, N, 3] to energies [T], eV.
        numbers: [N] atomic numbers.
        positions: [T, N, 3] Å, where the trajectories start.
        temperature: K, of the starting velocities (Maxwell-Boltzmann, neither moving nor turning as a whole).
        seed: of the velocities; the same for every force field.
        steps: how many.
        timestep: fs.
        sample_every: steps between two samples.
        on_progress: called with the part that is done.
    """
    copies = [Atoms(numbers.numpy(), one.numpy()) for one in positions]
    for number, atoms in enumerate(copies):
        maxwell_boltzmann(atoms, temperature, seed=seed + number)
    masses = torch.as_tensor(copies[0].get_masses())[:, None]
    degrees = degrees_of_freedom(copies[0], momentum_conserved=True)
    velocities = torch.as_tensor(np.array([atoms.get_velocities() for atoms in copies]))
    dt, positions = timestep * units.fs, positions.clone()
    start, alive = energy(positions), torch.ones(len(copies), dtype=torch.bool)
    start = start + _kinetic(masses, velocities)
    samples: list[tuple[float, Tensor, Tensor]] = []

    def sample(step: int) -> None:
        kinetic = _kinetic(masses, velocities)
        hot = 2 * kinetic / (degrees * units.kB)
        alive.logical_and_(hot < _APART * max(temperature, 1.0))  # (false for NaN too)
        total = (kinetic + energy(positions) - start) / len(masses)
        nothing = torch.full_like(total, torch.nan)
        samples.append(
            (1e-3 * timestep * step, torch.where(alive, total, nothing), torch.where(alive, hot, nothing))
        )

    acceleration = forces(positions) / masses
    sample(0)
    for step in range(1, steps + 1):
        # What has fallen apart stands still.
        moving = alive[:, None, None]
        velocities = torch.where(moving, velocities + 0.5 * dt * acceleration, velocities)
        positions = torch.where(moving, positions + dt * velocities, positions)
        acceleration = forces(positions) / masses
        velocities = torch.where(moving, velocities + 0.5 * dt * acceleration, velocities)
        if step % sample_every == 0:
            sample(step)
            if on_progress is not None:
                on_progress(step / steps)
            if not alive.any():
                break
    times, totals, temperatures = zip(*samples, strict=True)
    return Trajectories(
        np.array(times), torch.stack(list(totals)).numpy(), torch.stack(list(temperatures)).numpy()
    )


def _kinetic(masses: Tensor, velocities: Tensor) -> Tensor:
    """[T] eV."""
    return 0.5 * (masses * velocities.square()).sum((1, 2))
