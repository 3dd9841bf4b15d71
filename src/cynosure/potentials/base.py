"""What every potential shares: from network energies to total energy, forces and stress.

A model writes one method, `atomic_energies`; the physics around it lives here once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from ase import Atoms
from torch import Tensor, nn

from cynosure.graph import AtomGraph, Rows, from_arrays
from cynosure.graph.points import MOST_KINDS
from cynosure.kernels import NotLowered, Program, Value
from cynosure.nn import polynomial_envelope
from cynosure.potentials import derivatives
from cynosure.potentials.responses import HESSIAN, Leaves
from cynosure.potentials.settings import OUTPUTS, UNCERTAINTIES, Calibration, PotentialConfig, Range
from cynosure.potentials.zbl import UNIVERSAL, zbl_energies


class Potential(nn.Module, ABC):
    """An interatomic potential. A subclass implements `atomic_energies` and nothing else.

    Per atom, with f the network, s its species and i the atom,

        E_i = E0[s] + scale[s] · (f_i − f_lone[s]) + shift[s] · φ_i + ZBL_i

    where f_lone (energy of an atom with no neighbours) is subtracted and φ_i switches from 0 to 1 with the
    number of neighbours if the E0s are energies of lone atoms; with fitted E0s, f_lone = 0 and φ = 1. The
    energy of a structure is summed in float64.

    Args:
        config: the architecture.
        calibration: species, E0s, scale and shift.

    Attributes:
        uncertainties: those of `UNCERTAINTIES` that are among its outputs.
        points: what its points are called.
        input_columns: those of a structure that hold what it is told.
    """

    def __init__(self, config: PotentialConfig, calibration: Calibration) -> None:
        super().__init__()
        self.uncertainties: Mapping[str, str] = {}
        self.config = config
        self.calibration = calibration
        # (Asked for at every step of dynamics, and settings work them out anew each time.)
        self.points = config.points.points
        self.input_columns = tuple(one for one in config.columns if one.role == "input")
        self.provenance: dict[str, Any] = {}
        index = torch.full((MOST_KINDS + 1,), -1, dtype=torch.int64, device="cpu")
        index[list(calibration.species)] = torch.arange(len(calibration.species), device="cpu")
        self._species_index = index
        # Not buffers: `model.float()` would round an E0 of −2000 eV to 0.1 meV.
        self._per_species = torch.tensor(
            [calibration.e0s, calibration.scale, calibration.shift], dtype=torch.float64, device="cpu"
        )

    @abstractmethod
    def atomic_energies(self, graph: AtomGraph, species: Tensor, vectors: Tensor) -> Tensor:
        """The network: one dimensionless energy per atom.

        Args:
            graph: the structures; read `receivers`, `senders` and sizes from it.
            species: [N] int64, index of each atom's species in `calibration.species`.
            vectors: [E, 3] Å, displacement of each edge in the network's dtype. All dependence on positions
                must go through them.

        Returns:
            [N].
        """

    def lower(self) -> tuple[Program, Value]:
        """The network as a program of the compiled core, and the value that is `atomic_energies`.

        Called on a copy in float64 on the CPU.

        Raises:
            NotLowered: when the architecture, or a setting of it, has no counterpart there; it then runs through
                autograd (`Evaluator`).
        """
        raise NotLowered(f"the architecture {type(self).__name__}")

    def lowered(self) -> tuple[Program, Value]:
        """`lower`, if it speaks of this class's own `atomic_energies`.

        Raises:
            NotLowered: as `lower`; or a subclass has written `atomic_energies` anew and not `lower`, which would still
                describe the network of its parent.
        """
        for kind in type(self).__mro__:
            if "lower" in vars(kind):
                return self.lower()
            if "atomic_energies" in vars(kind):
                break
        raise NotLowered(f"the architecture {type(self).__name__}")

    @torch.no_grad()
    def normalise(self, graph: AtomGraph) -> None:
        """Bring the features of a freshly built network to unit mean square on a typical batch, layer after layer.

        Every layer that has a `normaliser`, a factor of its result, gets the one that does so. Analytic factors take
        neighbours, and components of a message, for independent; those of one species start with equal features, so
        that in a dense environment messages would grow by an order of magnitude from layer to layer.

        Args:
            graph: structures from the training data.
        """

        def rescale(layer: nn.Module, _: object, result: Tensor) -> Tensor:
            size = result.square().mean().sqrt()
            if not float(size) > 0:  # no edges: nothing to go by
                return result
            normaliser = layer.get_buffer("normaliser")
            normaliser /= size
            return result / size

        layers = [layer for layer in self.modules() if "normaliser" in layer._buffers]
        handles = [layer.register_forward_hook(rescale) for layer in layers]
        try:
            self(graph, ("energy",) if self.config.energy else tuple(self.config.targets))
        finally:
            for handle in handles:
                handle.remove()

    @property
    def species(self) -> tuple[int, ...]:
        """Atomic numbers that the model knows, ascending."""
        return self.calibration.species

    @property
    def cutoff(self) -> float:
        """Å."""
        return self.config.cutoff

    def graph_of(self, atoms: Atoms) -> AtomGraph:
        """The graph of a structure for this model, with the inputs that its columns hold, on the CPU.

        Raises:
            ValueError: whatever `neighbour_list` refuses; an input that is missing or does not fit; a point without its
                name.
        """
        return from_arrays(
            self.points.numbers(atoms),
            atoms.positions,
            atoms.cell.array,
            atoms.pbc,
            self.cutoff,
            inputs=self.inputs_of(atoms),
            quantities=self.config.told,
        )

    def inputs_of(self, atoms: Atoms) -> dict[str, Rows]:
        """The inputs that a structure's columns hold, by name.

        Raises:
            ValueError: an input that is missing or does not fit.
        """
        places, found = {"info": atoms.info, "arrays": atoms.arrays}, {}
        for one in self.input_columns:
            rows = one.rows(places, len(atoms))
            assert rows is not None, "an input that is missing is refused or has a default"
            found[one.name] = rows
        return found

    @property
    def promises_reflection(self) -> bool:
        """Whether mirror images are alike by construction: not if the settings have a `parity` that is off."""
        return getattr(self.config, "parity", True) is not False

    @property
    def promises_smooth_forces(self) -> bool:
        """Whether the slope of forces is continuous: not if the settings have the `envelope` whose curvature jumps."""
        return getattr(self.config, "envelope", "polynomial") != "xplor"

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def forward(
        self, graph: AtomGraph, outputs: Iterable[str] = ("energy", "forces"), *, differentiable: bool = False
    ) -> dict[str, Tensor]:
        """Energy and what follows from it.

        Args:
            graph: a batch of structures, built with this model's cutoff.
            outputs: any of `energy`, `energies`, `forces`, `stress`, `virials`, `hessian`, and of `uncertainties`,
                and the names of the settings' targets and derivatives.
            differentiable: keep the graph of operations, to train on the outputs.

        Returns:
            The outputs asked for: `energy` [S] eV and `energies` [N] eV in float64; `forces` [N, 3] eV/Å,
            `stress` [S, 3, 3] eV/Å³ (NaN where the cell has no volume) and `virials` [N, 3, 3] eV in the
            model's dtype. (Those of `uncertainties`: see `Committee`.) `hessian` [pairs, 3, 3] eV/Å², a block for
            each pair of atoms of a structure. Targets and derivatives as `config.outputs` says.

        Raises:
            ValueError: an output that the model does not have, or an element that it does not know.
        """
        wanted = self.require_outputs(outputs)
        derived = bool(wanted & derivatives.NAMES)
        named = {"hessian": HESSIAN, **self.config.derivatives}
        responses = {name: named[name] for name in named if name in wanted}
        with (
            torch.inference_mode(False),
            torch.set_grad_enabled(
                derived or bool(responses) or (differentiable and torch.is_grad_enabled())
            ),
        ):
            leaves = Leaves(graph, responses, self.dtype) if responses else None
            if leaves is not None:
                graph, vectors = leaves.graph, leaves.vectors
            else:
                vectors = graph.edge_vectors().to(self.dtype)
                if derived:
                    vectors = vectors.detach().requires_grad_()
            energies, results = self._told(
                graph, vectors, [name for name in self.config.targets if name in wanted]
            )
            if energies is not None:
                gradient = None
                if leaves is not None:
                    gradient, named = leaves.differentiate(
                        energies, by_edges=derived, differentiable=differentiable
                    )
                    results |= named
                elif derived:
                    gradient = derivatives.edge_gradient(energies, vectors, differentiable=differentiable)
                results |= derivatives.outputs(graph, energies, vectors, gradient, wanted)
        return {name: value if differentiable else value.detach() for name, value in results.items()}

    def require_outputs(self, outputs: Iterable[str]) -> set[str]:
        """The outputs as a set.

        Raises:
            ValueError: one that does not exist, or an uncertainty of a model that is not an ensemble.
        """
        wanted, known = set(outputs), self.outputs
        for name in sorted(wanted.difference(known)):
            if name in UNCERTAINTIES and self.config.energy:
                raise ValueError(
                    f"no output '{name}': a single model has no spread that could tell its uncertainty; train an "
                    "ensemble (cynosure train DATA --ensemble 4)"
                )
            raise ValueError(f"no output '{name}'; the outputs are {', '.join(known)}")
        return wanted

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of all outputs."""
        of_energy = (*OUTPUTS, "hessian", *self.uncertainties) if self.config.energy else ()
        return (*of_energy, *self.config.outputs)

    def save(self, path: str | Path, provenance: dict[str, Any] | None = None) -> None:
        """Write the model file: see `cynosure.potentials.model_file`."""
        from cynosure.potentials import model_file  # it builds potentials, and so comes after this module

        model_file.save(self, path, provenance)

    @property
    def adds_pairs(self) -> bool:
        """Whether there are terms of pairs of atoms beside the network (`added_energies`)."""
        return bool(self.config.zbl) or self.calibration.e0_kind != "fitted"

    def per_species(self, species: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """E0, scale and shift of each atom, [N] float64, from the index of its species [N]."""
        e0, scale, shift = self._per_species.to(species.device)[:, species].unbind(0)
        return e0, scale, shift

    def added_energies(self, graph: AtomGraph, species: Tensor, vectors: Tensor) -> Tensor:
        """[N] float64 eV: what comes to scale · network, E0 + shift · φ + ZBL; differentiable in the vectors."""
        e0, _, shift = self.per_species(species)
        if not self.adds_pairs:
            return e0 + shift
        distances = torch.linalg.vector_norm(vectors, dim=1)
        if self.calibration.e0_kind == "fitted":
            energies = e0 + shift
        else:
            # φ = 1 − exp(−n²) with the smooth number of neighbours n = Σ_j u(r_ij), which is flat at n = 0 and close
            # to 1 from two neighbours on.
            closeness = polynomial_envelope(distances / self.cutoff, power=6)
            number = vectors.new_zeros(graph.num_atoms).index_add(0, graph.receivers, closeness)
            energies = e0 + shift * -torch.expm1(-number.square()).to(torch.float64)
        if zbl := self.config.zbl:
            constants = UNIVERSAL if zbl is True else zbl
            repulsion = zbl_energies(
                graph.atomic_numbers, graph.receivers, graph.senders, distances, self.cutoff, constants
            )
            energies = energies + repulsion.to(torch.float64)
        return energies

    def above_lone_atoms(self, graph: AtomGraph, network: Tensor, lone: Tensor) -> Tensor:
        """Network energies [N] less those of lone atoms [N], and zero, without rounding, for a lone atom."""
        difference = network - lone
        if self.config.inputs:  # a lone atom may well answer a field
            return difference
        degree = torch.bincount(graph.receivers, minlength=graph.num_atoms)
        return torch.where(degree > 0, difference, torch.zeros_like(difference))

    def energies_and_targets(
        self, graph: AtomGraph, species: Tensor, vectors: Tensor, targets: Collection[str]
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        """All that the network says: energies as of `atomic_energies` (None if the settings want none), and of each
        target asked for, [rows, dim] features of its irreps. An architecture with targets overrides it; it is asked
        where targets are wanted, otherwise `atomic_energies` is.

        Raises:
            ValueError: a target, which this architecture cannot have.
        """
        if targets or not self.config.energy:
            raise ValueError(f"the architecture '{self.config.model}' has an energy only, no other targets")
        return self.atomic_energies(graph, species, vectors), {}

    def _told(
        self, graph: AtomGraph, vectors: Tensor, targets: Collection[str]
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        """Energies of atoms [N] in eV, and targets, in their units and the shape of their declaration."""
        species = self.index_of(graph.atomic_numbers)
        if not self.config.energy or self.calibration.e0_kind == "fitted":
            energies, raw = self._both_ways_in_time(graph, species, vectors, targets)
            energies = None if energies is None else energies.to(torch.float64)
        else:
            # One lone atom of each species rides along in the same pass.
            kinds = torch.arange(len(self.species), device=species.device)
            both = _with_lone_atoms(graph, self.species)
            every, raw = self._both_ways_in_time(both, torch.cat([species, kinds]), vectors, targets)
            assert every is not None
            energies, lone = every.to(torch.float64).split([graph.num_atoms, len(kinds)])
            energies = self.above_lone_atoms(graph, energies, lone.index_select(0, species))
            raw = {
                name: value if self.config.targets[name].per == "edge" else value[: graph.num_atoms]
                for name, value in raw.items()
            }
        told = {name: self._target(name, value, graph, species) for name, value in raw.items()}
        if energies is None:
            return None, told
        _, scale, _ = self.per_species(species)
        return scale * energies + self.added_energies(graph, species, vectors), told

    def _both_ways_in_time(
        self, graph: AtomGraph, species: Tensor, vectors: Tensor, targets: Collection[str]
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        """The network's say; where an input changes sign with the direction of time, the part that does as it should.

        f(t) = ½ (g(t) ± g(−t)) is even or odd in the inputs t that are odd, whatever the network g: a product of three
        spins, say, which is a scalar of O(3), cannot enter an energy.
        """
        odd = {name for name, one in self.config.inputs.items() if one.odd}
        energies, told = self._one_way_in_time(graph, species, vectors, targets)
        if not odd:
            return energies, told
        inputs = {name: -value if name in odd else value for name, value in graph.inputs.items()}
        back, told_back = self._one_way_in_time(replace(graph, inputs=inputs), species, vectors, targets)
        if energies is not None and back is not None:
            energies = (energies + back) / 2
        signs = {name: -1 if self.config.targets[name].odd else 1 for name in told}
        return energies, {name: (told[name] + signs[name] * told_back[name]) / 2 for name in told}

    def _one_way_in_time(
        self, graph: AtomGraph, species: Tensor, vectors: Tensor, targets: Collection[str]
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        if targets or not self.config.energy:
            return self.energies_and_targets(graph, species, vectors, targets)
        return self.atomic_energies(graph, species, vectors), {}

    def _target(self, name: str, features: Tensor, graph: AtomGraph, species: Tensor) -> Tensor:
        """From numbers of the network [rows, dim] to a target as it is declared, in the model's dtype."""
        target, own = self.config.targets[name], self.calibration.ranges.get(name, Range())
        values = own.scale * features.to(torch.float64)
        if own.shift and target.per != "edge":
            shift = values.new_tensor(own.shift)[species]
            values = values.index_add(1, target.invariants.to(values.device), shift)
        if target.per == "structure":
            values = values.new_zeros(graph.num_structures, values.shape[1]).index_add(
                0, graph.structure, values
            )
            if target.reduce == "mean":
                values = values / graph.atoms_per_structure.to(values.dtype).unsqueeze(1)
        values = target.from_features(values)
        if target.total is not None:
            wanted = graph.inputs[target.total] if isinstance(target.total, str) else target.total
            sizes = graph.atoms_per_structure.to(values.dtype)
            sums = values.new_zeros(graph.num_structures).index_add(0, graph.structure, values)
            values = values + ((wanted - sums) / sizes).index_select(0, graph.structure)
        return values.to(self.dtype)

    def index_of(self, atomic_numbers: Tensor) -> Tensor:
        """[N] int64, the index of each atom's species in `species`.

        Raises:
            ValueError: an element that the model does not know.
        """
        species = self._species_index.to(atomic_numbers.device).index_select(0, atomic_numbers)
        if bool((species < 0).any()):
            strangers = sorted(set(atomic_numbers[species < 0].tolist()))
            known = self.points.listed(self.species)
            raise ValueError(
                f"the model does not know {self.points.listed(strangers)}; it was built for {known}"
            )
        return species


def _with_lone_atoms(graph: AtomGraph, species: tuple[int, ...]) -> AtomGraph:
    """The graph and, as one more structure, one atom of each species with no edge."""
    device, count = graph.positions.device, len(species)

    def zeros(name: str, values: Tensor) -> Tensor:
        rows = count if graph.quantities[name].owner == "atom" else 1
        return values.new_zeros(rows, *values.shape[1:])

    return replace(
        graph,
        atomic_numbers=torch.cat([graph.atomic_numbers, torch.tensor(species, device=device)]),
        positions=torch.cat([graph.positions, graph.positions.new_zeros(count, 3)]),
        cell=torch.cat([graph.cell, graph.cell.new_zeros(1, 3, 3)]),
        pbc=torch.cat([graph.pbc, graph.pbc.new_zeros(1, 3)]),
        structure=torch.cat([graph.structure, graph.structure.new_full((count,), graph.num_structures)]),
        labels={},
        inputs={name: torch.cat([values, zeros(name, values)]) for name, values in graph.inputs.items()},
    )
