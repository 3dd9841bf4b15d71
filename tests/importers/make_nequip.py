"""Writes small NequIP checkpoints with random weights, one that `nequip-train` trained for an epoch, and a package.

Run in a Python that has `nequip`, by the tests beside it: python make_nequip.py FOLDER
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from nequip.scripts.package import main as package
from nequip.train import NequIPLightningModule
from nequip.utils.global_state import set_global_state
from nequip.utils.versions import get_current_code_versions

# (Not in the order of atomic numbers.)
TYPES = ["Si", "H", "Au", "C", "O"]
SHARED: dict[str, Any] = {
    "_target_": "nequip.model.NequIPGNNModel",
    "seed": 0,
    "model_dtype": "float64",
    "type_names": TYPES,
    "r_max": 4.0,
    "num_layers": 3,
    "l_max": 2,
    "parity": False,
    "num_features": 4,
    "radial_mlp_depth": 1,
    "radial_mlp_width": 6,
    "num_bessels": 5,
    "polynomial_cutoff_p": 6,
    "avg_num_neighbors": 2.0,
    "per_type_energy_scales": {"Si": 1.0, "H": 1.5, "Au": 0.5, "C": 0.7, "O": 1.2},
    "per_type_energy_shifts": {"Si": -1.0, "H": -2.0, "Au": -3.0, "C": -4.0, "O": -5.0},
}
FULL = {
    "_target_": "nequip.model.FullNequIPGNNModel",
    "irreps_edge_sh": "0e+1o",
    "type_embed_num_features": 4,
    "radial_mlp_depth": [1, 1],
    "radial_mlp_width": [6, 6],
    "feature_irreps_hidden": ["4x0e+4x1o", "4x0e"],
}
# By builder, which of the shared arguments it does not take.
_NOT_TAKEN = {
    "nequip.model.FullNequIPGNNModel": ("num_layers", "l_max", "parity", "num_features"),
    "allegro.model.AllegroModel": (
        "num_features",
        "radial_mlp_depth",
        "radial_mlp_width",
        "num_bessels",
        "polynomial_cutoff_p",
    ),
}
ZBL = {
    "_target_": "nequip.nn.pair_potential.ZBL",
    "units": "metal",
    "chemical_species": TYPES,
    "polynomial_cutoff_p": 5,
}
EVERY = dict.fromkeys(TYPES, 3.0)
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "both_parities": {"parity": True, "l_max": 1, "num_layers": 4, "radial_mlp_depth": 2},
    "single_precision": {"model_dtype": "float32", "num_features": [6, 4, 3], "type_embed_num_features": 3},
    "learned": {
        "bessel_trainable": True,
        "polynomial_cutoff_p": 5,
        "per_type_energy_scales": 2.0,
        "per_type_energy_scales_trainable": True,
        "per_type_energy_shifts": -0.5,
        "per_type_energy_shifts_trainable": True,
        "radial_mlp_depth": 3,
        "num_layers": 2,
        "l_max": 3,
    },
    "hidden_readout": {
        "num_layers": 1,
        "readout_mlp_hidden_layers_depth": 1,
        "readout_mlp_hidden_layers_width": 7,
        "per_type_energy_scales": None,
        "per_type_energy_shifts": None,
        "avg_num_neighbors": dict.fromkeys(TYPES, 9.0),
    },
    "deep_linear_readout": {
        "l_max": 0,
        "readout_mlp_hidden_layers_depth": 2,
        "readout_mlp_nonlinearity": None,
        "per_edge_type_cutoff": dict.fromkeys(TYPES, 4.0),
    },
    "no_self_connection": {"convnet_sc": False, "num_layers": 2, "do_derivatives": False},
    "learnable_shift": {"learnable_shift": True, "num_layers": 2, "l_max": 1},
    "zbl": {"pair_potential": ZBL},
    # What cannot be imported.
    "per_pair_cutoff": {"per_edge_type_cutoff": {"H": 3.0}},
    "per_type_neighbours": {"avg_num_neighbors": {**EVERY, "H": 2.0}},
    "kilocalories": {"pair_potential": {**ZBL, "units": "real"}},
    "other_elements": {"pair_potential": {**ZBL, "chemical_species": ["Ge", "H", "Au", "C", "O"]}},
    "lennard_jones": {
        "pair_potential": {
            "_target_": "nequip.nn.pair_potential.LennardJones",
            "lj_sigma": 1.0,
            "lj_epsilon": 0.1,
        }
    },
    "residual": {"convnet_resnet": True},
    "norm": {"convnet_nonlinearity_type": "norm"},
    "softplus": {"convnet_nonlinearity_scalars": {"e": "ssp", "o": "tanh"}},
    "deep_readout": {"readout_mlp_hidden_layers_depth": 2},
    "mish_readout": {"readout_mlp_hidden_layers_depth": 1, "readout_mlp_nonlinearity": "mish"},
    "no_hidden_layer": {"radial_mlp_depth": 0},
    "low_power": {"polynomial_cutoff_p": 2},
    "two_widths": {**FULL, "radial_mlp_width": [6, 5]},
    "two_counts": {**FULL, "feature_irreps_hidden": ["4x0e+4x1o", "5x0e"]},
    "graph_fields": {
        "categorical_graph_field_embed": [{"field": "charge", "num_features": 2, "min": -1, "max": 1}]
    },
    "not_elements": {
        "type_names": ["A", "B"],
        "per_type_energy_scales": 1.0,
        "per_type_energy_shifts": 0.0,
    },
    "newer": {},
}
if importlib.util.find_spec("allegro") is not None:
    CASES["allegro"] = {
        "_target_": "allegro.model.AllegroModel",
        "num_layers": 1,
        "num_scalar_features": 4,
        "num_tensor_features": 2,
        "radial_chemical_embed": {"_target_": "allegro.nn.TwoBodyBesselScalarEmbed"},
    }


def config_of(changes: dict[str, Any]) -> dict[str, Any]:
    """Arguments of the model's builder."""
    left_out = _NOT_TAKEN.get(changes.get("_target_", ""), ())
    return {**{key: value for key, value in SHARED.items() if key not in left_out}, **changes}


