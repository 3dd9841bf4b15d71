"""The NequIP family (Batzner et al. 2022, Nature Communications 13, 2453)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from cynosure.graph import AtomGraph
from cynosure.kernels import NotLowered, Program, Value, Weights, spherical_harmonics
from cynosure.nn import (
    Convolution,
    Gate,
    LayerNorm,
    LayerReadouts,
    RadialBasis,
    SelfConnection,
)
from cynosure.o3 import Irrep, Irreps
from cynosure.potentials.settings import Calibration, PotentialConfig
from cynosure.potentials.typed import TypedNetwork, has_unnatural_parity

Channels = Annotated[int, Field(ge=1, le=4096)]


class NequIPConfig(PotentialConfig):
    """Settings of the NequIP architecture.

    Attributes:
        layers: convolutions.
        l_max: largest degree of features and edge harmonics; 0 gives the invariant baseline.
        parity: `True` features of both parities for each l; `"natural"` only parity (−1)^l; `False` SO(3)
            features without a parity label (such a model cannot be promised invariant under reflection).
        channels: channels of every irrep, or one number per l from 0 to l_max.
        embedding_channels: scalars that stand for a species before the first layer; as many as `channels` says if None.
        radial_basis: `bessel`, `gaussian` or `chebyshev`.
        num_basis: number of radial basis functions.
        learned_frequencies: let the frequencies of the `bessel` basis be learned.
        envelope: `polynomial`, or `xplor`, which is 1 up to a distance (`nn.SwitchingEnvelope`).
        envelope_power: p of the polynomial cutoff.
        envelope_start: Å, from where on `xplor` falls.
        radial_hidden: hidden layers of each convolution's radial network; the last is its number of radial
            functions.
        bias: add a constant to the invariant scalars before and behind the sum over neighbours.
        gate: the function of the scalars that gate tensors, `sigmoid` or `silu`.
        self_connection: add to each convolution a linear map of the features before it: `True` one for each species,
            `"after_first"` likewise but for the first layer, so that an atom without neighbours has features zero,
            `"shared"` one for all species, `False` none.
        layer_norm: normalise the features after each layer but the last.
        readout_hidden: channels of a hidden layer in the last readout; 0 for a linear one.
        layer_weight: of each layer's energy, beside that of the layer before, when training starts; 0 reads the last
            layer only.
    """

    model: Literal["nequip"] = "nequip"
    layers: int = Field(default=3, ge=1, le=64)
    l_max: int = Field(default=2, ge=0, le=10)
    parity: bool | Literal["natural"] = "natural"
    channels: Channels | tuple[Channels, ...] = 32
    embedding_channels: Channels | None = None
    radial_basis: Literal["bessel", "gaussian", "chebyshev"] = "bessel"
    num_basis: int = Field(default=8, ge=1, le=512)
    learned_frequencies: bool = False
    envelope: Literal["polynomial", "xplor"] = "polynomial"
    envelope_power: int = Field(default=6, ge=3, le=64)
    envelope_start: float | None = Field(default=None, gt=0)
    radial_hidden: tuple[Channels, ...] = Field(default=(32, 16), min_length=1, max_length=16)
    bias: bool = False
    gate: Literal["sigmoid", "silu"] = "sigmoid"
    self_connection: bool | Literal["after_first", "shared"] = True
    layer_norm: bool = False
    readout_hidden: int = Field(default=0, ge=0, le=4096)
    layer_weight: float = Field(default=1.0, ge=0, le=1)

    def channels_of(self, l: int) -> int:
        """Channels of the irreps of degree l."""
        return self.channels if isinstance(self.channels, int) else self.channels[l]

    def parities_of(self, l: int) -> tuple[int, ...]:
        """Parity labels of the feature irreps of degree l, natural parity first."""
        natural = (-1) ** l
        if self.parity is False:
            return (0,)
        return (natural,) if self.parity == "natural" else (natural, -natural)

    @model_validator(mode="before")
    @classmethod
    def _parity_of_declared(cls, given: Any) -> Any:
        """Both parities if nothing is said and an input or a target has a parity that spherical harmonics lack."""
        if isinstance(given, dict) and "parity" not in given and has_unnatural_parity(given):
            return {**given, "parity": True}
        return given

    @model_validator(mode="after")
    def _one_count_per_degree(self) -> NequIPConfig:
        if not isinstance(self.channels, int) and len(self.channels) != self.l_max + 1:
            raise ValueError(
                f"'channels' has {len(self.channels)} numbers; l_max {self.l_max} needs {self.l_max + 1}, "
                "or one for all"
            )
        return self

    @model_validator(mode="after")
    def _radial_settings_fit(self) -> NequIPConfig:
        if (self.envelope == "xplor") != (self.envelope_start is not None):
            raise ValueError("'envelope_start' belongs to the envelope 'xplor', which needs it")
        if self.envelope_start is not None and self.envelope_start >= self.cutoff:
            raise ValueError(
                f"'envelope_start' is {self.envelope_start} Å, not below the cutoff {self.cutoff} Å"
            )
        if self.learned_frequencies and self.radial_basis != "bessel":
            raise ValueError("'learned_frequencies' are those of the radial basis 'bessel'")
        return self


class Interaction(nn.Module):
    """One layer: convolution, plus the self-connection, then a gate.

    Args:
        irreps_in: irreps of the features.
        irreps_edge: irreps of the edge harmonics.
        irreps_out: irreps wanted after the layer, each within reach of one convolution.
        config: the architecture.
        num_species: number of species.
        avg_neighbours: mean number of edges per atom.
        first: whether it is the first layer.
    """

    def __init__(
        self,
        irreps_in: Irreps,
        irreps_edge: Irreps,
        irreps_out: Irreps,
        config: NequIPConfig,
        num_species: int,
        avg_neighbours: float,
        *,
        first: bool,
    ) -> None:
        super().__init__()
        self.gate = Gate(irreps_out, config.gate)
        self.irreps_in, self.irreps_out = irreps_in, irreps_out
        self.convolution = Convolution(
            irreps_in,
            irreps_edge,
            self.gate.irreps_in,
            num_basis=config.num_basis,
            radial_hidden=config.radial_hidden,
            avg_neighbours=avg_neighbours,
            bias=config.bias,
        )
        sets = None if config.self_connection == "shared" else num_species
        without = config.self_connection is False or (first and config.self_connection == "after_first")
        self.self_connection = None if without else SelfConnection(irreps_in, self.gate.irreps_in, sets)

    def forward(
        self, x: Tensor, species: Tensor, harmonics: Tensor, basis: Tensor, graph: AtomGraph
    ) -> Tensor:
        """[N, irreps_in.dim] -> [N, irreps_out.dim]."""
        message = self.convolution(x, harmonics, basis, graph.receivers, graph.senders)
        if self.self_connection is not None:
            message = self.self_connection.add(x, species, message)
        return self.gate(message)

    def lower(self, program: Program, x: Value, basis: RadialBasis) -> Value:
        """Add this layer to a program of the compiled core; see `forward`."""
        own = self.self_connection
        message = self.convolution.lower(program, x, basis, 1.0 if own is None else own.scales)
        if own is not None:
            own.lower_into(program, x, message)
        return self.gate.lower(program, message)


class NequIP(TypedNetwork):
    """Equivariant message passing with gated nonlinearities and a linear readout of atomic energies behind each layer.

    1. Each atom starts with learned scalars of its species; each edge gets spherical harmonics of its direction
       and a radial basis of its length.
    2. Each layer is an `Interaction`. Its irreps are those of the settings that the layer can reach; the last
       layer keeps the invariant scalars only.
    3. Atomic energies are the sum over layers of their readouts.

    What an atom is told (inputs) is multiplied into its features before the first layer and behind each
    (`nn.Conditioning`); targets are read behind all layers.

    (Batzner et al. read the last layer only, `layer_weight` 0.)
    """

    config: NequIPConfig

    def __init__(self, config: NequIPConfig, calibration: Calibration) -> None:
        super().__init__(config, calibration, labelled=config.parity is not False)
        edge_parity = 0 if config.parity is False else -1
        self.irreps_edge = Irreps.spherical_harmonics(config.l_max, p=edge_parity)
        self.basis = RadialBasis(
            config.cutoff,
            config.num_basis,
            config.radial_basis,
            config.envelope_power,
            start=config.envelope_start,
            learned=config.learned_frequencies,
        )
        scalar = Irrep(0, config.parities_of(0)[0])
        irreps = Irreps([(config.embedding_channels or config.channels_of(0), scalar)])
        self.embedding = nn.Parameter(torch.randn(len(calibration.species), irreps.dim))
        self.layers, self.norms = nn.ModuleList(), nn.ModuleList()
        irreps = self._conditioned(irreps, self._every(config.l_max))
        # What the last layer keeps: what is read, and what inputs can still be multiplied into.
        last_degree = min(config.l_max, self.highest_degree)
        read = self._every(last_degree, only={scalar} | self.irreps_wanted)
        behind = []
        for number in range(config.layers):
            last = number == config.layers - 1
            wanted = self._every(last_degree if last else config.l_max)
            if last and not config.inputs:
                wanted = read
            reach = {ir for _, a in irreps for _, b in self.irreps_edge for ir in a * b}
            irreps_out = Irreps([(mul, ir) for mul, ir in wanted if ir in reach])
            self.layers.append(
                Interaction(
                    irreps,
                    self.irreps_edge,
                    irreps_out,
                    config,
                    len(calibration.species),
                    calibration.avg_neighbours,
                    first=number == 0,
                )
            )
            if config.layer_norm and not last:
                self.norms.append(LayerNorm(irreps_out))
            irreps = self._conditioned(irreps_out, read if last else wanted)
            behind.append(irreps)
        if config.energy:
            hidden = Irreps([(config.readout_hidden, scalar)]) if config.readout_hidden else None
            self.readouts = LayerReadouts(behind, Irreps([(1, scalar)]), hidden, config.layer_weight)
        self.make_heads(behind, self.irreps_edge, config.num_basis)

    def energies_and_targets(
        self, graph: AtomGraph, species: Tensor, vectors: Tensor, targets: Collection[str]
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        """See `Potential.energies_and_targets`."""
        harmonics = spherical_harmonics(self.config.l_max, vectors)
        basis = self.basis(torch.linalg.vector_norm(vectors, dim=1))
        given = self.given(graph, vectors.dtype)
        x = self.condition(0, self.embedding.index_select(0, species), given, species)
        features = []
        for number, layer in enumerate(self.layers):
            x = layer(x, species, harmonics, basis, graph)
            if number < len(self.norms):
                x = self.norms[number](x)
            x = self.condition(number + 1, x, given, species)
            features.append(x)
        energies = self.readouts(features).squeeze(-1) if self.config.energy else None
        return energies, self.read(targets, features, species, harmonics, basis, graph)

    def atomic_energies(self, graph: AtomGraph, species: Tensor, vectors: Tensor) -> Tensor:
        """[N] dimensionless; see `Potential.atomic_energies`."""
        energies, _ = self.energies_and_targets(graph, species, vectors, ())
        assert energies is not None
        return energies

    def lower(self) -> tuple[Program, Value]:
        """The network as a program of the compiled core; see `Potential.lower`."""
        if len(self.norms):
            raise NotLowered("layer_norm")
        self.require_plain_energy()
        program = Program(len(self.species), self.config.l_max)
        layers = [layer for layer in self.layers if isinstance(layer, Interaction)]
        x = program.embed(layers[0].irreps_in, Weights.of(self.embedding))
        energy: Value | None = None
        for number, layer in enumerate(layers):
            x = layer.lower(program, x, self.basis)
            energy = self.readouts.lower(program, number, x, into=energy)
        assert energy is not None
        return program, energy

    def _every(self, l_max: int, only: set[Irrep] | None = None) -> Irreps:
        """The irreps of the settings up to a degree; those among `only`, if it is given."""
        every = [(l, Irrep(l, p)) for l in range(l_max + 1) for p in self.config.parities_of(l)]
        return Irreps([(self.config.channels_of(l), ir) for l, ir in every if only is None or ir in only])
