"""The equation of state of a crystal: its energy against its volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.eos import EquationOfState as AseEquationOfState
from ase.eos import birchmurnaghan
from ase.units import GPa
from numpy.typing import NDArray

from cynosure.analysis.crystal import DEFAULT_FMAX, OnProgress, Rest, at_rest, lattice_words, tell
from cynosure.analysis.report import Report, Table
from cynosure.analysis.strain import cauchy_stress, strained
from cynosure.deploy import relax as relax_structure

# The fit has four parameters; one point more, and its residual says something.
FEWEST_POINTS = 5
# The fit's pressure may miss that of the stress by this part of the range of pressures. A narrow range misses by
# less than a thousandth; stresses that are no derivatives of the energy by much more.
_CONSISTENT = 0.01


@dataclass(frozen=True)
class EquationOfState:
    """Energies and pressures of a crystal over a grid of volumes, and the fit of Birch and Murnaghan to the energies.

    Attributes:
        rest: the crystal that the grid is about.
        clamped: whether its atoms kept their fractional coordinates; otherwise they were relaxed at every volume.
        converged: whether all of those relaxations ended.
        volumes: [M] Å³, of the cell, rising.
        energies: [M] eV, of the cell.
        pressures: [M] GPa, −tr σ / 3.
        shear: the largest component of the stress beside the pressure, GPa: zero for a cubic crystal.
        volume: V₀ of the fit, Å³.
        energy: E₀ of the fit, eV.
        bulk_modulus: B₀ of the fit, GPa.
        derivative: B₀′ of the fit.
    """

    rest: Rest
    clamped: bool
    converged: bool
    volumes: NDArray[np.float64]
    energies: NDArray[np.float64]
    pressures: NDArray[np.float64]
    shear: float
    volume: float
    energy: float
    bulk_modulus: float
    derivative: float

    @property
    def cell(self) -> NDArray[np.float64]:
        """The cell at V₀, Å, [3, 3]: that of the crystal, scaled."""
        cell = self.rest.atoms.cell
        return cell.array * (self.volume / abs(cell.volume)) ** (1 / 3)

    @property
    def residual(self) -> float:
        """Root mean square distance of the energies from the fit, eV per atom."""
        misses = self.energies - self.energy_at(self.volumes)
        return float(np.sqrt(np.mean(misses**2))) / len(self.rest.atoms)

    @property
    def inconsistency(self) -> float:
        """The largest difference between the pressure of the stress and −dE/dV of the fit, GPa."""
        return float(np.abs(self.pressures - self.pressure_at(self.volumes)).max())

    @property
    def settled(self) -> bool:
        """Whether every relaxation came to its end."""
        return self.rest.settled and self.converged

    @property
    def consistent(self) -> bool:
        """Whether that is as little as the fit itself may cost."""
        return self.inconsistency <= _CONSISTENT * float(np.ptp(self.pressures))

    def energy_at(self, volumes: NDArray[np.float64]) -> NDArray[np.float64]:
        """The fit's energy at volumes in Å³, eV."""
        return birchmurnaghan(volumes, self.energy, self.bulk_modulus * GPa, self.derivative, self.volume)

    def pressure_at(self, volumes: NDArray[np.float64]) -> NDArray[np.float64]:
        """The fit's pressure at volumes in Å³, GPa.

        3B₀/2 (x⁷ − x⁵) (1 + ¾ (B₀′ − 4) (x² − 1)) with x = (V₀/V)^⅓, which is −dE/dV (Birch, Phys. Rev. 71, 809
        (1947)).
        """
        x = (self.volume / volumes) ** (1 / 3)
        slope = 1 + 0.75 * (self.derivative - 4) * (x**2 - 1)
        return 1.5 * self.bulk_modulus * (x**7 - x**5) * slope

    def report(self, title: str, next_steps: Sequence[str] = ()) -> Report:
        """The figures as tables.

        Args:
            title: what was measured, such as `model.safetensors on silicon.xyz`.
            next_steps: the commands to type next.
        """
        atoms = len(self.rest.atoms)
        low, high = self.volumes[[0, -1]] / self.volume
        how = "clamped at their fractional coordinates" if self.clamped else "relaxed at every volume"
        keeps_itself = self.shear <= _CONSISTENT * float(np.ptp(self.pressures))
        shape = "kept" + ("" if keeps_itself else "; it would change under pressure: B₀ is Voigt's")
        fit = (
            ("volume V₀", f"{self.volume:.4f} Å³ ({self.volume / atoms:.4f} per atom)"),
            ("lattice at V₀", lattice_words(self.cell)),
            ("energy E₀", f"{self.energy:.6f} eV ({self.energy / atoms:.6f} per atom)"),
            ("bulk modulus B₀", f"{self.bulk_modulus:.3f} GPa"),
            ("its derivative B₀′", f"{self.derivative:.3f}"),
            ("residual of the fit", f"{1000 * self.residual:.2g} meV/atom (root mean square)"),
            ("stress against −dE/dV", f"{self.inconsistency:.2g} GPa apart at most"),
        )
        grid = (
            ("volumes", f"{len(self.volumes)}, from {low:.3f} to {high:.3f} V₀"),
            ("pressures", f"from {self.pressures[0]:+.2f} to {self.pressures[-1]:+.2f} GPa"),
            ("shape of the cell", shape),
            ("atoms", how),
        )
        tables = (
            Table("The crystal", ("", ""), (("atoms", f"{atoms}"), *self.rest.rows())),
            Table("Grid", ("", ""), grid),
            Table("Birch and Murnaghan, third order", ("", ""), fit),
        )
        return Report(title, tables, self._warnings(), tuple(next_steps))

    def _warnings(self) -> tuple[str, ...]:
        found = list(self.rest.warnings())
        if not self.converged:
            found.append(
                "at some volume the atoms did not come to rest: allow more --steps, or a larger --fmax"
            )
        if not self.consistent:
            found.append(
                f"the stress and the slope of the energy differ by up to {self.inconsistency:.2g} GPa: narrow the "
                "range (--range); if they still do, the stress is not the derivative of the energy (cynosure check)"
            )
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """All figures (eV, Å, GPa) as plain values for `json.dump`."""
        return {
            "units": {
                "energy": "eV",
                "length": "Å",
                "volume": "Å³",
                "force": "eV/Å",
                "stress": "GPa",
                "pressure": "GPa",
            },
            "atoms": len(self.rest.atoms),
            "crystal": self.rest.to_json(),
            "clamped": self.clamped,
            "converged": self.converged,
            "volumes": self.volumes.tolist(),
            "energies": self.energies.tolist(),
            "pressures": self.pressures.tolist(),
            "max_shear": self.shear,
            "fit": {
                "name": "Birch-Murnaghan, third order",
                "volume": self.volume,
                "energy": self.energy,
                "bulk_modulus": self.bulk_modulus,
                "bulk_modulus_derivative": self.derivative,
                "cell": self.cell.tolist(),
                "energies": self.energy_at(self.volumes).tolist(),
                "pressures": self.pressure_at(self.volumes).tolist(),
                "residual_per_atom": self.residual,
                "max_pressure_difference": self.inconsistency,
            },
        }


