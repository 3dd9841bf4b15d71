"""Hands over a SevenNet (Park et al. 2024, J. Chem. Theory Comput. 20, 4857) that the package `sevenn` reads.

Run by `cynosure.importers` in a Python that has `sevenn`; see `handing_over`. A checkpoint is a pickle: reading it runs
what it contains.
"""

# Its imports are of another Python than the one that Cynosure runs in.
# pyright: reportMissingImports=false
from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
from handing_over import Original, Refused, hand_over, package, sha256, version

# The versions of the package whose models this file knows.
KNOWN = (0, 13)
REQUIREMENT = "sevenn==0.13.0"
# Names of the checkpoints that the package carries (others it would fetch).
CARRIED = ("0", "0_11jul2024", "0_22may2024", "l3i5", "mf-0")


def read(source: str, modality: str | None) -> Original:
    """The model of a checkpoint, in float64."""
    sevenn = package("sevenn", "SevenNet's checkpoints", REQUIREMENT, KNOWN)
    warnings.simplefilter("ignore")
    path = _path_of(source)
    checkpoint = _open(path)
    config = checkpoint.config
    if version(config["version"]) > version(sevenn.__version__):
        raise Refused(
            f"'{source}' was written by sevenn {config['version']}, newer than the sevenn {sevenn.__version__} here"
        )
    modalities = list(config.get("_modal_map") or {}) if config.get("use_modality") else []
    if modality is None and len(modalities) > 1:
        raise Refused(f"'{source}' has the modalities {', '.join(modalities)}: choose one (--modality)")
    if modality is not None and modality not in modalities:
        has = f"it has {', '.join(modalities)}" if modalities else "it has none to choose from"
        raise Refused(f"'{source}' has no modality '{modality}'; {has}")
    if modalities and modality is None:
        modality = modalities[0]
    try:
        model = checkpoint.build_model()
    except Exception as error:  # whatever it is, the user must be told
        raise Refused(
            f"sevenn {sevenn.__version__} cannot build the model of '{source}': {error!r}"
        ) from None
    description, tensors = _take_apart(model, config, modality)
    description |= {
        "package": "sevenn",
        "package_version": sevenn.__version__,
        "checkpoint_version": config["version"],
        "checkpoint": os.path.basename(path),
        "checkpoint_sha256": sha256(path),
        "modality": modality,
    }
    species = tuple(sorted(int(z) for z in config["_type_map"]))
    return Original(description, tensors, species, _evaluator(model, config["cutoff"], modality))


def _path_of(source: str) -> str:
    from sevenn.util import pretrained_name_to_path

    head, _, rest = source.lower().partition("-")
    if head in ("7net", "sevennet") and rest in CARRIED:
        return pretrained_name_to_path(source)
    if not os.path.isfile(source):
        carried = ", ".join(f"7net-{name}" for name in CARRIED)
        raise Refused(f"no file '{source}', and none of the checkpoints that sevenn carries: {carried}")
    return source


def _open(path: str) -> Any:
    from sevenn.checkpoint import SevenNetCheckpoint

    checkpoint = SevenNetCheckpoint(path)
    try:
        config, state = checkpoint.config, checkpoint.model_state_dict
    except Exception as error:  # a pickle can fail in any way
        raise Refused(f"'{path}' is no SevenNet checkpoint, or a damaged one: {error!r}") from None
    missing = {"version", "cutoff", "_type_map"} - set(config)
    if missing or not state:
        raise Refused(
            f"'{path}' is no SevenNet checkpoint: it has no {sorted(missing or {'model_state_dict'})[0]}"
        )
    return checkpoint


