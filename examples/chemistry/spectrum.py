"""The infrared spectrum from the dipole of molecules in motion.

In classical mechanics a gas absorbs, in km/mol for each cm⁻¹,

    A(ν) = N_A / (12 ε₀ c²) S(ν) / (k_B T),    ∫ S(ν) dν = ⟨|dμ/dt|²⟩

where S is the spectrum of dμ/dt, the Fourier transform of its autocorrelation (McQuarrie, Statistical Mechanics (1976),
chapter 21). Its units are those of harmonic intensities, and for a harmonic molecule the area of each band is the
intensity of the mode (`harmonic`), because ⟨(dQ/dt)²⟩ = k_B T. A molecule in motion shows more: how far bands shift by
anharmonicity and heat, how broad they are, overtones. Motion is classical here, though: zero-point motion is missing.

Velocity Verlet with a step Δt oscillates a little too fast: at ω' where ω = (2/Δt) sin(ω' Δt/2) would be right, and its
velocities are (sin(ω' Δt)/Δt) times the amplitude. Both are exact for a harmonic motion, and are taken into account.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator as AseCalculator
from ase.md.verlet import VelocityVerlet
from examples.chemistry.harmonic import KM_PER_MOL, WAVENUMBER
from examples.chemistry.measure import predicted
from numpy.typing import NDArray
from rich.progress import track

from cynosure.deploy import Calculator, molecular_dynamics

Array = NDArray[np.float64]

STEP = 0.5  # fs
EVERY = 8  # steps from dipole to dipole: a light wave of 4170 cm⁻¹ would need two of them for a period
# cm⁻¹: what is where in the spectrum of glycolaldehyde.
BANDS = {
    "O–H stretch": (3150, 3600),
    "C–H stretches": (2650, 3050),
    "C=O stretch": (1650, 1900),
    "bends, C–O stretch": (1050, 1500),
    "C–C stretch": (600, 1050),
    "O–H torsion": (130, 550),
}
_APART = 100.0  # Å: molecules that far from each other do not feel each other, wherever they go


@dataclass(frozen=True)
class Motion:
    """Dipoles of molecules that move at constant energy.

    Attributes:
        dipoles: [R, T, 3] e Å.
        temperature: K, the mean over time and molecules, motion of each as a whole left out.
        drift: eV for each molecule, how far its energy was from that at the start, at the end.
    """

    dipoles: Array
    temperature: float
    drift: float

    def to_json(self) -> dict[str, float]:
        """How long it lasted (ps), temperature (K), and drift (meV)."""
        length = self.dipoles.shape[1] * EVERY * STEP / 1000
        return {"time": length, "temperature": self.temperature, "energy drift": 1e3 * self.drift}


def thermal(
    model: Calculator, atoms: Atoms, copies: int, temperature: float, steps: int, seed: int
) -> list[Atoms]:
    """Molecules with positions and momenta as they are at a temperature, K, each at rest as a whole.

    They are made as one structure of many molecules far apart, which the potential evaluates in one call.
    """
    found = molecular_dynamics(model, together([atoms] * copies), "nvt", temperature, steps, STEP, seed=seed)
    return [_at_rest(one) for one in apart(found.atoms, len(atoms))]


def together(molecules: Sequence[Atoms]) -> Atoms:
    """One structure of molecules far apart, on a cubic grid, with their momenta."""
    side = int(np.ceil(len(molecules) ** (1 / 3) - 1e-9))
    whole = Atoms()
    for site, molecule in zip(np.ndindex(side, side, side), molecules, strict=False):
        moved = molecule.copy()
        moved.positions += _APART * np.array(site) - molecule.get_center_of_mass()
        whole += moved
    return whole


def apart(whole: Atoms, size: int) -> list[Atoms]:
    """The molecules of `together`, of so many atoms each."""
    return [whole[start : start + size] for start in range(0, len(whole), size)]


def _at_rest(molecule: Atoms) -> Atoms:
    masses = molecule.get_masses()[:, None]
    momenta = molecule.get_momenta()
    molecule.set_momenta(momenta - masses * momenta.sum(axis=0) / masses.sum())
    return molecule


def of_model(model: Calculator, starts: Sequence[Atoms], steps: int) -> Motion:
    """Motion of molecules with a model, all at once; dipoles afterwards, many in one call."""
    size = len(starts[0])
    whole = together(starts)
    whole.calc = model
    frames, temperature, drift = _move(
        whole, len(starts), steps, whole.get_positions, f"{len(starts)} molecules, learned"
    )
    molecules = [Atoms(starts[0].numbers, one) for frame in frames for one in frame.reshape(-1, size, 3)]
    dipoles = predicted(model.model, molecules, ["dipole"])["dipole"].reshape(len(frames), len(starts), 3)
    return Motion(dipoles.transpose(1, 0, 2), temperature, drift)


def of_reference(calculator: AseCalculator, starts: Sequence[Atoms], steps: int) -> Motion:
    """Motion of molecules with a calculator that gives dipoles, one after the other."""
    found = []
    for number, start in enumerate(starts):
        atoms = start.copy()
        atoms.calc = calculator
        title = f"molecule {number + 1} of {len(starts)}, GFN2-xTB"
        found.append(_move(atoms, 1, steps, atoms.get_dipole_moment, title))
    dipoles, temperatures, drifts = zip(*found, strict=True)
    return Motion(np.array(dipoles), float(np.mean(temperatures)), float(np.mean(drifts)))


def _move(
    atoms: Atoms, molecules: int, steps: int, look: Callable[[], Array], title: str
) -> tuple[Array, float, float]:
    """What `look` sees every few steps, the mean temperature and the drift of a molecule's energy."""
    motion = VelocityVerlet(atoms, STEP * units.fs)
    seen, kinetic, total = [], [], []
    for _ in track(motion.irun(steps), title, total=steps + 1):
        if motion.nsteps % EVERY == 0:
            seen.append(look())
            kinetic.append(atoms.get_kinetic_energy() / molecules)
            total.append(atoms.get_potential_energy() / molecules + kinetic[-1])
    degrees = 3 * len(atoms) // molecules - 3
    return np.array(seen), 2 * float(np.mean(kinetic)) / (degrees * units.kB), total[-1] - total[0]


