"""What the phonons of a crystal are, in numbers and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.units import _c
from numpy.typing import NDArray

from cynosure.analysis.crystal import Rest, lattice_words
from cynosure.analysis.report import Report, Table
from cynosure.analysis.thermal import Thermal

if TYPE_CHECKING:
    from phonopy import Phonopy

# 1 THz in wave numbers, cm⁻¹.
PER_CM = 1e12 / (100 * _c)
# Below this a frequency is imaginary; nearer to zero it is what interpolation and rounding leave, THz.
IMAGINARY = -0.05
# Frequencies at Γ so near to each other are told as one, THz; and so many are told.
_ONE = 0.02
_MOST_ROWS = 12
_THERMAL_HEADS = ("T, K", "free energy, meV", "entropy, k_B", "heat capacity, k_B")
_TOLD_TEMPERATURES = (0.0, 100.0, 300.0, 600.0, 1000.0)


@dataclass(frozen=True)
class Bands:
    """Frequencies along the path between points of high symmetry.

    Attributes:
        path: the points by name; a comma is a jump.
        points: [Q, 3] in units of the reciprocal vectors of the primitive cell.
        x: [Q] length along the path, Å⁻¹ (with 2π: of wave vectors, not of inverse wavelengths).
        frequencies: [Q, 3N] THz, rising; imaginary ones negative.
        ticks: [P] x of the named points.
        labels: their names.
    """

    path: str
    points: NDArray[np.float64]
    x: NDArray[np.float64]
    frequencies: NDArray[np.float64]
    ticks: NDArray[np.float64]
    labels: tuple[str, ...]

    def where(self, index: int) -> str:
        """Where a point is on the path, such as `X` or `Γ–X`."""
        x = self.x[index]
        near = int(np.argmin(np.abs(self.ticks - x)))
        if abs(self.ticks[near] - x) < 1e-9:
            return self.labels[near]
        after = int(np.searchsorted(self.ticks, x))
        return f"{self.labels[after - 1]}–{self.labels[after]}"


@dataclass(frozen=True)
class Density:
    """The density of states of the primitive cell.

    Attributes:
        frequencies: [F] THz.
        states: [F] states per THz; its integral is 3N.
    """

    frequencies: NDArray[np.float64]
    states: NDArray[np.float64]


@dataclass(frozen=True)
class SumRule:
    """What is left where a crystal that moves as a whole should feel nothing.

    Attributes:
        constants: the largest component of Σ_j Φ_ij, eV/Å².
        acoustic: the largest |frequency| of the three acoustic modes at Γ, THz.
    """

    constants: float
    acoustic: float


@dataclass(frozen=True)
class Lowest:
    """The lowest frequency on the path and on the mesh.

    Attributes:
        frequency: THz, negative if imaginary.
        point: in units of the reciprocal vectors of the primitive cell.
        where: where that is on the path; empty if it is on the mesh alone.
        held: whether the supercell holds a whole number of its waves; if not, it is interpolated.
    """

    frequency: float
    point: tuple[float, float, float]
    where: str
    held: bool

    def words(self) -> str:
        """Frequency and place."""
        place = ", ".join(f"{value:.3f}" for value in self.point)
        name = f" ({self.where})" if self.where else ""
        value = f"{-self.frequency:.3f}i" if self.frequency < 0 else f"{self.frequency:.3f}"
        return f"{value} THz at q = ({place}){name}"


@dataclass(frozen=True)
class Phonons:
    """The phonons of a crystal.

    Attributes:
        rest: the crystal at rest.
        supercell: repetitions of its cell along each vector.
        supercell_atoms: atoms in the supercell.
        displacement: Å.
        displacements: how many displaced supercells were evaluated.
        primitive: the primitive cell, which frequencies belong to, in the setting of phonopy.
        sum_rule: before and after it was enforced.
        gamma: [3N] frequencies at Γ, THz, rising; imaginary ones negative.
        bands: along the path.
        density: of states.
        mesh: the regular mesh that the density and `thermal` are made from.
        lowest: the lowest frequency of all.
        imaginary: the part of all modes on the mesh that is imaginary.
        thermal: thermodynamics from 0 to 1000 K.
        dynamics: phonopy's own object, for everything else that phonopy can do.
    """

    rest: Rest
    supercell: tuple[int, int, int]
    supercell_atoms: int
    displacement: float
    displacements: int
    primitive: Atoms
    sum_rule: tuple[SumRule, SumRule]
    gamma: NDArray[np.float64]
    bands: Bands
    density: Density
    mesh: tuple[int, int, int]
    lowest: Lowest
    imaginary: float
    thermal: Thermal
    dynamics: Phonopy = field(repr=False)

    @property
    def settled(self) -> bool:
        """Whether the relaxation, if one was wanted, came to its end."""
        return self.rest.settled

    @property
    def stable(self) -> bool:
        """Whether no frequency is imaginary, on the path and on the mesh."""
        return self.lowest.frequency >= IMAGINARY

    def report(self, title: str, next_steps: Sequence[str] = ()) -> Report:
        """The figures as tables.

        Args:
            title: what was measured, such as `model.safetensors on silicon.xyz`.
            next_steps: the commands to type next.
        """
        crystal = (
            ("primitive cell", f"{len(self.primitive)} of {len(self.rest.atoms)} atoms"),
            ("its lattice", lattice_words(self.primitive.cell.array)),
            *self.rest.rows(),
            ("supercell", f"{' × '.join(map(str, self.supercell))}, {self.supercell_atoms} atoms"),
            ("displacements", f"{self.displacements}, of {self.displacement:g} Å"),
        )
        tables = (
            Table("The crystal", ("", ""), crystal),
            Table("Frequencies at Γ", ("THz", "cm⁻¹", "modes"), self._gamma_rows()),
            Table("Vibrations, per atom", _THERMAL_HEADS, self._thermal_rows()),
            Table("In words", ("", ""), self._words()),
        )
        return Report(title, tables, self._warnings(), tuple(next_steps))

    def _gamma_rows(self) -> tuple[tuple[str, ...], ...]:
        groups: list[list[float]] = []
        for value in self.gamma.tolist():
            if groups and value - groups[-1][-1] < _ONE:
                groups[-1].append(value)
            else:
                groups.append([value])
        rows = [_gamma_row(group) for group in groups]
        if len(rows) > _MOST_ROWS:
            half = _MOST_ROWS // 2
            left_out = sum(map(len, groups[half:-half]))
            rows = [*rows[:half], ("…", "…", f"{left_out}"), *rows[-half:]]
        return tuple(rows)

    def _thermal_rows(self) -> tuple[tuple[str, ...], ...]:
        found = self.thermal
        rows = []
        for temperature in _TOLD_TEMPERATURES:
            t = int(np.argmin(np.abs(found.temperatures - temperature)))
            rows.append(
                (
                    f"{found.temperatures[t]:.0f}",
                    f"{1000 * found.free_energy[t]:.3f}",
                    f"{found.entropy[t]:.4f}",
                    f"{found.heat_capacity[t]:.4f}",
                )
            )
        return tuple(rows)

    def _words(self) -> tuple[tuple[str, str], ...]:
        before, after = self.sum_rule
        mesh = " × ".join(map(str, self.mesh))
        looked = f"on the path {self.bands.path} and a mesh of {mesh}"
        if self.stable:
            stable = f"yes: no frequency is imaginary {looked}"
        else:
            stable = (
                f"NO: imaginary frequencies, {self.lowest.words()}; {self.imaginary:.2%} of modes {looked}"
            )
        rows = [
            ("stable", stable),
            ("acoustic modes at Γ", f"{before.acoustic:.2g} THz, {after.acoustic:.1g} with the sum rule"),
            (
                "acoustic sum rule",
                f"missed by {before.constants:.2g} eV/Å², {after.constants:.1g} once enforced",
            ),
            ("highest frequency", f"{self.bands.frequencies.max():.3f} THz"),
            ("zero-point energy", f"{1000 * self.thermal.zero_point_energy:.3f} meV/atom"),
        ]
        return tuple(rows)

    def _warnings(self) -> tuple[str, ...]:
        found = list(self.rest.warnings())
        after = self.rest.result.after
        if not self.rest.relaxed and not self.rest.quiet:
            found.append(
                f"the crystal is not at rest (largest force {after.fmax:.2g} eV/Å, stress {after.stress:.2g} GPa): "
                "these are not vibrations about its minimum; leave --no-relax out"
            )
        if not self.stable and not self.lowest.held:
            found.append(
                "the supercell does not hold a whole number of waves of the imaginary mode, which is interpolated: "
                "see whether it stays in a longer supercell (--length)"
            )
        if self.imaginary > 0:
            found.append(
                f"{self.thermal.left_out:.2%} of modes are no vibrations and were left out of the free energy"
            )
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """All figures as plain values for `json.dump`: THz, Å, eV and the Boltzmann constant, per atom where said."""
        before, after = self.sum_rule
        thermal = self.thermal
        return {
            "units": {
                "frequency": "THz",
                "length": "Å",
                "energy": "eV",
                "force": "eV/Å",
                "stress": "GPa",
                "force_constant": "eV/Å²",
                "temperature": "K",
                "entropy": "k_B",
                "heat_capacity": "k_B",
                "density": "states/THz",
            },
            "crystal": self.rest.to_json(),
            "supercell": list(self.supercell),
            "supercell_atoms": self.supercell_atoms,
            "displacement": self.displacement,
            "displacements": self.displacements,
            "primitive": {
                "symbols": self.primitive.get_chemical_symbols(),
                "cell": self.primitive.cell.array.tolist(),
                "scaled_positions": self.primitive.get_scaled_positions(wrap=False).tolist(),
            },
            "sum_rule_before": asdict(before),
            "sum_rule_after": asdict(after),
            "gamma": self.gamma.tolist(),
            "gamma_per_cm": (self.gamma * PER_CM).tolist(),
            "stable": self.stable,
            "lowest": asdict(self.lowest),
            "imaginary_part": self.imaginary,
            "bands": {
                "path": self.bands.path,
                "labels": list(self.bands.labels),
                "ticks": self.bands.ticks.tolist(),
                "x": self.bands.x.tolist(),
                "points": self.bands.points.tolist(),
                "frequencies": self.bands.frequencies.tolist(),
            },
            "density": {
                "mesh": list(self.mesh),
                "frequencies": self.density.frequencies.tolist(),
                "states": self.density.states.tolist(),
            },
            "thermal_per_atom": {
                "zero_point_energy": thermal.zero_point_energy,
                "left_out": thermal.left_out,
                "temperatures": thermal.temperatures.tolist(),
                "free_energy": thermal.free_energy.tolist(),
                "entropy": thermal.entropy.tolist(),
                "heat_capacity": thermal.heat_capacity.tolist(),
            },
        }


def _gamma_row(group: Sequence[float]) -> tuple[str, ...]:
    mean = sum(group) / len(group)
    sign = "i" if mean < IMAGINARY else ""
    size = abs(mean) if sign or abs(mean) < 5e-4 else mean
    return f"{size:.3f}{sign}", f"{size * PER_CM:.2f}{sign}", f"{len(group)}"
