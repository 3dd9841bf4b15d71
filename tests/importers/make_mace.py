"""Writes small MACE models with random weights. Run in a Python that has `mace-torch`, by the tests beside it.

python make_mace.py FOLDER
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import mace  # noqa: F401 (before e3nn, whose constants torch would not load otherwise)
import numpy as np
import torch
from e3nn import o3
from mace import modules

SPECIES = (1, 6, 8, 14, 79)
SHARED = {
    "r_max": 4.0,
    "num_bessel": 5,
    "num_polynomial_cutoff": 5,
    "max_ell": 3,
    "interaction_cls": "RealAgnosticResidualInteractionBlock",
    "interaction_cls_first": "RealAgnosticResidualInteractionBlock",
    "num_interactions": 2,
    "num_elements": len(SPECIES),
    "hidden_irreps": "4x0e+4x1o",
    "MLP_irreps": "6x0e",
    "atomic_energies": np.array([-1.0, -2.0, -3.0, -4.0, -5.0]),
    "avg_num_neighbors": 7.5,
    "atomic_numbers": list(SPECIES),
    "correlation": 3,
    "gate": torch.nn.functional.silu,
    "radial_MLP": [8, 6],
    "radial_type": "bessel",
}
SCALED = {"atomic_inter_scale": 0.7, "atomic_inter_shift": 0.2}
HEADS = {
    "heads": ["PBE", "SCAN"],
    "atomic_energies": np.array([[-1.0, -2.0, -3.0, -4.0, -5.0], [-2.0, -3.0, -4.0, -5.0, -6.0]]),
    "atomic_inter_scale": [0.7, 0.9],
    "atomic_inter_shift": [0.2, -0.1],
}
PLAIN = "RealAgnosticInteractionBlock"
DENSITY, DENSITY_RESIDUAL = (
    "RealAgnosticDensityInteractionBlock",
    "RealAgnosticDensityResidualInteractionBlock",
)
# By name: settings, precision, and whether energies have a scale and a shift.
MODELS = {
    "residual": ({}, torch.float64, True),
    "invariant": (
        {"hidden_irreps": "4x0e", "interaction_cls_first": PLAIN, "correlation": 2},
        torch.float32,
        False,
    ),
    "foundation": (
        {
            "interaction_cls_first": DENSITY,
            "interaction_cls": DENSITY_RESIDUAL,
            "hidden_irreps": "3x0e+3x1o+3x2e",
            "distance_transform": "Agnesi",
            "pair_repulsion": True,
        },
        torch.float32,
        True,
    ),
    "soft": (
        {
            "interaction_cls_first": DENSITY_RESIDUAL,
            "interaction_cls": PLAIN,
            "distance_transform": "Soft",
            "pair_repulsion": True,
            "radial_type": "gaussian",
        },
        torch.float64,
        False,
    ),
    "three": ({"num_interactions": 3, "correlation": [3, 2, 1], "max_ell": 2}, torch.float64, True),
    "one": ({"num_interactions": 1, "max_ell": 1, "correlation": 4}, torch.float64, True),
    "last": ({"use_last_readout_only": True, "keep_last_layer_irreps": True}, torch.float32, True),
    "heads": (HEADS, torch.float64, True),
    "attention": ({"interaction_cls": "RealAgnosticAttResidualInteractionBlock"}, torch.float32, True),
    "outside": ({"apply_cutoff": False}, torch.float32, True),
    "rotations": ({"use_so3": True, "hidden_irreps": "4x0e"}, torch.float32, True),
    "alike": ({"use_agnostic_product": True}, torch.float32, True),
    "narrow": ({"edge_irreps": o3.Irreps("2x0e+2x1o")}, torch.float32, True),
    "parities": ({"hidden_irreps": "4x0e+4x0o+4x1o+4x1e"}, torch.float32, True),
    "polynomials": ({"radial_type": "chebyshev"}, torch.float32, True),
    "tanh": ({"gate": torch.tanh}, torch.float32, True),
}


def main(folder: Path) -> None:
    warnings.simplefilter("ignore")
    for number, (name, (own, dtype, scaled)) in enumerate(MODELS.items()):
        torch.set_default_dtype(dtype)
        torch.manual_seed(number)
        settings = SHARED | (SCALED if scaled else {}) | own
        for key in ("interaction_cls", "interaction_cls_first"):
            settings[key] = modules.interaction_classes[settings[key]]
        for key in ("hidden_irreps", "MLP_irreps"):
            settings[key] = o3.Irreps(settings[key])
        model = (modules.ScaleShiftMACE if scaled else modules.MACE)(**settings)
        torch.save(model, folder / f"{name}.model")
        if name == "residual":
            torch.save({"model": model.state_dict(), "epoch": 3}, folder / "training.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
