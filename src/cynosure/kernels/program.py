"""A whole network as one program of the compiled core: forward and backward in a single call, without autograd.

A layer adds its steps to a `Program` (its method `lower`), in the order of the forward pass; `compile` turns them into
what the core runs (csrc/program.h):

1. What the result does not depend on is left out, block by block: paths of a convolution too.
2. Radial functions are tabulated (`radial_table`), with just the paths that are left.
3. Every array, and every derivative with respect to one, gets a place in one arena; arrays that are not needed at the
   same time share it.

Everything is float64 until the core takes it over in its own precision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cynosure.kernels import core
from cynosure.kernels.paths import PathTable
from cynosure.kernels.plan import MAX_DEGREE, plan_of
from cynosure.kernels.radial_table import tabulate
from cynosure.o3 import Irreps

Numbers = NDArray[np.float64]
_FUNCTIONS = {"identity": 0, "silu": 1, "tanh": 2, "sigmoid": 3}
# Polynomials of an interval, and how well tables hold the path weights (`tabulate`). What float32 loses to rounding
# is of the same size.
_TERMS = {torch.float32: 10, torch.float64: 16}
_TOLERANCE = {torch.float32: 2e-6, torch.float64: 1e-12}


class NotLowered(ValueError):
    """A layer has no counterpart in the core; the message says which. The network runs through autograd instead."""


@dataclass(eq=False)
class Value:
    """Features of the nodes that some step computes, one block per entry of `irreps`."""

    irreps: Irreps


@dataclass(frozen=True)
class Term:
    """One pair of blocks that a linear map joins; `weight` is [C_in, C_out], or [species, C_in, C_out]."""

    block_in: int
    block_out: int
    weight: Numbers


@dataclass(frozen=True)
class GateItem:
    """out = factor f(in[gate]) for scalars (`block` is None), in[block] · factor f(in[gate]) for tensors."""

    function: str
    factor: float
    block: int | None
    gate: int
    block_out: int


@dataclass(frozen=True)
class _Embed:
    out: Value
    table: Numbers
    source: None = None


@dataclass(frozen=True)
class _Linear:
    source: Value
    out: Value
    terms: tuple[Term, ...]
    by_species: bool


@dataclass(frozen=True)
class _Convolve:
    source: Value
    out: Value
    terms: tuple[Term, ...]  # block_in is the number of a path
    table: PathTable
    radial: Callable[[Tensor], Tensor]
    weight: Numbers
    cutoff: float


@dataclass(frozen=True)
class _Gate:
    source: Value
    out: Value
    items: tuple[GateItem, ...]


_Step = _Embed | _Linear | _Convolve | _Gate


@dataclass
class Program:
    """The steps of a network, in order.

    Args:
        num_species: rows of embeddings and of maps by species.
        l_max: largest degree of the edges' harmonics.
    """

    num_species: int
    l_max: int
    _steps: list[_Step] = field(default_factory=list)

    def embed(self, irreps: Irreps, table: Numbers) -> Value:
        """Each node gets the row of its species in `table` [species, irreps.dim]."""
        out = Value(irreps)
        self._steps.append(_Embed(out, table))
        return out

    def linear(
        self,
        x: Value,
        terms: Sequence[Term],
        irreps: Irreps,
        *,
        by_species: bool = False,
        into: Value | None = None,
    ) -> Value:
        """Mix channels. With `into` the result is added to that value, whose blocks the terms then count."""
        out = Value(irreps) if into is None else into
        self._steps.append(_Linear(x, out, tuple(terms), by_species))
        return out

    def convolve(
        self,
        x: Value,
        table: PathTable,
        radial: Callable[[Tensor], Tensor],
        weight: Numbers,
        cutoff: float,
        terms: Sequence[Term],
        irreps: Irreps,
    ) -> Value:
        """`kernels.convolve` with weights radial(r) @ weight, and the linear map `terms` of its paths."""
        out = Value(irreps)
        self._steps.append(_Convolve(x, out, tuple(terms), table, radial, weight, cutoff))
        return out

    def gate(self, x: Value, items: Sequence[GateItem], irreps: Irreps) -> Value:
        out = Value(irreps)
        self._steps.append(_Gate(x, out, tuple(items)))
        return out

    def compile(self, result: Value, dtype: torch.dtype) -> CompiledProgram:
        """What the core runs; `result` is one number a node, the network's energy.

        Raises:
            NotLowered: when the core is off, or a degree is beyond what it holds.
        """
        if not core.available():
            raise NotLowered("the compiled core is off or was not built")
        if result.irreps.dim != 1:
            raise NotLowered(f"the result has irreps {result.irreps}; one scalar was expected")
        steps, result = _without_unused(self._steps, result)
        if any(isinstance(step, _Convolve) and step.table.max_degree > MAX_DEGREE for step in steps):
            raise NotLowered(f"degrees beyond {MAX_DEGREE}")
        return CompiledProgram(steps, result, self.num_species, self.l_max, dtype)


class CompiledProgram:
    """A network in the core's memory.

    Attributes:
        dtype: what it computes in.
        arena: numbers of node memory per node.
        paths: number of paths of each convolution, after what is not used was left out.
        intervals: number of intervals in the radial table of each convolution.
    """

    def __init__(
        self, steps: Sequence[_Step], result: Value, num_species: int, l_max: int, dtype: torch.dtype
    ) -> None:
        module = core.module()
        assert module is not None, "compiled only where the core serves"
        self.dtype, self.l_max = dtype, l_max
        self.paths: list[int] = []
        self.intervals: list[int] = []
        self._network = module.network(dtype == torch.float32, l_max, num_species)
        self._places, self.arena = _arrange(steps, result)
        self._written: set[tuple[Value, int]] = set()
        transposed = _derivative_terms(steps)
        for step, back in zip(steps, transposed, strict=True):
            self._add(step, back)
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
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Evaluate the network.

        Args:
            receivers, senders: [E] int64.
            species: [N] int64.
            vectors: [E, 3] float64, Å.
            seed: [N], derivative of the energy with respect to the network's output at each node; None to take no
                derivative.
            virials: compute them too.

        Returns:
            output [N]; forces [N, 3] of Σ seed · output, and virials [N, 3, 3] float64 (−Σ_{i receives} r ⊗ ∂/∂r),
            or None where not asked for.

        Raises:
            ValueError: an index that is out of range.
        """
        nodes, edges = species.shape[0], receivers.shape[0]
        arrays = {"receivers": receivers, "senders": senders, "species": species, "vectors": vectors}
        wanted = {"receivers": (edges,), "senders": (edges,), "species": (nodes,), "vectors": (edges, 3)}
        for name, tensor in arrays.items():
            kind = torch.float64 if name == "vectors" else torch.int64
            if tensor.shape != wanted[name] or tensor.dtype != kind or tensor.device.type != "cpu":
                raise ValueError(
                    f"a program: '{name}' is {tensor.dtype} {tuple(tensor.shape)} on {tensor.device}; {kind} "
                    f"{wanted[name]} on the CPU was expected"
                )
        receivers, senders, species, vectors = (tensor.contiguous() for tensor in arrays.values())
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
            self._threads(edges),
        )
        return output, forces, of_cell

    def bytes_per_node(self) -> int:
        """Memory of a run for each node, its inputs and results included."""
        return self.dtype.itemsize * (self.arena + 5) + 8 * 11

    def bytes_per_edge(self) -> int:
        """Memory of a run for each edge, its inputs included."""
        return self.dtype.itemsize * (2 * (self.l_max + 1) ** 2 + 8) + 8 * 6

    def _threads(self, edges: int) -> int:
        # Threads meet after every step. What they save must be more than that.
        return 1 if edges * sum(self.paths) < _EDGES_TIMES_PATHS_PER_THREAD else torch.get_num_threads()

    def _arrays(self, step: _Step) -> list[int]:
        numbers: list[int] = []
        for derivative in (False, True):
            for value in (step.source, step.out):
                place = None if value is None else self._places.get((value, derivative))
                numbers += [0, 0] if value is None or place is None else [place, value.irreps.dim]
        return numbers

    def _add(self, step: _Step, back: Sequence[tuple[Term, bool]]) -> None:
        arrays = self._arrays(step)
        if isinstance(step, _Embed):
            table = np.ascontiguousarray(step.table, dtype=np.float64)
            self._network.embed(arrays, table.ctypes.data)
            return
        if isinstance(step, _Gate):
            self._network.gate(arrays, *_gate_numbers(step))
            return
        assert isinstance(step, _Linear | _Convolve)
        from_irreps = step.source.irreps if isinstance(step, _Linear) else step.table.irreps_out
        forward = []
        for term in step.terms:
            cell = (step.out, term.block_out)
            forward.append((term, cell in self._written))
            self._written.add(cell)
        # The arrays behind the addresses must live until the core has copied them.
        terms, weights, _alive = _term_numbers(forward, from_irreps, step.out.irreps)
        back_terms, back_weights, _alive_too = _term_numbers(back, step.out.irreps, from_irreps)
        if isinstance(step, _Linear):
            self._network.linear(arrays, step.by_species, terms, weights, back_terms, back_weights)
            return
        terms_of_radial = _TERMS[self.dtype]
        try:
            table = tabulate(step.radial, step.weight, step.cutoff, terms_of_radial, _TOLERANCE[self.dtype])
        except ValueError as reason:
            raise NotLowered(str(reason)) from None
        weight = np.ascontiguousarray(table.weight)
        self.paths.append(len(step.table.paths))
        self.intervals.append(len(weight))
        self._network.convolve(
            arrays,
            plan_of(step.table.key),
            weight.ctypes.data,
            len(weight),
            terms_of_radial,
            table.step,
            terms,
            weights,
            back_terms,
            back_weights,
        )


