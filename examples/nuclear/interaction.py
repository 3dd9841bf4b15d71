"""A semi-classical interaction of nucleons with spins, in fm and MeV: the reference that the network learns.

With r the vector from nucleon i to nucleon j, τ = +1 for a proton and −1 for a neutron, and σ a unit vector, the
classical spin, a pair has the energy

    U = s(r) [ a exp(−r²/Λ) + (b + c τ_i τ_j) exp(−r²/2Λ)                core, and attraction of unlike nucleons
             + (e²/r) exp(−r/λ)                                          between protons: screened Coulomb
             + t τ_i τ_j (r²/2Λ) exp(−r²/2Λ) S_ij ]                      tensor force
    S_ij = 3 (σ_i · r̂)(σ_j · r̂) − σ_i · σ_j

The first two lines and their numbers are those of Horowitz, Pérez-García and Piekarewicz (2004), Physical Review C 69,
045804. What is added here:

- The tensor force, with the sign and the dependence on isospin of the exchange of one pion (species stay as they are,
  so that of the product of isospins τ_i τ_j remains): a proton and a neutron with parallel spins attract each other one
  behind the other along these, as in the deuteron. It has the range of the other terms, and a factor r² that makes it
  smooth where nucleons meet. Its strength, t = 4 MeV, is 40 % of one-pion exchange at 1.9 fm, the distance of
  neighbours: a quantum tensor force vanishes in the mean over spins, and with all of it, classical spins would rule
  over the central part, which was fitted without them.
- s(r), one up to 3 fm, which takes everything to zero at 5.5 fm with two continuous derivatives. It cuts the Coulomb
  repulsion short, and with it the lengths of the pasta.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from numpy.typing import NDArray

from cynosure.graph import neighbour_list

Array = NDArray[np.float64]

PROTON, NEUTRON = "p", "n"
KIND = "nucleon"  # the column that says which of them each is

CORE, ATTRACTION, ISOSPIN = 110.0, -26.0, 24.0  # MeV: a, b, c
RANGE = 1.25  # fm²: Λ
CHARGE = 1.43996  # MeV fm: e²
SCREENING = 10.0  # fm: λ
TENSOR = 4.0  # MeV: t
TAPER, CUTOFF = 3.0, 5.5  # fm: where s(r) leaves one, and reaches zero


class Pairs(NamedTuple):
    """Energy of pairs and its derivatives.

    Attributes:
        energy: [P] MeV.
        by_vector: [P, 3] MeV/fm, by the vector r.
        by_spin: [P, 3] MeV, by the components of σ_i.
    """

    energy: Array
    by_vector: Array
    by_spin: Array


def pairs(vectors: Array, spin_i: Array, spin_j: Array, isospin_i: Array, isospin_j: Array) -> Pairs:
    """The interaction of pairs within the cutoff.

    Args:
        vectors: [P, 3] fm, from i to j.
        spin_i, spin_j: [P, 3], unit vectors.
        isospin_i, isospin_j: [P], +1 for a proton, −1 for a neutron.
    """
    square = np.einsum("pa,pa->p", vectors, vectors)
    r = np.sqrt(square)
    like, protons = isospin_i * isospin_j, (isospin_i + isospin_j > 1.0).astype(np.float64)

    core, well = CORE * np.exp(-square / RANGE), np.exp(-square / (2 * RANGE))
    attraction = (ATTRACTION + ISOSPIN * like) * well
    coulomb = protons * CHARGE / r * np.exp(-r / SCREENING)
    central = core + attraction + coulomb
    slope = -r * (2 * core + attraction) / RANGE - coulomb * (1 / r + 1 / SCREENING)
    tensor = like * TENSOR / (2 * RANGE) * well  # what stands before r² S_ij, which is a polynomial
    tensor_slope = -r / RANGE * tensor

    keep, keep_slope = _taper(r)
    along_i, along_j = np.einsum("pa,pa->p", spin_i, vectors), np.einsum("pa,pa->p", spin_j, vectors)
    alike = np.einsum("pa,pa->p", spin_i, spin_j)
    shape = 3 * along_i * along_j - square * alike  # r² S_ij
    inner = central + tensor * shape
    radial = keep_slope * inner + keep * (slope + tensor_slope * shape)
    across = 3 * (spin_i * along_j[:, None] + spin_j * along_i[:, None]) - 2 * vectors * alike[:, None]
    by_vector = (radial / r)[:, None] * vectors + (keep * tensor)[:, None] * across
    by_spin = (keep * tensor)[:, None] * (3 * vectors * along_j[:, None] - square[:, None] * spin_j)
    return Pairs(keep * inner, by_vector, by_spin)


def _taper(r: Array) -> tuple[Array, Array]:
    """s(r) and its derivative, 1/fm."""
    x = np.clip((r - TAPER) / (CUTOFF - TAPER), 0.0, 1.0)
    return 1.0 - x**3 * (10 - 15 * x + 6 * x**2), -30.0 * (x * (1 - x)) ** 2 / (CUTOFF - TAPER)


def is_proton(atoms: Atoms) -> NDArray[np.bool_]:
    """[N]: which nucleons are protons."""
    return np.asarray(atoms.arrays[KIND] == PROTON, dtype=np.bool_)


class Reference(Calculator):
    """The interaction as an ASE calculator: `energy`, `forces` [N, 3] MeV/fm, and `torque` [N, 3] MeV on each spin.

    The torque is −∂E/∂(angles by which the spin is turned) = −σ × ∂E/∂σ. Spins are `atoms.arrays["spins"]`, and the
    cell and positions are in fm. It reads like the learned potential, so that either can drive the same dynamics.
    """

    implemented_properties: list[str] = ["energy", "forces", "torque"]  # noqa: RUF012 (ASE declares it so)

    def __init__(self) -> None:
        super().__init__()
        self._spins = np.zeros((0, 3))
        self._edges: tuple[NDArray[np.int64], NDArray[np.int64], Array] | None = None

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """What differs from the structure evaluated last; ASE does not look at columns of our own."""
        changes = super().check_state(atoms, tol)
        return changes if np.array_equal(self._spins, atoms.arrays["spins"]) else [*changes, "spins"]

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Evaluate everything (see ASE)."""
        super().calculate(atoms, list(properties), list(system_changes))
        assert self.atoms is not None
        self._spins = spins = np.array(self.atoms.arrays["spins"])
        if self._edges is None or set(system_changes) - {"spins"}:
            self._edges = self._search(self.atoms)
        i, j, vectors = self._edges
        isospin = np.where(is_proton(self.atoms), 1.0, -1.0)
        found = pairs(vectors, spins[i], spins[j], isospin[i], isospin[j])
        # (Each pair is there in both directions, and gives to its first nucleon.)
        by_spin = _summed(found.by_spin, i, len(spins))
        self.results = {
            "energy": float(found.energy.sum()) / 2,
            "forces": _summed(found.by_vector, i, len(spins)),
            "torque": -np.cross(spins, by_spin),
        }

    @staticmethod
    def _search(atoms: Atoms) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
        i, j, shifts = neighbour_list(atoms.positions, atoms.cell.array, atoms.pbc, CUTOFF)
        vectors = atoms.positions[j] - atoms.positions[i] + shifts @ atoms.cell.array
        return i, j, np.asarray(vectors, dtype=np.float64)


def _summed(rows: Array, owner: NDArray[np.int64], count: int) -> Array:
    """[count, 3]: the sum of the rows [P, 3] of each owner [P]."""
    columns = [np.bincount(owner, column, minlength=count) for column in rows.T]
    return np.stack(columns, axis=1).astype(np.float64)
