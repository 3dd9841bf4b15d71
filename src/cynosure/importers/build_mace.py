"""MACE (Batatia et al. 2022, arXiv:2206.07697), as the package mace-torch has it, as a MACE of ours.

What the package does otherwise than this library, and where it goes:

- polynomials of its many-body products are another basis of the same space, told by their values: coefficients between
  the two come from least squares;
- self-connections are added as they are, here their sum with the product is divided by √2: into the weights before;
- readouts of all layers are added as they are, here each has a weight: into the readouts;
- factors of activations are estimates from a random sample there, quadratures here: their ratio goes into the weights
  behind;
- the scale of energies is applied to the pair repulsion too: into its charges.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cynosure.importers.filling import TheirPath, below, numbered, set_linear, set_radial
from cynosure.importers.handover import Handover
from cynosure.nn import Gate, Linear, Readout
from cynosure.o3 import Irrep, Irreps, equivariant_polynomials
from cynosure.potentials import Potential
from cynosure.potentials.mace import MACE, ManyBodyInteraction
from cynosure.potentials.registry import build as build_potential

_SCALAR = Irrep(0, 1)
# How well our polynomials must express theirs: Clebsch-Gordan numbers of a model in float32 may be rounded.
_RESIDUAL = 1e-5


def build(handover: Handover) -> Potential:
    """The model, in float64.

    Raises:
        ValueError: a part that has no counterpart here; the message names it.
    """
    words, tensors = handover.description, handover.tensors
    species = [int(z) for z in words["species"]]
    neighbours = [
        float(tensors[f"layers.{n}.neighbours"])
        for n, one in enumerate(words["layers"])
        if not one["density"]
    ]
    model = build_potential(
        _settings(words, tensors),
        species,
        e0s=dict(zip(species, tensors["e0s"].tolist(), strict=True)),
        scale=words["scale"],
        shift=words["shift"],
        avg_neighbours=sum(neighbours) / len(neighbours) if neighbours else 1.0,
        dtype=torch.float64,
    )
    assert isinstance(model, MACE)
    with torch.no_grad():
        _fill(model, words, tensors)
    return model.eval()


def _settings(words: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Settings of the architecture."""
    layers, readouts = words["layers"], words["readouts"]
    features = [Irreps(layer["irreps_in"]) for layer in layers] + [
        Irreps(layer["irreps_out"]) for layer in layers
    ]
    hidden = max(features, key=lambda irreps: irreps.dim)
    nonlinear = [number for number, one in enumerate(readouts) if one is not None]
    if nonlinear not in ([], [len(readouts) - 1]) or len(readouts) not in (1, len(layers)):
        raise ValueError("readouts other than one behind each layer, or behind the last, have no counterpart")
    *hidden_layers, _ = numbered(tensors, "layers.0.radial")
    repulsion = words["pair_repulsion"]
    return {
        "model": "mace",
        "cutoff": words["cutoff"],
        "zbl": False if repulsion is None else {**repulsion, "charge": words["scale"] * repulsion["charge"]},
        "layers": len(layers),
        "l_max": words["l_max"],
        "hidden_l_max": max(ir.l for _, ir in hidden),
        "correlation": [layer["correlation"] for layer in layers],
        "channels": hidden[0][0],
        "radial_basis": words["basis"]["kind"],
        "num_basis": words["basis"]["number"],
        "envelope_power": words["power"],
        "radial_hidden": [matrix.shape[1] for matrix in hidden_layers],
        "distance_transform": words["transform"],
        "self_connection": [layer["self_connection"] for layer in layers],
        "messages_by_species": [layer["by_species"] for layer in layers],
        "density": [layer["density"] for layer in layers],
        "readout_hidden": readouts[-1]["hidden"] if nonlinear else 0,
        "layer_weight": 1.0 if len(readouts) == len(layers) else 0.0,
    }


def _irrep(text: str) -> Irrep:
    return Irreps(text)[0][1]


