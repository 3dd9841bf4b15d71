"""Features that a network with random weights has on the atoms of a molecule, before and after turning it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.build import molecule as build_molecule
from ase.collections import g2
from numpy.typing import NDArray
from torch import Tensor

from cynosure.graph import from_atoms
from cynosure.nn import layout
from cynosure.o3 import Irrep, Irreps, random_rotation
from cynosure.potentials import Potential, build

_LAYERS, _READ = 4, 2  # of the network, and which one's features are looked at: the third reaches every irrep
_FEWEST_CHANNELS = 4
_CUTOFF = 5.0  # Å
_HIGHEST = 4  # degree
_MOST_SHOWN = 6  # features
_ZERO = 1e-9


@dataclass(frozen=True)
class Features:
    """The features of one atom, in a molecule and in the same molecule turned.

    Attributes:
        molecule, turned: Å, around the origin.
        matrix: [3, 3] the rotation R.
        atom: index of the atom.
        irreps: of the features; those of one irrep are neighbouring channels.
        before: [irreps.dim] computed from the molecule.
        after: [irreps.dim] computed from the turned molecule.
        predicted: [irreps.dim] D(R) times `before`.
        rotation: irrep -> the largest deviation between features of the turned molecule and D(R) times those of the
            molecule, over all atoms and channels.
        inversion: the same for the inverted molecule; empty where the irreps carry no parity.
        sizes: irrep -> root mean square component, over all atoms and channels, by which to judge the deviations.
    """

    molecule: Atoms
    turned: Atoms
    matrix: NDArray[np.float64]
    atom: int
    irreps: Irreps
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    predicted: NDArray[np.float64]
    rotation: Mapping[Irrep, float]
    inversion: Mapping[Irrep, float]
    sizes: Mapping[Irrep, float]

    def shown(self) -> list[tuple[Irrep, int, tuple[NDArray[np.float64], ...]]]:
        """(irrep, channel, ([2l + 1] before, after, predicted)) of every feature, in the order of the irreps."""
        parts = [
            layout.split(self.irreps, torch.as_tensor(x)) for x in (self.before, self.after, self.predicted)
        ]
        return [
            (irrep, channel, tuple(part[block][:, channel].numpy() for part in parts))
            for block, (mul, irrep) in enumerate(self.irreps)
            for channel in range(mul)
        ]

    def vanishing(self) -> list[Irrep]:
        """The irreps that are zero on every atom, as the symmetry of the molecule may demand."""
        return [irrep for irrep, size in self.sizes.items() if size < _ZERO]


def hidden_features(irreps: str | Irreps = "1o+2e", molecule: str = "CH3CH2OH", seed: int = 0) -> Features:
    """Read features from the third layer of a network with random weights, in float64.

    1. Build a network whose features have the parities and degrees that are asked for.
    2. Read the features of every atom of the molecule, of the molecule turned by a random rotation R, and of the
       molecule inverted.
    3. Compare the latter two with D(R), or the parity, times the first.
    4. Choose the atom on which the smallest of the features is largest: symmetry makes many of them zero.

    Args:
        irreps: which features, at most six, of degrees up to 4.
        molecule: a name that `ase.build.molecule` knows.
        seed: of the weights and of the rotation.

    Raises:
        ValueError: irreps that are malformed, empty, or too many; a molecule that is unknown or has one atom.
    """
    wanted = Irreps(irreps).simplify()
    _require(wanted)
    atoms = _molecule(molecule)
    matrix = random_rotation(generator=torch.Generator().manual_seed(seed))
    turned, inverted = (Atoms(atoms.numbers, atoms.positions @ m.T) for m in (matrix.numpy(), -np.eye(3)))
    model = _network(wanted, atoms, seed)
    have, x = _read(model, atoms)
    _, x_turned = _read(model, turned)
    expected = layout.transform(have, x, matrix)
    rotation = _deviations(have, x_turned, expected, wanted)
    inversion = {}
    if all(irrep.p for _, irrep in wanted):
        _, x_inverted = _read(model, inverted)
        mirror = -torch.eye(3, dtype=torch.float64)
        inversion = _deviations(have, x_inverted, layout.transform(have, x, mirror), wanted)
    before, after, predicted = (_select(have, value, wanted) for value in (x, x_turned, expected))
    atom = _atom(wanted, before)
    return Features(
        molecule=atoms,
        turned=turned,
        matrix=matrix.numpy(),
        atom=atom,
        irreps=wanted,
        before=before[atom].numpy(),
        after=after[atom].numpy(),
        predicted=predicted[atom].numpy(),
        rotation=rotation,
        inversion=inversion,
        sizes={
            irrep: float(block.square().mean().sqrt())
            for (_, irrep), block in zip(have, layout.split(have, x), strict=True)
            if irrep in wanted
        },
    )


def _require(wanted: Irreps) -> None:
    if wanted.num_irreps == 0:
        raise ValueError("no features were asked for; write irreps such as 1o+2e")
    if wanted.num_irreps > _MOST_SHOWN or wanted.lmax > _HIGHEST:
        raise ValueError(
            f"'{wanted}' are {wanted.num_irreps} features up to l = {wanted.lmax}; at most {_MOST_SHOWN} of l up to "
            f"{_HIGHEST} can be looked at, such as 1o+2e"
        )
    if len({irrep for _, irrep in wanted}) < len(wanted):
        raise ValueError(f"'{wanted}' has an irrep twice; write its multiplicity, as in 2x1o")


def _molecule(name: str) -> Atoms:
    if name not in g2.names:
        near = difflib.get_close_matches(name, g2.names, n=3, cutoff=0.4)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(
            f"ase.build.molecule knows no '{name}'{hint} (CH3CH2OH, C6H6 and H2O are some that it knows)"
        )
    atoms = build_molecule(name)
    if len(atoms) < 2:
        raise ValueError(
            f"'{name}' is one atom, which has no neighbours and so no direction; name a molecule"
        )
    return Atoms(atoms.numbers, atoms.positions - atoms.positions.mean(axis=0))


def _network(wanted: Irreps, atoms: Atoms, seed: int) -> Potential:
    natural = all(irrep.p == (-1) ** irrep.l for _, irrep in wanted)
    labelled = all(irrep.p for _, irrep in wanted)
    settings = {
        "model": "nequip",
        "layers": _LAYERS,
        # Features of l = 0 alone would need no directions, and pseudoscalars need them.
        "l_max": max(wanted.lmax, 1),
        "parity": "natural" if natural else labelled,
        "channels": max(_FEWEST_CHANNELS, *(mul for mul, _ in wanted)),
        "cutoff": _CUTOFF,
    }
    example = from_atoms(atoms, _CUTOFF)
    return build(
        settings, sorted(set(atoms.numbers.tolist())), example=example, seed=seed, dtype=torch.float64
    )


def _read(model: Potential, atoms: Atoms) -> tuple[Irreps, Tensor]:
    """The irreps of the features behind one layer, and the features [N, dim]."""
    layer = model.get_submodule(f"layers.{_READ}")
    found: list[Tensor] = []

    def keep(layer: torch.nn.Module, arguments: object, result: Any) -> None:
        found.append(result)

    handle = layer.register_forward_hook(keep)
    try:
        with torch.no_grad():
            model(from_atoms(atoms, model.cutoff), ("energy",))
    finally:
        handle.remove()
    irreps = layer.irreps_out
    assert isinstance(irreps, Irreps)
    return irreps, found[0].detach()


def _select(have: Irreps, x: Tensor, wanted: Irreps) -> Tensor:
    """[N, wanted.dim]: the first channels of each irrep that is wanted."""
    blocks = {irrep: block for (_, irrep), block in zip(have, layout.split(have, x), strict=True)}
    return layout.join([blocks[irrep][..., :mul] for mul, irrep in wanted])


def _deviations(have: Irreps, x: Tensor, expected: Tensor, wanted: Irreps) -> dict[Irrep, float]:
    difference = layout.split(have, (x - expected).abs())
    return {
        irrep: float(block.max())
        for (_, irrep), block in zip(have, difference, strict=True)
        if irrep in wanted
    }


def _atom(wanted: Irreps, x: Tensor) -> int:
    smallest = torch.stack([block.norm(dim=-2).amin(-1) for block in layout.split(wanted, x)], dim=-1)
    # An irrep that is zero everywhere says nothing about where to look.
    there = smallest[:, smallest.amax(0) > _ZERO]
    return int(there.amin(-1).argmax()) if there.shape[1] else 0
