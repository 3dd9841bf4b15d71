"""Networks of the NequIP family as a NequIP of ours: what the readers `read_nequip` and `read_sevennet` hand over.

What their packages do otherwise than this library, and where it goes:

- factors of activations are estimates from a random sample there, or there is none; here they are quadratures: their
  ratio goes into the weights behind;
- self-connections are added as they are, here their sum with the message is divided by √2: into the weights before;
- gates come behind the scalars there, and before them here: the columns are sorted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cynosure.importers.filling import TheirPath, below, numbered, set_linear, set_radial
from cynosure.importers.handover import Handover
from cynosure.nn import Gate, Linear, Readout
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
    constant = scale * tensors.get("readout.bias", torch.zeros(()))
    model = build_potential(
        _settings(words, tensors),
        species,
        e0s=dict(zip(species, tensors["shift"].tolist(), strict=True)),
        scale=dict(zip(species, scale.tolist(), strict=True)),
        shift=dict(zip(species, constant.tolist(), strict=True)),
        avg_neighbours=words["avg_neighbours"],
        dtype=torch.float64,
    )
    assert isinstance(model, NequIP)
    with torch.no_grad():
        _fill(model, words, tensors)
    return model.eval()


def _settings(words: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Settings of the architecture."""
    layers, labelled = words["layers"], words["parity"]
    ((embedding, _),) = _irreps(layers[0]["irreps_in"], labelled)
    features = [_irreps_out(layer, labelled) for layer in layers]
    l_max = max(ir.l for _, ir in _irreps(words["irreps_edge"], labelled))
    channels: dict[int, int] = {}
    for mul, ir in (block for irreps in features for block in irreps):
        if channels.setdefault(ir.l, mul) != mul:
            raise ValueError(
                f"{channels[ir.l]} and {mul} channels of degree {ir.l} have no counterpart; one number has"
            )
    falling = words["envelope"]
    polynomial = falling["kind"] == "polynomial"
    biases = [
        value for name, value in tensors.items() if name.startswith("layers.") and name.endswith(".bias")
    ]
    hidden = {
        tuple(matrix.shape[1] for matrix in numbered(tensors, f"layers.{n}.radial")[:-1])
        for n in range(len(layers))
    }
    if len(hidden) > 1:
        raise ValueError("radial networks of several sizes in one model have no counterpart")
    readout = numbered(tensors, "readout")
    return {
        "model": "nequip",
        "cutoff": words["cutoff"],
        "zbl": words["zbl"],
        "layers": len(layers),
        "l_max": l_max,
        "parity": _parity(features, labelled),
        "channels": [channels.get(l, channels[0]) for l in range(l_max + 1)],
        "embedding_channels": None if embedding == channels[0] else embedding,
        "radial_basis": "bessel",
        "num_basis": len(tensors["frequencies"]),
        "learned_frequencies": words["learned_frequencies"],
        "envelope": falling["kind"],
        **({"envelope_power": falling["power"]} if polynomial else {"envelope_start": falling["start"]}),
        "radial_hidden": list(hidden.pop()),
        "bias": any(bool(bias.any()) for bias in biases),
        "gate": "silu",
        "self_connection": _self_connection([layer["self_connection"] for layer in layers]),
        "readout_hidden": readout[0].shape[1] if len(readout) == 2 else 0,
        "layer_weight": 0,
    }


def _self_connection(kinds: Sequence[str | None]) -> bool | str:
    """The setting for what the layers have."""
    if len(set(kinds)) == 1:
        return {None: False, "shared": "shared", "by species": True}[kinds[0]]
    if kinds[0] is None and set(kinds[1:]) == {"by species"}:
        return "after_first"
    listed = ", ".join(kind or "none" for kind in kinds)
    raise ValueError(f"self-connections of several kinds in one model ({listed}) have no counterpart")


def _parity(features: list[Irreps], labelled: bool) -> bool | str:
    if not labelled:
        return False
    natural = all(ir.p == (-1) ** ir.l for irreps in features for _, ir in irreps)
    return "natural" if natural else True


def _irreps(text: str, labelled: bool) -> Irreps:
    """The irreps; without parity, where the labels (all even) stand for rotations alone."""
    irreps = Irreps(text)
    return irreps if labelled else Irreps([(mul, Irrep(ir.l, 0)) for mul, ir in irreps])