def eos(
    calculator: BaseCalculator,
    atoms: Atoms,
    span: float = 0.06,
    points: int = 11,
    clamped: bool = False,
    relax: bool = True,
    fmax: float = DEFAULT_FMAX,
    steps: int = 500,
    on_progress: OnProgress | None = None,
) -> EquationOfState:
    """Energy and pressure against volume, and the equation of state of Birch and Murnaghan that fits them.

    1. Relax the crystal, if wanted.
    2. Scale it to volumes evenly spaced from 1 − `span` to 1 + `span` of its own; its shape stays. At each relax
       the atoms, unless they are to be clamped, and take the energy and the pressure.
    3. Fit the energies (ASE's `EquationOfState`; Birch, Phys. Rev. 71, 809 (1947)).

    Where pressure would change the shape too (as it does unless the crystal is cubic), B₀ is the response at fixed
    shape, Voigt's bulk modulus, which is never less than that of a crystal under pressure.

    Args:
        calculator: any calculator of ASE that knows forces and stress.
        atoms: the crystal; it is not changed. Its constraints are dropped.
        span: half the range of volumes, as a part of the volume.
        points: how many volumes.
        clamped: let the atoms keep their fractional coordinates.
        relax: relax atoms and cell first.
        fmax: largest force to leave in any relaxation, eV/Å.
        steps: give any relaxation up after so many steps.
        on_progress: hears of every volume.

    Raises:
        ValueError: it is no crystal, settings make no sense, or the energy has no minimum within the range.
    """
    if not 0 < span < 0.5:
        raise ValueError(
            f"the range is {span}; a part of the volume between 0 and 0.5 was expected (--range)"
        )
    if points < FEWEST_POINTS:
        raise ValueError(f"{points} points: the fit needs {FEWEST_POINTS} at least (--points)")
    rest = at_rest(calculator, atoms, relax, fmax, steps, on_progress)
    free = rest.atoms.copy()
    parts = np.linspace(1 - span, 1 + span, points, dtype=np.float64)
    energies, pressures, shear, converged = np.zeros(points), np.zeros(points), 0.0, True
    for i, part in enumerate(parts):
        tell(on_progress, i / points, f"volume {i + 1} of {points}")
        scaled = strained(free, part ** (1 / 3) * np.eye(3))
        if not clamped:
            result = relax_structure(calculator, scaled, fmax=fmax, steps=steps)
            scaled, converged = result.atoms, converged and result.converged
        stress = cauchy_stress(scaled, calculator) / GPa
        pressures[i] = -np.trace(stress) / 3
        shear = max(shear, float(np.abs(stress + pressures[i] * np.eye(3)).max()))
        scaled.calc = calculator
        energies[i] = scaled.get_potential_energy()
    volumes: NDArray[np.float64] = parts * abs(free.cell.volume)
    volume, energy, bulk_modulus, derivative = birch_murnaghan(volumes, energies)
    return EquationOfState(
        rest,
        clamped,
        converged,
        volumes,
        energies,
        pressures,
        shear,
        volume,
        energy,
        bulk_modulus,
        derivative,
    )