@dataclass(frozen=True)
class Spectrum:
    """Infrared spectra of molecules, one for each.

    Attributes:
        wavenumbers: [K] cm⁻¹.
        each: [R, K] km/mol for each cm⁻¹.
    """

    wavenumbers: Array
    each: Array

    @classmethod
    def of(cls, motion: Motion, interval: float = STEP * EVERY, step: float = STEP) -> Spectrum:
        """From dipoles that are `interval` fs apart, of velocity Verlet with `step` fs.

        1. Hann's window, for ends that do not meet.
        2. The Fourier transform, times the factor that makes velocities of amplitudes.
        3. Squares, of both signs of the frequency, summed over directions.
        4. The right frequencies, and with them the density over them.
        """
        count, dt = motion.dipoles.shape[1], step * units.fs
        window = np.hanning(count)
        window /= np.sqrt(np.square(window).mean())
        centred = motion.dipoles - motion.dipoles.mean(axis=1, keepdims=True)
        omega = 2 * np.pi * np.fft.rfftfreq(count, interval * units.fs)
        velocities = np.fft.rfft(centred * window[:, None], axis=1) * (np.sin(omega * dt) / dt)[:, None]
        power = 2 * np.square(np.abs(velocities)).sum(axis=2) / count**2
        density = power / (omega[1] * WAVENUMBER * np.cos(omega * dt / 2))
        wavenumbers = 2 / dt * np.sin(omega * dt / 2) * WAVENUMBER
        return cls(wavenumbers, KM_PER_MOL * density / (units.kB * motion.temperature))

    @property
    def mean(self) -> Array:
        """[K], over molecules."""
        return self.each.mean(axis=0)

    def smooth(self, width: float) -> Array:
        """[R, K]: each folded with a Gaussian of so many cm⁻¹ standard deviation."""
        distances = self.wavenumbers[:, None] - self.wavenumbers
        kernel = np.exp(-0.5 * np.square(distances / width))
        return self.each @ (kernel / kernel.sum(axis=0))

    def band(self, low: float, high: float) -> dict[str, float]:
        """Area (km/mol) and centre (cm⁻¹, of the area) of what is between two wavenumbers, with standard errors."""
        within = (self.wavenumbers >= low) & (self.wavenumbers < high)
        widths = np.gradient(self.wavenumbers)[within]
        areas = self.each[:, within] @ widths
        moments = self.each[:, within] @ (widths * self.wavenumbers[within])
        centre = moments.mean() / areas.mean()
        # (Of a ratio of means: deviations of the moment from what the area lets expect.)
        root = np.sqrt(len(areas))
        spread = np.std(moments - centre * areas, ddof=1) / areas.mean() if len(areas) > 1 else 0.0
        return {
            "area": float(areas.mean()),
            "area error": float(np.std(areas, ddof=1) / root) if len(areas) > 1 else 0.0,
            "centre": float(centre),
            "centre error": float(spread / root),
        }


def similarity(one: Array, other: Array) -> float:
    """∫ a b / √(∫ a² ∫ b²) of two spectra [K] on one grid: 1 for the same shape, 0 for nothing in common."""
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))
