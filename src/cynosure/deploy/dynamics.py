"""Molecular dynamics with a potential: constant energy, constant temperature, constant pressure.

The integrators are ASE's, one for each ensemble:

- `nve`: velocity Verlet.
- `nvt`: Langevin (Vanden-Eijnden and Ciccotti, Chem. Phys. Lett. 429, 310 (2006)). Each atom has its own
  noise, so that a single small molecule or a nearly harmonic crystal reaches its temperature in every mode,
  which a thermostat that only scales all velocities together cannot promise. The centre of mass is held.
- `npt`: Langevin for the atoms and for the volume in the BAOAB splitting (Leimkuhler and Matthews 2013; the
  equations of Quigley and Probert, J. Chem. Phys. 120, 11432 (2004)). A cell of any shape is scaled as a
  whole; its shape stays.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from ase import Atoms, units
from ase.constraints import FixCom
from ase.md.langevin import Langevin
from ase.md.md import MolecularDynamics
from ase.md.verlet import VelocityVerlet

from cynosure.deploy.calculator import OVERLAP, Calculator
from cynosure.deploy.trajectory import TrajectoryFile, frozen, trajectory_format
from cynosure.deploy.uncertainty import OnUncertainty, UncertaintyWatch, check_watch
from cynosure.deploy.velocities import degrees_of_freedom, maxwell_boltzmann
from cynosure.graph import Points
from cynosure.potentials import Potential

Ensemble = Literal["nve", "nvt", "npt"]

# Time constants, fs: long enough to disturb the motion little, short enough to settle within picoseconds.
_THERMOSTAT_FS = 100.0
_BAROSTAT_FS = 1000.0
# k_B T of 9 eV: no bond holds, and no potential was trained there. Such heat comes from a step that is too long.
_HOTTEST = 1e5
_ADVICE = "try a smaller time step (--dt), a relaxed start, or a model trained on such structures"


class UnstableDynamics(ValueError):
    """The simulation left what the potential describes; the frames written before are good."""


@dataclass(frozen=True)
class Sample:
    """The state of a simulation at one step.

    Attributes:
        step: number of the step, from 0.
        time: ps.
        potential: eV.
        kinetic: eV.
        atoms: number of atoms.
        temperature: K, over the degrees of freedom that the ensemble leaves free.
        pressure: GPa, the atoms' motion counted; NaN where the cell has no volume.
        volume: Å³; zero where there is none.
        uncertainty: eV/Å, the largest of a force (`Committee`); NaN for a model that is not an ensemble.
    """

    step: int
    time: float
    potential: float
    kinetic: float
    atoms: int
    temperature: float
    pressure: float
    volume: float
    uncertainty: float = math.nan

    @property
    def total_per_atom(self) -> float:
        """Potential and kinetic energy, eV/atom."""
        return (self.potential + self.kinetic) / self.atoms


@dataclass
class MDResult:
    """What a simulation leaves behind.

    Attributes:
        ensemble: what was kept constant.
        atoms: the last frame, with velocities, energy and forces.
        samples: one every `every` steps, the first at step 0.
        times: [T] ps, every step.
        totals: [T] eV/atom, potential and kinetic energy at every step.
        interrupted: whether it was stopped (Ctrl-C) before its last step.
        verdict: why it ended by itself before its last step, in words; empty if it did not.
        uncertain_steps: at how many steps a force was more uncertain than allowed.
        uncertain: the file of such frames, if any were saved.
        trajectory: the file of frames, if one was written.
        plot: the picture of energy and temperature, if one was made.
    """

    ensemble: Ensemble
    atoms: Atoms
    samples: list[Sample] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    totals: list[float] = field(default_factory=list)
    interrupted: bool = False
    verdict: str = ""
    uncertain_steps: int = 0
    uncertain: Path | None = None
    trajectory: Path | None = None
    plot: Path | None = None

    def drift(self) -> float:
        """Total energy gained over the run by its straight-line fit, eV/atom; zero for a single step."""
        if len(self.times) < 2:
            return 0.0
        slope = np.polyfit(self.times, np.array(self.totals) - self.totals[0], 1)[0]
        return float(slope * (self.times[-1] - self.times[0]))

    def excursion(self) -> float:
        """The largest distance of the total energy from where it started, eV/atom."""
        return float(np.max(np.abs(np.array(self.totals) - self.totals[0])))

    def summary(self) -> str:
        """Drift of the energy where it should be constant, otherwise the means over the second half."""
        span = f"{self.times[-1]:.3g} ps" if self.times else "nothing"
        lines = [f"Stopped early, after {span}."] if self.interrupted else []
        if self.verdict:
            lines.append(f"{self.verdict}. That frame is the last.")
        elif self.uncertain_steps:
            lines.append(f"A force was more uncertain than allowed at {self.uncertain_steps} steps.")
        if self.ensemble == "nve" and self.times:
            lines.append(
                f"Drift of the total energy over {span}: {1000 * self.drift():+.3g} meV/atom "
                f"(largest excursion {1000 * self.excursion():.3g} meV/atom)."
            )
        half = self.samples[len(self.samples) // 2 :]
        if half:
            temperatures = [sample.temperature for sample in half]
            means = [f"temperature {np.mean(temperatures):.1f} ± {np.std(temperatures):.1f} K"]
            if not math.isnan(half[0].pressure):
                pressures = [sample.pressure for sample in half]
                means.append(f"pressure {np.mean(pressures):.3f} ± {np.std(pressures):.3f} GPa")
            if self.ensemble == "npt":
                means.append(f"volume {np.mean([sample.volume for sample in half]):.2f} Å³")
            lines.append(f"Means over the second half: {', '.join(means)}.")
        return "\n".join(lines)


def molecular_dynamics(
    model: Potential | Calculator | str | Path,
    atoms: Atoms,
    ensemble: Ensemble = "nvt",
    temperature: float | None = None,
    steps: int = 1000,
    dt_fs: float = 0.5,
    out: str | Path | None = None,
    pressure: float = 0.0,
    seed: int = 0,
    every: int = 10,
    device: str | None = None,
    dtype: torch.dtype | str | None = None,
    overwrite: bool = False,
    max_uncertainty: float | None = None,
    on_uncertainty: OnUncertainty = "stop",
    on_sample: Callable[[Sample], None] | None = None,
) -> MDResult:
    """Run molecular dynamics.

    Args:
        model: a potential, the path of a model file, or a calculator.
        atoms: the structure; it is not changed. Its constraints are obeyed.
        ensemble: `nve`, `nvt` or `npt`; see the module's docstring for the integrators.
        temperature: K. Velocities are drawn for it (see `maxwell_boltzmann`), and `nvt` and `npt` hold it.
            With `nve` it may be left out if `atoms` has velocities, which are then taken as they are.
        steps: number of steps.
        dt_fs: time step, fs. With hydrogen, 0.5 is a good start.
        out: file for the frames, its format named by the extension (`.traj`, `.xyz`, `.extxyz`); a picture of
            energy and temperature is put beside it as `.png`. None writes nothing.
        pressure: GPa, for `npt`.
        seed: of the velocities and the thermostat; the same seed repeats the run.
        every: steps between frames, and between samples.
        device: see `Calculator`.
        dtype: see `Calculator`.
        overwrite: whether the files of `out` may replace others.
        max_uncertainty: eV/Å, the most that an ensemble's `forces_uncertainty` may be on any atom at any step; None
            for no limit.
        on_uncertainty: what to do beyond it. `stop` ends the run with that frame. `save` writes such frames to a file
            beside `out` (`md.traj`: `md-uncertain.xyz`), no two of them nearer than `every` steps, and goes on.
        on_sample: called with each sample as it is taken.

    Returns:
        the last frame and the samples. After Ctrl-C, or a force that is too uncertain, what there was until then.

    Raises:
        ValueError: for settings that make no sense together, naming them.
        UnstableDynamics: when the energy stops being finite, the temperature becomes absurd, or atoms run
            into each other. The trajectory then ends with the last good frame.
        FileExistsError: if `out` is there already and `overwrite` is not set.
    """
    _check_settings(atoms, ensemble, temperature, steps, dt_fs, pressure, every)
    if out is not None:
        trajectory_format(out)
    calculator = model if isinstance(model, Calculator) else Calculator(model, device=device, dtype=dtype)
    moving = atoms.copy()
    moving.calc = calculator
    if ensemble == "nvt" and not moving.constraints and len(moving) > 1:
        moving.set_constraint(FixCom())
    _require_masses(calculator.model.points, atoms)
    check_watch(calculator, max_uncertainty, on_uncertainty, has_file=out is not None)
    degrees = degrees_of_freedom(moving, momentum_conserved=ensemble == "nve")
    if temperature is not None:
        maxwell_boltzmann(moving, temperature, seed, degrees)
    run = _Run(moving, calculator, ensemble, degrees, every, on_sample, list(atoms.constraints))
    # The first evaluation comes before any file is touched: a bad structure must not cost an old trajectory.
    run.check()
    dynamics = _integrator(moving, ensemble, temperature, dt_fs, pressure, seed)
    if out is None:
        return run.go(dynamics, steps, None, UncertaintyWatch(calculator, max_uncertainty, None, every))
    with ExitStack() as files:
        saved = None
        if on_uncertainty == "save":
            beside = Path(out).with_name(f"{Path(out).stem}-uncertain.xyz")
            saved = files.enter_context(TrajectoryFile(beside, overwrite=overwrite, keep_empty=False))
        file = files.enter_context(TrajectoryFile(out, overwrite=overwrite))
        watch = UncertaintyWatch(calculator, max_uncertainty, saved, every)
        result = run.go(dynamics, steps, file, watch)
    if saved is not None and saved.frames:
        result.uncertain = saved.path
    from cynosure.deploy.plots import plot_dynamics  # matplotlib is slow to import

    result.trajectory = Path(out)
    if result.samples:
        result.plot = plot_dynamics(result.samples, Path(out).with_suffix(".png"))
    return result


class _Run:
    """One simulation while it runs: watches every step, samples and writes every few."""

    def __init__(
        self,
        atoms: Atoms,
        calculator: Calculator,
        ensemble: Ensemble,
        degrees: int,
        every: int,
        on_sample: Callable[[Sample], None] | None,
        constraints: list,
    ) -> None:
        self.atoms = atoms
        self.calculator = calculator
        self.every = every
        self.on_sample = on_sample
        self.constraints = constraints
        self.degrees = degrees
        self.result = MDResult(ensemble, atoms)

    def go(
        self, dynamics: MolecularDynamics, steps: int, file: TrajectoryFile | None, watch: UncertaintyWatch
    ) -> MDResult:
        """Run `steps` steps, or until the watch gives its verdict, and return the result, also after Ctrl-C."""
        try:
            for _ in dynamics.irun(steps):
                self.observe(dynamics, file, watch, last=dynamics.nsteps == steps)
                if watch.verdict:
                    break
        except KeyboardInterrupt:
            self.result.interrupted = True
        except UnstableDynamics:
            raise
        except ValueError as error:
            # The step led to a structure that cannot even be evaluated.
            raise UnstableDynamics(f"after step {dynamics.nsteps}: {error}; {_ADVICE}") from error
        self.result.atoms = frozen(self.atoms, constraints=self.constraints)
        self.result.verdict, self.result.uncertain_steps = watch.verdict, watch.steps
        return self.result

    def observe(
        self, dynamics: MolecularDynamics, file: TrajectoryFile | None, watch: UncertaintyWatch, last: bool
    ) -> None:
        """Look at the step that was just made."""
        step, time = dynamics.nsteps, dynamics.get_time() / (1000 * units.fs)
        potential = self.check(step)
        kinetic = float(self.atoms.get_kinetic_energy())
        self.result.times.append(time)
        self.result.totals.append((potential + kinetic) / len(self.atoms))

        def frame() -> Atoms:
            return frozen(self.atoms, {"step": step, "time_ps": time}, self.constraints)

        watch.look(self.atoms, step, frame)
        if step % self.every and not last and not watch.verdict:
            return
        sample = self._sample(step, time, potential, kinetic, watch.largest())
        self.result.samples.append(sample)
        if file is not None:
            file.write(frame())
        if self.on_sample is not None:
            self.on_sample(sample)

    def check(self, step: int = 0) -> float:
        """The potential energy, eV, of a structure that is fit to go on.

        Raises:
            UnstableDynamics: if the energy or a force is not finite, the temperature is absurd, or atoms have
                run into each other.
        """
        forces = self.atoms.get_forces(md=True)
        potential = float(self.atoms.get_potential_energy())
        advice = _ADVICE if step else "check the structure"
        if not (math.isfinite(potential) and np.isfinite(forces).all()):
            raise UnstableDynamics(f"at step {step} the energy or a force is not finite; {advice}")
        contact = self.calculator.closest_contact()
        if contact.ratio < OVERLAP:
            raise UnstableDynamics(f"at step {step} {contact.words(self.atoms)}; {advice}")
        temperature = self.temperature(float(self.atoms.get_kinetic_energy()))
        if temperature > _HOTTEST:
            raise UnstableDynamics(f"at step {step} the temperature is {temperature:.1e} K; {advice}")
        return potential

    def _sample(self, step: int, time: float, potential: float, kinetic: float, uncertainty: float) -> Sample:
        volume = abs(self.atoms.cell.volume)
        pressure = math.nan
        if volume > 0:
            stress = self.atoms.get_stress(voigt=False, apply_constraint=False)
            pressure = (2 * kinetic / (3 * volume) - np.trace(stress) / 3) / units.GPa
        temperature = self.temperature(kinetic)
        atoms = len(self.atoms)
        return Sample(
            step, time, potential, kinetic, atoms, temperature, float(pressure), volume, uncertainty
        )

    def temperature(self, kinetic: float) -> float:
        """K, from the kinetic energy in eV."""
        return 2 * kinetic / (self.degrees * units.kB) if self.degrees else 0.0


def _integrator(
    atoms: Atoms, ensemble: Ensemble, temperature: float | None, dt_fs: float, pressure: float, seed: int
) -> MolecularDynamics:
    """ASE's integrator for the ensemble, with its random numbers seeded."""
    dt = dt_fs * units.fs
    if ensemble == "nve" or temperature is None:
        return VelocityVerlet(atoms, dt)
    rng = np.random.default_rng([seed, 1])  # not the numbers that drew the velocities
    if ensemble == "nvt":
        friction = 1 / (_THERMOSTAT_FS * units.fs)
        return Langevin(atoms, dt, temperature_K=temperature, friction=friction, fixcm=False, rng=rng)
    try:
        from ase.md.langevinbaoab import LangevinBAOAB
    except ImportError:
        raise ValueError("npt needs a newer ASE: pip install --upgrade 'ase>=3.29'") from None
    barostat = _BAROSTAT_FS * units.fs
    return LangevinBAOAB(
        atoms,
        dt,
        temperature_K=temperature,
        externalstress=-pressure * units.GPa,
        hydrostatic=True,
        T_tau=_THERMOSTAT_FS * units.fs,
        P_tau=barostat,
        # Martyna, Tobias and Klein (1994): the volume swings with the period that was asked for, roughly.
        P_mass=3 * (len(atoms) + 1) * units.kB * temperature * barostat**2,
        rng=rng,
    )


