"""From the steps of a program to what the compiled core takes: what inference and training share.

What the result does not depend on is left out block by block, paths of a convolution too; arrays get their places;
linear maps are turned round for derivatives.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from cynosure.kernels import core
from cynosure.kernels.paths import PathTable
from cynosure.kernels.plan import MAX_DEGREE
from cynosure.kernels.program import (
    Contract,
    Convolve,
    Embed,
    Gate,
    Linear,
    NotLowered,
    Program,
    Step,
    Term,
    Value,
    Weights,
)
from cynosure.o3 import Irreps

# As the core counts them (csrc/program.h).
FUNCTIONS = {"identity": 0, "silu": 1, "tanh": 2, "sigmoid": 3, "over": 4}
BASES = {"bessel": 0, "gaussian": 1, "chebyshev": 2}


def lowered(program: Program, result: Value) -> tuple[list[Step], Value]:
    """The steps that `result` depends on; it is one number a node, the network's energy.

    Raises:
        NotLowered: when the core is off, or a degree is beyond what it holds.
    """
    if not core.available():
        raise NotLowered("the compiled core is off or was not built")
    if result.irreps.dim != 1:
        raise NotLowered(f"the result has irreps {result.irreps}; one scalar was expected")
    steps, result = without_unused(program.steps, result)
    if any(isinstance(step, Convolve) and step.table.max_degree > MAX_DEGREE for step in steps):
        raise NotLowered(f"degrees beyond {MAX_DEGREE}")
    return steps, result


class _Kept:
    """A value with the blocks that are left of it, and how they are counted now."""

    def __init__(self, value: Value, blocks: set[int]) -> None:
        order = sorted(blocks)
        self.value = Value(Irreps([value.irreps[block] for block in order]))
        self.number = {block: place for place, block in enumerate(order)}


def without_unused(steps: Sequence[Step], result: Value) -> tuple[list[Step], Value]:
    """The steps and blocks that the result depends on, and the result among them."""
    needed: dict[Value, set[int]] = {result: set(range(len(result.irreps)))}
    reached: list[Step] = []
    for step in reversed(steps):
        wanted = needed.get(step.out)
        if wanted is None:
            continue
        if isinstance(step, Embed):
            reached.append(step)
            continue
        if isinstance(step, Contract):
            # (Its polynomials share their trees: all of them, or none.)
            wanted.update(range(len(step.out.irreps)))
            used = set(range(len(step.source.irreps)))
        elif isinstance(step, Gate):
            step = replace(step, items=tuple(item for item in step.items if item.block_out in wanted))
            used = {block for item in step.items for block in (item.block, item.gate) if block is not None}
        else:
            step = replace(step, terms=tuple(term for term in step.terms if term.block_out in wanted))
            used = {term.block_in for term in step.terms}
            if isinstance(step, Convolve):
                used = {step.table.paths[path].block_in for path in used}
        if used:
            reached.append(step)
            needed.setdefault(step.source, set()).update(used)
    kept = {value: _Kept(value, blocks) for value, blocks in needed.items()}
    return [_renumbered(step, kept) for step in reversed(reached)], kept[result].value


def _renumbered(step: Step, kept: Mapping[Value, _Kept]) -> Step:
    """The step with its values and blocks as they are now."""
    out = kept[step.out]
    if isinstance(step, Embed):
        columns = [np.arange(step.out.irreps.dim)[step.out.irreps.slices()[block]] for block in out.number]
        return Embed(out.value, _columns(step.table, np.concatenate(columns)))
    source = kept[step.source]
    if isinstance(step, Contract):
        return replace(step, source=source.value, out=out.value)
    if isinstance(step, Gate):
        items = [
            replace(
                item,
                block=None if item.block is None else source.number[item.block],
                gate=source.number[item.gate],
                block_out=out.number[item.block_out],
            )
            for item in step.items
        ]
        return Gate(source.value, out.value, tuple(items))
    if isinstance(step, Linear):
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
        weights=_columns(step.weights, np.concatenate(columns)),
    )


def _columns(weights: Weights, which: NDArray[np.int64]) -> Weights:
    return replace(weights, columns=weights.columns[which])


# A derivative array is a value and True, the value's own array is the value and False.
Place = tuple[Value, bool]


def arrange(steps: Sequence[Step], result: Value) -> tuple[dict[Place, int], int]:
    """Where each array lies in the arena, and how large that is, in numbers a node.

    Steps from one convolution up to the next are a segment: nodes go through it at different times. Segment s runs at
    time s forward and at 2 n − s backward, n being the number of segments. An array is alive from its first writer to
    its last reader; the largest are placed first, each as low as those alive with it allow.
    """
    segments = np.cumsum([s > 0 and isinstance(step, Convolve) for s, step in enumerate(steps)]).tolist()
    number = segments[-1] + 1
    last = 2 * number
    times: dict[Place, list[int]] = {(result, False): [number], (result, True): [number]}
    moving = depend_on_vectors(steps)
    for s, step in zip(segments, steps, strict=True):
        times.setdefault((step.out, False), []).append(s)
        if step.source is not None:
            reads_again = isinstance(step, Convolve | Contract | Gate)
            times.setdefault((step.source, False), []).extend([s, last - s] if reads_again else [s])
        for value in (step.source, step.out):
            if value is not None and value in moving and step.out in moving:
                times.setdefault((value, True), []).append(last - s)
    lives = {place: (min(found), max(found)) for place, found in times.items()}
    placed: dict[Place, int] = {}
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


def depend_on_vectors(steps: Sequence[Step]) -> set[Value]:
    moving: set[Value] = set()
    for step in steps:
        if isinstance(step, Convolve) or (step.source is not None and step.source in moving):
            moving.add(step.out)
    return moving


class MapTerm(NamedTuple):
    """A term of a linear map as the core takes it: does it add to what is there, and is it turned round?"""

    term: Term
    adds: bool
    turned: bool = False


def forward_terms(steps: Sequence[Step]) -> list[list[MapTerm]]:
    """For each step, the terms of its linear map."""
    written: set[tuple[Value, int]] = set()
    result: list[list[MapTerm]] = []
    for step in steps:
        terms: list[MapTerm] = []
        if isinstance(step, Linear | Convolve):
            for term in step.terms:
                cell = (step.out, term.block_out)
                terms.append(MapTerm(term, cell in written))
                written.add(cell)
        result.append(terms)
    return result


def turned_terms(steps: Sequence[Step], wanted: Collection[Value]) -> list[list[MapTerm]]:
    """For each step, the terms of its linear map turned round, for derivatives with respect to the values `wanted`.

    Raises:
        NotLowered: a value feeds a convolution, a contraction or a gate, and something else after it.
    """
    written: set[tuple[Value, int]] = set()
    result: list[list[MapTerm]] = []
    for step in reversed(steps):
        terms: list[MapTerm] = []
        blocks: set[int] = set()
        if isinstance(step, Convolve):
            # Its own map leads back to its message, which nothing else reads.
            message: set[int] = set()
            for term in step.terms:
                terms.append(MapTerm(term, term.block_in in message, turned=True))
                message.add(term.block_in)
            blocks = {path.block_in for path in step.table.paths}
        elif isinstance(step, Linear) and step.source in wanted:
            for term in step.terms:
                cell = (step.source, term.block_in)
                terms.append(MapTerm(term, cell in written, turned=True))
                written.add(cell)
        elif isinstance(step, Contract):
            blocks = set(range(len(step.source.irreps)))
        elif isinstance(step, Gate):
            blocks = {block for item in step.items for block in (item.block, item.gate) if block is not None}
        for block in blocks:
            assert step.source is not None
            if (step.source, block) in written:
                raise NotLowered(
                    "features that feed a convolution, contraction or gate, and something else besides"
                )
            written.add((step.source, block))
        result.append(terms)
    return result[::-1]


def term_numbers(terms: Sequence[MapTerm], irreps_in: Irreps, irreps_out: Irreps) -> list[int]:
    """Six numbers a term (csrc/program.h, LinearTerm); the irreps are those of the map before it is turned round."""
    starts_in = [columns.start for columns in irreps_in.slices()]
    starts_out = [columns.start for columns in irreps_out.slices()]
    numbers: list[int] = []
    for term, adds, turned in terms:
        channels_in, ir = irreps_in[term.block_in]
        from_side = [starts_in[term.block_in], channels_in]
        to_side = [starts_out[term.block_out], irreps_out[term.block_out][0]]
        numbers += [*to_side, *from_side] if turned else [*from_side, *to_side]
        numbers += [ir.dim, int(adds)]
    return numbers


def sides(step: Linear | Convolve) -> tuple[Irreps, Irreps]:
    """The irreps that a step's linear map leads from and to."""
    return (step.table.irreps_out if isinstance(step, Convolve) else step.source.irreps), step.out.irreps


def gate_numbers(step: Gate) -> tuple[list[int], list[float]]:
    """Seven numbers an item (csrc/network.h), and the factors."""
    starts_in = [columns.start for columns in step.source.irreps.slices()]
    starts_out = [columns.start for columns in step.out.irreps.slices()]
    numbers: list[int] = []
    for item in step.items:
        channels, ir = step.out.irreps[item.block_out]
        block = item.gate if item.block is None else item.block
        numbers += [int(item.block is None), FUNCTIONS[item.function], channels, ir.dim]
        numbers += [starts_in[block], starts_in[item.gate], starts_out[item.block_out]]
    return numbers, [item.factor for item in step.items]


# Below about this many paths of edges, measured on two cores, one thread is as fast as two.
_PATHS_OF_EDGES_PER_THREAD = 10_000


def threads_for(paths_of_edges: int) -> int:
    """How many threads to run on: they meet after every step, and what they save must be more than that."""
    return 1 if paths_of_edges < _PATHS_OF_EDGES_PER_THREAD else torch.get_num_threads()
