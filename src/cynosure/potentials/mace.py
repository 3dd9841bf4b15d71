"""The MACE family (Batatia et al. 2022, arXiv:2206.07697)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated, Any, Literal

import torch
from ase.data import covalent_radii
from pydantic import Field, model_validator
from torch import Tensor, nn

from cynosure.graph import AtomGraph
from cynosure.kernels import Program, Value, Weights, spherical_harmonics
from cynosure.nn import (
    Agnesi,
    Convolution,
    DistanceTransform,
    LayerReadouts,
    Linear,
    NeighbourDensity,
    ProductBasis,
    RadialBasis,
    SelfConnection,
    Soft,
    gates_of,
)
from cynosure.o3 import Irrep, Irreps
from cynosure.potentials.config import Config
from cynosure.potentials.settings import Calibration, PointsConfig, PotentialConfig
from cynosure.potentials.typed import TypedNetwork

Channels = Annotated[int, Field(ge=1, le=4096)]
Order = Annotated[int, Field(ge=1, le=6)]


class AgnesiConfig(Config):
    """The transform `nn.Agnesi` of distances, with its constants."""

    kind: Literal["agnesi"] = "agnesi"
    q: float = 0.9183
    p: float = 4.5791
    a: float = 1.0805

    @property
    def transform(self) -> DistanceTransform:
        return Agnesi(self.q, self.p, self.a)


class SoftConfig(Config):
    """The transform `nn.Soft` of distances, with its constant."""

    kind: Literal["soft"] = "soft"
    alpha: float = 4.0

    @property
    def transform(self) -> DistanceTransform:
        return Soft(self.alpha)


class MACEConfig(PotentialConfig):
    """Settings of the MACE architecture.

    Attributes:
        layers: convolutions, each followed by a many-body product.
        l_max: largest degree of edge harmonics and of the messages that the products couple.
        hidden_l_max: largest degree of the features between layers: 0 for invariant ones, `128x0e` and the like. 1 if
            nothing is said, or 0 where `l_max` is 0.
        correlation: factors of the many-body product, 3 for four-body terms; one number, or one for each layer.
        channels: of every irrep.
        radial_basis: `bessel`, `gaussian` or `chebyshev`.
        num_basis: number of radial basis functions.
        envelope_power: p of the polynomial cutoff.
        radial_hidden: hidden layers of each convolution's radial network; the last is its number of radial functions.
        distance_transform: let the radial basis see distances in terms of the sizes of both atoms.
        self_connection: add to each product a species-dependent linear map of the features before the layer; for all
            layers or for each.
        messages_by_species: mix the channels of messages by the receiver's species before the product; for all layers
            or for each.
        density: divide messages by 1 + a learned density of the neighbours (`nn.NeighbourDensity`), not by what their
            number was in the training data; for all layers or for each.
        readout_hidden: channels of a hidden layer in the last readout; 0 for a linear one.
        layer_weight: of each layer's energy, beside that of the layer before, when training starts; 0 reads the last
            layer only.
    """

    model: Literal["mace"] = "mace"
    layers: int = Field(default=2, ge=1, le=64)
    l_max: int = Field(default=3, ge=0, le=8)
    hidden_l_max: int = Field(default=1, ge=0, le=8)
    correlation: Order | tuple[Order, ...] = 3
    channels: Channels = 32
    radial_basis: Literal["bessel", "gaussian", "chebyshev"] = "bessel"
    num_basis: int = Field(default=8, ge=1, le=512)
    envelope_power: int = Field(default=6, ge=3, le=64)
    radial_hidden: tuple[Channels, ...] = Field(default=(32, 16), min_length=1, max_length=16)
    distance_transform: AgnesiConfig | SoftConfig | None = Field(default=None, discriminator="kind")
    self_connection: bool | tuple[bool, ...] = True
    messages_by_species: bool | tuple[bool, ...] = False
    density: bool | tuple[bool, ...] = False
    readout_hidden: int = Field(default=16, ge=0, le=4096)
    layer_weight: float = Field(default=0.3, ge=0, le=1)

    @model_validator(mode="before")
    @classmethod
    def _hidden_up_to_edges(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("l_max") == 0:
            return {"hidden_l_max": 0, **given}
        return given

    @model_validator(mode="after")
    def _hidden_within_reach(self) -> MACEConfig:
        if self.hidden_l_max > self.l_max:
            raise ValueError(
                f"'hidden_l_max' is {self.hidden_l_max}; it goes up to 'l_max', which is {self.l_max}"
            )
        for name in ("correlation", "self_connection", "messages_by_species", "density"):
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) != self.layers:
                raise ValueError(f"'{name}' has {len(value)} values for {self.layers} layers")
        if self.distance_transform is not None:
            if self.points != PointsConfig():
                raise ValueError(
                    "'distance_transform' needs the sizes of elements, and 'points' says that these are not"
                )
            _ = self.distance_transform.transform  # whose constants must fit
        return self

    def of_layer(self, name: str, number: int) -> Any:
        """A setting that may differ from layer to layer."""
        value = getattr(self, name)
        return value[number] if isinstance(value, tuple) else value


def pair_sizes(species: Sequence[int]) -> Tensor:
    """[S, S] float64 Å, the sums of the covalent radii of two elements (Cordero et al. 2008, as ASE has them)."""
    radii = torch.tensor([float(covalent_radii[z]) for z in species], dtype=torch.float64, device="cpu")
    return radii[:, None] + radii[None, :]


class ManyBodyInteraction(nn.Module):
    """One layer: convolution, many-body product, channel mixing, plus the species-dependent self-connection.

    Args:
        irreps_in: irreps of the features.
        irreps_edge: irreps of the edge harmonics.
        irreps_out: irreps after the layer.
        number: of the layer, from 0.
        config: the architecture.
        num_species: number of species.
        avg_neighbours: mean number of edges per atom.
    """

    def __init__(
        self,
        irreps_in: Irreps,
        irreps_edge: Irreps,
        irreps_out: Irreps,
        number: int,
        config: MACEConfig,
        num_species: int,
        avg_neighbours: float,
    ) -> None:
        super().__init__()
        self.irreps_in, self.irreps_out = irreps_in, irreps_out
        message = Irreps([(config.channels, ir) for _, ir in irreps_edge])
        self.convolution = Convolution(
            irreps_in,
            irreps_edge,
            message,
            num_basis=config.num_basis,
            radial_hidden=config.radial_hidden,
            avg_neighbours=avg_neighbours,
        )
        self.density = NeighbourDensity(config.num_basis) if config.of_layer("density", number) else None
        by_species = config.of_layer("messages_by_species", number)
        self.select = Linear(message, message, num_species=num_species) if by_species else None
        order = config.of_layer("correlation", number)
        self.product = ProductBasis(message, irreps_out, order=order, num_species=num_species)
        self.mix = Linear(irreps_out, irreps_out)
        connected = config.of_layer("self_connection", number)
        self.self_connection = SelfConnection(irreps_in, irreps_out, num_species) if connected else None

    def forward(
        self, x: Tensor, species: Tensor, harmonics: Tensor, basis: Tensor, graph: AtomGraph
    ) -> Tensor:
        """[N, irreps_in.dim] -> [N, irreps_out.dim]."""
        message = self.convolution(x, harmonics, basis, graph.receivers, graph.senders)
        if self.density is not None:
            message = message / (1 + self.density(basis, graph.receivers, len(x))).unsqueeze(1)
        if self.select is not None:
            message = self.select(message, species)
        product = self.mix(self.product(message, species))
        return product if self.self_connection is None else self.self_connection.add(x, species, product)

    def lower(self, program: Program, x: Value, basis: RadialBasis, sizes: Tensor | None) -> Value:
        """Add this layer to a program of the compiled core; see `forward`."""
        own, irreps = self.self_connection, self.convolution.irreps_out
        room = None if self.density is None else gates_of(irreps)
        message = self.convolution.lower(program, x, basis, sizes=sizes, room=room)
        if self.density is not None:
            message = self.density.lower_division(program, message, basis, sizes, irreps)
        if self.select is not None:
            message = self.select.lower(program, message)
        product = self.product.lower(program, message)
        mixed = program.linear(product, self.mix.terms(1.0 if own is None else own.scales), self.irreps_out)
        if own is not None:
            own.lower_into(program, x, mixed)
        return mixed


class MACE(TypedNetwork):
    """Few layers of message passing, with many-body products of the messages and a readout behind each.

    1. Each atom starts with learned scalars of its species; each edge gets spherical harmonics of its direction
       and a radial basis of its length.
    2. Each layer is a `ManyBodyInteraction`. The last keeps the invariant scalars only.
    3. Atomic energies are the sum over layers of their readouts, linear but for the last.

    What an atom is told (inputs) is multiplied into its features before the first layer and behind each
    (`nn.Conditioning`); targets are read behind all layers. All features have the parity of spherical harmonics.

    Readouts of later layers start with a smaller weight, `nn.LayerReadouts`. (Batatia et al. weigh all layers alike.)
    """

    config: MACEConfig

    def __init__(self, config: MACEConfig, calibration: Calibration) -> None:
        super().__init__(config, calibration)
        self.irreps_edge = Irreps.spherical_harmonics(config.l_max)
        transform = None if config.distance_transform is None else config.distance_transform.transform
        self.basis = RadialBasis(
            config.cutoff, config.num_basis, config.radial_basis, config.envelope_power, transform=transform
        )
        # Kept in float64 whatever the network's precision becomes; cast on use.
        self._sizes = None if transform is None else pair_sizes(calibration.species)
        scalars = Irreps([(config.channels, Irrep(0, 1))])
        hidden = Irreps([(config.channels, Irrep(l, (-1) ** l)) for l in range(config.hidden_l_max + 1)])
        self.embedding = nn.Parameter(torch.randn(len(calibration.species), scalars.dim))
        self.layers = nn.ModuleList()
        irreps = self._conditioned(scalars, hidden)
        # What the last layer keeps: what is read, and what inputs can still be multiplied into.
        scalar = scalars[0][1]
        read = Irreps([(mul, ir) for mul, ir in hidden if ir in {scalar} | self.irreps_wanted])
        last = read if not config.inputs else hidden
        behind = []
        for irreps_out in [hidden] * (config.layers - 1) + [last]:
            self.layers.append(
                ManyBodyInteraction(
                    irreps,
                    self.irreps_edge,
                    irreps_out,
                    len(self.layers),
                    config,
                    len(calibration.species),
                    calibration.avg_neighbours,
                )
            )
            irreps = self._conditioned(irreps_out, read if len(self.layers) == config.layers else hidden)
            behind.append(irreps)
        if config.energy:
            nonlinear = f"{config.readout_hidden}x0e" if config.readout_hidden else None
            self.readouts = LayerReadouts(behind, "0e", nonlinear, config.layer_weight)
        self.make_heads(behind, self.irreps_edge, config.num_basis)

    def energies_and_targets(
        self, graph: AtomGraph, species: Tensor, vectors: Tensor, targets: Collection[str]
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        """See `Potential.energies_and_targets`."""
        harmonics = spherical_harmonics(self.config.l_max, vectors)
        basis = self.basis(
            torch.linalg.vector_norm(vectors, dim=1), self._sizes_of_edges(graph, species, vectors)
        )
        given = self.given(graph, vectors.dtype)
        x = self.condition(0, self.embedding.index_select(0, species), given, species)
        features = []
        for number, layer in enumerate(self.layers):
            x = self.condition(number + 1, layer(x, species, harmonics, basis, graph), given, species)
            features.append(x)
        energies = self.readouts(features).squeeze(-1) if self.config.energy else None
        return energies, self.read(targets, features, species, harmonics, basis, graph)

    def _sizes_of_edges(self, graph: AtomGraph, species: Tensor, vectors: Tensor) -> Tensor | None:
        """[E] Å, sums of the radii of both atoms, where the radial basis sees them."""
        if self._sizes is None:
            return None
        return self._sizes.to(vectors)[species[graph.receivers], species[graph.senders]]

    def atomic_energies(self, graph: AtomGraph, species: Tensor, vectors: Tensor) -> Tensor:
        """[N] dimensionless; see `Potential.atomic_energies`."""
        energies, _ = self.energies_and_targets(graph, species, vectors, ())
        assert energies is not None
        return energies

    def lower(self) -> tuple[Program, Value]:
        """The network as a program of the compiled core; see `Potential.lower`."""
        self.require_plain_energy()
        program = Program(len(self.species), self.config.l_max)
        layers = [layer for layer in self.layers if isinstance(layer, ManyBodyInteraction)]
        x = program.embed(layers[0].irreps_in, Weights.of(self.embedding))
        energy: Value | None = None
        for number, layer in enumerate(layers):
            x = layer.lower(program, x, self.basis, self._sizes)
            energy = self.readouts.lower(program, number, x, into=energy)
        assert energy is not None
        return program, energy
