"""NequIP's side, and that of Allegro, which is built, compiled and called by NequIP's package: energy and forces on a
prebuilt graph, through the ASE calculator, and a training step.

The settings name the model: `architecture`, and for NequIP `channels`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import allegro
import allegro.model
import nequip
import nequip.model
import torch
from ase import Atoms
from nequip.data import AtomicDataDict, from_ase
from nequip.integrations.ase import NequIPCalculator
from nequip.integrations.utils import basic_transforms
from nequip.utils.global_state import set_global_state

from benchmarks.structures import AVG_NEIGHBOURS, CUTOFF, SPECIES, structure, training_frames
from benchmarks.worker import Measurement, ase_calls, evaluations, memory_growth, serve


def build(settings: Mapping[str, Any]) -> torch.nn.Module:
    """The model of the settings, with degrees up to 2 and both parities: NequIP of 4 layers and a radial network of two
    hidden layers of 64, or Allegro of 2 layers and its default sizes.
    """
    shared = {
        "seed": 0,
        "model_dtype": "float32",
        "compile_mode": "eager",
        "type_names": list(SPECIES),
        "r_max": CUTOFF,
        "l_max": 2,
        "parity": True,
        "avg_num_neighbors": AVG_NEIGHBOURS,
        "per_type_energy_scales": dict.fromkeys(SPECIES, 1.0),
        "per_type_energy_shifts": dict.fromkeys(SPECIES, 0.0),
    }
    match settings["architecture"]:
        case "nequip":
            radial = {"radial_mlp_depth": 2, "radial_mlp_width": 64}
            return nequip.model.NequIPGNNModel(
                num_layers=4, num_features=settings["channels"], **radial, **shared
            )
        case "allegro":
            embedding = {"_target_": "allegro.nn.TwoBodyBesselScalarEmbed"}
            return allegro.model.AllegroModel(num_layers=2, radial_chemical_embed=embedding, **shared)
        case other:
            raise ValueError(f"no architecture '{other}'; there are 'nequip' and 'allegro'")


def transforms() -> list[Any]:
    return basic_transforms({}, CUTOFF, list(SPECIES), {symbol: symbol for symbol in SPECIES})


def data_of(atoms: Atoms) -> dict[str, torch.Tensor]:
    data = from_ase(atoms)
    for transform in transforms():
        data = transform(data)
    return data


def calculator(settings: Mapping[str, Any]) -> NequIPCalculator:
    """Its ASE calculator around a model, eager or compiled."""
    if settings["engine"] == "compiled":
        return NequIPCalculator.from_compiled_model(
            compiled(settings), device="cpu", chemical_species_to_atom_type_map=True
        )
    model = build(settings).eval()
    model.requires_grad_(False)
    return NequIPCalculator(model, device="cpu", transforms=transforms())


def compiled_path(settings: Mapping[str, Any]) -> Path:
    """Where the compiled model is kept.

    Inductor writes the number of threads into the code it makes, hence one file for each.
    """
    packages = f"nequip-{nequip.__version__}-torch-{torch.__version__}"
    if settings["architecture"] == "allegro":
        model = f"allegro-{allegro.__version__}-{packages}"
    else:
        model = f"{packages}-{settings['channels']}-channels"
    return Path(settings["cache"]).resolve() / f"{model}-{torch.get_num_threads()}-threads.nequip.pt2"


def compiled(settings: Mapping[str, Any]) -> Path:
    """The model compiled ahead of time, kept: the steps of `nequip-compile --mode aotinductor --target ase` for a model
    that never was a checkpoint.
    """
    path = compiled_path(settings)
    if path.exists():
        return path
    from nequip.scripts._compile_utils import COMPILE_TARGET_DICT
    from nequip.utils import aoti_metadata
    from nequip.utils.aot import aot_export_model

    print(f"compiling {path.name}: minutes", flush=True)
    target = COMPILE_TARGET_DICT["ase"]
    inputs, outputs = list(target["input"]), list(target["output"])
    model = build(settings).eval()
    metadata = {
        key: str(int(value)) if isinstance(value, bool) else str(value)
        for key, value in model.metadata.items()
    }
    metadata["allow_tf32"] = "0"
    metadata[aoti_metadata.NEQUIP_AOTI_INPUTS_KEY] = aoti_metadata.serialize_aoti_keys(inputs)
    metadata[aoti_metadata.NEQUIP_AOTI_OUTPUTS_KEY] = aoti_metadata.serialize_aoti_keys(outputs)
    sizes = {
        kind: torch.export.dynamic_shapes.Dim(name, min=2)
        for kind, name in {"graph": "num_frames", "node": "num_nodes", "edge": "num_edges"}.items()
    }
    began = time.perf_counter()
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name("unfinished-" + path.name)  # a compilation that is cut short leaves no model
    aot_export_model(
        model,
        "cpu",
        inputs,
        outputs,
        target["data_settings"](data_of(structure("w3"))),
        target["batch_map_settings"](sizes),
        str(unfinished),
        {"aot_inductor.metadata": metadata},
    )
    unfinished.rename(path)
    print(f"compiled in {time.perf_counter() - began:.0f} s", flush=True)
    return path


def on_graph(settings: Mapping[str, Any]) -> Measurement:
    """Energy and forces of a graph that is already built. The models add the stress to every output."""
    use, data = _model_and_data(settings)
    return evaluations(lambda: use.call_model(data.copy())), {"edges": _edges(data)}


def memory(settings: Mapping[str, Any]) -> Measurement:
    use, data = _model_and_data(settings)
    return memory_growth(lambda: use.call_model(data.copy())), {"edges": _edges(data)}


def through_ase(settings: Mapping[str, Any]) -> Measurement:
    """The whole call, with new positions at each: neighbour list, energy, forces."""
    atoms = _with_cell(structure(settings["structure"]))
    atoms.calc = calculator(settings)
    return ase_calls(atoms), {}


def training(settings: Mapping[str, Any]) -> Measurement:
    """One step of Adam on energies and forces of a batch."""
    keys = (
        AtomicDataDict.POSITIONS_KEY,
        AtomicDataDict.EDGE_INDEX_KEY,
        AtomicDataDict.ATOM_TYPE_KEY,
        AtomicDataDict.NUM_NODES_KEY,
        AtomicDataDict.BATCH_KEY,
    )
    frames = [data_of(atoms) for atoms in training_frames(settings["frames"])]
    # Without the cell it computes no stress, which the loss does not ask for.
    batch = AtomicDataDict.batched_from_list(
        [{key: data[key] for key in keys if key in data} for data in frames]
    )
    model = build(settings).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)
    atoms = len(training_frames(1)[0])

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        out = model(batch.copy())
        loss = (
            out[AtomicDataDict.TOTAL_ENERGY_KEY].square().mean() / atoms
            + out[AtomicDataDict.FORCE_KEY].square().mean()
        )
        loss.backward()
        optimiser.step()

    return evaluations(step), {
        "edges": _edges(batch),
        "parameters": sum(p.numel() for p in model.parameters()),
    }


def _model_and_data(settings: Mapping[str, Any]) -> tuple[NequIPCalculator, dict[str, torch.Tensor]]:
    use = calculator(settings)
    return use, use.atoms_to_data(_with_cell(structure(settings["structure"])))


def _with_cell(atoms: Atoms) -> Atoms:
    """A compiled model takes a cell, of a molecule too."""
    if not atoms.pbc.any():
        atoms.set_cell([30.0, 30.0, 30.0])
    return atoms


def _edges(data: Mapping[str, torch.Tensor]) -> int:
    return data[AtomicDataDict.EDGE_INDEX_KEY].shape[1]


def versions() -> dict[str, str]:
    packages = {"nequip": nequip, "nequip-allegro": allegro, "torch": torch}
    return {name: package.__version__ for name, package in packages.items()}


if __name__ == "__main__":
    set_global_state(allow_tf32=False)
    serve({"model": on_graph, "ase": through_ase, "training": training, "memory": memory}, versions)
