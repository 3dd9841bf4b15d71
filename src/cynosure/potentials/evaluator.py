"""The inference path: energy and its derivatives without an autograd graph, where the compiled core can give them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor

from cynosure.graph import AtomGraph, nearby_order
from cynosure.kernels import CompiledProgram, NotLowered, core
from cynosure.potentials import derivatives
from cynosure.potentials.agreement import CHECKED, check_agreement, probe_graph
from cynosure.potentials.base import Potential
from cynosure.potentials.committee import Committee, members_of
from cynosure.potentials.settings import PLAIN

# From so many atoms on the features of neighbours no longer lie in the cache by themselves, whatever the order.
_LARGE = 4_000
# Of so many species a network has radial functions from the start, if they differ from pair to pair; of others when a
# structure has them.
_AT_FIRST = 3


class _Atoms(NamedTuple):
    """What depends on the elements of a graph alone, kept while they stay."""

    atomic_numbers: Tensor
    version: int
    species: Tensor
    scale: Tensor
    constant: Tensor  # E0 + shift
    lone: Tensor | None  # network energy of each atom alone, where it is subtracted


class Evaluator:
    """Evaluates a potential as `Potential.forward` does, but faster and not differentiably.

    The whole network runs forward and backward in one call of the compiled core: no graph of operations is built, what
    does not reach the energy is left out, radial networks are tabulated (`kernels.tabulate`; in float32 the table is
    as exact as the rounding, in float64 to 1e-12), and memory is kept between calls. Where that cannot be (another
    device, an architecture or a setting without a counterpart in the core, no core) the potential itself is called.

    Before the core is used for the first time, its results for a small structure are compared with the reference's.

    Weights that change in place, by training or `load_state_dict`, are noticed and taken over at the next call.

    Each member of an ensemble has a program of its own; all of them run on one graph.

    Args:
        model: the potential; it is not changed.

    Attributes:
        model: the potential.
        why_not: why the core does not serve; None where it does.
    """

    def __init__(self, model: Potential) -> None:
        self.model = model
        self.why_not: str | None = None
        members = members_of(model) if isinstance(model, Committee) else []
        self._members = [Evaluator(member) for member in members]
        self._program: CompiledProgram | None = None
        # (A tensor made in inference mode never changes, and counts no versions.)
        self._tensors = [t for t in (*model.parameters(), *model.buffers()) if not t.is_inference()]
        self._state: tuple | None = None
        self._atoms: _Atoms | None = None
        self._seen: set[int] = set()  # species of structures that were evaluated

    @property
    def engine(self) -> str:
        """`core` or `autograd`: what evaluates the network; `autograd` if it is that for any member of an ensemble."""
        return "core" if self.programs else "autograd"

    @property
    def instruction_set(self) -> str | None:
        """What the core computes with (`avx512`, `avx2`, `portable`), None where autograd serves."""
        return core.isa() if self.programs else None

    @property
    def programs(self) -> tuple[CompiledProgram, ...]:
        """The network in the core, that of each member of an ensemble; none where autograd serves, if only for one."""
        self._prepare()
        networks = self._members or [self]
        found = tuple(network._program for network in networks if network._program is not None)
        return found if len(found) == len(networks) else ()

    def evaluate(self, graph: AtomGraph, outputs: Iterable[str] = ("energy", "forces")) -> dict[str, Tensor]:
        """Energy and what follows from it; arguments, results and errors as of `Potential.forward`."""
        wanted = self.model.require_outputs(outputs)
        if isinstance(self.model, Committee):
            return self.model.combine(wanted, [network.evaluate for network in self._members], graph)
        self._prepare()
        if self._program is None or graph.positions.device.type != "cpu" or not wanted <= PLAIN:
            return self.model(graph, wanted)
        with torch.inference_mode(False), torch.no_grad():
            program = self._covering(self._program, graph)
            return self.model(graph, wanted) if program is None else self._evaluate(program, graph, wanted)

    def _evaluate(self, program: CompiledProgram, graph: AtomGraph, wanted: set[str]) -> dict[str, Tensor]:
        atoms = self._of_atoms(program, graph.atomic_numbers)
        derived = bool(wanted & derivatives.NAMES)
        virials = bool(wanted & {"stress", "virials"})
        vectors = graph.edge_vectors()
        network, forces, of_cell = program.run(
            graph.receivers,
            graph.senders,
            atoms.species,
            vectors,
            atoms.scale if derived else None,
            virials=virials,
            visits=nearby_order(graph) if graph.num_structures == 1 and graph.num_atoms >= _LARGE else None,
        )
        network = network.to(torch.float64)
        if atoms.lone is not None:
            network = self.model.above_lone_atoms(graph, network, atoms.lone)
        if self.model.adds_pairs:
            added, added_forces, added_virials = self._added(graph, atoms.species, vectors, derived)
            if forces is not None:
                forces = forces + added_forces
            if of_cell is not None:
                of_cell = of_cell + added_virials
        else:
            added = atoms.constant
        energies = atoms.scale * network + added
        results = {"energies": energies}
        if "energy" in wanted:
            results["energy"] = energies.new_zeros(graph.num_structures).index_add(
                0, graph.structure, energies
            )
        if forces is not None:
            results["forces"] = forces
        if of_cell is not None:
            results["virials"] = of_cell.to(self.model.dtype)
            if "stress" in wanted:
                results["stress"] = derivatives.stress_from_virials(graph, of_cell).to(self.model.dtype)
        return {name: results[name] for name in wanted}

    def _added(
        self, graph: AtomGraph, species: Tensor, vectors: Tensor, derived: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Energies, forces and virials of the terms beside the network: a few operations, through autograd."""
        vectors = vectors.to(self.model.dtype).detach()
        with torch.set_grad_enabled(derived):
            energies = self.model.added_energies(graph, species, vectors.requires_grad_(derived))
            if not energies.requires_grad:  # none wanted, or no edges
                zero = vectors.new_zeros(())
                return energies, zero, zero
            gradient = derivatives.edge_gradient(energies, vectors, differentiable=False)
        vectors = vectors.detach()
        return (
            energies.detach(),
            derivatives.forces(graph, gradient),
            derivatives.virials(graph, vectors, gradient),
        )

    def _covering(self, program: CompiledProgram, graph: AtomGraph) -> CompiledProgram | None:
        """The program itself, or one that knows the graph's species too, where radial functions are by pair of them.

        None if there can be none for these species.
        """
        if program.covered is None or self._kept(graph.atomic_numbers) is not None:
            return program
        species = set(self.model.index_of(graph.atomic_numbers).tolist())
        if species <= program.covered:
            self._seen |= species
            return program
        self._seen |= species
        self._compile(sorted(self._seen))
        return self._program

    def _kept(self, atomic_numbers: Tensor) -> _Atoms | None:
        kept, version = self._atoms, 0 if atomic_numbers.is_inference() else atomic_numbers._version
        same = kept is not None and kept.atomic_numbers is atomic_numbers and kept.version == version
        return kept if same else None

    def _of_atoms(self, program: CompiledProgram, atomic_numbers: Tensor) -> _Atoms:
        if (kept := self._kept(atomic_numbers)) is not None:
            return kept
        version = 0 if atomic_numbers.is_inference() else atomic_numbers._version
        species = self.model.index_of(atomic_numbers)
        e0, scale, shift = self.model.per_species(species)
        lone = None
        if self.model.calibration.e0_kind != "fitted":
            none, kinds = torch.zeros(0, dtype=torch.int64), species.unique()
            network, _, _ = program.run(none, none, kinds, torch.zeros(0, 3, dtype=torch.float64))
            lone = network.to(torch.float64).index_select(0, torch.searchsorted(kinds, species))
        self._atoms = _Atoms(atomic_numbers, version, species, scale, e0 + shift, lone)
        return self._atoms

    def _prepare(self) -> None:
        """Bring the network into the core, at first and whenever its weights have changed."""
        if self._members:
            for network in self._members:
                network._prepare()
            self.why_not = next((network.why_not for network in self._members if network.why_not), None)
            return
        first = next(self.model.parameters())
        versions = sum(tensor._version for tensor in self._tensors)
        state = (versions, first.dtype, first.device, first.data_ptr())
        if state == self._state:
            return
        # (The state is kept last: what was refused once is refused again.)
        self._state, self._program, self._atoms, self.why_not = None, None, None, None
        if self.model.device.type != "cpu":
            self.why_not = f"the model is on {self.model.device}"
        else:
            self._compile(sorted(self._seen) or range(min(len(self.model.species), _AT_FIRST)))
        self._state = state

    def _compile(self, species: Sequence[int]) -> None:
        """Bring the network into the core, with radial functions of these species at least, and check it."""
        self._program, self._atoms = None, None
        with torch.inference_mode(False):
            exact = deepcopy(self.model).to(torch.float64).requires_grad_(False)
            try:
                program = CompiledProgram(*exact.lowered(), self.model.dtype, species)
            except NotLowered as reason:
                self.why_not = str(reason)
                return
            graph = probe_graph(exact, program.covered)
            with torch.no_grad():
                found = self._evaluate(program, graph, set(CHECKED))
            check_agreement(exact, graph, found, self.model.dtype)
            self._program = program
