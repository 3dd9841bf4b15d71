"""SevenNet (Park et al. 2024, J. Chem. Theory Comput. 20, 4857) as a NequIP of ours.

What its package does otherwise than this library, and where it goes:

- factors of activations are estimates from a random sample there, quadratures here: their ratio goes into the weights
  behind;
- self-connections are added as they are, here their sum with the message is divided by √2: into the weights before;
- the readout is two linear maps with nothing between: one;
- one level of theory of several ("modality") is told as a one-hot vector: it becomes a bias.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cynosure.importers.handover import Handover
from cynosure.nn import Linear, Readout
from cynosure.o3 import Irrep, Irreps
from cynosure.potentials import Potential
from cynosure.potentials.nequip import Interaction, NequIP
from cynosure.potentials.registry import build as build_potential


def build(handover: Handover) -> Potential:
    """The model, in float64.

    Raises:
        ValueError: a part that has no counterpart here; the message names it.
    """
    words, tensors = handover.description, handover.tensors
    species = [int(z) for z in words["species"]]
    scale = tensors["scale"]
    denominators = [float(tensors[f"layers.{n}.denominator"]) for n in range(len(words["layers"]))]
    model = build_potential(
        _settings(words, tensors),
        species,
        e0s=dict(zip(species, tensors["shift"].tolist(), strict=True)),
        scale=dict(zip(species, scale.tolist(), strict=True)),
        shift=dict(zip(species, (scale * tensors["readout.bias"]).tolist(), strict=True)),
        avg_neighbours=sum(denominators) / len(denominators),
        dtype=torch.float64,
    )
    assert isinstance(model, NequIP)
    with torch.no_grad():
        _fill(model, words, tensors)
    return model.eval()


def _settings(words: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Settings of the architecture."""
    layers, labelled = words["layers"], words["parity"]
    features = [_irreps(layer["irreps_in"], labelled) for layer in layers]
    edge = _irreps(words["irreps_edge"], labelled)
    l_max = max(ir.l for _, ir in edge)
    channels: dict[int, int] = {}
    for mul, ir in (block for irreps in features for block in irreps):
        if channels.setdefault(ir.l, mul) != mul:
            raise ValueError(
                f"{channels[ir.l]} and {mul} channels of degree {ir.l} have no counterpart; one number has"
            )
    kinds = {layer["self_connection"] for layer in layers}
    if len(kinds) > 1:
        raise ValueError(
            "self-connections of two kinds, 'nequip' and 'linear', in one model have no counterpart"
        )
    for name in ("scalars", "gates"):
        if words[name]["e"] != "silu" or (labelled and words[name]["o"] != "tanh"):
            raise ValueError(
                f"the activations {words[name]} of {name} have no counterpart; silu and tanh have"
            )
    falling = words["envelope"]
    polynomial = falling["kind"] == "polynomial"
    biases = [
        value for name, value in tensors.items() if name.startswith("layers.") and name.endswith(".bias")
    ]
    hidden = [tensors[f"layers.0.radial.{k}"].shape[1] for k in range(_radial_layers(tensors) - 1)]
    return {
        "model": "nequip",
        "cutoff": words["cutoff"],
        "layers": len(layers),
        "l_max": l_max,
        "parity": _parity(features, labelled),
        "channels": [channels.get(l, channels[0]) for l in range(l_max + 1)],
        "radial_basis": "bessel",
        "num_basis": len(tensors["frequencies"]),
        "learned_frequencies": True,
        "envelope": falling["kind"],
        **({"envelope_power": falling["power"]} if polynomial else {"envelope_start": falling["start"]}),
        "radial_hidden": hidden,
        "bias": any(bool(bias.any()) for bias in biases),
        "gate": "silu",
        "self_connection": "shared" if kinds == {"shared"} else True,
        "readout_hidden": 0,
        "layer_weight": 0,
    }