def _fill(model: MACE, words: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Take over all numbers; the radial bases differ by a factor of each function, for the first radial weights."""
    basis = model.basis
    n = torch.arange(1, basis.number + 1, dtype=torch.float64)
    if basis.kind == "bessel":
        same = torch.allclose(tensors["frequencies"], n * (math.pi / basis.cutoff), rtol=1e-12, atol=0)
        of_basis = words["basis"]["factor"] * math.pi / basis.cutoff / basis.factors
    else:
        centres = (n - 1) * (basis.cutoff / max(basis.number - 1, 1))
        same = torch.allclose(tensors["centres"], centres, rtol=1e-12, atol=1e-12)
        of_basis = 1 / basis.factors
    if not same:
        raise ValueError(
            "a radial basis that was trained has no counterpart; its frequencies or centres are not even"
        )
    model.embedding.copy_(tensors["embedding"])
    for number, (layer, own) in enumerate(zip(model.layers, words["layers"], strict=True)):
        assert isinstance(layer, ManyBodyInteraction)
        its = below(tensors, f"layers.{number}")
        _fill_layer(layer, own, its, of_basis)
    for place, ((number, readout), own) in enumerate(
        zip(model.readouts.items(), words["readouts"], strict=True)
    ):
        assert isinstance(readout, Readout)
        weight, prefix = model.readouts.weights[int(number)], f"readouts.{place}."
        if own is None:
            (linear,) = readout.layers
            assert isinstance(linear, Linear)
            set_linear(linear, {_SCALAR: tensors[prefix + "linear"] / weight})
            continue
        first, gate, last = readout.layers
        assert isinstance(first, Linear)
        assert isinstance(gate, Gate)
        assert isinstance(last, Linear)
        set_linear(first, {_SCALAR: tensors[prefix + "first"]})
        set_linear(last, {_SCALAR: tensors[prefix + "last"] * (own["factor"] / gate.scalar.factor / weight)})


def _fill_layer(
    layer: ManyBodyInteraction, own: Mapping[str, Any], its: Mapping[str, Tensor], of_basis: Tensor
) -> None:
    """Take over one interaction and the product behind it."""
    convolution = layer.convolution
    maps: dict[str, dict[Irrep, Tensor]] = {"mix_in": {}, "mix_out": {}, "mix": {}, "self": {}, "select": {}}
    for name, value in its.items():
        kind, _, rest = name.partition(".")
        if kind in maps:
            maps[kind][_irrep(rest)] = value

    set_linear(convolution.mix_in, maps["mix_in"])
    features, edge = Irreps(own["irreps_in"]), convolution.irreps_edge
    paths = [
        TheirPath(features[block][1], edge[degree][1], _irrep(name), features[block][0])
        for block, degree, name in own["paths"]
    ]
    rows = set_radial(convolution, numbered(its, "radial"), of_basis, own["radial_factor"], paths)
    set_linear(convolution.mix_out, {ir: matrix[rows[ir]] for ir, matrix in maps["mix_out"].items()})
    convolution.normaliser.copy_(1 / its["neighbours"] if "neighbours" in its else torch.ones(()))
    if layer.density is not None:
        layer.density.weight.copy_(of_basis * its["density"] * math.sqrt(len(of_basis)))
    if layer.select is not None:
        set_linear(layer.select, maps["select"])

    _fill_product(layer, its)
    connected = {} if layer.self_connection is None else layer.self_connection.maps
    set_linear(
        layer.mix,
        {ir: matrix * (math.sqrt(2) if ir in connected else 1.0) for ir, matrix in maps["mix"].items()},
    )
    if layer.self_connection is not None:
        set_linear(layer.self_connection, {ir: math.sqrt(2) * matrix for ir, matrix in maps["self"].items()})


def _fill_product(layer: ManyBodyInteraction, its: Mapping[str, Tensor]) -> None:
    """Express their polynomials in ours: both are evaluated at the same points, order by order and irrep by irrep."""
    product = layer.product
    single = Irreps([(1, ir) for _, ir in product.irreps_in])
    place = 0
    for (_, ir), count in zip(product.irreps_out, product.table.tree.paths, strict=True):
        for order in range(1, product.table.order + 1):
            ours = equivariant_polynomials(single, ir, order)
            number = len(ours.coefficients)
            if not number:
                continue
            name = f"product.{ir}.{order}"
            points, values = its[f"{name}.points"].numpy(), its[f"{name}.values"].numpy()
            monomials = np.stack([points[:, list(one)].prod(axis=1) for one in ours.monomials], axis=1)
            basis = np.einsum("pm,nkm->pkn", monomials, ours.coefficients).reshape(-1, number)
            wanted = values.reshape(len(basis), -1)
            solution = np.linalg.lstsq(basis, wanted, rcond=None)[0]
            missed = np.abs(basis @ solution - wanted).max()
            if not missed <= _RESIDUAL * max(np.abs(wanted).max(), 1.0):
                raise ValueError(
                    f"a polynomial of order {order} in the many-body product has no counterpart: it is not symmetric "
                    f"or not equivariant (what is missing: {missed:.1e})"
                )
            weight = torch.einsum("nk,skc->snc", torch.from_numpy(solution), its[f"{name}.weights"])
            product.weight[:, place : place + number] = weight * math.sqrt(count) / product.normaliser
            place += number
