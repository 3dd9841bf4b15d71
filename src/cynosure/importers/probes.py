"""The structures on which an imported model must agree with the original before it is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from cynosure.potentials.probe import probe_atoms

# As many as there are elements with a name.
_ELEMENTS = 118


class Probe(NamedTuple):
    """A structure whose elements are counted, not named, because the model is not known yet.

    Attributes:
        name: what it is.
        kinds: [N], of each atom: k is the model's element number k modulo the number of its elements.
        positions: [N, 3] Å.
        cell: [3, 3] Å.
        pbc: [3].
    """

    name: str
    kinds: NDArray[np.int64]
    positions: NDArray[np.float64]
    cell: NDArray[np.float64]
    pbc: tuple[bool, bool, bool]

    @property
    def request(self) -> dict[str, Any]:
        """The same for a reader (`readers/handing_over.py`)."""
        return {
            "kinds": self.kinds.tolist(),
            "positions": self.positions.tolist(),
            "cell": self.cell.tolist(),
            "pbc": list(self.pbc),
        }

    def atoms(self, numbers: Sequence[int]) -> Atoms:
        """The structure with these elements."""
        return Atoms(numbers=numbers, positions=self.positions, cell=self.cell, pbc=self.pbc)


def probes() -> list[Probe]:
    """Every element in a dense and in a loose crystal, a cluster, a slab, and cells thinner than any cutoff."""
    dense = probe_atoms(tuple(range(1, _ELEMENTS + 1)), cutoff=5.0)
    kinds = dense.numbers - 1
    cell, whole = dense.cell.array, (True, True, True)
    strain = np.array([[1.3, 0.05, 0.0], [0.0, 1.22, -0.04], [0.03, 0.0, 1.26]])
    few = dense.positions[:12]
    small = np.array([[2.6, 0.0, 0.0], [0.7, 2.5, 0.0], [-0.4, 0.6, 2.8]])
    return [
        Probe("every element, dense", kinds, dense.positions, cell, whole),
        # (7 and 118 share no factor: every element, beside others.)
        Probe(
            "every element, loose and strained",
            7 * kinds % _ELEMENTS,
            dense.positions @ strain,
            cell @ strain,
            whole,
        ),
        Probe("cluster", 5 * kinds[:12], few, np.zeros((3, 3)), (False, False, False)),
        Probe("slab", 11 * kinds[:12], few, np.diag([9.6, 7.2, 30.0]), (True, True, False)),
        Probe(
            "two atoms in a thin cell",
            kinds[[7, 3]],
            np.array([[0.0, 0.0, 0.0], [1.2, 1.4, 1.5]]),
            small,
            whole,
        ),
        Probe("one atom in a thin cell", kinds[[13]], np.zeros((1, 3)), small, whole),
    ]