def _take_apart(
    model: Any, config: dict[str, Any], modality: str | None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What the model consists of, in words and in numbers."""
    from e3nn_maps import linear, numbers

    parts = dict(model._modules)
    if config["interaction_type"] != "nequip":
        raise Refused(f"the interaction '{config['interaction_type']}' has no counterpart")
    if config["readout_as_fcn"]:
        raise Refused("the readout 'readout_as_fcn', a network, has no counterpart")
    edges = parts.pop("edge_embedding")
    basis, envelope = edges.basis_function, edges.cutoff_function
    if type(basis).__name__ != "BesselBasis":
        raise Refused(f"the radial basis {type(basis).__name__} has no counterpart")
    match type(envelope).__name__:
        case "PolynomialCutoff":
            falling = {"kind": "polynomial", "power": int(envelope.p)}
        case "XPLORCutoff":
            falling = {"kind": "xplor", "start": float(envelope.r_on)}
        case other:
            raise Refused(f"the cutoff function {other} has no counterpart")
    if not edges.spherical.sph.normalize:
        raise Refused(
            "spherical harmonics that are not normalised ('_normalize_sph': False) have no counterpart"
        )
    modal = None if modality is None else model.modal_map[modality]
    tensors = {"frequencies": numbers(basis.coeffs)}
    # A row of the map from one-hot species for each; in the order of atomic numbers.
    order = [place for _, place in sorted(model.type_map.items())]
    maps, bias = _of_modality(linear(parts.pop("onehot_to_feature_x").linear), len(order), modal)
    tensors["embedding"] = maps["0e"][order] + bias
    layers = []
    for number in range(config["num_convolution_layer"]):
        own = {name: parts.pop(f"{number}_{name}") for name in _PARTS}
        layer, its = _take_layer(own, order, modal)
        layers.append(layer)
        tensors |= {f"layers.{number}.{name}": value for name, value in its.items()}
    tensors |= _take_readout(parts, order, modal)
    strange = set(parts) - {"onehot_idx_to_onehot", "one_hot_modality", "reduce_total_enegy", "force_output"}
    if strange:
        raise Refused(f"the part '{sorted(strange)[0]}' has no counterpart")
    radial = config["act_radial"]
    if radial != "silu":
        raise Refused(f"the activation '{radial}' of the radial networks has no counterpart")
    for name in ("act_scalar", "act_gate"):
        functions = config[name]
        if functions["e"] != "silu" or (config["is_parity"] and functions["o"] != "tanh"):
            raise Refused(f"the activations {functions} ('{name}') have no counterpart; silu and tanh have")
    description = {
        "cutoff": float(config["cutoff"]),
        "zbl": False,
        "parity": bool(config["is_parity"]),
        "irreps_edge": str(edges.spherical.irreps_out),
        "basis": {"prefactor": float(basis.prefactor)},
        "learned_frequencies": True,
        "envelope": falling,
        "avg_neighbours": float(np.mean([tensors[f"layers.{n}.denominator"] for n in range(len(layers))])),
        "layers": layers,
    }
    return description, tensors


_PARTS = (
    "self_connection_intro",
    "self_interaction_1",
    "convolution",
    "self_interaction_2",
    "self_connection_outro",
    "equivariant_gate",
)


def _take_layer(
    own: dict[str, Any], order: list[int], modal: int | None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """One interaction: its words and its numbers."""
    from e3nn_maps import by_species, factor, linear, network, numbers, paths

    convolution, gate = own["convolution"], own["equivariant_gate"].gate
    product = convolution.convolution
    listed, factors = paths(product)
    radial, of_radial = network(convolution.weight_nn)
    radial[-1] = radial[-1] * factors
    tensors = {f"radial.{k}": matrix for k, matrix in enumerate(radial)}
    tensors["denominator"] = numbers(convolution.denominator).reshape(())
    intro = own["self_connection_intro"]
    match type(intro).__name__:
        case "SelfConnectionLinearIntro":
            maps, bias = linear(intro.linear)
            assert not bias.any()
        case "SelfConnectionIntro":
            maps = {ir: matrix[order] for ir, matrix in by_species(intro.fc_tensor_product).items()}
        case other:
            raise Refused(f"the self-connection {other} has no counterpart")
    tensors |= {f"self.{ir}": matrix for ir, matrix in maps.items()}
    for name, part in (("mix_in", own["self_interaction_1"]), ("mix_out", own["self_interaction_2"])):
        without = sum(mul for mul, ir in part._irreps_in_wo_modal if str(ir) == "0e")
        maps, bias = _of_modality(linear(part.linear), without, modal)
        tensors |= {f"{name}.{ir}": matrix for ir, matrix in maps.items()}
        tensors[f"{name}.bias"] = bias
    layer = {
        "irreps_in": str(product.irreps_in1),
        "irreps_scalars": str(gate.irreps_scalars),
        "irreps_gated": str(gate.irreps_gated),
        "paths": listed,
        "self_connection": "by species" if type(intro).__name__ == "SelfConnectionIntro" else "shared",
        "radial_factor": of_radial,
        "scalar_factors": _factors(gate.act_scalars, factor),
        "gate_factors": _factors(gate.act_gates, factor),
    }
    return layer, tensors


def _factors(activation: Any, factor: Any) -> dict[str, float]:
    return {str(ir): factor(act) for (_, ir), act in zip(activation.irreps_in, activation.acts, strict=True)}


def _of_modality(
    maps_and_bias: tuple[dict[str, np.ndarray], np.ndarray], without: int, modal: int | None
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """A linear map that was also given a one-hot vector of modalities: for one of them that is a bias."""
    maps, bias = maps_and_bias
    scalars = maps.get("0e")
    if scalars is None or len(scalars) == without:
        return maps, bias
    assert modal is not None
    return {**maps, "0e": scalars[:without]}, bias + scalars[without + modal]


def _take_readout(parts: dict[str, Any], order: list[int], modal: int | None) -> dict[str, np.ndarray]:
    """The two linear maps to the energy, which have nothing between them, as one; and the energies' scale and shift."""
    from e3nn_maps import linear, numbers

    first, second = parts.pop("reduce_input_to_hidden"), parts.pop("reduce_hidden_to_energy")
    without = sum(mul for mul, _ in first._irreps_in_wo_modal)
    maps, bias = _of_modality(linear(first.linear), without, modal)
    last, last_bias = linear(second.linear)
    rescale = parts.pop("rescale_atomic_energy")
    found = {"readout.0": maps["0e"] @ last["0e"], "readout.bias": bias @ last["0e"] + last_bias}
    for name in ("scale", "shift"):
        values = numbers(getattr(rescale, name))
        match type(rescale).__name__:
            case "Rescale":
                values = np.full(len(order), values[0])
            case "SpeciesWiseRescale":
                values = values[order]
            case "ModalWiseRescale":
                chosen = values[modal] if getattr(rescale, f"use_modal_wise_{name}") else values
                values = chosen[order]
            case other:
                raise Refused(f"the scale and shift {other} have no counterpart")
        found[name] = values
    return found


def _evaluator(model: Any, cutoff: float, modality: str | None) -> Any:
    """Energy, forces and stress of ASE's atoms, in float64 throughout."""
    import sevenn._keys as KEY
    import torch
    from e3nn_maps import make_exact
    from sevenn.atom_graph_data import AtomGraphData
    from sevenn.train.dataload import unlabeled_atoms_to_graph

    model = model.double().eval()
    model.set_is_batch_data(False)
    make_exact(model)

    def widen(part: Any, _: Any, data: Any) -> Any:
        """One-hot vectors are made in float32, whatever the model's precision."""
        for key in (part.key_output, part.key_additional_output):
            if key is not None:
                data[key] = data[key].double()
        return data

    for part in model:
        if type(part).__name__ == "OnehotEmbedding":
            part.register_forward_hook(widen)

    def evaluate(atoms: Any) -> tuple[float, np.ndarray, np.ndarray]:
        graph = {}
        for key, value in unlabeled_atoms_to_graph(atoms, cutoff).items():
            if isinstance(value, np.ndarray | np.generic | int | float):
                value = torch.as_tensor(np.asarray(value))
                value = value.double() if value.is_floating_point() else value.long()
            graph[key] = value
        data = AtomGraphData(**graph)
        if modality is not None:
            data[KEY.DATA_MODALITY] = modality
        result = model(data)
        xx, yy, zz, xy, yz, zx = (-result[KEY.PRED_STRESS]).detach().tolist()
        stress = np.array([[xx, xy, zx], [xy, yy, yz], [zx, yz, zz]])
        return float(result[KEY.PRED_TOTAL_ENERGY]), result[KEY.PRED_FORCE].detach().numpy(), stress

    return evaluate


if __name__ == "__main__":
    hand_over(read)
