"""A network in the compiled core, for energies and forces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cynosure.kernels import core
from cynosure.kernels.contraction import trees_of
from cynosure.kernels.lowering import (
    MapTerm,
    arrange,
    depend_on_vectors,
    forward_terms,
    gate_numbers,
    lowered,
    sides,
    term_numbers,
    threads_for,
    turned_terms,
)
from cynosure.kernels.plan import plan_of
from cynosure.kernels.program import (
    Contract,
    Convolve,
    Embed,
    Gate,
    Linear,
    NotLowered,
    Numbers,
    Program,
    Radial,
    Step,
    Value,
)
from cynosure.kernels.radial_table import RadialTable, tabulate

# Polynomials of an interval, and how well tables hold the path weights (`tabulate`). What float32 loses to rounding
# is of the same size.
_TERMS = {torch.float32: 10, torch.float64: 16}
_TOLERANCE = {torch.float32: 2e-6, torch.float64: 1e-12}
# Radial functions of pairs of species that are tabulated together: as many as memory holds.
_FUNCTIONS_AT_ONCE = 1024


class CompiledProgram:
    """A network in the core's memory, run forward and backward in a single call, without autograd.

    Radial functions are tabulated (`radial_table`), for the paths that the result depends on alone. Every array, and
    every derivative with respect to one, has a place in one arena; arrays that are not needed at one time share it.

    Args:
        program: the network.
        result: which of its values is the energy of each node.
        dtype: what to compute in; the weights are taken over in float64 first.
        species: of which there are radial functions, where those differ from pair to pair of species; all if None.

    Raises:
        NotLowered: the core is off, or lacks what the network needs.

    Attributes:
        dtype: what it computes in.
        arena: numbers of node memory per node.
        paths: number of paths of each convolution, after what is not used was left out.
        intervals: number of intervals in the radial table of each convolution.
        covered: the species that it knows; None for all.
    """

    def __init__(
        self,
        program: Program,
        result: Value,
        dtype: torch.dtype,
        species: Sequence[int] | None = None,
    ) -> None:
        steps, result = lowered(program, result)
        module = core.module()
        assert module is not None, "`lowered` refuses where it is not there"
        self.dtype, self.l_max = dtype, program.l_max
        self.paths: list[int] = []
        self.intervals: list[int] = []
        self._network = module.network(dtype == torch.float32, program.l_max, program.num_species)
        self._pairs = _pairs(steps, range(program.num_species) if species is None else species)
        self.covered = {a for pair in self._pairs for a in pair} or None
        if self._pairs:
            slots = np.full((program.num_species, program.num_species), -1)
            for slot, (a, b) in enumerate(self._pairs):
                slots[a, b] = slots[b, a] = slot
            self._network.pairs(slots.ravel().tolist())
        self._places, self.arena = arrange(steps, result)
        maps = zip(forward_terms(steps), turned_terms(steps, depend_on_vectors(steps)), strict=True)
        for step, both in zip(steps, maps, strict=True):
            self._add(step, both)
        energy, of_energy = self._places[result, False], self._places.get((result, True), 0)
        self._network.finish(self.arena, [energy, of_energy])

    def run(
        self,
        receivers: Tensor,
        senders: Tensor,
        species: Tensor,
        vectors: Tensor,
        seed: Tensor | None = None,
        *,
        virials: bool = False,
        visits: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Evaluate the network.

        Args:
            receivers, senders: [E] int64.
            species: [N] int64.
            vectors: [E, 3] float64, Å.
            seed: [N], derivative of the energy with respect to the network's output at each node; None to take no
                derivative.
            virials: compute them too.
            visits: [N] int64, every node once: the order in which the core lays them out in its memory. Fastest for
                large graphs where neighbours are near each other; it changes results by rounding alone.

        Returns:
            output [N]; forces [N, 3] of Σ seed · output, and virials [N, 3, 3] float64 (−Σ_{i receives} r ⊗ ∂/∂r),
            or None where not asked for.

        Raises:
            ValueError: an index that is out of range; visits that miss a node.
        """
        nodes, edges = species.shape[0], receivers.shape[0]
        arrays = {"receivers": receivers, "senders": senders, "species": species, "vectors": vectors}
        wanted = {"receivers": (edges,), "senders": (edges,), "species": (nodes,), "vectors": (edges, 3)}
        if visits is not None:
            arrays["visits"], wanted["visits"] = visits, (nodes,)
        for name, tensor in arrays.items():
            kind = torch.float64 if name == "vectors" else torch.int64
            if tensor.shape != wanted[name] or tensor.dtype != kind or tensor.device.type != "cpu":
                raise ValueError(
                    f"a program: '{name}' is {tensor.dtype} {tuple(tensor.shape)} on {tensor.device}; {kind} "
                    f"{wanted[name]} on the CPU was expected"
                )
        receivers, senders, species, vectors, *order = (tensor.contiguous() for tensor in arrays.values())
        output = torch.empty(nodes, dtype=self.dtype)
        forces = of_cell = None
        if seed is not None:
            seed = seed.to(self.dtype).contiguous()
            forces = torch.empty(nodes, 3, dtype=self.dtype)
            of_cell = torch.empty(nodes, 3, 3, dtype=torch.float64) if virials else None
        self._network.run(
            nodes,
            edges,
            receivers.data_ptr(),
            senders.data_ptr(),
            species.data_ptr(),
            vectors.data_ptr(),
            *(0 if tensor is None else tensor.data_ptr() for tensor in (seed, output, forces, of_cell)),
            order[0].data_ptr() if order else 0,
            threads_for(edges * sum(self.paths)),
        )
        return output, forces, of_cell

    def bytes_per_node(self) -> int:
        """Memory of a run with `visits` for each node, its inputs and results included."""
        return self.dtype.itemsize * (self.arena + 10) + 8 * 25

    def bytes_per_edge(self) -> int:
        """Memory of a run with `visits` for each edge, its inputs included."""
        return self.dtype.itemsize * (2 * (self.l_max + 1) ** 2 + 8) + 8 * 11

    def _add(self, step: Step, maps: Sequence[Sequence[MapTerm]]) -> None:
        arrays = self._arrays(step)
        if isinstance(step, Embed):
            table = np.ascontiguousarray(step.table.values())
            self._network.embed(arrays, table.ctypes.data)
            return
        if isinstance(step, Contract):
            coefficients = np.ascontiguousarray(step.coefficients.values())
            self._network.contract(arrays, trees_of(step.table.key), coefficients.ctypes.data)
            return
        if isinstance(step, Gate):
            self._network.gate(arrays, *gate_numbers(step))
            return
        # The arrays behind the addresses must live until the core has copied them.
        alive: list[Numbers] = []
        listed: list[tuple[list[int], list[int]]] = []
        for terms in maps:
            values = [entry.term.weights.values() for entry in terms]
            turned = [
                np.swapaxes(v, -1, -2) if entry.turned else v for v, entry in zip(values, terms, strict=True)
            ]
            alive += (arrays_of := [np.ascontiguousarray(v) for v in turned])
            listed.append((term_numbers(terms, *sides(step)), [v.ctypes.data for v in arrays_of]))
        listed.append(([], []))
        if isinstance(step, Linear):
            self._network.linear(arrays, step.by_species, listed)
            return
        weight, length = self._tabulated(step)
        tables, intervals, number = weight.shape[:3]
        self.paths.append(len(step.table.paths))
        self.intervals.append(intervals)
        self._network.convolve(
            arrays,
            plan_of(step.table.key),
            weight.ctypes.data,
            tables,
            intervals,
            number,
            length,
            listed,
        )

    def _tabulated(self, step: Convolve) -> tuple[Numbers, float]:
        """Its radial functions, [tables, intervals, terms, paths · channels], and the length of an interval, Å.

        One table, or one for each pair of species if they differ. All have one number of intervals.
        """
        radial, weights, fewest = step.radial, step.weights.values(), 1
        functions: list[Radial] = [radial]
        if radial.by_pair:
            some = max(1, _FUNCTIONS_AT_ONCE // len(weights))
            functions = [radial.of_pairs(self._pairs[n : n + some]) for n in range(0, len(self._pairs), some)]
        tables: list[RadialTable] = []
        try:
            while any(table.weight.shape[-3] != fewest for table in tables) or not tables:
                tables = [
                    tabulate(
                        one,
                        weights,
                        step.cutoff,
                        _TERMS[self.dtype],
                        _TOLERANCE[self.dtype],
                        one.breaks,
                        fewest,
                        one.exact_from,
                    )
                    for one in functions
                ]
                fewest = max(table.weight.shape[-3] for table in tables)
        except ValueError as reason:
            raise NotLowered(str(reason)) from None
        weight = [table.weight if radial.by_pair else table.weight[None] for table in tables]
        return np.ascontiguousarray(np.concatenate(weight)), tables[0].step

    def _arrays(self, step: Step) -> list[int]:
        numbers: list[int] = []
        for derivative in (False, True):
            for value in (step.source, step.out):
                place = None if value is None else self._places.get((value, derivative))
                numbers += [0, 0] if value is None or place is None else [place, value.irreps.dim]
        return numbers


def _pairs(steps: Sequence[Step], species: Sequence[int]) -> list[tuple[int, int]]:
    """The pairs of species whose radial functions are tabulated; none where pairs are alike."""
    if not any(isinstance(step, Convolve) and step.radial.by_pair for step in steps):
        return []
    return [(a, b) for place, b in enumerate(species) for a in species[: place + 1]]
