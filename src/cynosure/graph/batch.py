"""Many structures in one graph, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cynosure.graph.quantity import Owner, Quantity
from cynosure.graph.schema import AtomGraph


def batch(graphs: Sequence[AtomGraph]) -> AtomGraph:
    """One graph that holds all structures of `graphs`, in order; no edge joins two of them.

    Batches may be batched again. Labels are the union of the names, NaN where a graph lacks one.

    Args:
        graphs: at least one, all on one device.

    Raises:
        ValueError: `graphs` is empty, or they differ in what their quantities are, or in their inputs.
    """
    if len(graphs) == 0:
        raise ValueError("a batch needs at least one graph; none was given")
    if len(graphs) == 1:
        return graphs[0]
    atom_offsets = _offsets([graph.num_atoms for graph in graphs])
    edge_offsets = _offsets([graph.num_edges for graph in graphs])
    structure_offsets = _offsets([graph.num_structures for graph in graphs])
    quantities: dict[str, Quantity] = {}
    for graph in graphs:
        for name, quantity in graph.quantities.items():
            if quantities.setdefault(name, quantity) != quantity:
                raise ValueError(f"'{name}' is {quantities[name]} in one graph and {quantity} in another")
        if graph.inputs.keys() != graphs[0].inputs.keys():
            odd = ", ".join(sorted(graph.inputs.keys() ^ graphs[0].inputs.keys()))
            raise ValueError(f"the input {odd} is there in some graphs of a batch and not in others")
    names = [name for name in quantities if any(name in graph.labels for graph in graphs)]

    def joined(name: str, offsets: Sequence[int] | None = None) -> Tensor:
        parts = [getattr(graph, name) for graph in graphs]
        if offsets is not None:
            parts = [part + offset for part, offset in zip(parts, offsets, strict=True)]
        return torch.cat(parts)

    return AtomGraph(
        atomic_numbers=joined("atomic_numbers"),
        positions=joined("positions"),
        cell=joined("cell"),
        pbc=joined("pbc"),
        receivers=joined("receivers", atom_offsets),
        senders=joined("senders", atom_offsets),
        shifts=joined("shifts"),
        structure=joined("structure", structure_offsets),
        # Senders of one graph all come before those of the next, so each graph's own order is kept.
        sender_order=joined("sender_order", edge_offsets),
        labels={
            name: torch.cat([_label_or_nan(graph, name, quantities[name]) for graph in graphs])
            for name in names
        },
        inputs={name: torch.cat([graph.inputs[name] for graph in graphs]) for name in graphs[0].inputs},
        quantities=quantities,
    )


def select(graph: AtomGraph, index: int) -> AtomGraph:
    """The structure number `index` of a batch, as a graph of its own; negative counts from the end.

    Labels that are NaN throughout are kept: the batch does not know whether the structure had them.

    Raises:
        IndexError: the batch has no such structure.
    """
    if not -graph.num_structures <= index < graph.num_structures:
        raise IndexError(f"structure {index} was asked of a graph that holds {graph.num_structures}")
    index %= graph.num_structures
    atoms = _range_of(graph.structure, index)
    edges = _range_of(graph.structure.index_select(0, graph.receivers), index)
    senders = graph.senders[edges] - atoms.start
    pairs_before = int(graph.atoms_per_structure[:index].square().sum())
    owned: dict[Owner, slice | Tensor] = {
        "structure": slice(index, index + 1),
        "atom": atoms,
        "edge": edges,
        "pair": slice(pairs_before, pairs_before + (atoms.stop - atoms.start) ** 2),
    }

    def own(arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: array[owned[graph.quantities[name].owner]] for name, array in arrays.items()}

    return AtomGraph(
        atomic_numbers=graph.atomic_numbers[atoms],
        positions=graph.positions[atoms],
        cell=graph.cell[index : index + 1],
        pbc=graph.pbc[index : index + 1],
        receivers=graph.receivers[edges] - atoms.start,
        senders=senders,
        shifts=graph.shifts[edges],
        structure=torch.zeros_like(graph.structure[atoms]),
        sender_order=torch.argsort(senders, stable=True),
        labels=own(graph.labels),
        inputs=own(graph.inputs),
        quantities=graph.quantities,
    )


def unbatch(graph: AtomGraph) -> list[AtomGraph]:
    """Every structure of a batch as a graph of its own, in order."""
    return [select(graph, index) for index in range(graph.num_structures)]


def _offsets(counts: Sequence[int]) -> list[int]:
    """Where each of consecutive blocks starts."""
    offsets, total = [], 0
    for count in counts:
        offsets.append(total)
        total += count
    return offsets


def _label_or_nan(graph: AtomGraph, name: str, quantity: Quantity) -> Tensor:
    if name in graph.labels:
        return graph.labels[name]
    return graph.positions.new_full((graph.rows_of(quantity.owner), *quantity.shape), float("nan"))


def _range_of(ascending: Tensor, value: int) -> slice:
    """Where an ascending tensor holds `value`."""
    bounds = torch.searchsorted(ascending, torch.tensor([value, value + 1], device=ascending.device))
    start, stop = bounds.tolist()
    return slice(start, stop)