def _irreps_out(layer: Mapping[str, Any], labelled: bool) -> Irreps:
    """Of the features behind a layer."""
    return _irreps(layer["irreps_scalars"], labelled) + _irreps(layer["irreps_gated"], labelled)


def _scalar(*, labelled: bool) -> Irrep:
    """The invariant one."""
    return Irrep(0, 1 if labelled else 0)


def _fill(model: NequIP, words: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Take over all numbers.

    1. The radial basis of both differs by a factor of each function, which goes into the first radial weights.
    2. Features of ours are those of the original over `ratios`, by irrep; the ratios go into the maps that read them.
    """
    basis = model.basis
    if basis.frequencies is not None:
        basis.frequencies.copy_(tensors["frequencies"])
    of_basis = words["basis"]["prefactor"] * math.pi / basis.cutoff / basis.factors
    model.embedding.copy_(tensors["embedding"])
    ratios = {_scalar(labelled=words["parity"]): 1.0}
    for number, (layer, own) in enumerate(zip(model.layers, words["layers"], strict=True)):
        assert isinstance(layer, Interaction)
        its = below(tensors, f"layers.{number}")
        ratios = _fill_layer(layer, own, its, words, of_basis, ratios, number)
    (readout,) = model.readouts.values()
    assert isinstance(readout, Readout)
    ((scalar, ratio),) = ratios.items()
    first, *behind = numbered(tensors, "readout")
    linear, *others = readout.layers
    assert isinstance(linear, Linear)
    set_linear(linear, {scalar: ratio * first})
    if behind:
        gate, last = others
        assert isinstance(gate, Gate)
        assert isinstance(last, Linear)
        set_linear(last, {scalar: words["readout_factor"] / gate.scalar.factor * behind[0]})


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
        if sorted(ours) != sorted(theirs):
            raise ValueError(f"layer {number} has features {theirs}, which have no counterpart; {ours} have")
    maps: dict[str, dict[Irrep, Tensor]] = {"mix_in": {}, "mix_out": {}, "self": {}}
    for name, value in its.items():
        kind, _, rest = name.partition(".")
        if kind in maps and rest != "bias":
            maps[kind][_irreps(rest, labelled)[0][1]] = value

    # Features in front of the layer.
    set_linear(convolution.mix_in, {ir: ratios[ir] * matrix for ir, matrix in maps["mix_in"].items()})

    # The sum over neighbours.
    theirs_in, edge = (_irreps(text, labelled) for text in (own["irreps_in"], words["irreps_edge"]))
    paths = [
        TheirPath(theirs_in[block][1], edge[other][1], _irreps(name, labelled)[0][1], theirs_in[block][0])
        for block, other, name in own["paths"]
    ]
    rows = set_radial(convolution, numbered(its, "radial"), of_basis, own["radial_factor"], paths)
    convolution.normaliser.copy_(1 / its["denominator"])

    # Behind the sum: gates come first here, and last there.
    scalar = _scalar(labelled=labelled)
    order = _order_of_scalars(layer, scalars, gated, scalar)
    fed = 1.0 if layer.self_connection is None else math.sqrt(2)
    mixed = {}
    for ir, matrix in maps["mix_out"].items():
        mixed[ir] = matrix[rows[ir]] * (fed if ir in ratios else 1.0)
        mixed[ir] = mixed[ir][:, order] if ir == scalar else mixed[ir]
    set_linear(convolution.mix_out, mixed)
    if convolution.mix_in.bias is not None and convolution.mix_out.bias is not None:
        convolution.mix_in.bias.copy_(its["mix_in.bias"])
        convolution.mix_out.bias.copy_(fed * its["mix_out.bias"][order])
    if layer.self_connection is not None:
        connected = {}
        for ir, matrix in maps["self"].items():
            connected[ir] = matrix[..., order] if ir == scalar else matrix
            connected[ir] = fed * ratios[ir] * connected[ir]
        set_linear(layer.self_connection, connected)

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


def _order_of_scalars(layer: Interaction, scalars: Irreps, gated: Irreps, scalar: Irrep) -> Tensor:
    """For our channels of invariant scalars in front of the gate, gates first, where theirs are, gates last."""
    start = scalars.count(scalar)
    gates = {}
    for mul, ir in gated:
        gates[ir] = torch.arange(start, start + mul)
        start += mul
    ours = [gates[ir] for _, ir in layer.irreps_out if ir.l > 0]
    return torch.cat([*ours, torch.arange(scalars.count(scalar))])
