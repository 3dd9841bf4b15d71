"""A potential as an ASE calculator, for everything that ASE can drive."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator as AseCalculator
from ase.calculators.calculator import PropertyNotImplementedError, all_changes
from ase.data import covalent_radii
from ase.stress import full_3x3_to_voigt_6_stress
from torch import Tensor

from cynosure.deploy.skin import DEFAULT_SKIN, Edges, SkinNeighbours
from cynosure.graph import LABELS, AtomGraph, Quantity
from cynosure.graph.neighbours import MIN_DISTANCE
from cynosure.potentials import Evaluator, Potential, load

# Memory for each atom beside the network and the edges: copies of the structure, the kept positions, results. Measured.
BYTES_PER_ATOM = 200
# Two atoms nearer than this part of the sum of their covalent radii have run into each other: no bond is that
# short, and a potential has seen nothing like it.
OVERLAP = 0.4
# More elements than these are not listed in a message.
_MOST_NAMED = 20
_HESSIAN = Quantity("pair", (3, 3))
# What ASE calls a derivative, and what the model calls it.
_DERIVATIVES = {
    "forces": "forces",
    "stress": "stress",
    "stresses": "virials",
    "forces_uncertainty": "forces_uncertainty",
}


class Contact(NamedTuple):
    """Two atoms that are near each other.

    Attributes:
        ratio: their distance over the sum of their covalent radii.
        first, second: their numbers; one number where an atom is near a periodic image of itself.
    """

    ratio: float
    first: int
    second: int

    def words(self, atoms: Atoms) -> str:
        """What has happened to the two atoms of a structure whose ratio is too small."""
        i, j = self.first, self.second
        return (
            f"atoms {i} ({atoms.symbols[i]}) and {j} ({atoms.symbols[j]}) have run into each other: their distance is "
            f"{self.ratio:.2f} of the sum of their covalent radii"
        )


class Calculator(AseCalculator):
    """The ASE calculator of a Cynosure potential.

    It gives `energy`, `free_energy` (the same number, eV), `energies` [N] (eV), `forces` [N, 3] (eV/Å),
    `stress` [6] (eV/Å³, Voigt order xx yy zz yz xz xy, positive under tension) and `stresses` [N, 6]
    (eV/Å³, the stress that each atom carries: −W_i/V with W_i = −Σ_{i receives} r ⊗ ∂E/∂r, symmetrised; they
    sum to `stress`). That of an ensemble also gives `energy_uncertainty` (eV) with the energy, and with the forces
    `forces_uncertainty` [N] (eV/Å), the standard deviation of any component of the force on each atom.

    A model with declared inputs takes them from the columns that its settings name, in `atoms.info` or `atoms.arrays`;
    its targets and its derivatives of the energy are properties under their names: `atoms.calc.get_property("dipole",
    atoms)`. Numbers of pairs of atoms, such as a `hessian`, come as one matrix [3N, 3N].

    Nothing is computed that nobody asks for: an energy alone takes no derivative. What was asked of the
    last structure is expected of the next one, so that a driver that asks for the energy and then for the
    forces pays for one evaluation a step. The neighbour list is kept with a skin between calls.

    Args:
        model_or_path: a potential, or the path of a model file. A potential is used as it is, and never
            changed: where the device or the precision asked for differs, a copy is made.
        device: where to evaluate; by default where the potential is, and the CPU for a file.
        dtype: `torch.float32` or `torch.float64` (or their names); by default the model's own.
        skin: how much further than the cutoff the kept neighbour list reaches, Å; zero keeps none.

    Attributes:
        model: the potential that is evaluated.

    Raises:
        ValueError: for an unknown dtype or device, a bad model file, a negative skin; when calculating, for
            an element the model does not know, no atoms at all, a position that is not finite, two atoms on
            one spot.
        FileNotFoundError: if there is no such file.
        ase.calculators.calculator.PropertyNotImplementedError: when stress is asked of a structure whose
            cell has no volume.
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress", "stresses"]  # noqa: RUF012
    # The model reads neither, so they must not throw a result away.
    ignored_changes = {"initial_charges", "initial_magmoms"}  # noqa: RUF012

    def __init__(
        self,
        model_or_path: Potential | str | Path,
        device: torch.device | str | None = None,
        dtype: torch.dtype | str | None = None,
        skin: float = DEFAULT_SKIN,
    ) -> None:
        super().__init__()
        self.model = as_potential(model_or_path, device, dtype)
        if self.model is not model_or_path:
            self.model.requires_grad_(
                False
            )  # ours alone, and nothing will train it: autograd has less to keep
        config = self.model.config
        # (Asked for at every step, and settings work them out anew each time.)
        self._declared = {**config.outputs, "hessian": _HESSIAN} if config.energy else dict(config.outputs)
        self._quantities = {**LABELS, **config.told}
        of_energy = [*type(self).implemented_properties, *self.model.uncertainties] if config.energy else []
        self.implemented_properties = [*of_energy, *self._declared]
        self._evaluator = Evaluator(self.model)
        self._neighbours = SkinNeighbours(self.model.cutoff, skin, self.model.device)
        self._edges: Edges | None = None
        self._numbers = np.zeros(0, dtype=np.int64)
        self._number_tensor = torch.zeros(0, dtype=torch.int64)
        self._structure_tensor = torch.zeros(0, dtype=torch.int64)
        self._asked: set[str] = set()
        self._asked_before: set[str] = set()
        self._ever_asked: set[str] = set()

    @property
    def evaluator(self) -> Evaluator:
        """What evaluates the model."""
        return self._evaluator

    @property
    def num_pairs(self) -> int:
        """Directed pairs in the kept neighbour list, those in the skin included; 0 before the first calculation."""
        return self._neighbours.num_pairs

    @property
    def neighbour_list_builds(self) -> int:
        """How many neighbour lists have been built: far fewer than calls, where the skin does its work."""
        return self._neighbours.builds

    def check_state(self, atoms: Atoms, tol: float = 0.0) -> list[str]:
        """What differs from the structure evaluated last, bit for bit: ASE's own comparison, but faster.

        ASE asks several times a step, and for a small molecule its general comparison costs as much as a model.
        """
        if self.atoms is None:
            return [name for name in all_changes if name not in self.ignored_changes]
        pairs = {
            "positions": (self.atoms.positions, atoms.positions),
            "numbers": (self.atoms.numbers, atoms.numbers),
            "cell": (self.atoms.cell.array, atoms.cell.array),
            "pbc": (self.atoms.pbc, atoms.pbc),
        }
        changes = [name for name, (old, new) in pairs.items() if not np.array_equal(old, new)]
        named = self.model.points.key
        columns = [(one.name, one.key) for one in self.model.input_columns]
        for name, key in columns if named is None else [*columns, ("numbers", named)]:
            old, new = (each.arrays.get(key, each.info.get(key)) for each in (self.atoms, atoms))
            if not np.array_equal(np.asarray(old), np.asarray(new)):
                changes.append(name)
        return changes

    def get_property(
        self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True
    ) -> float | np.ndarray | None:
        """A property by its name (see ASE); what is there already counts as asked for, too."""
        found = super().get_property(name, atoms, allow_calculation)
        self._asked.add(name)
        return found

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Evaluate the model and add to `self.results` what `properties` names (see ASE)."""
        super().calculate(atoms, list(properties), list(system_changes))
        if self.atoms is None:
            raise ValueError("the calculator has no atoms: give them to it, or attach it with atoms.calc = …")
        if system_changes:
            self.results = {}
            self._asked_before, self._asked = self._asked, set()
        self._asked.update(properties)
        self._ever_asked.update(properties)
        has_volume = abs(self.atoms.cell.volume) > 0
        if not has_volume and {"stress", "stresses"} & set(properties):
            raise PropertyNotImplementedError(
                "a stress needs a volume, and the cell of this structure has none: "
                "set three lattice vectors (atoms.cell), or leave the stress out"
            )
        graph = self._graph(self.atoms)
        outputs = self._outputs(has_volume)
        found = self._evaluator.evaluate(graph, outputs)
        self.results.update(_results(found, self.atoms.cell.volume) if "energy" in found else {})
        for name, quantity in self._declared.items():
            if name in found:
                self.results[name] = _as_column(found[name], quantity)

    def closest_contact(self) -> Contact:
        """The most crowded pair of the structure evaluated last.

        Returns:
            its distance and its two atoms. A ratio of infinity (and atoms −1, −1) if there is no pair within
            the cutoff, or the points are no elements.
        """
        edges = self._edges
        if edges is None or edges.distances.numel() == 0 or self.model.points.names:
            return Contact(float("inf"), -1, -1)
        radii = torch.as_tensor(covalent_radii[self._numbers], device=edges.distances.device)
        bond = radii.index_select(0, edges.receivers) + radii.index_select(0, edges.senders)
        ratio, e = torch.min(edges.distances / bond, dim=0)
        return Contact(float(ratio), int(edges.receivers[e]), int(edges.senders[e]))

    def _outputs(self, has_volume: bool) -> tuple[str, ...]:
        """The model's outputs to ask for. Beside one derivative the others cost next to nothing."""
        always: tuple[str, ...] = tuple((self._asked | self._asked_before) & self._declared.keys())
        if not self.model.config.energy:
            return always
        always = (
            *always,
            "energy",
            "energies",
            *(name for name in self.model.uncertainties if name not in _DERIVATIVES),
        )
        wanted = (self._asked | self._asked_before) & _DERIVATIVES.keys()
        if not wanted:
            return always
        wanted |= self._ever_asked & _DERIVATIVES.keys()
        wanted |= {name for name, output in self.model.uncertainties.items() if output in wanted}
        if not has_volume:
            wanted -= {"stress", "stresses"}
        return (*always, *(_DERIVATIVES[name] for name in _DERIVATIVES if name in wanted))

    def _graph(self, atoms: Atoms) -> AtomGraph:
        self._take_species(atoms)
        positions = np.array(atoms.positions, dtype=np.float64)
        cell = np.array(atoms.cell.array, dtype=np.float64)
        pbc = np.array(atoms.pbc, dtype=bool)
        edges = self._neighbours.edges(positions, cell, pbc)
        _refuse_same_spot(edges)
        self._edges = edges
        device = self._neighbours.device
        return AtomGraph(
            atomic_numbers=self._number_tensor,
            positions=torch.from_numpy(positions).to(device),
            cell=torch.from_numpy(cell).to(device).unsqueeze(0),
            pbc=torch.from_numpy(pbc).to(device).unsqueeze(0),
            receivers=edges.receivers,
            senders=edges.senders,
            shifts=edges.shifts,
            structure=self._structure_tensor,
            sender_order=edges.sender_order,
            inputs={
                name: torch.from_numpy(rows.values).to(device)
                for name, rows in self.model.inputs_of(atoms).items()
            },
            quantities=self._quantities,
        )

    def _take_species(self, atoms: Atoms) -> None:
        """Check the elements, and keep what depends on them alone until they change."""
        numbers = self.model.points.numbers(atoms)
        if np.array_equal(numbers, self._numbers) and len(atoms) > 0:
            return
        if len(atoms) == 0:
            raise ValueError("this structure has no atoms; give at least one")
        unknown = sorted(set(numbers.tolist()) - set(self.model.species))
        if unknown:
            points, known = self.model.points, self.model.species
            names = (
                points.listed(known)
                if len(known) <= _MOST_NAMED
                else f"{len(known)} elements (cynosure info)"
            )
            raise ValueError(f"the model does not know {points.listed(unknown)}; it was built for {names}")
        self._numbers = numbers
        device = self._neighbours.device
        self._number_tensor = torch.from_numpy(self._numbers).to(device)
        self._structure_tensor = torch.zeros(len(atoms), dtype=torch.int64, device=device)


