"""What is asked of the learned surfaces: errors on held-out frames, and the minimum that a distorted molecule finds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import minimize_rotation_and_translation
from ase.calculators.calculator import Calculator
from examples.running import beside_spread
from numpy.typing import NDArray

from cynosure.deploy import relax
from cynosure.graph import batch, from_atoms
from cynosure.potentials import Potential

Array = NDArray[np.float64]

# What a label is in: energies are per atom.
UNITS = {"energy": "meV/atom", "forces": "meV/Å", "dipole": "e Å"}
_AT_ONCE = 500  # molecules in a batch


def predicted(model: Potential, frames: Sequence[Atoms], names: Sequence[str]) -> dict[str, Array]:
    """Outputs of a model for structures, in their order; many in one call.

    Args:
        model: any.
        frames: the structures.
        names: of outputs: `energy` [S] eV, `forces` [S N, 3] eV/Å, or declared targets.
    """
    found: dict[str, list[Array]] = {name: [] for name in names}
    for some in _chunks(frames):
        outputs = model(batch([from_atoms(frame, model.cutoff) for frame in some]), names)
        for name in names:
            found[name].append(outputs[name].detach().double().cpu().numpy())
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _chunks(frames: Sequence[Atoms]) -> Iterator[Sequence[Atoms]]:
    for start in range(0, len(frames), _AT_ONCE):
        yield frames[start : start + _AT_ONCE]


@dataclass(frozen=True)
class Comparison:
    """Labels of held-out frames beside predictions, for each of `UNITS` and in these: [n] each."""

    labels: Mapping[str, Array]
    predictions: Mapping[str, Array]

    @classmethod
    def of(cls, model: Potential, frames: Sequence[Atoms]) -> Comparison:
        """Predict labelled frames of one molecule."""
        labels = {
            "energy": np.array([frame.get_potential_energy() for frame in frames]),
            "forces": np.concatenate([frame.get_forces() for frame in frames]),
            "dipole": np.concatenate([frame.get_dipole_moment() for frame in frames]),
        }
        factors = {"energy": 1e3 / len(frames[0]), "forces": 1e3, "dipole": 1.0}
        found = predicted(model, frames, list(UNITS))
        return cls(*({name: factors[name] * one[name].ravel() for name in UNITS} for one in (labels, found)))

    def to_json(self) -> dict[str, dict[str, float]]:
        """Of each: root mean square error, spread of the labels (their standard deviation), and their ratio."""
        return beside_spread(self.labels, self.predictions)


def relaxation(
    calculator: Calculator, start: Atoms, minimum: Atoms, reference: Calculator
) -> tuple[Atoms, dict[str, Any]]:
    """Relax a distorted molecule with the model, and set what comes out beside the minimum of the reference.

    Args:
        calculator: of the model, in float64.
        start: the distorted molecule.
        minimum: the reference's.
        reference: its calculator.

    Returns:
        The molecule at rest, and the steps that it took, how far atoms were from the minimum and are (Å, root mean
        square, molecules laid on each other), and how much energy the reference says there is to lose (meV).
    """
    found = relax(calculator, start, fmax=1e-5, steps=500)
    energies = [reference.get_property("energy", atoms) for atoms in (found.atoms, minimum)]
    return found.atoms, {
        "steps": found.after.step,
        "converged": found.converged,
        "start": rmsd(start, minimum),
        "rmsd": rmsd(found.atoms, minimum),
        "energy": 1e3 * float(np.subtract(*energies)),
    }


def rmsd(atoms: Atoms, other: Atoms) -> float:
    """Å, root mean square distance of atoms, when one molecule is laid on the other."""
    laid = atoms.copy()
    minimize_rotation_and_translation(other, laid)
    return float(np.sqrt(np.square(laid.positions - other.positions).sum(axis=1).mean()))
