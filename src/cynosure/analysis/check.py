"""Every identity that a potential should obey, measured on one structure."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import torch
from ase import Atoms

from cynosure.analysis import finite_differences, symmetries, told
from cynosure.analysis.deviation import Deviation, evaluate
from cynosure.potentials import Evaluator, Potential

CHECKS: tuple[Callable[[Potential, Atoms], list[Deviation]], ...] = (
    symmetries.rotation,
    symmetries.reflection,
    symmetries.translation,
    symmetries.wrapping,
    symmetries.permutation,
    symmetries.batch_equals_single,
    symmetries.supercell,
    symmetries.separation,
    symmetries.lone_atom,
    finite_differences.forces,
    finite_differences.stress,
    finite_differences.smoothness,
)
# Of declared inputs, targets and derivatives; all there is to check of a model without an energy.
DECLARED_CHECKS: tuple[Callable[[Potential, Atoms], list[Deviation]], ...] = (
    told.tensors,
    told.time_reversal,
)


def check(
    model: Potential, atoms: Atoms, on_deviation: Callable[[Deviation], None] | None = None
) -> list[Deviation]:
    """Measure symmetries, derivatives and smoothness of a model on a structure.

    A model in float32 is tested as a float64 copy, where rounding hides nothing, and what float32 and the compiled
    core cost is reported at the end.

    Args:
        model: the potential; it is not changed.
        atoms: the structure. What has no meaning for it is left out: wrapping and supercells of a molecule,
            stress without a volume.
        on_deviation: called with each result as soon as it is known.

    Returns:
        one deviation for each quantity tested; all is well when every one is `ok`.

    Raises:
        ValueError: for a structure that cannot be evaluated: no atoms, an unknown element, two atoms on one
            spot, a position that is not finite.
    """
    if len(atoms) == 0:
        raise ValueError("this structure has no atoms; give at least one")
    atoms = model.points.numbered(atoms)
    exact = model if model.dtype == torch.float64 else deepcopy(model).to(torch.float64)
    found: list[Deviation] = []

    def tell(deviations: list[Deviation]) -> None:
        for one in deviations:
            unit = one.unit.replace("eV", model.points.energy).replace("Å", model.points.length)
            found.append(replace(one, unit=unit))
            if on_deviation is not None:
                on_deviation(found[-1])

    for measure in (*(CHECKS if model.config.energy else ()), *DECLARED_CHECKS):
        tell(measure(exact, atoms))
    engine = Evaluator(model)
    if not model.config.energy:
        return found
    if model.dtype != torch.float64 or engine.engine == "core":
        tell(precision(engine, exact, atoms))
    return found


def precision(engine: Evaluator, exact: Potential, atoms: Atoms) -> list[Deviation]:
    """What a model's own precision, and the compiled core, cost against the same model in float64, on one structure.

    Args:
        engine: what evaluates the model when it is used.
        exact: the same model in float64, evaluated by its own operations.
        atoms: the structure.
    """
    used, true = evaluate(engine.model, atoms, engine), evaluate(exact, atoms)
    name = str(engine.model.dtype).removeprefix("torch.")
    energy = abs(used.energy - true.energy) / len(atoms)
    forces = float(abs(used.forces - true.forces).max())
    largest = max(1.0, float(abs(true.forces).max()))
    allowed = 1e-9 if engine.model.dtype == torch.float64 else 1e-4
    note = f"{name}{' in the compiled core' if engine.engine == 'core' else ''} against float64"
    return [
        Deviation(f"{name}: energy", energy, allowed, "eV/atom", note=note),
        Deviation(f"{name}: forces", forces, 10 * allowed * largest, "eV/Å", note=note),
    ]


def verdict(found: list[Deviation]) -> str:
    """What the deviations of `check` come to, in plain words."""
    broken = [deviation for deviation in found if not deviation.ok]
    promised = {_check_of(one) for one in found if one.promised}
    # (A check of which a part is promised is named with what is not.)
    unpromised = sorted(
        {one.name if _check_of(one) in promised else _check_of(one) for one in found if not one.promised}
    )
    lines = []
    if broken:
        names = ", ".join(deviation.name for deviation in broken)
        lines.append(
            f"{len(broken)} of {len(found)} deviations are too large: {names}. Do not trust this model."
        )
    else:
        lines.append(f"All {len(found) - sum(not one.promised for one in found)} promises hold.")
    if unpromised:
        lines.append(f"Not promised by this model, and not counted: {', '.join(unpromised)}.")
    return "\n".join(lines)


def _check_of(one: Deviation) -> str:
    return one.name.partition(":")[0]
