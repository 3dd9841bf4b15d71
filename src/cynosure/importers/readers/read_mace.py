"""Hands over a MACE (Batatia et al. 2022, arXiv:2206.07697) that the package `mace-torch` wrote.

Run by `cynosure.importers` in a Python that has `mace-torch`; see `handing_over`. A model is a pickle: reading it runs
what it contains.
"""

# Its imports are of another Python than the one that Cynosure runs in.
# pyright: reportMissingImports=false
from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
from handing_over import Original, Refused, hand_over, package, sha256

# The versions of the package whose models this file knows.
KNOWN = (0, 3, 16)
REQUIREMENT = "mace-torch==0.3.16"
# Interactions by name: have they a self-connection, or messages mixed by species? Are messages divided by a density?
_INTERACTIONS = {
    "RealAgnosticResidualInteractionBlock": (True, False),
    "RealAgnosticInteractionBlock": (False, False),
    "RealAgnosticDensityResidualInteractionBlock": (True, True),
    "RealAgnosticDensityInteractionBlock": (False, True),
}
# Points at which many-body products are evaluated, beyond those that as many unknowns need.
_MORE_POINTS = 16


def read(source: str, head: str | None) -> Original:
    """The model of a file, in float64."""
    mace = package("mace", "MACE's models", REQUIREMENT, KNOWN)
    import torch

    warnings.simplefilter("ignore")
    try:
        model = torch.load(source, map_location="cpu", weights_only=False)
    except Exception as error:  # a pickle can fail in any way
        raise Refused(
            f"mace-torch {mace.__version__} cannot read '{source}': another version wrote it, or it is damaged "
            f"({error!r})"
        ) from None
    kind = type(model).__name__
    if kind not in ("MACE", "ScaleShiftMACE"):
        what = (
            "a checkpoint of a training, without the architecture" if isinstance(model, dict) else f"a {kind}"
        )
        raise Refused(f"'{source}' is {what}; models of the kinds MACE and ScaleShiftMACE can be imported")
    heads = list(getattr(model, "heads", None) or ["Default"])
    if head is None and len(heads) > 1:
        raise Refused(f"'{source}' has the heads {', '.join(heads)}: choose one (--modality)")
    if head is not None and head not in heads:
        raise Refused(f"'{source}' has no head '{head}'; it has {', '.join(heads)}")
    head = heads[0] if head is None else head
    model = model.double().eval()
    _make_exact(model)
    try:
        description, tensors = _take_apart(model, heads.index(head), len(heads))
    except (AttributeError, KeyError) as error:
        raise Refused(
            f"'{source}' has other parts than the models that mace-torch {mace.__version__} writes: {error}"
        ) from None
    description |= {
        "package": "mace-torch",
        "package_version": mace.__version__,
        "checkpoint_version": None,
        "checkpoint": os.path.basename(source),
        "checkpoint_sha256": sha256(source),
        "modality": head if len(heads) > 1 else None,
    }
    species = tuple(int(z) for z in model.atomic_numbers)
    if list(species) != sorted(species):
        raise Refused("elements that are not in the order of their atomic numbers have no counterpart")
    return Original(description, tensors, species, _evaluator(model, species, heads, head))


def _constants(part: Any) -> dict[str, float]:
    from e3nn_maps import numbers

    names = ("q", "p", "a") if type(part).__name__ == "AgnesiTransform" else ("alpha",)
    return {name: float(numbers(getattr(part, name))) for name in names}


