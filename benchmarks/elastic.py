"""Elastic constants of a cubic crystal, of a model and of its labels: `python -m benchmarks.elastic MODEL FRAMES`.

The labels say what a perfect model would give. With the deformation gradient F of a frame against the reference (the
frame of the lowest energy; cell vectors are the columns of F·A), the strain is that of Green and Lagrange,
E = (FᵀF − 1)/2, and its conjugate is the second Piola-Kirchhoff stress, S = det F · F⁻¹ σ F⁻ᵀ (Wallace,
*Thermodynamics of Crystals*, 1972, section 2). For strains with a single component, as the frames have them, S is one
polynomial for each constant, whose slope at no strain is fitted by least squares:

    S_ii = s + C11 E_ii + …     S_jj = s + C12 E_ii + …     S_ij = s + C44 2E_ij + …

The ions keep their fractional coordinates in all of this ("clamped"), so C44 is larger than what a relaxed crystal, or
an experiment, would show.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.units import GPa
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from cynosure.analysis import elastic
from cynosure.analysis.strain import cauchy_stress, green_lagrange, piola_kirchhoff

CONSTANTS = ("C11", "C12", "C44")
# Below this a component of the strain counts as none, and fractional coordinates count as kept.
NO_STRAIN = 1e-5


@dataclass(frozen=True)
class Constant:
    """An elastic constant with the root mean square residual of its fit, GPa."""

    value: float
    residual: float = 0.0


def main() -> None:
    arguments = _arguments()
    import cynosure

    frames = [
        frame
        for frame in ase.io.iread(arguments.frames, index=":")
        if arguments.group in ("", frame.info.get("group", ""))
    ]
    calculator = cynosure.Calculator(arguments.model, dtype="float64")
    reference = ground_state(frames)
    labels = [frame.get_stress(voigt=False) for frame in frames]
    model = [cauchy_stress(frame, calculator) for frame in frames]
    own, scale = equilibrium(reference, calculator)
    length = reference.cell.lengths()[0]
    print("\n".join(table(fit(frames, labels, arguments.degree), fit(frames, model, arguments.degree), own)))
    print(
        f"\nCell edge: labels' reference {length:.4f} Å, model without stress {length * scale:.4f} Å", end=" "
    )
    print(f"({100 * (scale - 1):+.2f} %). Polynomials of degree {arguments.degree}; clamped ions.")


def ground_state(frames: Sequence[Atoms]) -> Atoms:
    """The frame with the lowest energy per atom."""
    return min(frames, key=lambda frame: frame.get_potential_energy() / len(frame))


def strain(frame: Atoms, reference: Atoms) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The deformation gradient F and the Green-Lagrange strain (FᵀF − 1)/2 of a frame, [3, 3] each.

    Raises:
        ValueError: the atoms have moved against the cell; constants of clamped ions cannot be had from it.
    """
    gradient = np.linalg.solve(reference.cell.array, frame.cell.array).T
    moved = frame.get_scaled_positions(wrap=False) - reference.get_scaled_positions(wrap=False)
    if len(frame) != len(reference) or np.abs(moved - np.round(moved)).max() > NO_STRAIN:
        raise ValueError(f"the atoms of a frame are not where the strain alone puts them: {frame.info}")
    return gradient, green_lagrange(gradient)


def fit(frames: Sequence[Atoms], stresses: Sequence[NDArray[np.float64]], degree: int) -> dict[str, Constant]:
    """The constants that follow from the Cauchy stresses of strained frames (eV/Å³, [3, 3] each).

    Frames whose strain has more than one component are left out.

    Raises:
        ValueError: a constant has fewer different strains than its polynomial has coefficients.
    """
    reference = ground_state(frames)
    points: dict[str, list[tuple[float, float]]] = {name: [] for name in CONSTANTS}
    for frame, stress in zip(frames, stresses, strict=True):
        gradient, strains = strain(frame, reference)
        conjugate = piola_kirchhoff(gradient, stress) / GPa
        components = np.argwhere(np.triu(np.abs(strains) > NO_STRAIN)).tolist()
        if len(components) == 0:
            points["C11"] += [(0.0, float(conjugate[i, i])) for i in range(3)]
            points["C12"] += [(0.0, float(conjugate[i, i])) for i in range(3)]
            points["C44"] += [(0.0, float(conjugate[i, j])) for i, j in ((0, 1), (0, 2), (1, 2))]
        elif len(components) == 1:
            i, j = components[0]
            size = float(strains[i, j])
            if i == j:
                points["C11"].append((size, float(conjugate[i, i])))
                points["C12"] += [(size, float(conjugate[k, k])) for k in range(3) if k != i]
            else:
                points["C44"].append((2 * size, float(conjugate[i, j])))
    return {name: _slope(name, points[name], degree) for name in CONSTANTS}


def equilibrium(crystal: Atoms, calculator: BaseCalculator) -> tuple[dict[str, Constant], float]:
    """The constants at the calculator's own lattice constant, and the stretch that `crystal` needs to have no stress.

    Raises:
        ValueError: the crystal is not cubic there.
    """
    found = elastic(calculator, crystal, clamped=True)
    cubic = found.tensor.cubic()
    if cubic is None:
        raise ValueError(f"these are no constants of a cubic crystal: {found.tensor.voigt.round(2).tolist()}")
    values = (cubic.c11, cubic.c12, cubic.c44)
    scale = abs(found.rest.atoms.cell.volume / crystal.cell.volume) ** (1 / 3)
    return {name: Constant(value) for name, value in zip(CONSTANTS, values, strict=True)}, scale


def table(
    labels: Mapping[str, Constant], model: Mapping[str, Constant], own: Mapping[str, Constant]
) -> list[str]:
    """Markdown, GPa, with per cent deviations from the labels."""
    lines = [
        "| | labels (residual) | model, the same frames (residual) | | model, its own lattice | |",
        "|---|---|---|---|---|---|",
    ]
    for name in CONSTANTS:
        cells = [f"{labels[name].value:.2f} ({labels[name].residual:.3f})"]
        cells.append(f"{model[name].value:.2f} ({model[name].residual:.3f})")
        cells.append(f"{100 * (model[name].value / labels[name].value - 1):+.1f} %")
        cells.append(f"{own[name].value:.2f}")
        cells.append(f"{100 * (own[name].value / labels[name].value - 1):+.1f} %")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def _slope(name: str, points: Sequence[tuple[float, float]], degree: int) -> Constant:
    strains, stresses = np.array(points).reshape(-1, 2).T
    different = len(np.unique(np.round(strains, 6)))
    if different <= degree:
        raise ValueError(
            f"{name}: {different} different strains are too few for a polynomial of degree {degree}"
        )
    polynomial = Polynomial.fit(strains, stresses, degree)
    residual = float(np.sqrt(np.mean((polynomial(strains) - stresses) ** 2)))
    return Constant(float(polynomial.deriv()(0.0)), residual)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.elastic", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("model", type=Path, help="a trained model, cynosure's model file")
    parser.add_argument("frames", type=Path, help="labelled frames of the strained crystal, stress included")
    parser.add_argument("--group", default="Elastic", help="take the frames with this `group` (Elastic)")
    parser.add_argument(
        "--degree",
        type=int,
        default=5,
        help="of the polynomials (5: a higher one fits the labels of silicon no better)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
