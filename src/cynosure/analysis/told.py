"""Structures with the inputs that a model is told, turned and reversed; and what its declared outputs make of that."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from cynosure.analysis.deviation import Deviation
from cynosure.o3 import random_rotation, wigner_D
from cynosure.potentials import DerivativeConfig, Potential

_FLOAT64, _FLOAT32 = 1e-9, 1e-4


def turn(model: Potential, atoms: Atoms, matrix: np.ndarray) -> Atoms:
    """A structure turned by an orthogonal matrix [3, 3], and the inputs in its columns along with it."""
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ matrix.T)
    turned.positions = atoms.positions @ matrix.T
    rotation = torch.from_numpy(np.ascontiguousarray(matrix))
    return _with_inputs(
        model, turned, lambda name, values: model.config.given[name].transform(values, rotation)
    )


def untold(model: Potential, atoms: Atoms) -> Atoms:
    """A structure in which every input is zero."""
    told = atoms.copy()
    for one in model.input_columns:
        if one.quantity.owner == "atom":
            told.arrays[one.key] = np.zeros((len(atoms), *one.quantity.shape))
        else:
            told.info[one.key] = np.zeros(one.quantity.shape)
    return told


def tensors(model: Potential, atoms: Atoms, seed: int = 0) -> list[Deviation]:
    """Turn and mirror the structure with its inputs: each declared target and derivative turns as it says."""
    names = list(model.config.outputs)
    if not names:
        return []
    before = model(model.graph_of(atoms).to(model.device), names)
    generator = torch.Generator().manual_seed(seed)
    largest = dict.fromkeys(names, 0.0)
    signs = (1.0, -1.0) if model.promises_reflection else (1.0,)
    for sign in signs:
        matrix = sign * random_rotation(generator=generator)
        after = model(model.graph_of(turn(model, atoms, matrix.numpy())).to(model.device), names)
        for name in names:
            expected = _turned_output(model, name, before[name].cpu().double(), matrix)
            error = _relative(after[name].cpu().double(), expected)
            largest[name] = max(largest[name], error) if np.isfinite(error) else np.inf
    tolerance = _FLOAT64 if model.dtype == torch.float64 else _FLOAT32
    note = "rotations and inversion" if len(signs) == 2 else "rotations"
    return [Deviation(f"turned: {name}", largest[name], tolerance, "relative", note=note) for name in names]


def time_reversal(model: Potential, atoms: Atoms, seed: int = 0) -> list[Deviation]:
    """Reverse the inputs that are odd in time: the energy and even targets stay, odd targets change sign."""
    odd = {name for name, one in model.config.inputs.items() if one.odd}
    if not odd:
        return []
    names = [*(("energy",) if model.config.energy else ()), *model.config.targets]
    reverse = _with_inputs(model, atoms, lambda name, values: -values if name in odd else values)
    before, after = (model(model.graph_of(one).to(model.device), names) for one in (atoms, reverse))
    found = []
    for name in names:
        sign = -1 if name in model.config.targets and model.config.targets[name].odd else 1
        error = _relative(after[name].cpu().double(), sign * before[name].cpu().double())
        tolerance = _FLOAT64 if model.dtype == torch.float64 else _FLOAT32
        found.append(Deviation(f"time reversed: {name}", error, tolerance, "relative"))
    return found


def _with_inputs(model: Potential, atoms: Atoms, change: Callable[[str, Tensor], Tensor]) -> Atoms:
    """A copy whose columns hold changed inputs."""
    inputs, copy = model.inputs_of(atoms), atoms.copy()
    for one in model.input_columns:
        values = change(one.name, torch.from_numpy(inputs[one.name].values)).numpy()
        if one.quantity.owner == "atom":
            copy.arrays[one.key] = values
        else:
            copy.info[one.key] = values[0]
    return copy


def _turned_output(model: Potential, name: str, values: Tensor, matrix: Tensor) -> Tensor:
    if name in model.config.targets:
        return model.config.targets[name].transform(values, matrix)
    return _turned_derivative(model, model.config.derivatives[name], values, matrix)


def _turned_derivative(
    model: Potential, derivative: DerivativeConfig, values: Tensor, matrix: Tensor
) -> Tensor:
    """Axis after axis: those of positions and strain are vectors, those of an input turn as it does."""
    sign = torch.linalg.det(matrix).sign()
    axis = 1
    for variable in derivative.variables:
        declared = model.config.inputs.get(variable.name)
        if variable.how == "turn":  # angles are an axial vector
            matrices, factor = [matrix], sign
        elif variable.how == "along":  # a length is a scalar
            continue
        elif declared is None:
            matrices, factor = [matrix] * (2 if variable.name == "strain" else 1), 1.0
        elif declared.cartesian is not None:
            # The parity of a pseudotensor is the opposite of that of its axes.
            matrices = [matrix] * declared.cartesian.rank
            factor = sign if declared.axial else 1.0
        elif declared.shape:
            blocks = [wigner_D(ir, matrix) for mul, ir in declared.kind for _ in range(mul)]
            matrices, factor = [torch.block_diag(*blocks)], 1.0
        else:
            (_, ir), matrices = declared.kind[0], []
            factor = float(wigner_D(ir, matrix))
        for each in matrices:
            values = torch.tensordot(values, each, dims=([axis], [1])).movedim(-1, axis)  # pyright: ignore[reportArgumentType]
            axis += 1
        values = factor * values
    return values


def _relative(found: Tensor, expected: Tensor) -> float:
    """The largest deviation over the largest number, or over one where all are smaller."""
    if not found.numel():
        return 0.0
    return float((found - expected).abs().max()) / max(1.0, float(expected.abs().max()))
