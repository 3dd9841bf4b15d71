"""From features of a node to the numbers that leave the network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from cynosure.kernels import Program, Value
from cynosure.nn.gate import Gate
from cynosure.nn.linear import Linear
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
