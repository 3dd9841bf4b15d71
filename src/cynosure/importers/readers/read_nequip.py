"""Hands over a NequIP (Batzner et al. 2022, Nature Communications 13, 2453) that the package `nequip` reads.

Run by `cynosure.importers` in a Python that has `nequip`; see `handing_over`. It takes checkpoints of `nequip-train`
and packages of `nequip-package`. Both hold pickles, and a package the code of its model too: reading them runs what
they contain.
"""

# Its imports are of another Python than the one that Cynosure runs in.
# pyright: reportMissingImports=false
from __future__ import annotations

import math
import os
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from handing_over import Original, Refused, hand_over, package, sha256, version

# The versions of the package whose models this file knows.
KNOWN = (0, 19)
REQUIREMENT = "nequip==0.19.1"


def read(source: str, name: str | None) -> Original:
    """The model of a file, in float64; of several, the one with this name."""
    warnings.simplefilter("ignore")
    nequip = package("nequip", "NequIP's checkpoints", REQUIREMENT, KNOWN)
    from nequip.utils.global_state import set_global_state

    written_by = _version_in(source)
    if version(written_by)[:2] != KNOWN:
        raise Refused(
            f"'{source}' was written by nequip {written_by}; models of {'.'.join(map(str, KNOWN))} can be imported"
        )
    set_global_state()
    model = _only_one(_load(source, nequip.__version__), name, source)
    species, order = _species(model.type_names)
    description, tensors = _take_apart(model, order)
    description |= {
        "package": "nequip",
        "package_version": nequip.__version__,
        "checkpoint_version": written_by,
        "checkpoint": os.path.basename(source),
        "checkpoint_sha256": sha256(source),
        "modality": name,
    }
    return Original(description, tensors, species, _evaluator(model, description["cutoff"]))


def _is_package(path: str) -> bool:
    with zipfile.ZipFile(path) as archive:
        return any(entry.endswith("/model/package_metadata.txt") for entry in archive.namelist())


def _version_in(path: str) -> str:
    """The version of the package that wrote a file."""
    try:
        if _is_package(path):
            import yaml

            with zipfile.ZipFile(path) as archive:
                (entry,) = [one for one in archive.namelist() if one.endswith("/model/package_metadata.txt")]
                return yaml.safe_load(archive.read(entry))["versions"]["nequip"]
        import torch

        content = torch.load(path, map_location="cpu", weights_only=False)
        return content["hyper_parameters"]["info_dict"]["versions"]["nequip"]
    except Exception as error:  # a pickle can fail in any way
        raise Refused(
            f"'{path}' is no checkpoint or package of NequIP, or a damaged one: {error!r}"
        ) from None


def _load(path: str, version: str) -> Mapping[str, Any]:
    """The models of a file by name; with averaged weights, where training averaged them."""
    from nequip.model.saved_models import load_saved_model

    if _is_package(path) and not path.endswith(".nequip.zip"):
        raise Refused(f"'{path}' is a package of NequIP; its name must end in .nequip.zip to be read")
    try:
        return load_saved_model(path, compile_mode="eager", model_key=None)
    except Exception as error:  # whatever it is, the user must be told
        raise Refused(f"nequip {version} cannot build the model of '{path}': {error!r}") from None


def _only_one(models: Mapping[str, Any], name: str | None, source: str) -> Any:
    names = list(models.keys())
    if name is None and len(names) > 1:
        raise Refused(f"'{source}' has the models {', '.join(names)}: choose one (--modality)")
    if name is not None and name not in names:
        raise Refused(f"'{source}' has no model '{name}'; it has {', '.join(names)}")
    return models[name or names[0]]


def _species(names: list[str]) -> tuple[tuple[int, ...], list[int]]:
    """Atomic numbers, ascending, and where each is among the model's types."""
    from ase.data import atomic_numbers

    if strange := [name for name in names if atomic_numbers.get(name, 0) < 1]:
        raise Refused(
            f"the type '{strange[0]}' is no chemical element: models whose 'type_names' are symbols can be imported"
        )
    numbers = [atomic_numbers[name] for name in names]
    order = sorted(range(len(names)), key=lambda place: numbers[place])
    return tuple(numbers[place] for place in order), order