def _make_exact(model: Any) -> None:
    """Give constants that a model in float32 has rounded their values in float64 again.

    They are no parameters: Clebsch-Gordan numbers, frequencies, covalent radii, constants of transforms and of the
    repulsion. What is not what the package gives a new model is left as it is.
    """
    import torch
    from ase.data import covalent_radii
    from e3nn import o3
    from e3nn_maps import make_exact
    from mace.modules.radial import AgnesiTransform, SoftTransform, ZBLBasis
    from mace.tools.cg import U_matrix_real

    make_exact(model)

    def put(part: Any, name: str, value: Any) -> None:
        buffer = getattr(part, name)
        value = torch.as_tensor(np.asarray(value), dtype=torch.float64)
        if isinstance(buffer, torch.nn.Parameter) or buffer.shape != value.shape:
            return
        if torch.allclose(buffer, value, rtol=1e-6, atol=1e-6):
            setattr(part, name, value)

    radial = model.radial_embedding
    basis = radial.bessel_fn
    r_max = float(radial.cutoff_fn.r_max)
    if hasattr(basis, "bessel_weights"):
        put(basis, "bessel_weights", np.pi / r_max * np.arange(1, len(basis.bessel_weights) + 1))
        put(basis, "prefactor", np.sqrt(2.0 / r_max))
    if hasattr(basis, "gaussian_weights"):
        put(basis, "gaussian_weights", np.linspace(0.0, r_max, len(basis.gaussian_weights)))
    for part in model.modules():
        match part:
            case AgnesiTransform():
                constants: dict[str, Any] = {
                    "q": 0.9183,
                    "p": 4.5791,
                    "a": 1.0805,
                    "covalent_radii": covalent_radii,
                }
            case SoftTransform():
                constants = {"alpha": 4.0, "covalent_radii": covalent_radii}
            case ZBLBasis():
                constants = {
                    "c": [0.1818, 0.5099, 0.2802, 0.02817],
                    "a_exp": 0.3,
                    "a_prefactor": 0.4543,
                    "covalent_radii": covalent_radii,
                }
            case _:
                continue
        for name, value in constants.items():
            put(part, name, value)
    for product in model.products:
        whole = product.symmetric_contractions
        reduced = bool(getattr(model, "use_reduced_cg", False))
        for contraction, block in zip(whole.contractions, whole.irreps_out, strict=True):
            for order in range(1, contraction.correlation + 1):
                exact = U_matrix_real(
                    irreps_in=contraction.coupling_irreps,
                    irreps_out=o3.Irreps(str(block.ir)),
                    correlation=order,
                    use_cueq_cg=reduced,
                    dtype=torch.float64,
                )[-1]
                put(contraction, f"U_matrix_{order}", exact.numpy())