def as_potential(
    model_or_path: Potential | str | Path,
    device: torch.device | str | None = None,
    dtype: torch.dtype | str | None = None,
) -> Potential:
    """A potential from a potential or a model file, on this device and in this precision.

    The potential given is never changed: it is returned as it is where nothing differs, and copied where
    something does.

    Raises:
        ValueError: if the dtype is neither float32 nor float64, the device is not there, or the file is no
            good.
        FileNotFoundError: if there is no such file.
    """
    dtype, device = _as_dtype(dtype), _as_device(device)
    if not isinstance(model_or_path, torch.nn.Module):
        return load(model_or_path, device="cpu" if device is None else device, dtype=dtype)
    device = model_or_path.device if device is None else device
    dtype = model_or_path.dtype if dtype is None else dtype
    if device == model_or_path.device and dtype == model_or_path.dtype:
        return model_or_path
    return copy.deepcopy(model_or_path).to(device=device, dtype=dtype)


def _as_device(device: torch.device | str | None) -> torch.device | None:
    if device is None:
        return None
    try:
        device = torch.device(device)
        torch.zeros(0, device=device)
    # What torch raises here depends on the device and on how it was built; an AssertionError among others.
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"the device '{device}' cannot be used here ({reason}); use cpu") from None
    return device


def _as_dtype(dtype: torch.dtype | str | None) -> torch.dtype | None:
    known = {"float32": torch.float32, "float64": torch.float64}
    if dtype is None or dtype in known.values():
        return dtype  # type: ignore[return-value]
    if dtype in known:
        return known[str(dtype)]
    raise ValueError(f"the precision '{dtype}' is not supported; use {' or '.join(known)}")


