"""The elastic constants of any crystal, from its stress under small strains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.units import GPa
from numpy.typing import NDArray

from cynosure.analysis.crystal import DEFAULT_FMAX, OnProgress, Rest, at_rest, tell
from cynosure.analysis.elastic_tensor import ElasticTensor, Moduli
from cynosure.analysis.report import Report, Table
from cynosure.analysis.strain import VOIGT, VOIGT_NAMES, cauchy_stress, gradient_of, piola_kirchhoff, strained
from cynosure.deploy import relax as relax_structure

# The five-point formula: d/dx f at 0 = Σ weight · f(multiple · h) / h, of error h⁴ f⁽⁵⁾/30.
_FIVE_POINTS = {-2: 1 / 12, -1: -8 / 12, 1: 8 / 12, 2: -1 / 12}
# C_ij and C_ji come from different strains; what they differ by, as a part of the largest constant, is numerical noise.
_ASYMMETRIC = 0.01


@dataclass(frozen=True)
class Elastic:
    """The elastic constants of a crystal, and how they were had.

    Attributes:
        rest: the crystal without strain.
        clamped: whether its atoms kept their fractional coordinates; otherwise they were relaxed under every strain.
        converged: whether all of those relaxations ended.
        strain: the step of the differences.
        measured: [6, 6] GPa as measured, row the stress and column the strain.
    """

    rest: Rest
    clamped: bool
    converged: bool
    strain: float
    measured: NDArray[np.float64]

    @property
    def settled(self) -> bool:
        """Whether every relaxation came to its end."""
        return self.rest.settled and self.converged

    @property
    def tensor(self) -> ElasticTensor:
        """The constants, made symmetric."""
        return ElasticTensor((self.measured + self.measured.T) / 2)

    @property
    def asymmetry(self) -> float:
        """The largest |C_ij − C_ji| as measured, GPa: zero but for numerical noise."""
        return float(np.abs(self.measured - self.measured.T).max())

    def report(self, title: str, next_steps: Sequence[str] = ()) -> Report:
        """The figures as tables.

        Args:
            title: what was measured, such as `model.safetensors on silicon.xyz`.
            next_steps: the commands to type next.
        """
        how = "clamped at their fractional coordinates" if self.clamped else "relaxed under every strain"
        crystal = (
            ("atoms", f"{len(self.rest.atoms)}, {how}"),
            *self.rest.rows(),
            ("strains", f"each of six, ±{self.strain:g} and ±{2 * self.strain:g}"),
            ("asymmetry", f"|C_ij − C_ji| up to {self.asymmetry:.2g} GPa before they were made equal"),
        )
        constants = tuple(
            (f"{i + 1} {name}", *(f"{value:.2f}".replace("-0.00", "0.00") for value in row))
            for i, (name, row) in enumerate(zip(VOIGT_NAMES, self.tensor.voigt, strict=True))
        )
        tables = [
            Table("The crystal", ("", ""), crystal),
            Table(
                "Elastic constants, GPa (Voigt's notation)",
                ("", *"123456"),
                constants,
            ),
        ]
        if self.tensor.stable:
            tables.append(self._moduli())
        tables.append(Table("In words", ("", ""), self._words()))
        return Report(title, tuple(tables), self._warnings(), tuple(next_steps))

    def _moduli(self) -> Table:
        kinds = {
            "Voigt": self.tensor.voigt_average(),
            "Reuss": self.tensor.reuss(),
            "Hill": self.tensor.hill(),
        }
        rows = (
            ("bulk modulus, GPa", *(f"{one.bulk:.2f}" for one in kinds.values())),
            ("shear modulus, GPa", *(f"{one.shear:.2f}" for one in kinds.values())),
            ("Young's modulus, GPa", *(f"{one.young:.2f}" for one in kinds.values())),
            ("Poisson's ratio", *(f"{one.poisson:.4f}" for one in kinds.values())),
        )
        return Table("Moduli of a polycrystal", ("", *kinds), rows)

    def _words(self) -> tuple[tuple[str, str], ...]:
        tensor, rows = self.tensor, []
        values = ", ".join(f"{value:.2f}" for value in tensor.eigenvalues)
        if tensor.stable:
            rows.append(("stable", "yes: every small strain costs energy (Born)"))
        else:
            rows.append(("stable", "NO: some small strain lowers the energy (Born); moduli mean nothing"))
        rows.append(("eigenvalues", f"{values} GPa (Kelvin)"))
        cubic = tensor.cubic()
        if cubic is not None:
            rows.append(("cubic", f"C11 {cubic.c11:.2f}, C12 {cubic.c12:.2f}, C44 {cubic.c44:.2f} GPa"))
        if cubic is not None and tensor.stable:
            rows.append(("anisotropy", f"2 C44/(C11 − C12) = {cubic.anisotropy:.3f} (Zener; 1 is isotropic)"))
        elif tensor.stable:
            rows.append(("anisotropy", f"{tensor.anisotropy():.3f} (universal index; 0 is isotropic)"))
        return tuple(rows)

    def _warnings(self) -> tuple[str, ...]:
        found = list(self.rest.warnings())
        if not self.rest.relaxed and not self.rest.quiet:
            found.append(
                f"the crystal is not at rest (largest force {self.rest.result.after.fmax:.2g} eV/Å, stress "
                f"{self.rest.result.after.stress:.2g} GPa): these are constants of the strained crystal; leave "
                "--no-relax out for its own"
            )
        if not self.converged:
            found.append(
                "under some strain the atoms did not come to rest: allow more --steps, or a larger --fmax"
            )
        if self.asymmetry > _ASYMMETRIC * float(np.abs(self.measured).max()):
            found.append(
                f"C_ij and C_ji differ by up to {self.asymmetry:.2g} GPa: the forces that are left, or the precision, "
                "are too coarse for these strains; try --dtype float64, a smaller --fmax or a larger --strain"
            )
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """All figures (GPa, Å, eV) as plain values for `json.dump`; moduli are null for an unstable crystal."""
        tensor = self.tensor
        cubic = tensor.cubic()
        found: dict[str, Any] = {
            "units": {"constants": "GPa", "energy": "eV", "length": "Å", "force": "eV/Å", "stress": "GPa"},
            "voigt_order": list(VOIGT_NAMES),
            "crystal": self.rest.to_json(),
            "clamped": self.clamped,
            "converged": self.converged,
            "strain": self.strain,
            "constants": tensor.voigt.tolist(),
            "measured": self.measured.tolist(),
            "asymmetry": self.asymmetry,
            "eigenvalues": tensor.eigenvalues.tolist(),
            "stable": tensor.stable,
            "cubic": None if cubic is None else asdict(cubic),
            "moduli": None,
            "universal_anisotropy": None,
            "zener_anisotropy": None,
        }
        if tensor.stable:
            kinds = {"voigt": tensor.voigt_average(), "reuss": tensor.reuss(), "hill": tensor.hill()}
            found["moduli"] = {name: _moduli_json(moduli) for name, moduli in kinds.items()}
            found["universal_anisotropy"] = tensor.anisotropy()
            found["zener_anisotropy"] = None if cubic is None else cubic.anisotropy
        return found


def elastic(
    calculator: BaseCalculator,
    atoms: Atoms,
    clamped: bool = False,
    strain: float = 0.005,
    relax: bool = True,
    fmax: float = DEFAULT_FMAX,
    steps: int = 500,
    on_progress: OnProgress | None = None,
) -> Elastic:
    """All elastic constants C_ij = ∂S_i/∂E_j of a crystal, by central differences of its stress.

    1. Relax the crystal, if wanted.
    2. Put it under each of the six Green-Lagrange strains E_j alone, at ±h and ±2h; relax the atoms, unless they
       are to be clamped; take the second Piola-Kirchhoff stress S (see `cynosure.analysis.strain`).
    3. Differentiate by the five-point formula.

    S is the derivative of the energy with respect to E, so C is its second derivative: symmetric also where the
    crystal is under stress, and without stress the C of every textbook.

    Args:
        calculator: any calculator of ASE that knows forces and stress.
        atoms: the crystal; it is not changed. Its constraints are dropped.
        clamped: let the atoms keep their fractional coordinates.
        strain: the step h; the engineering strain of a shear is twice that of a stretch.
        relax: relax atoms and cell first.
        fmax: largest force to leave in any relaxation, eV/Å.
        steps: give any relaxation up after so many steps.
        on_progress: hears of every strain.

    Raises:
        ValueError: it is no crystal, or settings make no sense.
    """
    if not 0 < strain <= 0.1:
        raise ValueError(f"the strain is {strain}; more than 0 and at most 0.1 was expected (--strain)")
    rest = at_rest(calculator, atoms, relax, fmax, steps, on_progress)
    free = rest.atoms.copy()
    measured, converged, done = np.zeros((6, 6)), True, 0
    for j, (a, b) in enumerate(VOIGT):
        for multiple, weight in _FIVE_POINTS.items():
            tell(on_progress, done / 24, f"strain {done + 1} of 24")
            direction = np.zeros((3, 3))
            direction[a, b] = direction[b, a] = multiple * strain
            gradient = gradient_of(direction)
            under = strained(free, gradient)
            if not clamped:
                result = relax_structure(calculator, under, fmax=fmax, steps=steps)
                under, converged = result.atoms, converged and result.converged
            conjugate = piola_kirchhoff(gradient, cauchy_stress(under, calculator))
            # Twice the component of a shear is its strain in Voigt's notation.
            step = strain if a == b else 2 * strain
            measured[:, j] += weight / step / GPa * np.array([conjugate[i] for i in VOIGT])
            done += 1
    return Elastic(rest, clamped, converged, strain, measured)


def _moduli_json(moduli: Moduli) -> dict[str, float]:
    return {**asdict(moduli), "young": moduli.young, "poisson": moduli.poisson}
