"""MACE's side: energy and forces on a prebuilt graph, with MACE itself or with symmetrix-xl, a C++ evaluator of its
models; and a training step."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mace
import numpy as np
import torch
from ase.data import atomic_numbers
from e3nn import o3
from mace import data, modules
from mace.tools import AtomicNumberTable, torch_geometric

from benchmarks.structures import AVG_NEIGHBOURS, CUTOFF, SPECIES, structure, training_frames
from benchmarks.worker import Measurement, evaluations, serve

NUMBERS = sorted(atomic_numbers[symbol] for symbol in SPECIES)


def build(hidden: str) -> torch.nn.Module:
    """Two layers, edges to degree 3, correlation 3, as MACE's own command line builds it."""
    torch.manual_seed(0)
    block = modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
    return modules.ScaleShiftMACE(
        r_max=CUTOFF,
        num_bessel=8,
        num_polynomial_cutoff=5,
        max_ell=3,
        interaction_cls=block,
        interaction_cls_first=block,
        num_interactions=2,
        num_elements=len(NUMBERS),
        hidden_irreps=o3.Irreps(hidden),
        MLP_irreps=o3.Irreps("16x0e"),
        atomic_energies=np.zeros(len(NUMBERS)),
        avg_num_neighbors=AVG_NEIGHBOURS,
        atomic_numbers=NUMBERS,
        correlation=3,
        gate=torch.nn.functional.silu,
        radial_MLP=[64, 64, 64],
        radial_type="bessel",
        atomic_inter_scale=1.0,
        atomic_inter_shift=0.0,
    )


def batch_of(frames: list[Any]) -> dict[str, torch.Tensor]:
    table = AtomicNumberTable(NUMBERS)
    graphs = [
        data.AtomicData.from_config(
            data.config_from_atoms(atoms), z_table=table, cutoff=CUTOFF, heads=["Default"]
        )
        for atoms in frames
    ]
    loader = torch_geometric.dataloader.DataLoader(
        graphs, batch_size=len(graphs), shuffle=False, drop_last=False
    )
    return next(iter(loader)).to_dict()


def on_graph(settings: Mapping[str, Any]) -> Measurement:
    """Energy and forces of a graph that is already built."""
    atoms = structure(settings["structure"])
    if settings["engine"] == "symmetrix":
        calculator = symmetrix(settings["hidden"], Path(settings["cache"]))
        calculator.calculate(atoms, ["energy", "forces"])
        inputs = calculator._mace_inputs(atoms)
        return evaluations(lambda: calculator._compute_mace(inputs, atoms)), {}
    model = build(settings["hidden"]).eval().requires_grad_(False)
    batch = batch_of([atoms])

    def evaluate() -> None:
        # (It asks for the derivative with respect to the positions that it is given.)
        model(batch | {"positions": batch["positions"].clone()}, compute_force=True)

    return evaluations(evaluate), {"edges": batch["edge_index"].shape[1]}


def symmetrix(hidden: str, cache: Path) -> Any:
    """symmetrix-xl's calculator of the same model; what it compiles is kept in `cache`."""
    os.environ.setdefault("SYMMETRIX_JIT_CACHE", str(cache / "symmetrix"))
    (cache / "symmetrix").mkdir(parents=True, exist_ok=True, mode=0o700)
    from symmetrix import Symmetrix
    from symmetrix.extract_mace_data import extract_mace_data

    # It reads a model from the file that MACE writes.
    saved = cache / f"mace-{mace.__version__}-{hidden}.model"
    torch.save(build(hidden), saved)
    extracted = extract_mace_data(
        str(saved), species=[], head=None, num_spline_points=256, radial_format="compact"
    )
    described = saved.with_suffix(".json")
    described.write_text(json.dumps(extracted))
    return Symmetrix(str(described))


def training(settings: Mapping[str, Any]) -> Measurement:
    """One step of Adam on energies and forces of a batch."""
    frames = training_frames(settings["frames"])
    batch = batch_of(list(frames))
    model = build(settings["hidden"]).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)
    atoms = len(frames[0])

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        out = model(batch, training=True, compute_force=True)
        loss = out["energy"].square().mean() / atoms + out["forces"].square().mean()
        loss.backward()
        optimiser.step()

    return evaluations(step), {"parameters": sum(p.numel() for p in model.parameters())}


def versions() -> dict[str, str]:
    from importlib.metadata import version

    return {"mace": mace.__version__, "symmetrix-xl": version("symmetrix-xl"), "torch": torch.__version__}


if __name__ == "__main__":
    torch.set_default_dtype(torch.float32)
    if sys.argv[1:2] == ["--save"]:  # a size and a file: write the model as MACE does, for import
        torch.save(build(sys.argv[2]), sys.argv[3])
        sys.exit()
    serve({"model": on_graph, "training": training}, versions)