def _refuse_same_spot(edges: Edges) -> None:
    if edges.distances.numel() == 0:
        return
    nearest, e = torch.min(edges.distances, dim=0)
    if float(nearest) < MIN_DISTANCE:
        i, j = int(edges.receivers[e]), int(edges.senders[e])
        raise ValueError(
            f"atoms {i} and {j} are on one spot ({float(nearest):.1e} Å apart, periodic images counted): "
            "remove one of them or correct the positions or the cell"
        )


def _results(outputs: dict[str, Tensor], volume: float) -> dict[str, float | np.ndarray]:
    """The model's outputs for one structure as ASE names, shapes and signs them."""
    energy = float(outputs["energy"].detach())
    results: dict[str, float | np.ndarray] = {
        "energy": energy,
        "free_energy": energy,
        "energies": _array(outputs["energies"]),
    }
    if "forces" in outputs:
        results["forces"] = _array(outputs["forces"])
    if "stress" in outputs:
        results["stress"] = full_3x3_to_voigt_6_stress(_array(outputs["stress"])[0])
    if "virials" in outputs:
        results["stresses"] = full_3x3_to_voigt_6_stress(-_array(outputs["virials"]) / abs(volume))
    if "energy_uncertainty" in outputs:
        results["energy_uncertainty"] = float(outputs["energy_uncertainty"])
    if "forces_uncertainty" in outputs:
        results["forces_uncertainty"] = _array(outputs["forces_uncertainty"])
    return results


def _as_column(values: Tensor, quantity: Quantity) -> float | np.ndarray:
    """An output for one structure as a file would have it: no axis for the structure, a matrix for pairs."""
    array = _array(values)
    if quantity.owner == "structure":
        return float(array[0]) if array[0].ndim == 0 else array[0]
    if quantity.owner == "pair":
        atoms, (a, b) = math.isqrt(len(array)), (*quantity.shape, 1, 1)[:2]
        return array.reshape(atoms, atoms, a, b).transpose(0, 2, 1, 3).reshape(atoms * a, atoms * b)
    return array


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().to(device="cpu", dtype=torch.float64).numpy()