# Below about this, measured on two cores, one thread is as fast as two.
_EDGES_TIMES_PATHS_PER_THREAD = 10_000


class _Kept:
    """A value with the blocks that are left of it, and how they are counted now."""

    def __init__(self, value: Value, blocks: set[int]) -> None:
        order = sorted(blocks)
        self.value = Value(Irreps([value.irreps[block] for block in order]))
        self.number = {block: place for place, block in enumerate(order)}


def _without_unused(steps: Sequence[_Step], result: Value) -> tuple[list[_Step], Value]:
    """The steps and blocks that the result depends on, and the result among them."""
    needed: dict[Value, set[int]] = {result: set(range(len(result.irreps)))}
    reached: list[_Step] = []
    for step in reversed(steps):
        wanted = needed.get(step.out)
        if wanted is None:
            continue
        if isinstance(step, _Embed):
            reached.append(step)
            continue
        if isinstance(step, _Gate):
            step = replace(step, items=tuple(item for item in step.items if item.block_out in wanted))
            used = {block for item in step.items for block in (item.block, item.gate) if block is not None}
        else:
            step = replace(step, terms=tuple(term for term in step.terms if term.block_out in wanted))
            used = {term.block_in for term in step.terms}
            if isinstance(step, _Convolve):
                used = {step.table.paths[path].block_in for path in used}
        if used:
            reached.append(step)
            needed.setdefault(step.source, set()).update(used)
    kept = {value: _Kept(value, blocks) for value, blocks in needed.items()}
    return [_renumbered(step, kept) for step in reversed(reached)], kept[result].value


