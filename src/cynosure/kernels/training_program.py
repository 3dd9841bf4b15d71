"""A network in the compiled core, for training on energies and on derivatives with respect to edge vectors.

One torch operation gives the network's outputs f_i and G_e, the derivatives of Σ_i seed_i f_i with respect to the edge
vectors; its derivative rule is a second pass of the core (csrc/train.h), with respect to all weights at once. Nothing
in between is a torch operation.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from cynosure.kernels import core
from cynosure.kernels.contraction import trees_of
from cynosure.kernels.lowering import (
    BASES,
    FUNCTIONS,
    MapTerm,
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
    Derived,
    Embed,
    Gate,
    Linear,
    NotLowered,
    Program,
    Step,
    Value,
    Weights,
    tensor_of,
)


class TrainingProgram:
    """A network whose outputs and edge derivatives can be differentiated, once, with respect to its weights.

    The weights stay the parameters that the program names; their numbers are taken over at every call.

    Args:
        program: the network.
        result: which of its values is the energy of each node.
        dtype: of the parameters, float32 or float64.

    Raises:
        NotLowered: the core is off, or lacks what the network needs.
    """

    def __init__(self, program: Program, result: Value, dtype: torch.dtype) -> None:
        steps, result = lowered(program, result)
        module = core.module()
        assert module is not None, "`lowered` refuses where it is not there"
        self.dtype = dtype
        self._weights = _WeightVector(dtype)
        moving = depend_on_vectors(steps)
        if any(isinstance(step, Gate | Contract) and step.source not in moving for step in steps):
            raise NotLowered("a gate or a contraction of features that do not depend on positions")
        self._paths = sum(len(step.table.paths) for step in steps if isinstance(step, Convolve))
        places = _Places(steps, moving)
        turned = turned_terms(steps, moving)
        adjoint = turned_terms(steps, {step.source for step in steps if step.source is not None})
        calls: list[tuple[str, tuple[Any, ...]]] = []
        for step, *maps in zip(steps, forward_terms(steps), turned, adjoint, strict=True):
            calls.append(self._call(step, maps, places))
            if isinstance(step, Convolve):
                calls.append(self._radial(step))
        bases = self._weights.finish()
        self._network = module.network(
            dtype == torch.float32, program.l_max, program.num_species, bases[False], self._weights.count
        )
        for name, arguments in calls:
            getattr(self._network, name)(*_with_addresses(arguments, bases, dtype.itemsize))
        energy, of_energy = places.at(result, "value"), places.at(result, "of")
        self._network.finish(places.arena, [energy[0], of_energy[0]])
        self._memory: list[Tensor] = []

    def __call__(
        self, receivers: Tensor, senders: Tensor, species: Tensor, vectors: Tensor, seed: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Evaluate the network, differentiably with respect to its parameters.

        Args:
            receivers, senders: [E] int64.
            species: [N] int64.
            vectors: [E, 3] float64, Å.
            seed: [N], the weight of each output in what is differentiated.

        Returns:
            f [N] and G [E, 3], ∂(Σ seed · f)/∂vectors, in the program's dtype.

        Raises:
            ValueError: an index that is out of range.
        """
        arrays = (receivers, senders, species, vectors.to(torch.float64), seed.to(self.dtype))
        return _Network.apply(self, [array.contiguous() for array in arrays], *self._weights.tensors())

    def first(self, arrays: Sequence[Tensor], weights: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """The pass that gives f and G, and the memory that the second pass reads."""
        receivers, senders, species, vectors, seed = arrays
        nodes, edges = species.shape[0], receivers.shape[0]
        self._weights.refresh(weights)
        memory = self._borrow(self._network.train_memory(nodes, edges))
        output, gradient = torch.empty(nodes, dtype=self.dtype), torch.empty(edges, 3, dtype=self.dtype)
        self._network.train_first(
            nodes,
            edges,
            *(array.data_ptr() for array in (receivers, senders, species, vectors, seed, memory)),
            output.data_ptr(),
            gradient.data_ptr(),
            threads_for(edges * self._paths),
        )
        return output, gradient, memory

    def second(
        self, arrays: Sequence[Tensor], memory: Tensor, of_output: Tensor, of_gradient: Tensor
    ) -> list[Tensor]:
        """Derivatives with respect to the parameters."""
        receivers, senders, species, *_ = arrays
        nodes, edges = species.shape[0], receivers.shape[0]
        of_weights = torch.empty(self._weights.count, dtype=self.dtype)
        of_output, of_gradient = of_output.contiguous(), of_gradient.contiguous()
        self._network.train_second(
            nodes,
            edges,
            *(array.data_ptr() for array in (receivers, senders, species, memory)),
            of_output.data_ptr(),
            of_gradient.data_ptr(),
            of_weights.data_ptr(),
            threads_for(edges * self._paths),
        )
        self._memory.append(memory)
        return self._weights.to_parameters(of_weights)

    def _borrow(self, size: int) -> Tensor:
        """Memory that an earlier step has given back, where it is large enough: new pages cost time."""
        while self._memory:
            memory = self._memory.pop()
            if memory.numel() >= size:
                return memory
        return torch.empty(size + size // 8, dtype=self.dtype)

    def _call(
        self, step: Step, maps: Sequence[Sequence[MapTerm]], places: _Places
    ) -> tuple[str, tuple[Any, ...]]:
        """What to call on the core's network, its weights by their places (`_At`)."""
        arrays = places.numbers(step)
        if isinstance(step, Embed):
            return "embed", (arrays, self._weights.add(step.table))
        if isinstance(step, Contract):
            return "contract", (arrays, trees_of(step.table.key), self._weights.add(step.coefficients))
        if isinstance(step, Gate):
            return "gate", (arrays, *gate_numbers(step))
        listed = []
        for terms in maps:
            numbers = term_numbers(terms, *sides(step))
            listed.append((numbers, [self._weights.add(entry.term.weights, entry.turned) for entry in terms]))
        if isinstance(step, Linear):
            return "linear", (arrays, step.by_species, listed)
        plan, weight = plan_of(step.table.key), self._weights.add(step.weights)
        tables = intervals = 1
        return "convolve", (arrays, plan, weight, tables, intervals, len(step.weights.rows), 0.0, listed)

    def _radial(self, step: Convolve) -> tuple[str, tuple[Any, ...]]:
        """The same for its radial functions."""
        radial = step.radial.layers()
        sizes = [len(radial.factors), *(len(layer.columns) for layer in radial.layers)]
        weights = [self._weights.add(layer, turned) for layer in radial.layers for turned in (False, True)]
        basis = (BASES[radial.basis], radial.power, radial.cutoff, list(radial.factors))
        return "radial", (*basis, FUNCTIONS[radial.function], radial.factor, sizes, weights)


class _Network(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, program: TrainingProgram, arrays: list[Tensor], *weights: Tensor) -> Any:
        output, gradient, memory = program.first(arrays, weights)
        ctx.program, ctx.arrays, ctx.memory = program, arrays, memory
        return output, gradient

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_output: Tensor, of_gradient: Tensor) -> Any:
        if ctx.memory is None:
            raise RuntimeError("a step of training can be differentiated once; evaluate the model again")
        of_parameters = ctx.program.second(ctx.arrays, ctx.memory, of_output, of_gradient)
        ctx.memory = None
        return None, None, *of_parameters


class _At(NamedTuple):
    """A place among the weights, or among those turned round; it becomes an address."""

    place: int
    turned: bool


class _Places:
    """Where each array lies in the memory of a step, [N, dim] from N times the place on; all of them are kept.

    Of a value: itself, the derivative of Σ seed · f with respect to it (`of`), its derivative along the direction that
    the loss gives (`along`), and the derivative of the loss with respect to it (`adjoint`).
    """

    def __init__(self, steps: Sequence[Step], moving: Collection[Value]) -> None:
        self.arena = 0
        self._places: dict[tuple[object, str], tuple[int, int]] = {}
        for step in steps:
            if (step.out, "value") not in self._places:
                kinds = ("value", "adjoint", "of", "along") if step.out in moving else ("value", "adjoint")
                self._place(step.out, step.out.irreps.dim, kinds)
            if isinstance(step, Convolve):
                self._place(id(step), step.table.irreps_out.dim, ("message", "along message"))

    def _place(self, owner: object, dim: int, kinds: Sequence[str]) -> None:
        for kind in kinds:
            self._places[owner, kind] = (self.arena, dim)
            self.arena += dim

    def at(self, owner: object, kind: str) -> tuple[int, int]:
        """Place and dimension; zeros for what there is not."""
        return self._places.get((owner, kind), (0, 0))

    def numbers(self, step: Step) -> list[int]:
        """In the order of csrc/network.h."""
        pairs = [
            self.at(value, kind)
            for kind in ("value", "of", "along", "adjoint")
            for value in (step.source, step.out)
        ]
        pairs += [self.at(id(step), "message"), self.at(id(step), "along message")]
        return [number for pair in pairs for number in pair]


class _WeightVector:
    """All weights of the steps in one vector, and in another one turned round, gathered from the parameters.

    Both are copies: of numbers that fit the caches, which costs less than reading them crosswise.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self.parameters: list[Tensor | Derived] = []
        self._dtype = dtype
        self._known: dict[tuple[int, bool], _At] = {}
        self._kept: list[Weights] = []  # so that no two of them have one id
        self._places: dict[bool, list[tuple[int, NDArray[np.int64], float]]] = {False: [], True: []}
        self._sizes = {False: 0, True: 0}

    @property
    def count(self) -> int:
        """How many there are, each once."""
        return self._sizes[False]

    def add(self, weights: Weights, turned: bool = False) -> _At:
        key = (id(weights), turned)
        if key not in self._known:
            self._kept.append(weights)
            number = next((n for n, p in enumerate(self.parameters) if p is weights.parameter), None)
            if number is None:
                number = len(self.parameters)
                self.parameters.append(weights.parameter)
            places = weights.places()
            places = np.swapaxes(places, -1, -2) if turned else places
            self._places[turned].append((number, places.reshape(-1), weights.scale))
            self._known[key] = _At(self._sizes[turned], turned)
            self._sizes[turned] += places.size
        return self._known[key]

    def finish(self) -> dict[bool, int]:
        """Make the vectors; returns their addresses, of the weights and of those turned round."""
        sizes = [math.prod(parameter.shape) for parameter in self.parameters]
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self._shapes = [
            (parameter.shape, size) for parameter, size in zip(self.parameters, sizes, strict=True)
        ]
        total = int(starts[-1])
        index, scale = [], []
        for turned in (False, True):
            for number, places, factor in self._places[turned]:
                index.append(starts[number] + places)
                scale.append(np.full(len(places), factor))
        self._index = torch.from_numpy(np.concatenate(index))
        self._scale = torch.from_numpy(np.concatenate(scale)).to(self._dtype)
        own = self._index[: self.count]
        if len(torch.unique(own)) != len(own):
            raise NotLowered("a weight that serves twice")
        self._sources = torch.zeros(total, dtype=torch.int64)
        self._sources[own] = torch.arange(self.count)
        self._factors = torch.zeros(total, dtype=self._dtype)
        self._factors[own] = self._scale[: self.count]
        self._vector = torch.empty(len(self._index), dtype=self._dtype)
        base = self._vector.data_ptr()
        return {False: base, True: base + self.count * self._dtype.itemsize}

    def tensors(self) -> list[Tensor]:
        """The parameters, and what follows from them now."""
        return [tensor_of(parameter) for parameter in self.parameters]

    def refresh(self, tensors: Sequence[Tensor]) -> None:
        """Take over the numbers of `tensors`."""
        flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
        torch.index_select(flat, 0, self._index, out=self._vector)
        self._vector.mul_(self._scale)

    def to_parameters(self, of_weights: Tensor) -> list[Tensor]:
        """Derivatives with respect to the parameters; zero where nothing depends on one."""
        flat = of_weights.index_select(0, self._sources).mul_(self._factors)
        parts = flat.split([size for _, size in self._shapes])
        return [part.view(shape) for part, (shape, _) in zip(parts, self._shapes, strict=True)]


def _with_addresses(value: Any, bases: dict[bool, int], itemsize: int) -> Any:
    if isinstance(value, _At):
        return bases[value.turned] + value.place * itemsize
    if isinstance(value, list | tuple):
        return type(value)(_with_addresses(item, bases, itemsize) for item in value)
    return value
