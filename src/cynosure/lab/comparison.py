"""What turning, mirroring, moving and relabelling a test set does to the errors of different networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from ase import Atoms
from torch import Tensor

from cynosure.graph import AtomGraph, batch, from_atoms
from cynosure.lab.molecules import Molecules, random_relabelling
from cynosure.o3 import random_rotation
from cynosure.potentials import Potential

# A network as the comparison sees it: frames to energies [S] (eV) and forces [S, N, 3] (eV/Å).
Predictor = Callable[[Molecules], tuple[Tensor, Tensor]]

_FRAMES_AT_ONCE = 100  # in one pass of a potential, so that many frames do not need much memory
_SHIFT = 3.0  # Å, the standard deviation of each component of the shifts


@dataclass(frozen=True)
class Errors:
    """Errors of one network on one set of frames.

    Attributes:
        energy_per_atom: eV/atom, the mean absolute error.
        forces: eV/Å, the root mean square over all components, which does not depend on the axes (a mean
            absolute error of components does).
    """

    energy_per_atom: float
    forces: float


@dataclass(frozen=True)
class Comparison:
    """Errors of every network on every version of the test set.

    Attributes:
        errors: version of the test set -> network -> errors.
        silence: eV/Å, the root mean square force component, which is the error of answering zero.
    """

    errors: Mapping[str, Mapping[str, Errors]]
    silence: float

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions of the test set, the untouched one first."""
        return tuple(self.errors)

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks, in the order in which they were given."""
        return tuple(next(iter(self.errors.values())))


def versions(data: Molecules, seed: int = 0) -> dict[str, Molecules]:
    """The test set as it is and in four disguises that leave its physics alone, each frame in its own way.

    Args:
        data: the test set.
        seed: of rotations, shifts and relabellings.
    """
    generator = torch.Generator().manual_seed(seed)
    rotations = random_rotation(len(data), generator=generator)
    shifts = _SHIFT * torch.randn(len(data), 3, generator=generator, dtype=data.positions.dtype)
    orders = random_relabelling(data.numbers, len(data), generator)
    mirror = torch.diag(torch.tensor([1.0, 1.0, -1.0], dtype=data.positions.dtype))
    return {
        "as it is": data,
        "turned": data.turned(rotations),
        "mirrored": data.turned(mirror),
        "moved": data.shifted(shifts),
        "relabelled": data.relabelled(orders),
    }


def compare(data: Molecules, networks: Mapping[str, Predictor], seed: int = 0) -> Comparison:
    """Measure every network on every version of a test set.

    Args:
        data: the test set.
        networks: name to predictor.
        seed: see `versions`.
    """
    table: dict[str, dict[str, Errors]] = {}
    for version, frames in versions(data, seed).items():
        table[version] = {name: errors(network(frames), frames) for name, network in networks.items()}
    return Comparison(table, _rms(data.forces))


def errors(predicted: tuple[Tensor, Tensor], data: Molecules) -> Errors:
    """Errors of predicted energies [S] (eV) and forces [S, N, 3] (eV/Å) on the frames they were predicted for."""
    energy, forces = predicted
    energy_error = (energy.double() - data.energy).abs().mean() / data.numbers.numel()
    return Errors(float(energy_error), _rms(forces.double() - data.forces))


def _rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


def potential_predictor(model: Potential) -> Predictor:
    """A potential as the comparison sees it."""

    def predict(data: Molecules) -> tuple[Tensor, Tensor]:
        energies, forces = [], []
        for chosen in torch.arange(len(data)).split(_FRAMES_AT_ONCE):
            graph = _graph(data.select(chosen), model.cutoff).to(model.device)
            result = model(graph, ("energy", "forces"))
            energies.append(result["energy"].cpu())
            forces.append(result["forces"].cpu())
        return torch.cat(energies), torch.cat(forces).reshape(data.forces.shape)

    return predict


def _graph(data: Molecules, cutoff: float) -> AtomGraph:
    numbers = data.numbers.numpy()
    return batch([from_atoms(Atoms(numbers, positions.numpy()), cutoff) for positions in data.positions])
