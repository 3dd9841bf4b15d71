"""From features of a node to the numbers that leave the network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from cynosure.kernels import Program, Value
from cynosure.nn import layout
from cynosure.nn.gate import Gate
from cynosure.nn.linear import Linear
from cynosure.nn.radial import RadialNetwork
from cynosure.nn.tensor_product import TensorProduct
from cynosure.o3 import Irreps


class Readout(nn.Module):
    """A linear map to the output irreps, with a gated hidden layer before it if asked.

    Args:
        irreps_in: irreps of the features.
        irreps_out: irreps of the output, `0e` for an energy.
        hidden: irreps of the hidden layer; None for a purely linear readout.
    """

    def __init__(
        self, irreps_in: Irreps | str, irreps_out: Irreps | str = "0e", hidden: Irreps | str | None = None
    ):
        super().__init__()
        self.irreps_in, self.irreps_out = Irreps(irreps_in), Irreps(irreps_out)
        if hidden is None:
            self.layers = nn.Sequential(Linear(self.irreps_in, self.irreps_out))
        else:
            gate = Gate(hidden)
            self.layers = nn.Sequential(
                Linear(self.irreps_in, gate.irreps_in), gate, Linear(gate.irreps_out, self.irreps_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """[..., irreps_in.dim] -> [..., irreps_out.dim]."""
        return self.layers(x)

    def lower(self, program: Program, x: Value, scale: float = 1.0, into: Value | None = None) -> Value:
        """Add scale · (this layer) to a program of the compiled core; with `into`, to what that value holds."""
        *before, last = self.layers
        for layer in before:
            assert isinstance(layer, Linear | Gate)
            x = layer.lower(program, x)
        assert isinstance(last, Linear)
        return program.linear(x, last.terms(scale), self.irreps_out, into=into)


class LayerReadouts(nn.ModuleDict):
    """Readouts behind the layers of a network, whose weighted sum is the output.

    Args:
        irreps_in: irreps of the features behind each layer.
        irreps_out: irreps of the output, `0e` for an energy.
        hidden: irreps of a hidden layer of the last readout; None for a linear one, as all others are.
        ratio: of the weight of each layer to that of the one before, see `layer_weights`. A layer without weight has no
            readout.

    Attributes:
        weights: of the layers.
    """

    def __init__(
        self,
        irreps_in: Sequence[Irreps],
        irreps_out: Irreps | str = "0e",
        hidden: Irreps | str | None = None,
        ratio: float = 1.0,
    ) -> None:
        super().__init__()
        self.weights = layer_weights(len(irreps_in), ratio)
        last = len(irreps_in) - 1
        for number, (irreps, weight) in enumerate(zip(irreps_in, self.weights, strict=True)):
            if weight:
                self[str(number)] = Readout(irreps, irreps_out, hidden if number == last else None)

    def forward(self, features: Iterable[Tensor]) -> Tensor:
        """Features behind each layer, [..., irreps_in.dim] each -> [..., irreps_out.dim]."""
        every = enumerate(zip(self.weights, features, strict=True))
        weighted = [weight * self[str(number)](x) for number, (weight, x) in every if weight]
        return torch.stack(weighted).sum(dim=0)

    def lower(self, program: Program, number: int, x: Value, into: Value | None) -> Value | None:
        """Add the share of the layer `number`, whose features are `x`, to a program of the compiled core.

        Args:
            program: the program.
            number: of the layer, from 0; they come in their order.
            x: features behind the layer.
            into: the sum so far, None at first.

        Returns:
            The sum; None as long as no layer has had a weight.
        """
        if not self.weights[number]:
            return into
        readout = self[str(number)]
        assert isinstance(readout, Readout)
        return readout.lower(program, x, self.weights[number], into=into)


def layer_weights(layers: int, ratio: float) -> list[float]:
    """Weights of the energies that the layers of a network bring, in their order.

    A geometric series whose squares sum to one, so that the weighted sum of readouts of unit variance has unit
    variance. Later layers then start with less of the energy: what an atom's own neighbours can explain is learned
    from them, and little from atoms farther away, which a few frames do not tell apart from chance.

    Args:
        layers: their number.
        ratio: of each weight to the one before; 1 weighs all alike, 0 gives the last layer everything.
    """
    if ratio == 0:
        return [0.0] * (layers - 1) + [1.0]
    weights = [ratio**number for number in range(layers)]
    length = math.hypot(*weights)
    return [weight / length for weight in weights]


class TensorReadouts(nn.ModuleDict):
    """Readouts of a tensor behind the layers of a network, whose sum is the output.

    Each layer gives those blocks of the tensor whose irreps its features have.

    Args:
        irreps_in: irreps of the features behind each layer.
        irreps_out: irreps of the output.
        num_species: sets of weights.

    Raises:
        ValueError: an irrep that no layer has.
    """

    def __init__(self, irreps_in: Sequence[Irreps], irreps_out: Irreps | str, num_species: int) -> None:
        super().__init__()
        self.irreps_out = Irreps(irreps_out)
        everywhere = {ir for irreps in irreps_in for _, ir in irreps}
        if missing := [str(ir) for _, ir in self.irreps_out if ir not in everywhere]:
            known = ", ".join(sorted({str(ir) for ir in everywhere}))
            raise ValueError(f"no layer has features {', '.join(missing)} to read it from; they have {known}")
        self._blocks: dict[str, list[int]] = {}
        for number, irreps in enumerate(irreps_in):
            present = {ir for _, ir in irreps}
            if blocks := [block for block, (_, ir) in enumerate(self.irreps_out) if ir in present]:
                own = Irreps([self.irreps_out[block] for block in blocks])
                self[str(number)] = Linear(irreps, own, num_species=num_species)
                self._blocks[str(number)] = blocks
        fed = [block for blocks in self._blocks.values() for block in blocks]
        self._scales = [1 / math.sqrt(fed.count(block)) for block in range(len(self.irreps_out))]

    def forward(self, features: Sequence[Tensor], species: Tensor) -> Tensor:
        """Features behind each layer, [N, irreps_in.dim] each, species [N] int64 -> [N, irreps_out.dim]."""
        sums: list[list[Tensor]] = [[] for _ in self.irreps_out]
        for number, blocks in self._blocks.items():
            readout = self[number]
            assert isinstance(readout, Linear)
            parts = layout.split(readout.irreps_out, readout(features[int(number)], species))
            for block, part in zip(blocks, parts, strict=True):
                sums[block].append(part)
        every = [
            scale * torch.stack(parts).sum(dim=0) for scale, parts in zip(self._scales, sums, strict=True)
        ]
        return layout.join(every)


class EdgeReadout(nn.Module):
    """A tensor of each edge, from the features of its two ends and its own direction and length.

        y_e = mix( (x_i W ⊕ x_j W') ⊗ Y(r_e), weighted by learned functions of |r_e| )

    Args:
        irreps_in: irreps of the features.
        irreps_edge: irreps of the edge harmonics.
        irreps_out: irreps of the output.
        channels: of the features of each end that take part, for every irrep.
        num_basis: size of the radial basis.

    Raises:
        ValueError: an irrep of the output that no product reaches.
    """

    def __init__(
        self, irreps_in: Irreps, irreps_edge: Irreps, irreps_out: Irreps | str, channels: int, num_basis: int
    ) -> None:
        super().__init__()
        self.irreps_out = Irreps(irreps_out)
        each = Irreps([(channels, ir) for ir in dict.fromkeys(ir for _, ir in irreps_in)])
        self.receiver, self.sender = Linear(irreps_in, each), Linear(irreps_in, each)
        reach = {ir for _, a in each for _, b in irreps_edge for ir in a * b}
        if missing := [str(ir) for _, ir in self.irreps_out if ir not in reach]:
            raise ValueError(f"features {each} on edges {irreps_edge} make no {', '.join(missing)}")
        self.product = TensorProduct(
            each, irreps_edge, keep=[ir for _, ir in self.irreps_out], weights="external"
        )
        self.radial = RadialNetwork(num_basis, (16,))
        self.weight = nn.Parameter(torch.randn(2, self.radial.number_out, self.product.num_weights))
        both = self.product.irreps_out
        self.mix = nn.ModuleList([Linear(both, self.irreps_out), Linear(both, self.irreps_out)])

    def forward(
        self, x: Tensor, harmonics: Tensor, basis: Tensor, receivers: Tensor, senders: Tensor
    ) -> Tensor:
        """Features [N, irreps_in.dim] -> [E, irreps_out.dim]; the other arguments are those of a `Convolution`."""
        radial = self.radial(basis) / math.sqrt(self.weight.shape[1])
        ends = self.receiver(x).index_select(0, receivers), self.sender(x).index_select(0, senders)
        parts = [
            mix(self.product(end, harmonics, radial @ weight))
            for mix, end, weight in zip(self.mix, ends, self.weight, strict=True)
        ]
        return (parts[0] + parts[1]) / math.sqrt(2)
