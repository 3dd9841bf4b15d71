"""Errors of a trained model on labelled frames, in the environment that it was trained in:
`PYTHON -m benchmarks.equal_time_errors ENGINE MODEL FRAMES` prints them as JSON.

One piece of code measures every side, through the calculator that each gives to ASE. Hence only NumPy and ASE here.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

# The last line of the output starts with it: what the packages print themselves comes before.
MARK = "errors: "


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", choices=sorted(CALCULATORS))
    parser.add_argument("model", type=Path)
    parser.add_argument("frames", type=Path)
    arguments = parser.parse_args()
    frames = ase.io.read(arguments.frames, index=":")
    assert isinstance(frames, list)
    print(MARK + json.dumps(errors(frames, CALCULATORS[arguments.engine](arguments.model))))


def errors(frames: Sequence[Atoms], calculator: BaseCalculator) -> dict[str, float]:
    """`energy_rmse`, `energy_mae` (of whole frames, eV), `forces_rmse`, `forces_mae` (of components, eV/Å)."""
    energies, forces = [], []
    for frame in frames:
        copy = frame.copy()
        copy.calc = calculator
        energies.append(copy.get_potential_energy() - frame.get_potential_energy())
        forces.append((copy.get_forces() - frame.get_forces()).ravel())
    found = {}
    for name, values in (("energy", np.array(energies)), ("forces", np.concatenate(forces))):
        found[f"{name}_rmse"] = float(np.sqrt(np.mean(values**2)))
        found[f"{name}_mae"] = float(np.mean(np.abs(values)))
    return found


def _cynosure(model: Path) -> BaseCalculator:
    from cynosure import Calculator

    return Calculator(model)


def _mace(model: Path) -> BaseCalculator:
    from mace.calculators import MACECalculator

    # (Single precision has steps of 1 meV at the total energy of a molecule.)
    return MACECalculator(model_paths=str(model), device="cpu", default_dtype="float64")


def _nequip(model: Path) -> BaseCalculator:
    from nequip.integrations.ase import NequIPCalculator

    # A checkpoint as it is; what the documentation recommends, compiling it first, changes the speed alone.
    return NequIPCalculator._from_saved_model(model, device="cpu", chemical_species_to_atom_type_map=True)


CALCULATORS: dict[str, Callable[[Path], BaseCalculator]] = {
    "cynosure": _cynosure,
    "mace": _mace,
    "nequip": _nequip,
}


if __name__ == "__main__":
    main()