def _parity(features: list[Irreps], labelled: bool) -> bool | str:
    if not labelled:
        return False
    natural = all(ir.p == (-1) ** ir.l for irreps in features for _, ir in irreps)
    return "natural" if natural else True


def _irreps(text: str, labelled: bool) -> Irreps:
    """The irreps; without parity, where the labels (all even) stand for rotations alone."""
    irreps = Irreps(text)
    return irreps if labelled else Irreps([(mul, Irrep(ir.l, 0)) for mul, ir in irreps])


def _scalar(*, labelled: bool) -> Irrep:
    """The invariant one."""
    return Irrep(0, 1 if labelled else 0)


def _radial_layers(tensors: Mapping[str, Tensor]) -> int:
    return sum(name.startswith("layers.0.radial.") for name in tensors)


def _fill(model: NequIP, words: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Take over all numbers.

    1. The radial basis of both differs by a factor of each function, which goes into the first radial weights.
    2. Features of ours are those of the original over `ratios`, by irrep; the ratios go into the maps that read them.
    """
    basis = model.basis
    assert basis.frequencies is not None
    basis.frequencies.copy_(tensors["frequencies"])
    of_basis = words["basis"]["prefactor"] * math.pi / basis.cutoff / basis.factors
    model.embedding.copy_(tensors["embedding"])
    ratios = {_scalar(labelled=words["parity"]): 1.0}
    for number, (layer, own) in enumerate(zip(model.layers, words["layers"], strict=True)):
        assert isinstance(layer, Interaction)
        prefix = f"layers.{number}."
        its = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        ratios = _fill_layer(layer, own, its, words, of_basis, ratios, number)
    (readout,) = model.readouts.values()
    assert isinstance(readout, Readout)
    (linear,) = readout.layers
    assert isinstance(linear, Linear)
    ((scalar, ratio),) = ratios.items()
    _set(linear, {scalar: ratio * tensors["readout"]})


def _fill_layer(
    layer: Interaction,
    own: Mapping[str, Any],
    its: Mapping[str, Tensor],
    words: Mapping[str, Any],
    of_basis: Tensor,
    ratios: Mapping[Irrep, float],
    number: int,
) -> dict[Irrep, float]:
    """Take over one interaction, of features with these ratios; the ratios behind it."""
    labelled, convolution, gate = words["parity"], layer.convolution, layer.gate
    scalars, gated = _irreps(own["irreps_scalars"], labelled), _irreps(own["irreps_gated"], labelled)
    for ours, theirs in (
        (layer.irreps_in, _irreps(own["irreps_in"], labelled)),
        (layer.irreps_out, scalars + gated),
    ):
        if {*ours} != {*theirs}:
            raise ValueError(f"layer {number} has features {theirs}, which have no counterpart; {ours} have")
    maps: dict[str, dict[Irrep, Tensor]] = {"mix_in": {}, "mix_out": {}, "self": {}}
    for name, value in its.items():
        kind, _, rest = name.partition(".")
        if kind in maps and rest != "bias":
            maps[kind][_irreps(rest, labelled)[0][1]] = value

    # Features in front of the layer.
    _set(convolution.mix_in, {ir: ratios[ir] * matrix for ir, matrix in maps["mix_in"].items()})

    # The radial network, whose activation has another factor, and the weights of the paths.
    ratio = own["radial_factor"] / convolution.radial.activation.factor
    *hidden, last = [its[f"radial.{k}"] for k in range(len(convolution.radial.weights) + 1)]
    for k, (weight, matrix) in enumerate(zip(convolution.radial.weights, hidden, strict=True)):
        rows = of_basis.unsqueeze(1) if k == 0 else ratio
        weight.copy_(rows * matrix * math.sqrt(len(matrix)))
    convolution.normaliser.copy_(1 / its["denominator"])
    columns, rows = _places(layer, own, _irreps(words["irreps_edge"], labelled), labelled)
    convolution.weight.copy_(ratio * math.sqrt(len(last)) * last[:, columns])

    # Behind the sum: gates come first here, and last there.
    scalar = _scalar(labelled=labelled)
    order = _order_of_scalars(layer, scalars, gated, scalar)
    fed = math.sqrt(2) if layer.self_connection is not None else 1.0
    mixed = {}
    for ir, matrix in maps["mix_out"].items():
        mixed[ir] = matrix[rows[ir]] * (fed if ir in ratios else 1.0)
        mixed[ir] = mixed[ir][:, order] if ir == scalar else mixed[ir]
    _set(convolution.mix_out, mixed)
    if convolution.mix_in.bias is not None and convolution.mix_out.bias is not None:
        convolution.mix_in.bias.copy_(its["mix_in.bias"])
        convolution.mix_out.bias.copy_(fed * its["mix_out.bias"][order])
    assert layer.self_connection is not None
    connected = {}
    for ir, matrix in maps["self"].items():
        connected[ir] = matrix[..., order] if ir == scalar else matrix
        connected[ir] = fed * ratios[ir] * connected[ir]
    _set(layer.self_connection, connected)

    # What leaves the gate.
    of_scalars = {_irreps(name, labelled)[0][1]: value for name, value in own["scalar_factors"].items()}
    factors = {
        ir: of_scalars[ir] / (gate.scalar if ir.is_scalar() else gate.pseudoscalar).factor
        for ir in of_scalars
    }
    if set(own["gate_factors"]) - {"0e"}:
        raise ValueError(f"layer {number} has gates that are pseudoscalars, which have no counterpart")
    factor = own["gate_factors"].get("0e", 1.0) / gate.gate.factor
    return {ir: factors.get(ir, factor) for _, ir in layer.irreps_out}


def _places(
    layer: Interaction, own: Mapping[str, Any], edge: Irreps, labelled: bool
) -> tuple[Tensor, dict[Irrep, Tensor]]:
    """For the weights of our paths, where theirs are; and for the rows of each irrep behind the sum."""
    irreps_in = _irreps(own["irreps_in"], labelled)
    columns: dict[tuple[Irrep, Irrep, Irrep], Tensor] = {}
    rows: dict[tuple[Irrep, Irrep, Irrep], Tensor] = {}
    column, row = 0, dict.fromkeys((ir for _, ir in layer.gate.irreps_in), 0)
    for block, other, name in own["paths"]:
        channels, ir_in = irreps_in[block]
        ir_out = _irreps(name, labelled)[0][1]
        key = (ir_in, edge[other][1], ir_out)
        columns[key] = torch.arange(column, column + channels)
        rows[key] = torch.arange(row.get(ir_out, 0), row.get(ir_out, 0) + channels)
        column += channels
        row[ir_out] = row.get(ir_out, 0) + channels
    table = layer.convolution.table
    keys = [
        (table.irreps_in[path.block_in][1], table.irreps_edge[path.block_edge][1], path.ir_out)
        for path in table.paths
    ]
    wanted = {ir: [rows[key] for key in keys if key[2] == ir] for ir in {key[2] for key in keys}}
    return torch.cat([columns[key] for key in keys]), {ir: torch.cat(parts) for ir, parts in wanted.items()}


def _order_of_scalars(layer: Interaction, scalars: Irreps, gated: Irreps, scalar: Irrep) -> Tensor:
    """For our channels of invariant scalars in front of the gate, gates first, where theirs are, gates last."""
    start = scalars.count(scalar)
    gates = {}
    for mul, ir in gated:
        gates[ir] = torch.arange(start, start + mul)
        start += mul
    ours = [gates[ir] for _, ir in layer.irreps_out if ir.l > 0]
    return torch.cat([*ours, torch.arange(scalars.count(scalar))])


def _set(linear: Linear, maps: Mapping[Irrep, Tensor]) -> None:
    """Make y[ir] = maps[ir]ᵀ x[ir]."""
    for ir, weight in linear.maps.items():
        weight.copy_(maps[ir] * math.sqrt(weight.shape[-2]))
