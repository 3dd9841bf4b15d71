"""Checks that a user can run on a layer or a potential of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import ase.build
import numpy as np
import torch
from ase import Atoms
from torch import Tensor, nn

from cynosure.analysis import Deviation, finite_differences, symmetries
from cynosure.nn import layout
from cynosure.o3 import Irreps, random_rotation
from cynosure.potentials import Potential


def assert_equivariant(
    module: Callable[..., Any],
    irreps_in: Irreps | str | Sequence[Irreps | str],
    irreps_out: Irreps | str | Sequence[Irreps | str],
    *,
    arguments: Sequence[Any] = (),
    batch: int = 7,
    tolerance: float = 1e-10,
    seed: int = 0,
) -> None:
    """Assert that f(D_in(g) x) = D_out(g) f(x) for rotations g and, where parity is labelled, rotoinversions.

    The module is copied to float64 and fed unit normal features in the library's layout (see `nn.layout`).

    Args:
        module: takes one tensor [batch, dim] for each of `irreps_in`, then `arguments`; returns one tensor, or
            a sequence with one for each of `irreps_out`.
        irreps_in: irreps of the input, or a list with those of each input.
        irreps_out: irreps of the output, or a list with those of each output.
        arguments: what else the module takes, unchanged under rotation (indices, distances).
        batch: length of the leading axis of every input.
        tolerance: largest deviation allowed, relative to the largest output (or 1).
        seed: of inputs and rotations.

    Raises:
        AssertionError: names the output, the operation and the deviation.
        ValueError: an output does not have the size of its irreps.
    """
    if isinstance(module, nn.Module):
        module = deepcopy(module).to(torch.float64)
    kinds_in, kinds_out = _as_list(irreps_in), _as_list(irreps_out)
    generator = torch.Generator().manual_seed(seed)
    inputs = [torch.randn(batch, irreps.dim, generator=generator, dtype=torch.float64) for irreps in kinds_in]
    straight = _outputs(module(*inputs, *arguments), kinds_out)
    labelled = all(ir.p != 0 for irreps in (*kinds_in, *kinds_out) for _, ir in irreps)
    for trial in range(4):
        matrix = random_rotation(generator=generator)
        if labelled and trial % 2:
            matrix = -matrix
        operation = "a rotoinversion" if labelled and trial % 2 else "a rotation"
        turned = [layout.transform(irreps, x, matrix) for irreps, x in zip(kinds_in, inputs, strict=True)]
        after = _outputs(module(*turned, *arguments), kinds_out)
        for index, (irreps, before, now) in enumerate(zip(kinds_out, straight, after, strict=True)):
            expected = layout.transform(irreps, before, matrix)
            size = max(1.0, float(expected.abs().max())) if expected.numel() else 1.0
            deviation = float((now - expected).abs().max()) / size if expected.numel() else 0.0
            if not deviation <= tolerance:
                raise AssertionError(
                    f"output {index} ({irreps}) is not equivariant under {operation}: it deviates by "
                    f"{deviation:.3g} of its size (tolerance {tolerance:.3g})"
                )


def _as_list(irreps: Irreps | str | Sequence[Irreps | str]) -> list[Irreps]:
    if isinstance(irreps, list | tuple) and not isinstance(irreps, Irreps):
        return [Irreps(one) for one in irreps]
    return [Irreps(irreps)]  # type: ignore[arg-type]


def _outputs(result: Any, kinds: Sequence[Irreps]) -> list[Tensor]:
    outputs = [one.detach() for one in ([result] if isinstance(result, Tensor) else result)]
    if len(outputs) != len(kinds):
        raise ValueError(f"the module returned {len(outputs)} tensors; irreps_out has {len(kinds)}")
    for index, (irreps, output) in enumerate(zip(kinds, outputs, strict=True)):
        layout.check(irreps, output, f"output {index}")
    return outputs


def contract_structures() -> dict[str, Atoms]:
    """The structures of `PotentialContract`: disordered, so that no symmetry hides a mistake."""
    ethanol = ase.build.molecule("CH3CH2OH")
    ethanol.rattle(0.05, seed=1)
    # One distorted primitive cell: two atoms, each with many images of itself and the other within the cutoff.
    thin = ase.build.bulk("Si")
    thin.set_cell(
        thin.cell.array @ np.array([[1.05, 0.1, 0.0], [0.0, 0.97, 0.06], [0.04, 0.0, 1.02]]), scale_atoms=True
    )
    thin.rattle(0.1, seed=2)
    slab = ase.build.fcc111("Si", (2, 1, 2), a=5.0, vacuum=6.0)
    slab += Atoms("OH", positions=slab.positions[-1] + np.array([[0.1, 0.2, 1.6], [0.8, 0.4, 2.1]]))
    slab.pbc = (True, True, False)
    slab.rattle(0.1, seed=3)
    return {"molecule": ethanol, "thin triclinic crystal": thin, "slab": slab}


class PotentialContract:
    """The physics that every potential obeys, as a test class to inherit (with pytest).

        class TestMine(PotentialContract):
            def make(self, species):
                return cynosure.build({"model": "mine"}, species, dtype=torch.float64)

    Every test runs by default. A model that cannot promise one names it in `exempt` with the reason, such as
    `exempt = {"reflection": "SO(3) features carry no parity"}`.
    """

    exempt: Mapping[str, str] = {}

    def make(self, species: Sequence[str]) -> Potential:
        """A potential with random weights for these elements, in float64."""
        raise TypeError(
            f"{type(self).__name__} must define make(species), which returns the potential to test"
        )

    def test_rotation(self) -> None:
        self._hold("rotation", symmetries.rotation)

    def test_reflection(self) -> None:
        self._hold("reflection", symmetries.reflection)

    def test_translation(self) -> None:
        self._hold("translation", symmetries.translation)

    def test_wrapping(self) -> None:
        self._hold("wrapping", symmetries.wrapping)

    def test_permutation(self) -> None:
        self._hold("permutation", symmetries.permutation)

    def test_batch_equals_single(self) -> None:
        self._hold("batch_equals_single", symmetries.batch_equals_single)

    def test_supercell(self) -> None:
        self._hold("supercell", symmetries.supercell)

    def test_separation(self) -> None:
        self._hold("separation", symmetries.separation)

    def test_lone_atom(self) -> None:
        self._hold("lone_atom", symmetries.lone_atom)

    def test_forces(self) -> None:
        self._hold("forces", finite_differences.forces)

    def test_stress(self) -> None:
        self._hold("stress", finite_differences.stress)

    def test_smoothness(self) -> None:
        self._hold("smoothness", finite_differences.smoothness)

    def _hold(self, name: str, measure: Callable[[Potential, Atoms], list[Deviation]]) -> None:
        structures = contract_structures()
        model = self.make(sorted({symbol for atoms in structures.values() for symbol in atoms.symbols}))
        found = {title: measure(model, atoms) for title, atoms in structures.items()}
        deviations = [(title, one) for title, some in found.items() for one in some]
        if not deviations:
            raise AssertionError(f"{name}: nothing was measured on any structure")
        unpromised = [one for _, one in deviations if not one.promised]
        if name in self.exempt:
            if not self.exempt[name].strip():
                raise AssertionError(f"the exemption from '{name}' needs a reason")
            return
        if unpromised:
            raise AssertionError(f"{name} is not promised by this model; name it in `exempt` with the reason")
        wrong = [f"{title}: {one}" for title, one in deviations if not one.ok]
        if wrong:
            raise AssertionError("\n".join(wrong))