def _kind(part: Any) -> str:
    """The name of its class, which a package may have under another module's name, or TorchScript as its own."""
    return str(getattr(part, "original_name", type(part).__name__))


def _take(parts: dict[str, Any], name: str, kind: str) -> Any:
    """One part, taken away from the others.

    Raises:
        Refused: it is of another class, or not there.
    """
    part = parts.pop(name, None)
    if part is None:
        raise Refused(f"the model has no part '{name}', which every NequIP of {REQUIREMENT} has")
    _require(part, kind, name)
    return part


def _require(part: Any, kind: str, name: str) -> None:
    if _kind(part) != kind:
        raise Refused(f"the part '{name}' is a {_kind(part)}, which has no counterpart; {kind} has")


def _take_apart(model: Any, order: list[int]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What the model consists of, in words and in numbers; what is of species, in this order of the model's types."""
    from e3nn_maps import numbers

    _require(model.model, "ForceStressOutput", "model")
    _require(model.model.func, "SequentialGraphNetwork", "func")
    parts = dict(model.model.func.named_children())
    if "allegro" in parts:
        raise Refused("this is an Allegro model; NequIP models can be imported, Allegro has no counterpart")
    embedding = _take(parts, "type_embed", "NodeTypeEmbed")
    if embedding.do_categorical_graph_field_embed:
        raise Refused("the embedding of graph fields ('categorical_graph_field_embed') has no counterpart")
    attributes = numbers(embedding.embed_module.weight)[order]
    edge, frequencies = _take_edge(parts)
    tensors = {"frequencies": frequencies, "embedding": attributes}
    layers = []
    for number in range(sum(name.endswith("_convnet") for name in parts)):
        name = f"layer{number}_convnet"
        layer, its = _take_layer(_take(parts, name, "ConvNetLayer"), name, attributes)
        layers.append(layer)
        tensors |= {f"layers.{number}.{key}": value for key, value in its.items()}
    matrices = _take_readout(_take(parts, "per_atom_energy_readout", "ScalarMLP").mlp_module)
    tensors |= {f"readout.{k}": matrix for k, matrix in enumerate(matrices)}
    rescale = _take(parts, "per_type_energy_scale_shift", "PerTypeScaleShift")
    for name, values, neutral in (("scale", rescale.scales, 1.0), ("shift", rescale.shifts, 0.0)):
        found = numbers(values).reshape(-1)
        # (None means no scale, and one number is of every type.)
        found = found if len(found) else np.full(1, neutral)
        tensors[name] = np.broadcast_to(found, len(order))[order]
    _take(parts, "total_energy_sum", "AtomwiseReduce")
    pair = parts.pop("pair_potential", None)
    if parts:
        name, part = next(iter(parts.items()))
        raise Refused(f"the part '{name}' ({_kind(part)}) has no counterpart")
    neighbours = [tensors[f"layers.{number}.denominator"] ** 2 for number in range(len(layers))]
    description = {
        **edge,
        "parity": True,
        "zbl": pair is not None and _take_repulsion(pair, model.type_names),
        "avg_neighbours": float(np.mean(neighbours)),
        "readout_factor": 1.0,
        "layers": layers,
    }
    return description, tensors


def _take_edge(parts: dict[str, Any]) -> tuple[dict[str, Any], np.ndarray]:
    """The functions of an edge, harmonics of its direction and a basis of its length; and the basis's frequencies."""
    from e3nn_maps import numbers

    harmonics = _take(parts, "spharm", "SphericalHarmonicEdgeAttrs").sh
    if not harmonics.normalize or harmonics.normalization != "component":
        raise Refused("spherical harmonics that are not normalised by component have no counterpart")
    lengths = _take(parts, "edge_norm", "EdgeLengthNormalizer")
    cutoff = float(lengths.r_max)
    if not np.allclose(numbers(lengths._rmax_recip) * cutoff, 1.0, rtol=0, atol=1e-12):
        raise Refused("cutoffs that depend on the elements ('per_edge_type_cutoff') have no counterpart")
    basis = _take(parts, "bessel_encode", "BesselEdgeLengthEncoding")
    # sinc(w r/r_c) w = sin(k r) r_c/(π r) with k = w π/r_c
    roots = numbers(basis.bessel_weights).reshape(-1)
    factor = float(_take(parts, "factor", "ApplyFactor").factor)
    words = {
        "cutoff": cutoff,
        "irreps_edge": str(harmonics.irreps_out),
        "basis": {"prefactor": factor * cutoff / math.pi},
        "learned_frequencies": bool(basis.trainable)
        or not np.array_equal(roots, np.arange(1, len(roots) + 1)),
        "envelope": {"kind": "polynomial", "power": _power(basis.cutoff, "bessel_encode.cutoff")},
    }
    return words, roots * math.pi / cutoff


def _power(cutoff: Any, name: str) -> int:
    """Of a polynomial cutoff."""
    _require(cutoff, "PolynomialCutoff", name)
    power = float(cutoff.p)
    if power != int(power) or power < 3:
        raise Refused(
            f"the power {power:g} of the polynomial cutoff has no counterpart; whole ones from 3 on have"
        )
    return int(power)


def _take_repulsion(part: Any, names: Sequence[str]) -> dict[str, Any]:
    """The repulsion of nuclei: constants as LAMMPS has them, which the package writes out, and an end at the cutoff."""
    from ase.data import atomic_numbers
    from e3nn_maps import numbers

    if _kind(part) != "ZBL":
        raise Refused(f"the pair potential '{_kind(part)}' has no counterpart; ZBL has")
    charge = 2 * float(part._qqr2exesquare)
    if not math.isclose(charge, 14.399645, rel_tol=1e-6):
        raise Refused("a ZBL in other units than eV and Å ('metal') has no counterpart")
    if numbers(part.atomic_numbers).tolist() != [atomic_numbers[name] for name in names]:
        raise Refused("a ZBL whose 'chemical_species' are not the model's types has no counterpart")
    return {
        "charge": charge,
        "length": 0.46850,
        "exponent": 0.23,
        "coefficients": [0.02817, 0.28022, 0.50986, 0.18175],
        "decays": [0.20162, 0.40290, 0.94229, 3.19980],
        "reach": "cutoff",
        "power": _power(part.cutoff, "pair_potential.cutoff"),
    }


def _take_layer(
    layer: Any, name: str, attributes: np.ndarray
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """One interaction: its words and its numbers.

    Args:
        layer: the module.
        name: what it is called.
        attributes: [species, A], the numbers that stand for a species where it enters a self-connection.
    """
    from e3nn_maps import by_species, factor, linear, numbers, paths

    if layer.resnet:
        raise Refused("features added to those of the layer before ('convnet_resnet') have no counterpart")
    gate, block = layer.equivariant_nonlin, layer.conv
    _require(gate, "Gate", f"{name}.equivariant_nonlin")
    _require(block, "InteractionBlock", f"{name}.conv")
    for part in (gate.act_scalars, gate.act_gates):
        for ir, function in _by_irrep(part, lambda act: act.f.__name__).items():
            if function != {"0e": "silu", "0o": "tanh"}[ir]:
                raise Refused(
                    f"the activation '{function}' of scalars {ir} has no counterpart; silu of 0e and tanh of 0o have"
                )
    product = block.tp_scatter.tp
    listed, factors = paths(product)
    norms = numbers(block.avg_num_neighbors_norm.norm_const).reshape(-1)
    if np.ptp(norms) > 0:
        raise Refused(
            "numbers of neighbours that depend on the elements ('avg_num_neighbors') have no counterpart"
        )
    radial, functions = _network(block.edge_mlp)
    if functions != {"SiLU"}:
        raise Refused(
            f"radial networks with {' and '.join(sorted(functions)) or 'no hidden layer'} have no counterpart; SiLU has"
        )
    radial[-1] = radial[-1] * factors
    tensors = {f"radial.{k}": matrix for k, matrix in enumerate(radial)}
    tensors["denominator"] = 1 / norms[0].reshape(())
    for key, part in (("mix_in", block.linear_1), ("mix_out", block.linear_2)):
        maps, _ = linear(part)
        tensors |= {f"{key}.{ir}": matrix for ir, matrix in maps.items()}
    if block.sc is not None:
        # Bilinear in the features and the numbers of a species: a map of the features for each species.
        for ir, tensor in by_species(block.sc).items():
            tensors[f"self.{ir}"] = np.einsum("sa,aio->sio", attributes, tensor)
    words = {
        "irreps_in": str(product.irreps_in1),
        "irreps_scalars": str(gate.irreps_scalars),
        "irreps_gated": str(gate.irreps_gated),
        "paths": listed,
        "self_connection": None if block.sc is None else "by species",
        "radial_factor": 1.0,
        "scalar_factors": _by_irrep(gate.act_scalars, factor),
        "gate_factors": _by_irrep(gate.act_gates, factor),
    }
    return words, tensors


def _by_irrep(activation: Any, of: Any) -> dict[str, Any]:
    return {str(ir): of(act) for (_, ir), act in zip(activation.irreps_in, activation.acts, strict=True)}


def _network(module: Any) -> tuple[list[np.ndarray], set[str]]:
    """A `ScalarMLPFunction`: the matrix of each layer, and the functions between them."""
    from e3nn_maps import numbers

    if module.bias:
        raise Refused("networks of scalars with a bias have no counterpart")
    if _kind(module.mlp) == "DeepLinearMLP":
        whole = np.linalg.multi_dot([numbers(weight) for weight in module.mlp.weights])
        return [whole * numbers(module.mlp.alpha)], set()
    layers = [part for part in module.mlp if _kind(part) == "ScalarLinearLayer"]
    functions = {_kind(part) for part in module.mlp} - {"ScalarLinearLayer"}
    return [numbers(layer.weight) * numbers(layer.alpha) for layer in layers], functions


def _take_readout(module: Any) -> list[np.ndarray]:
    """From scalars to the energy: one linear map, or two with a hidden layer between."""
    matrices, functions = _network(module)
    if len(matrices) > 2 or not functions <= {"SiLU"}:
        raise Refused(
            f"a readout of {len(matrices)} layers with {' and '.join(sorted(functions))} has no counterpart; a linear "
            "one has, and one with a hidden layer and SiLU"
        )
    return matrices


def _evaluator(model: Any, cutoff: float) -> Any:
    """Energy, forces and stress of ASE's atoms, in float64 throughout."""
    import torch
    from e3nn_maps import make_exact
    from nequip.data import AtomicDataDict, from_ase
    from nequip.integrations.utils import basic_transforms

    model = model.double().eval()
    model.requires_grad_(requires_grad=False)
    model.model.do_derivatives = True
    for part in model.modules():
        # What is computed in float64 anyway is rounded to these.
        for name in ("model_dtype", "_output_dtype"):
            if hasattr(part, name):
                setattr(part, name, torch.float64)
    make_exact(model)
    names = list(model.type_names)
    transforms = basic_transforms({}, cutoff, names, {name: name for name in names})

    def evaluate(atoms: Any) -> tuple[float, np.ndarray, np.ndarray]:
        data = from_ase(atoms)
        for transform in transforms:
            data = transform(data)
        found = model(data)
        stress = found.get(AtomicDataDict.STRESS_KEY)
        return (
            float(found[AtomicDataDict.TOTAL_ENERGY_KEY]),
            found[AtomicDataDict.FORCE_KEY].detach().numpy(),
            np.full((3, 3), np.nan) if stress is None else stress.detach().numpy().reshape(3, 3),
        )

    return evaluate


if __name__ == "__main__":
    hand_over(read)