def _renumbered(step: _Step, kept: Mapping[Value, _Kept]) -> _Step:
    """The step with its values and blocks as they are now."""
    out = kept[step.out]
    if isinstance(step, _Embed):
        columns = [np.arange(step.table.shape[1])[step.out.irreps.slices()[block]] for block in out.number]
        return _Embed(out.value, step.table[:, np.concatenate(columns)])
    source = kept[step.source]
    if isinstance(step, _Gate):
        items = [
            replace(
                item,
                block=None if item.block is None else source.number[item.block],
                gate=source.number[item.gate],
                block_out=out.number[item.block_out],
            )
            for item in step.items
        ]
        return _Gate(source.value, out.value, tuple(items))
    if isinstance(step, _Linear):
        terms = [
            replace(t, block_in=source.number[t.block_in], block_out=out.number[t.block_out])
            for t in step.terms
        ]
        return replace(step, source=source.value, out=out.value, terms=tuple(terms))
    paths = sorted({term.block_in for term in step.terms})
    number = {path: place for place, path in enumerate(paths)}
    channels = [step.table.irreps_in[path.block_in][0] for path in step.table.paths]
    ends = np.cumsum(channels)
    columns = [np.arange(ends[path] - channels[path], ends[path]) for path in paths]
    table = PathTable(
        source.value.irreps,
        step.table.irreps_edge,
        tuple(
            step.table.paths[path]._replace(block_in=source.number[step.table.paths[path].block_in])
            for path in paths
        ),
    )
    terms = [replace(t, block_in=number[t.block_in], block_out=out.number[t.block_out]) for t in step.terms]
    return replace(
        step,
        source=source.value,
        out=out.value,
        terms=tuple(terms),
        table=table,
        weight=step.weight[:, np.concatenate(columns)],
    )


# A derivative array is a value and True, the value's own array is the value and False.
_Place = tuple[Value, bool]


