"""The graph of atoms: the one place that fixes every shape and unit of what a network sees.

Conventions (see the conventions page of the documentation): positions in Å, cell rows are lattice vectors,
an edge is (receiver i, sender j, integer cell shift S) with displacement r_ij = r_j + S·cell − r_i, edges are
sorted by receiver. Labels are in eV, eV/Å and eV/Å³; a label that a structure does not have is NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from cynosure.graph.quantity import LABELS, Owner, Quantity

# Edges whose vectors are made together, so that what is on the way to them stays in the cache.
_EDGES_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class AtomGraph:
    """One structure, or a batch of structures, as a directed graph with N atoms, E edges, S structures.

    Attributes:
        atomic_numbers: [N] int64.
        positions: [N, 3] float64, Å. Kept in float64 so that displacements in a large cell lose nothing;
            a network casts the displacement vectors to its own dtype.
        cell: [S, 3, 3] float64, Å, rows are lattice vectors; zero rows where there is no lattice vector.
        pbc: [S, 3] bool, periodic along each lattice vector.
        receivers: [E] int64, sorted ascending.
        senders: [E] int64.
        shifts: [E, 3] int64, the cell shift S of each edge.
        structure: [N] int64, the structure that each atom belongs to, sorted ascending.
        sender_order: [E] int64, the permutation that sorts the edges by sender (stable).
        labels: name to tensor: `energy` [S] eV, `forces` [N, 3] eV/Å, `stress` [S, 3, 3] eV/Å³ (positive
            under tension), and what `quantities` says of others, all float64; NaN where a structure has no such
            label. A name may be absent.
        inputs: name to tensor: what a model is told besides, such as spins or an external field, float64.
        quantities: what each label and each input is.
    """

    atomic_numbers: Tensor
    positions: Tensor
    cell: Tensor
    pbc: Tensor
    receivers: Tensor
    senders: Tensor
    shifts: Tensor
    structure: Tensor
    sender_order: Tensor
    labels: Mapping[str, Tensor] = field(default_factory=dict)
    inputs: Mapping[str, Tensor] = field(default_factory=dict)
    quantities: Mapping[str, Quantity] = field(default_factory=lambda: LABELS)

    def __post_init__(self) -> None:
        atoms, edges, structures = self.num_atoms, self.num_edges, self.num_structures
        expected = {
            "atomic_numbers": (atoms,),
            "positions": (atoms, 3),
            "cell": (structures, 3, 3),
            "pbc": (structures, 3),
            "receivers": (edges,),
            "senders": (edges,),
            "shifts": (edges, 3),
            "structure": (atoms,),
            "sender_order": (edges,),
        }
        for name, shape in expected.items():
            got = tuple(getattr(self, name).shape)
            if got != shape:
                raise ValueError(f"AtomGraph.{name} has shape {got}; {shape} was expected")
        for name, values in (*self.labels.items(), *self.inputs.items()):
            quantity = self.quantities.get(name)
            if quantity is None:
                raise ValueError(f"AtomGraph has no quantity '{name}'; it has {', '.join(self.quantities)}")
            # (Pairs are not counted here, because a device would have to be waited for.)
            rows = values.shape[:1] if quantity.owner == "pair" else (self.rows_of(quantity.owner),)
            shape = (*rows, *quantity.shape)
            if tuple(values.shape) != shape:
                raise ValueError(f"'{name}' has shape {tuple(values.shape)}; {shape} was expected")

    @property
    def num_atoms(self) -> int:
        return self.atomic_numbers.shape[0]

    @property
    def num_edges(self) -> int:
        return self.receivers.shape[0]

    @property
    def num_structures(self) -> int:
        return self.cell.shape[0]

    @property
    def atoms_per_structure(self) -> Tensor:
        """[S] int64, the number of atoms of each structure."""
        return torch.bincount(self.structure, minlength=self.num_structures)

    def rows_of(self, owner: Owner) -> int:
        """How many structures, atoms, edges or pairs of atoms there are."""
        if owner == "pair":
            return int(self.atoms_per_structure.square().sum())
        return {"structure": self.num_structures, "atom": self.num_atoms, "edge": self.num_edges}[owner]

    def structures_of(self, owner: Owner) -> Tensor:
        """[rows] int64: the structure that each row of a quantity belongs to."""
        if owner == "atom":
            return self.structure
        if owner == "edge":
            return self.structure.index_select(0, self.receivers)
        each = torch.arange(self.num_structures, device=self.structure.device)
        return each if owner == "structure" else each.repeat_interleave(self.atoms_per_structure.square())

    @property
    def volume(self) -> Tensor:
        """[S] float64, Å³: |det(cell)|, zero where the cell does not span space."""
        return torch.linalg.det(self.cell).abs()

    def edge_vectors(self) -> Tensor:
        """[E, 3] float64, Å: the displacement r_j + S·cell − r_i of each edge, from receiver to sender."""
        if self.num_edges <= _EDGES_AT_ONCE or self.positions.requires_grad or self.cell.requires_grad:
            return self._vectors_of(slice(None))
        vectors = self.positions.new_empty(self.num_edges, 3)
        for first in range(0, self.num_edges, _EDGES_AT_ONCE):
            some = slice(first, first + _EDGES_AT_ONCE)
            vectors[some] = self._vectors_of(some)
        return vectors

    def _vectors_of(self, edges: slice) -> Tensor:
        receivers, shifts = self.receivers[edges], self.shifts[edges].to(self.cell.dtype)
        to, origin = (self.positions.index_select(0, ends) for ends in (self.senders[edges], receivers))
        if self.num_structures == 1:
            return to - origin + shifts @ self.cell[0]
        edge_cell = self.cell.index_select(0, self.structure.index_select(0, receivers))
        return to - origin + torch.einsum("ea,eab->eb", shifts, edge_cell)

    def to(self, device: torch.device | str) -> AtomGraph:
        """The same graph with every tensor on `device`."""
        held = ("labels", "inputs")
        moved = {
            name: getattr(self, name).to(device)
            for name in self.__dataclass_fields__
            if name not in (*held, "quantities")
        }
        arrays = {
            name: {key: value.to(device) for key, value in getattr(self, name).items()} for name in held
        }
        return replace(self, **moved, **arrays)