def _take_apart(model: Any, head: int, heads: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What the model consists of, in words and in numbers."""
    from e3nn.o3 import Irreps
    from e3nn_maps import linear, numbers

    parts = dict(model._modules)
    harmonics = parts.pop("spherical_harmonics")
    if any(ir.p != (-1) ** ir.l for _, ir in harmonics.irreps_out):
        raise Refused("features without parity ('use_so3') have no counterpart")
    every = [irreps for own in parts["interactions"] for irreps in (own.node_feats_irreps, own.hidden_irreps)]
    features = [Irreps(irreps) for irreps in every]
    blocks = [block for irreps in features for block in irreps]
    if len({mul for mul, _ in blocks}) > 1 or any(ir.p != (-1) ** ir.l for _, ir in blocks):
        raise Refused(
            f"features {max(features, key=lambda irreps: irreps.dim)} have no counterpart; those have with one number "
            "of channels, and the parity of spherical harmonics, such as 128x0e+128x1o"
        )
    description, tensors = _take_radial(parts.pop("radial_embedding"))
    maps, _ = linear(parts.pop("node_embedding").linear)
    tensors["embedding"] = maps["0e"]
    layers = []
    for number, (interaction, product) in enumerate(
        zip(parts.pop("interactions"), parts.pop("products"), strict=True)
    ):
        layer, its = _take_layer(interaction, product)
        layers.append(layer)
        tensors |= {f"layers.{number}.{name}": value for name, value in its.items()}
    readouts = list(parts.pop("readouts"))
    description["readouts"] = []
    for number, readout in enumerate(readouts):
        hidden, its = _take_readout(readout, head, heads)
        description["readouts"].append(hidden)
        tensors |= {f"readouts.{number}.{name}": value for name, value in its.items()}
    energies = numbers(parts.pop("atomic_energies_fn").atomic_energies)
    tensors["e0s"] = np.atleast_2d(energies)[head]
    scale, shift = 1.0, 0.0
    if "scale_shift" in parts:
        part = parts.pop("scale_shift")
        scale, shift = (
            float(np.atleast_1d(numbers(getattr(part, name)))[head]) for name in ("scale", "shift")
        )
    description["pair_repulsion"] = None
    if "pair_repulsion_fn" in parts:
        zbl = parts.pop("pair_repulsion_fn")
        description["pair_repulsion"] = {
            "coefficients": numbers(zbl.c).tolist(),
            "decays": [3.2, 0.9423, 0.4028, 0.2016],
            "length": float(zbl.a_prefactor) * 0.529,
            "exponent": float(zbl.a_exp),
            "charge": 14.3996,
            "power": int(zbl.p),
        }
    if parts:
        raise Refused(f"the part '{sorted(parts)[0]}' has no counterpart")
    description |= {
        "l_max": max(ir.l for _, ir in harmonics.irreps_out),
        "layers": layers,
        "scale": scale,
        "shift": shift,
    }
    return description, tensors


def _take_radial(part: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    from e3nn_maps import numbers

    if not getattr(part, "apply_cutoff", True):
        raise Refused(
            "a cutoff function behind the radial networks ('apply_cutoff': False) has no counterpart"
        )
    basis, transform = part.bessel_fn, None
    match type(basis).__name__:
        case "BesselBasis":
            kind, tensors = "bessel", {"frequencies": numbers(basis.bessel_weights)}
            number, factor = len(basis.bessel_weights), float(basis.prefactor)
        case "GaussianBasis":
            kind, tensors = "gaussian", {"centres": numbers(basis.gaussian_weights)}
            number, factor = len(basis.gaussian_weights), 1.0
        case other:
            raise Refused(f"the radial basis {other} has no counterpart")
    if hasattr(part, "distance_transform"):
        match type(part.distance_transform).__name__:
            case "AgnesiTransform":
                transform = {"kind": "agnesi", **_constants(part.distance_transform)}
            case "SoftTransform":
                transform = {"kind": "soft", **_constants(part.distance_transform)}
            case other:
                raise Refused(f"the transform {other} of distances has no counterpart")
    envelope = part.cutoff_fn
    if type(envelope).__name__ != "PolynomialCutoff":
        raise Refused(f"the cutoff function {type(envelope).__name__} has no counterpart")
    return {
        "cutoff": float(envelope.r_max),
        "power": int(envelope.p),
        "basis": {"kind": kind, "number": number, "factor": factor},
        "transform": transform,
    }, tensors


def _take_layer(interaction: Any, product: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """One interaction with the product behind it: its words and its numbers."""
    from e3nn_maps import by_species, linear, network, numbers, paths

    kind = type(interaction).__name__
    if kind not in _INTERACTIONS:
        raise Refused(f"the interaction {kind} has no counterpart")
    residual, density = _INTERACTIONS[kind]
    if type(interaction.conv_tp).__module__.split(".")[0] != "e3nn":
        raise Refused(
            f"layers of {type(interaction.conv_tp).__module__.split('.')[0]} have no counterpart; mace-torch converts "
            "such models back (mace_cueq_to_e3nn, mace_oeq_to_e3nn)"
        )
    if interaction.edge_irreps != interaction.node_feats_irreps:
        raise Refused(
            "a convolution with fewer channels than the features ('edge_irreps') has no counterpart"
        )
    listed, factors = paths(interaction.conv_tp)
    radial, of_radial = network(interaction.conv_tp_weights)
    radial[-1] = radial[-1] * factors
    tensors = {f"radial.{k}": matrix for k, matrix in enumerate(radial)}
    for name, part in (
        ("mix_in", interaction.linear_up),
        ("mix_out", interaction.linear),
        ("mix", product.linear),
    ):
        maps, _ = linear(part)
        tensors |= {f"{name}.{ir}": matrix for ir, matrix in maps.items()}
    skip = by_species(interaction.skip_tp)
    tensors |= {f"{'self' if residual else 'select'}.{ir}": matrix for ir, matrix in skip.items()}
    if density:
        (only,) = list(interaction.density_fn)
        tensors["density"] = numbers(only.weight).ravel() / np.sqrt(only.h_in * only.var_in)
    else:
        tensors["neighbours"] = np.asarray(float(interaction.avg_num_neighbors))
    if product.use_agnostic_product:
        raise Refused(
            "many-body products alike for all elements ('use_agnostic_product') have no counterpart"
        )
    described, its = _take_product(product.symmetric_contractions)
    layer = {
        "irreps_in": str(interaction.node_feats_irreps),
        "irreps_message": str(interaction.target_irreps),
        "irreps_out": str(interaction.hidden_irreps),
        "paths": listed,
        # (A first product without a self-connection is told so; a later one has none where its interaction has none.)
        "self_connection": residual and bool(product.use_sc),
        "by_species": not residual,
        "density": density,
        "radial_factor": of_radial,
        "correlation": described,
    }
    return layer, {**tensors, **its}


def _take_product(whole: Any) -> tuple[int, dict[str, np.ndarray]]:
    """A symmetric contraction: the weights of its polynomials, and each polynomial by its values at some points.

    Values say what a polynomial is, in whatever basis and normalisation it was made.
    """
    from e3nn_maps import numbers

    correlations = {contraction.correlation for contraction in whole.contractions}
    if len(correlations) > 1:
        raise Refused("correlations that differ between the irreps of a layer have no counterpart")
    (correlation,) = correlations
    tensors = {}
    random = np.random.default_rng(0)
    for contraction, block in zip(whole.contractions, whole.irreps_out, strict=True):
        # The highest order first, then down.
        weights = [contraction.weights_max, *contraction.weights]
        for order in range(1, correlation + 1):
            tensor = numbers(getattr(contraction, f"U_matrix_{order}"))
            if block.ir.l == 0:
                tensor = tensor[None]
            points = random.standard_normal((2 * tensor.shape[-1] + _MORE_POINTS, tensor.shape[1]))
            values = []
            for point in points:
                rest = tensor
                for _ in range(order):
                    rest = np.tensordot(point, rest, axes=(0, 1))
                values.append(rest)
            name = f"product.{block.ir}.{order}"
            tensors[f"{name}.points"] = points
            tensors[f"{name}.values"] = np.stack(values)  # [points, components, polynomials]
            tensors[f"{name}.weights"] = numbers(
                weights[correlation - order]
            )  # [species, polynomials, channels]
    return correlation, tensors


def _take_readout(readout: Any, head: int, heads: int) -> tuple[dict[str, Any] | None, dict[str, np.ndarray]]:
    """One of the maps to the energy, for one head: the words of its hidden layer, if it has one, and its numbers."""
    from e3nn_maps import factor, linear

    match type(readout).__name__:
        case "LinearReadoutBlock":
            maps, _ = linear(readout.linear)
            return None, {"linear": maps["0e"][:, [head]]}
        case "NonLinearReadoutBlock":
            pass
        case other:
            raise Refused(f"the readout {other} has no counterpart")
    first, _ = linear(readout.linear_1)
    last, _ = linear(readout.linear_2)
    if set(first) != {"0e"} or set(last) != {"0e"}:
        raise Refused("a readout with hidden irreps other than 0e ('MLP_irreps') has no counterpart")
    (act,) = readout.non_linearity.acts
    function = getattr(getattr(act, "f", act), "__name__", str(act))
    if function != "silu":
        raise Refused(f"the activation '{function}' of the readout has no counterpart; silu has")
    width = first["0e"].shape[1] // heads
    own = slice(head * width, (head + 1) * width)
    return {"hidden": width, "factor": factor(act)}, {
        "first": first["0e"][:, own],
        "last": last["0e"][own, [head]],
    }


def _evaluator(model: Any, species: tuple[int, ...], heads: list[str], head: str) -> Any:
    """Energy, forces and stress of ASE's atoms, in float64 throughout."""
    import torch
    from mace import data
    from mace.tools import AtomicNumberTable, torch_geometric

    torch.set_default_dtype(torch.float64)
    table, cutoff = AtomicNumberTable(list(species)), float(model.r_max)

    def evaluate(atoms: Any) -> tuple[float, np.ndarray, np.ndarray]:
        configuration = data.config_from_atoms(atoms, head_name=head)
        graph = data.AtomicData.from_config(configuration, z_table=table, cutoff=cutoff, heads=heads)
        loader = torch_geometric.dataloader.DataLoader([graph], batch_size=1, shuffle=False, drop_last=False)
        result = model(next(iter(loader)).to_dict(), compute_force=True, compute_virials=True)
        # (Its stress is of another cell where a direction is not periodic.)
        volume = atoms.cell.volume or 1.0
        stress = -result["virials"][0].detach().numpy() / volume
        return float(result["energy"]), result["forces"].detach().numpy(), stress

    return evaluate


if __name__ == "__main__":
    hand_over(read)