def two_levels(**config: Any) -> torch.nn.ModuleDict:
    """A builder of two models in one."""
    from nequip.model import NequIPGNNModel

    return torch.nn.ModuleDict(
        {"PBE": NequIPGNNModel(**config), "SCAN": NequIPGNNModel(**{**config, "seed": 1})}
    )


def frames(path: Path) -> None:
    """Six crystals of every type, with energies and forces of no meaning."""
    generator = np.random.default_rng(0)
    every = []
    for _ in range(6):
        atoms = Atoms(TYPES * 2, scaled_positions=generator.random((10, 3)), cell=[6.0, 6.0, 6.0], pbc=True)
        energy, forces = generator.normal(), generator.normal(size=(10, 3))
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
        every.append(atoms)
    write(path, every)


def data_of(path: Path) -> dict[str, Any]:
    """The section `data` of a configuration."""
    transforms = [
        {"_target_": "nequip.data.transforms.ChemicalSpeciesToAtomTypeMapper", "model_type_names": TYPES},
        {"_target_": "nequip.data.transforms.NeighborListTransform", "r_max": SHARED["r_max"]},
    ]
    loader = {"_target_": "torch.utils.data.DataLoader", "batch_size": 3}
    return {
        "_target_": "nequip.data.datamodule.ASEDataModule",
        "seed": 0,
        "split_dataset": {"file_path": str(path), "train": 4, "val": 2},
        "transforms": transforms,
        "train_dataloader": loader,
        "val_dataloader": loader,
    }


def save(
    path: Path, model: dict[str, Any], data: dict[str, Any], seed: int, version: str | None = None
) -> None:
    """What `nequip-train` saves, of a model that was never trained."""
    module_config = {"_target_": "nequip.train.NequIPLightningModule", "model": model}
    versions = get_current_code_versions(verbose=False)
    if version is not None:
        versions["nequip"] = version
    module = NequIPLightningModule(
        model=model,
        num_datasets={"train": 1, "val": 0, "test": 0},
        info_dict={"versions": versions, "data": data, "training_module": module_config, "runs": ["train"]},
    )
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in module.model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    trainer = lightning.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    trainer.strategy.connect(module)
    trainer.save_checkpoint(path)


def train(folder: Path, data: dict[str, Any]) -> Path:
    """An epoch of `nequip-train`, with averaged weights."""
    metrics = {"coeffs": {"total_energy_mae": 1.0, "forces_mae": 1.0}}
    config = {
        "run": ["train"],
        "data": data,
        "trainer": {
            "_target_": "lightning.Trainer",
            "accelerator": "cpu",
            "max_epochs": 2,
            "logger": False,
            "enable_progress_bar": False,
            "callbacks": [
                {
                    "_target_": "lightning.pytorch.callbacks.ModelCheckpoint",
                    "dirpath": str(folder),
                    "filename": "trained",
                }
            ],
        },
        "training_module": {
            "_target_": "nequip.train.EMALightningModule",
            "loss": {
                "_target_": "nequip.train.EnergyForceLoss",
                "coeffs": {"total_energy": 1.0, "forces": 1.0},
            },
            "val_metrics": {"_target_": "nequip.train.EnergyForceMetrics", **metrics},
            "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.01},
            "model": {**SHARED, "model_dtype": "float32"},
        },
    }
    (folder / "train.yaml").write_text(json.dumps(config))  # JSON is YAML
    words = ["-m", "nequip.scripts.train", "-cp", str(folder), "-cn", "train", f"hydra.run.dir={folder}/run"]
    subprocess.run([sys.executable, *words], check=True, cwd=folder)
    return folder / "trained.ckpt"


def main() -> None:
    folder = Path(sys.argv[1])
    set_global_state()
    frames(folder / "frames.xyz")
    data = data_of(folder / "frames.xyz")
    for seed, (name, changes) in enumerate(CASES.items()):
        version = "99.0.0" if name == "newer" else None
        save(folder / f"{name}.ckpt", config_of(changes), data, seed, version)
    save(folder / "several.ckpt", {**SHARED, "_target_": "make_nequip.two_levels"}, data, 0)
    for checkpoint in (train(folder, data), folder / "several.ckpt"):
        package(["build", str(checkpoint), str(folder / f"{checkpoint.stem}.nequip.zip")])


if __name__ == "__main__":
    main()