def birch_murnaghan(
    volumes: NDArray[np.float64], energies: NDArray[np.float64]
) -> tuple[float, float, float, float]:
    """The third-order equation of Birch and Murnaghan that fits energies (eV) at volumes (Å³), [M] each.

    Returns:
        V₀ (Å³), E₀ (eV), B₀ (GPa) and B₀′.

    Raises:
        ValueError: the energy has no minimum within the volumes.
    """
    if not 0 < np.argmin(energies) < len(energies) - 1:
        raise _no_minimum(volumes, energies)
    # Beside a large energy of the atoms themselves, the fit would not see the differences.
    base = float(energies.min())
    fit = AseEquationOfState(volumes, energies - base, eos="birchmurnaghan")
    try:
        # On its way it may try volumes that there are not.
        with np.errstate(all="ignore"):
            volume, energy, bulk_modulus = fit.fit(warn=False)
    except RuntimeError:  # scipy found no end
        raise _no_minimum(volumes, energies) from None
    if not (volumes.min() < volume < volumes.max() and bulk_modulus > 0):
        raise _no_minimum(volumes, energies)
    derivative = float(fit.eos_parameters[2])
    return float(volume), float(energy) + base, float(bulk_modulus) / GPa, derivative


def _no_minimum(volumes: NDArray[np.float64], energies: NDArray[np.float64]) -> ValueError:
    lowest = float(volumes[np.argmin(energies)])
    return ValueError(
        f"the energy has no minimum between {volumes.min():.3f} and {volumes.max():.3f} Å³ that the equation fits (its "
        f"lowest value is at {lowest:.3f} Å³): relax the crystal first, or take a wider range (--range)"
    )