def _require_masses(points: Points, atoms: Atoms) -> None:
    """Raise unless the points of a structure have masses, and units that go with them."""
    points.require_atomic_units("molecular dynamics")
    if points.names and not atoms.has("masses"):
        raise ValueError(
            f"{', '.join(points.names)} are no elements, whose masses are known: give them in a column 'masses', in u"
        )


def _check_settings(
    atoms: Atoms,
    ensemble: str,
    temperature: float | None,
    steps: int,
    dt_fs: float,
    pressure: float,
    every: int,
) -> None:
    """Refuse settings that make no sense, before anything is computed."""
    if ensemble not in get_args(Ensemble):
        raise ValueError(f"the ensemble '{ensemble}' is not one of {', '.join(get_args(Ensemble))}")
    if steps < 0 or every < 1:
        raise ValueError(f"steps is {steps} and every is {every}; at least 0 and 1 were expected")
    if not (dt_fs > 0 and math.isfinite(dt_fs)):
        raise ValueError(f"the time step is {dt_fs} fs; a positive time was expected")
    if len(atoms) == 0:
        raise ValueError("this structure has no atoms; give at least one")
    if temperature is None:
        if ensemble != "nve":
            raise ValueError(f"{ensemble} holds a temperature: give one (--temperature, in K)")
        if not atoms.has("momenta"):
            raise ValueError("this structure has no velocities: give a temperature (--temperature, in K)")
    elif not math.isfinite(temperature) or temperature < 0 or (ensemble != "nve" and temperature == 0):
        raise ValueError(f"the temperature is {temperature} K; {ensemble} needs a positive one")
    if ensemble != "npt":
        if pressure != 0:
            raise ValueError(f"{ensemble} holds no pressure: leave it out, or choose --ensemble npt")
        return
    if not math.isfinite(pressure):
        raise ValueError(f"the pressure is {pressure} GPa; a finite one was expected")
    if not atoms.pbc.all() or not abs(atoms.cell.volume) > 0:
        raise ValueError(
            "npt changes the volume, and needs a cell that is periodic in all three directions; "
            f"this structure has pbc {atoms.pbc.tolist()}: choose nvt"
        )
    if atoms.constraints:
        raise ValueError(
            "npt cannot hold atoms in place while the cell changes: remove the constraints or choose nvt"
        )
