"""The training path: a potential whose outputs can be differentiated with respect to its parameters, made fast."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy

import torch
from torch import Tensor

from cynosure.graph import AtomGraph
from cynosure.kernels import NotLowered, TrainingProgram
from cynosure.potentials import derivatives
from cynosure.potentials.agreement import CHECKED, check_agreement, probe_graph
from cynosure.potentials.base import Potential
from cynosure.potentials.settings import PLAIN


class Trainable:
    """Evaluates a potential as `Potential.forward(…, differentiable=True)` does, for training.

    The network's energies, their derivatives and the derivatives of these with respect to all weights are three runs of
    the compiled core (`kernels.TrainingProgram`), without an autograd graph in between. Where that cannot be (another
    device, an architecture or a setting without a counterpart in the core, no core) the potential itself is called.

    Before the core is used for the first time, its results for a small structure are compared with the potential's.

    Results can be differentiated with respect to the parameters once; for more, call the potential itself.

    Args:
        model: the potential. Its parameters may change between calls; its structure may not.

    Attributes:
        model: the potential.
        why_not: why the core does not serve; None where it does.
    """

    def __init__(self, model: Potential) -> None:
        self.model = model
        self.why_not: str | None = None
        self._program: TrainingProgram | None = None
        self._buffers = [buffer for buffer in model.buffers() if not buffer.is_inference()]
        self._state: tuple | None = None

    @property
    def engine(self) -> str:
        """`core` or `autograd`: what evaluates the network."""
        self._prepare()
        return "autograd" if self._program is None else "core"

    def _prepare(self) -> None:
        """Lower the network, at first and whenever more has changed than the numbers of its parameters."""
        model = self.model
        # (Programs hold factors made from buffers.)
        state = (sum(buffer._version for buffer in self._buffers), model.dtype, model.device)
        if state == self._state:
            return
        # (The state is kept last: what was refused once is refused again.)
        self._state, self._program, self.why_not = None, None, None
        if model.device.type != "cpu":
            self.why_not = f"the model is on {model.device}"
        else:
            try:
                program = TrainingProgram(*model.lowered(), model.dtype)
            except NotLowered as reason:
                self.why_not = str(reason)
            else:
                graph, exact = probe_graph(model), deepcopy(model).to(torch.float64)
                check_agreement(exact, graph, self._evaluate(program, graph, set(CHECKED)), model.dtype)
                self._program = program
        self._state = state

    def __call__(self, graph: AtomGraph, outputs: Iterable[str] = ("energy", "forces")) -> dict[str, Tensor]:
        """Energy and what follows from it; arguments, results and errors as of `Potential.forward`."""
        wanted = self.model.require_outputs(outputs)
        self._prepare()
        if self._program is None or not wanted <= PLAIN:
            return self.model(graph, wanted, differentiable=True)
        return self._evaluate(self._program, graph, wanted)

    def _evaluate(self, program: TrainingProgram, graph: AtomGraph, wanted: set[str]) -> dict[str, Tensor]:
        model, species = self.model, self.model.index_of(graph.atomic_numbers)
        _, scale, _ = model.per_species(species)
        vectors = graph.edge_vectors()
        is_lone = model.calibration.e0_kind != "fitted"
        kinds = torch.arange(len(model.species)) if is_lone else species[:0]
        # Lone atoms, whose energies are subtracted, ride along: they have no edges, and so no part in derivatives.
        network, gradient = program(
            graph.receivers,
            graph.senders,
            torch.cat([species, kinds]),
            vectors,
            torch.cat([scale, scale.new_zeros(len(kinds))]),
        )
        network = network.to(torch.float64)
        if is_lone:
            network, lone = network.split([graph.num_atoms, len(kinds)])
            network = model.above_lone_atoms(graph, network, lone.index_select(0, species))
        added, of_added = self._added(graph, species, vectors.to(model.dtype))
        energies = scale * network + added
        if of_added is not None:
            gradient = gradient + of_added
        return derivatives.outputs(graph, energies, vectors.to(model.dtype), gradient, wanted)

    def _added(self, graph: AtomGraph, species: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor | None]:
        """The energies beside the network and their derivative with respect to the vectors; no weight is in them."""
        if not self.model.adds_pairs or vectors.shape[0] == 0:
            with torch.no_grad():
                return self.model.added_energies(graph, species, vectors), None
        with torch.enable_grad():
            vectors = vectors.detach().requires_grad_()
            energies = self.model.added_energies(graph, species, vectors)
            return energies.detach(), derivatives.edge_gradient(energies, vectors, differentiable=False)
