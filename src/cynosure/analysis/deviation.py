"""What a check measures, and the one evaluation that every check is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms

from cynosure.potentials import Evaluator, Potential

# In float32 a symmetry is broken by rounding: so many times more than the float64 tolerance is let pass.
_FLOAT32_ALLOWANCE = 1e5


@dataclass(frozen=True)
class Deviation:
    """How far a model is from an identity that it should obey.

    Attributes:
        name: what was tested, such as `rotation: forces`.
        value: the largest deviation found.
        tolerance: the largest deviation that passes.
        unit: of both; `relative` for a ratio.
        promised: whether the model claims the identity. A model without parity labels does not claim that
            mirror images have one energy.
        note: what a reader should know about it.
    """

    name: str
    value: float
    tolerance: float
    unit: str
    promised: bool = True
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether the deviation is small enough, or was never promised to be. NaN is neither."""
        return not self.promised or self.value <= self.tolerance

    def __str__(self) -> str:
        verdict = ("ok" if self.ok else "TOO LARGE") if self.promised else "not promised"
        return f"{self.name}: {self.value:.2e} {self.unit} (tolerance {self.tolerance:.0e}): {verdict}"


@dataclass(frozen=True)
class Evaluation:
    """What a model says of one structure, in float64 arrays.

    Attributes:
        energy: eV.
        energies: [N] eV.
        forces: [N, 3] eV/Å.
        stress: [3, 3] eV/Å³, or None where the cell has no volume.
    """

    energy: float
    energies: np.ndarray
    forces: np.ndarray
    stress: np.ndarray | None


def evaluate(model: Potential, atoms: Atoms, engine: Evaluator | None = None) -> Evaluation:
    """Energy, forces and stress of one structure, from a neighbour list made for it alone.

    Args:
        model: the potential.
        atoms: the structure.
        engine: what evaluates it; by default its own operations.
    """
    outputs = ("energy", "energies", "forces", "stress")
    call = model if engine is None else engine.evaluate
    result = call(model.graph_of(atoms).to(model.device), outputs)
    arrays = {name: result[name].detach().to("cpu", torch.float64).numpy() for name in outputs}
    stress = arrays["stress"][0] if has_volume(atoms) else None
    return Evaluation(float(arrays["energy"][0]), arrays["energies"], arrays["forces"], stress)


def atomic_energies(model: Potential, atoms: Atoms) -> np.ndarray:
    """[N] float64, eV: the energy of each atom, without any derivative."""
    result = model(model.graph_of(atoms).to(model.device), outputs=("energies",))
    return result["energies"].detach().to("cpu", torch.float64).numpy()


def has_volume(atoms: Atoms) -> bool:
    """Whether the cell spans space, so that a stress is defined."""
    return bool(abs(atoms.cell.volume) > 0)


def compare(
    name: str, model: Potential, atoms: Atoms, expected: Evaluation, got: Evaluation, **how
) -> list[Deviation]:
    """The deviations of energy, forces and stress between two evaluations that should agree.

    The energy is measured relative to what the atoms gain by being together (E − Σ E0, at least 1 eV):
    relative to energies of all electrons, keV per atom, any network would look exact.

    Args:
        name: what was done to the structure.
        model: the model, whose precision sets the tolerances.
        atoms: the atoms of `expected`.
        expected: one evaluation.
        got: the other; its atoms in the same order.
        how: `promised` and `note` of the deviations.
    """
    allowance = 1.0 if model.dtype == torch.float64 else _FLOAT32_ALLOWANCE
    e0s = dict(zip(model.species, model.calibration.e0s, strict=True))
    binding = expected.energy - sum(e0s[number] for number in atoms.numbers.tolist())
    size = max(abs(binding), 1.0)
    energy = abs(got.energy - expected.energy) / size
    rounding = float(16 * np.finfo(np.float64).eps) * abs(expected.energy) / size
    deviations = [Deviation(f"{name}: energy", energy, max(1e-10 * allowance, rounding), "relative", **how)]
    pairs = [("forces", expected.forces, got.forces, 1e-9, "eV/Å")]
    if expected.stress is not None and got.stress is not None:
        pairs.append(("stress", expected.stress, got.stress, 1e-9, "eV/Å³"))
    for what, first, second, tolerance, unit in pairs:
        size = max(1.0, float(np.abs(first).max()))
        largest = float(np.abs(second - first).max())
        deviations.append(Deviation(f"{name}: {what}", largest, tolerance * size * allowance, unit, **how))
    return deviations


def worst(deviations: list[list[Deviation]]) -> list[Deviation]:
    """Of several trials of one check, the largest deviation in each quantity (NaN is the largest of all).

    Args:
        deviations: one list per trial, all with the same names in the same order.
    """
    return [
        max(trials, key=lambda trial: np.inf if np.isnan(trial.value) else trial.value / trial.tolerance)
        for trials in zip(*deviations, strict=True)
    ]
