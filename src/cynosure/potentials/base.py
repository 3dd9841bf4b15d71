"""What every potential shares: from network energies to total energy, forces and stress.

A model writes one method, `atomic_energies`; the physics around it lives here once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from ase.data import chemical_symbols
from pydantic import Field, model_validator
from torch import Tensor, nn

from cynosure.graph import AtomGraph
from cynosure.kernels import NotLowered, Program, Value
from cynosure.nn import polynomial_envelope
from cynosure.potentials import derivatives
from cynosure.potentials.config import Config
from cynosure.potentials.zbl import zbl_energies

OUTPUTS = ("energy", "energies", "forces", "stress", "virials")
# What an ensemble gives besides (`Committee`), and the output that each is about.
UNCERTAINTIES = {"energy_uncertainty": "energy", "forces_uncertainty": "forces"}


class PotentialConfig(Config):
    """Settings that every architecture has.

    Attributes:
        model: the architecture's name in the registry.
        cutoff: Å; atoms farther apart do not see each other directly.
        zbl: add the short-range repulsion of `zbl_energies`.
        members: how many networks; more than one are an ensemble (`Committee`).
    """

    model: str
    cutoff: float = Field(default=5.0, gt=0, le=100)
    zbl: bool = False
    members: int = Field(default=1, ge=1, le=100)


class UncertaintyFactors(Config):
    """By what the spread of an ensemble's members is multiplied to give its uncertainty; both 1 before calibration.

    Attributes:
        energy: for the energy.
        forces: for the forces.
    """

    energy: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    forces: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class Calibration(Config):
    """What the data, not the architecture, fixes. Everything per species is in the order of `species`.

    Attributes:
        species: atomic numbers, ascending.
        e0s: eV, the energy that each species brings along.
        e0_kind: where the E0s come from. `fitted`: from least squares, they carry the mean binding energy too.
            `isolated` or `given`: energies of lone atoms; the network's energy of an atom without neighbours
            is subtracted, so that a lone atom has exactly its E0.
        scale: eV per unit of network output.
        shift: eV, added to each atom; with energies of lone atoms it is switched on by the neighbours.
        avg_neighbours: mean number of edges per atom in the training data.
        uncertainty: of an ensemble, the factors that make its spread the size of its errors.
    """

    species: tuple[int, ...] = Field(min_length=1)
    e0s: tuple[float, ...]
    e0_kind: Literal["fitted", "isolated", "given"] = "fitted"
    scale: tuple[float, ...]
    shift: tuple[float, ...]
    avg_neighbours: float = Field(default=1.0, gt=0)
    uncertainty: UncertaintyFactors = UncertaintyFactors()

    @model_validator(mode="after")
    def _consistent(self) -> Calibration:
        if list(self.species) != sorted(set(self.species)):
            raise ValueError(f"species {self.species} must be distinct atomic numbers in ascending order")
        if not all(0 < z < len(chemical_symbols) for z in self.species):
            raise ValueError(
                f"species {self.species} must be atomic numbers from 1 to {len(chemical_symbols) - 1}"
            )
        for name in ("e0s", "scale", "shift"):
            values = getattr(self, name)
            if len(values) != len(self.species):
                raise ValueError(f"'{name}' has {len(values)} values for {len(self.species)} species")
        return self


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
    """

    uncertainties: ClassVar[Mapping[str, str]] = {}

    def __init__(self, config: PotentialConfig, calibration: Calibration) -> None:
        super().__init__()
        self.config = config
        self.calibration = calibration
        self.provenance: dict[str, Any] = {}
        index = torch.full((len(chemical_symbols),), -1, dtype=torch.int64, device="cpu")
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
            self(graph, ("energy",))
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

    @property
    def promises_reflection(self) -> bool:
        """Whether mirror images are alike by construction: not if the settings have a `parity` that is off."""
        return getattr(self.config, "parity", True) is not False

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
            outputs: any of `energy`, `energies`, `forces`, `stress`, `virials`, and of `uncertainties`.
            differentiable: keep the graph of operations, to train on the outputs.

        Returns:
            The outputs asked for: `energy` [S] eV and `energies` [N] eV in float64; `forces` [N, 3] eV/Å,
            `stress` [S, 3, 3] eV/Å³ (NaN where the cell has no volume) and `virials` [N, 3, 3] eV in the
            model's dtype. (Those of `uncertainties`: see `Committee`.)

        Raises:
            ValueError: an output that the model does not have, or an element that it does not know.
        """
        wanted = self.require_outputs(outputs)
        derived = bool(wanted & derivatives.NAMES)
        with (
            torch.inference_mode(False),
            torch.set_grad_enabled(derived or (differentiable and torch.is_grad_enabled())),
        ):
            vectors = graph.edge_vectors().to(self.dtype)
            if derived:
                vectors = vectors.detach().requires_grad_()
            energies = self._energies(graph, vectors)
            gradient = (
                derivatives.edge_gradient(energies, vectors, differentiable=differentiable)
                if derived
                else None
            )
            results = derivatives.outputs(graph, energies, vectors, gradient, wanted)
        return {name: value if differentiable else value.detach() for name, value in results.items()}

    def require_outputs(self, outputs: Iterable[str]) -> set[str]:
        """The outputs as a set.

        Raises:
            ValueError: one that does not exist, or an uncertainty of a model that is not an ensemble.
        """
        wanted = set(outputs)
        for name in sorted(wanted.difference(OUTPUTS, self.uncertainties)):
            if name in UNCERTAINTIES:
                raise ValueError(
                    f"no output '{name}': a single model has no spread that could tell its uncertainty; train an "
                    "ensemble (cynosure train DATA --ensemble 4)"
                )
            raise ValueError(
                f"no output '{name}'; the outputs are {', '.join((*OUTPUTS, *self.uncertainties))}"
            )
        return wanted

    def save(self, path: str | Path, provenance: dict[str, Any] | None = None) -> None:
        """Write the model file: see `cynosure.potentials.model_file`."""
        from cynosure.potentials import model_file  # it builds potentials, and so comes after this module

        model_file.save(self, path, provenance)

    @property
    def adds_pairs(self) -> bool:
        """Whether there are terms of pairs of atoms beside the network (`added_energies`)."""
        return self.config.zbl or self.calibration.e0_kind != "fitted"

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
        if self.config.zbl:
            repulsion = zbl_energies(graph.atomic_numbers, graph.receivers, graph.senders, distances)
            energies = energies + repulsion.to(torch.float64)
        return energies

    def above_lone_atoms(self, graph: AtomGraph, network: Tensor, lone: Tensor) -> Tensor:
        """Network energies [N] less those of lone atoms [N], and zero, without rounding, for a lone atom."""
        degree = torch.bincount(graph.receivers, minlength=graph.num_atoms)
        difference = network - lone
        return torch.where(degree > 0, difference, torch.zeros_like(difference))

    def _energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
        species = self.index_of(graph.atomic_numbers)
        if self.calibration.e0_kind == "fitted":
            network = self.atomic_energies(graph, species, vectors).to(torch.float64)
        else:
            # One lone atom of each species rides along in the same pass.
            kinds = torch.arange(len(self.species), device=species.device)
            both = _with_lone_atoms(graph, self.species)
            network = self.atomic_energies(both, torch.cat([species, kinds]), vectors).to(torch.float64)
            network, lone = network.split([graph.num_atoms, len(kinds)])
            network = self.above_lone_atoms(graph, network, lone.index_select(0, species))
        _, scale, _ = self.per_species(species)
        return scale * network + self.added_energies(graph, species, vectors)

    def index_of(self, atomic_numbers: Tensor) -> Tensor:
        """[N] int64, the index of each atom's species in `species`.

        Raises:
            ValueError: an element that the model does not know.
        """
        species = self._species_index.to(atomic_numbers.device).index_select(0, atomic_numbers)
        if bool((species < 0).any()):
            strangers = sorted(set(atomic_numbers[species < 0].tolist()))
            names = ", ".join(chemical_symbols[z] for z in strangers)
            known = ", ".join(chemical_symbols[z] for z in self.species)
            raise ValueError(f"the model does not know {names}; it was built for {known}")
        return species


def _with_lone_atoms(graph: AtomGraph, species: tuple[int, ...]) -> AtomGraph:
    """The graph and, as one more structure, one atom of each species with no edge."""
    device, count = graph.positions.device, len(species)
    return replace(
        graph,
        atomic_numbers=torch.cat([graph.atomic_numbers, torch.tensor(species, device=device)]),
        positions=torch.cat([graph.positions, graph.positions.new_zeros(count, 3)]),
        cell=torch.cat([graph.cell, graph.cell.new_zeros(1, 3, 3)]),
        pbc=torch.cat([graph.pbc, graph.pbc.new_zeros(1, 3)]),
        structure=torch.cat([graph.structure, graph.structure.new_full((count,), graph.num_structures)]),
        labels={},
    )
