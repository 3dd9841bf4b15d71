"""Writes small SevenNet checkpoints with random weights. Run in a Python that has `sevenn`, by the tests beside it.

python make_sevennet.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import sevenn
import torch
from ase.data import chemical_symbols
from sevenn.model_build import build_E3_equivariant_model

SPECIES = (1, 6, 8, 14, 79)
SHARED = {
    "cutoff": 4.0,
    "channel": 4,
    "irreps_manual": False,
    "lmax": 2,
    "lmax_edge": -1,
    "lmax_node": -1,
    "is_parity": False,
    "num_convolution_layer": 3,
    "radial_basis": {"radial_basis_name": "bessel", "bessel_basis_num": 5},
    "cutoff_function": {"cutoff_function_name": "poly_cut", "poly_cut_p_value": 5},
    "act_radial": "silu",
    "act_scalar": {"e": "silu", "o": "tanh"},
    "act_gate": {"e": "silu", "o": "tanh"},
    "weight_nn_hidden_neurons": [8, 6],
    "conv_denominator": [3.0, 4.0, 5.0],
    "train_denominator": False,
    "train_shift_scale": False,
    "use_bias_in_linear": False,
    "use_modal_node_embedding": False,
    "use_modal_self_inter_intro": False,
    "use_modal_self_inter_outro": False,
    "use_modal_output_block": False,
    "readout_as_fcn": False,
    "self_connection_type": "linear",
    "interaction_type": "nequip",
    "_normalize_sph": True,
    "use_flash_tp": False,
    "cuequivariance_config": {},
    "use_oeq": False,
    "shift": [-1.0, -2.0, -3.0, -4.0, -5.0],
    "scale": [1.0, 1.5, 0.5, 0.7, 1.2],
}
MODALITIES = {
    "use_modality": True,
    "_number_of_modalities": 2,
    "_modal_map": {"PBE": 0, "SCAN": 1},
    "use_modal_node_embedding": True,
    "use_modal_self_inter_intro": True,
    "use_modal_self_inter_outro": True,
    "use_modal_output_block": True,
    "use_modal_wise_shift": True,
    "use_modal_wise_scale": False,
    "shift": [[-1.0, -2.0, -3.0, -4.0, -5.0], [-2.0, -3.0, -4.0, -5.0, -6.0]],
}
CASES = {
    "rotations": {},
    "switched": {
        "cutoff_function": {"cutoff_function_name": "XPLOR", "cutoff_on": 3.0},
        "irreps_manual": ["6x0e", "6x0e+4x1e+3x2e", "6x0e+4x1e+3x2e", "6x0e"],
        "channel": 6,
    },
    "by_species": {"self_connection_type": "nequip", "use_bias_in_linear": True},
    "both_parities": {"is_parity": True, "self_connection_type": "nequip"},
    "modalities": MODALITIES,
    "one_scale": {
        "shift": -0.5,
        "scale": 2.0,
        "lmax": 3,
        "num_convolution_layer": 2,
        "conv_denominator": [3.0, 4.0],
    },
    # What cannot be imported.
    "network_readout": {
        "readout_as_fcn": True,
        "readout_fcn_hidden_neurons": [4],
        "readout_fcn_activation": "relu",
    },
    "softplus": {"act_radial": "ssp"},
    "newer": {"version": "99.0.0"},
}


def main() -> None:
    folder = Path(sys.argv[1])
    for number, (name, changes) in enumerate(CASES.items()):
        torch.manual_seed(number)
        # (Its own order of species is that of symbols.)
        symbols = sorted(chemical_symbols[z] for z in SPECIES)
        config = {
            "version": sevenn.__version__,
            "chemical_species": symbols,
            "_number_of_species": len(symbols),
            "_type_map": {chemical_symbols.index(symbol): place for place, symbol in enumerate(symbols)},
            "use_modality": False,
            **SHARED,
            **changes,
        }
        model = build_E3_equivariant_model(config)
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                if key.endswith(("bias", "coeffs")):
                    parameter += 0.1 * torch.randn_like(parameter)
        torch.save({"config": config, "model_state_dict": model.state_dict()}, folder / f"{name}.pth")


if __name__ == "__main__":
    main()