def _arrange(steps: Sequence[_Step], result: Value) -> tuple[dict[_Place, int], int]:
    """Where each array lies in the arena, and how large that is, in numbers a node.

    Step s runs at time s forward and at 2 n − s backward, n being the number of steps. An array is alive from its
    first writer to its last reader; the largest are placed first, each as low as those alive with it allow.
    """
    last = 2 * len(steps)
    times: dict[_Place, list[int]] = {(result, False): [len(steps)], (result, True): [len(steps)]}
    moving = _depend_on_vectors(steps)
    for s, step in enumerate(steps):
        times.setdefault((step.out, False), []).append(s)
        if step.source is not None:
            reads_again = isinstance(step, _Convolve | _Gate)
            times.setdefault((step.source, False), []).extend([s, last - s] if reads_again else [s])
        for value in (step.source, step.out):
            if value is not None and value in moving and step.out in moving:
                times.setdefault((value, True), []).append(last - s)
    lives = {place: (min(found), max(found)) for place, found in times.items()}
    placed: dict[_Place, int] = {}
    for place in sorted(lives, key=lambda place: -place[0].irreps.dim):
        begin, end = lives[place]
        offset = 0
        for other in sorted(placed, key=lambda other: placed[other]):
            other_begin, other_end = lives[other]
            overlaps = other_begin <= end and begin <= other_end
            if overlaps and placed[other] < offset + place[0].irreps.dim:
                offset = max(offset, placed[other] + other[0].irreps.dim)
        placed[place] = offset
    return placed, max(placed[place] + place[0].irreps.dim for place in placed)


def _depend_on_vectors(steps: Sequence[_Step]) -> set[Value]:
    moving: set[Value] = set()
    for step in steps:
        if isinstance(step, _Convolve) or (step.source is not None and step.source in moving):
            moving.add(step.out)
    return moving


def _derivative_terms(steps: Sequence[_Step]) -> list[list[tuple[Term, bool]]]:
    """For each step, the terms of its linear map turned round, each with whether it adds to what is there already."""
    moving = _depend_on_vectors(steps)
    written: set[tuple[Value, int]] = set()
    result: list[list[tuple[Term, bool]]] = []
    for step in reversed(steps):
        back: list[tuple[Term, bool]] = []
        if isinstance(step, _Gate):
            blocks = {block for item in step.items for block in (item.block, item.gate) if block is not None}
        elif isinstance(step, _Linear | _Convolve):
            # A convolution's own map leads back to its message, which nothing else reads.
            message: set[int] = set()
            for term in step.terms:
                turned = Term(term.block_out, term.block_in, np.swapaxes(term.weight, -1, -2))
                if isinstance(step, _Convolve):
                    back.append((turned, term.block_in in message))
                    message.add(term.block_in)
                elif step.source in moving:
                    back.append((turned, (step.source, term.block_in) in written))
                    written.add((step.source, term.block_in))
            blocks = {path.block_in for path in step.table.paths} if isinstance(step, _Convolve) else set()
        else:
            blocks = set()
        for block in blocks:
            assert step.source is not None
            if (step.source, block) in written:
                raise NotLowered("features that feed a convolution or a gate, and something else besides")
            written.add((step.source, block))
        result.append(back)
    return result[::-1]


def _term_numbers(
    terms: Sequence[tuple[Term, bool]], irreps_in: Irreps, irreps_out: Irreps
) -> tuple[list[int], list[int], list[Numbers]]:
    """Six numbers a term (csrc/program.h, LinearTerm), the addresses of the weights, and the weights themselves."""
    starts_in = [columns.start for columns in irreps_in.slices()]
    starts_out = [columns.start for columns in irreps_out.slices()]
    numbers: list[int] = []
    weights = [np.ascontiguousarray(term.weight, dtype=np.float64) for term, _ in terms]
    for term, adds in terms:
        channels_in, ir = irreps_in[term.block_in]
        channels_out = irreps_out[term.block_out][0]
        numbers += [
            starts_in[term.block_in],
            channels_in,
            starts_out[term.block_out],
            channels_out,
            ir.dim,
            int(adds),
        ]
    return numbers, [weight.ctypes.data for weight in weights], weights


def _gate_numbers(step: _Gate) -> tuple[list[int], list[float]]:
    """Seven numbers an item (csrc/network.h), and the factors."""
    starts_in = [columns.start for columns in step.source.irreps.slices()]
    starts_out = [columns.start for columns in step.out.irreps.slices()]
    numbers: list[int] = []
    for item in step.items:
        channels, ir = step.out.irreps[item.block_out]
        block = item.gate if item.block is None else item.block
        numbers += [int(item.block is None), _FUNCTIONS[item.function], channels, ir.dim]
        numbers += [starts_in[block], starts_in[item.gate], starts_out[item.block_out]]
    return numbers, [item.factor for item in step.items]
