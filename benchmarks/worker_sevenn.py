"""SevenNet's side: energy and forces on a prebuilt graph, through its ASE calculator, and what that says of structures.

The settings name the checkpoint and, where it has several, the modality.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Mapping
from typing import Any

import sevenn
import torch
from ase import Atoms
from sevenn.atom_graph_data import AtomGraphData
from sevenn.calculator import SevenNetCalculator
from sevenn.train.dataload import unlabeled_atoms_to_graph

from benchmarks.structures import structure
from benchmarks.worker import Measurement, ase_calls, evaluations, once, serve


def calculator(settings: Mapping[str, Any]) -> SevenNetCalculator:
    """Its own, eager on the CPU."""
    return SevenNetCalculator(settings["checkpoint"], device="cpu", modal=settings.get("modality"))


def on_graph(settings: Mapping[str, Any]) -> Measurement:
    """Energy, forces and stress (there is no less) of a graph that is already built."""
    own, atoms = calculator(settings), structure(settings["structure"])
    graph = AtomGraphData.from_numpy_dict(unlabeled_atoms_to_graph(atoms, own.cutoff))
    if own.modal:
        graph["data_modality"] = own.modal
    # (A pass writes into the data that it is given.)
    return evaluations(lambda: own.model(graph.clone())), {"edges": graph.edge_index.shape[1]}


def through_ase(settings: Mapping[str, Any]) -> Measurement:
    """The whole call, with new positions at each: neighbour list, energy, forces, stress."""
    atoms = structure(settings["structure"])
    atoms.calc = calculator(settings)
    return ase_calls(atoms), {}


def loading(settings: Mapping[str, Any]) -> Measurement:
    """From the checkpoint to the first energy through ASE, in a fresh process that has imported what it needs."""

    def first() -> None:
        atoms = structure(settings["structure"])
        atoms.calc = calculator(settings)
        atoms.get_potential_energy()

    return once(first), {}


def versions() -> dict[str, str]:
    return {"sevenn": sevenn.__version__, "torch": torch.__version__}


def answer() -> None:
    """What its calculator says of structures: a JSON request on stdin, the answer on the last line of stdout."""
    request = json.load(sys.stdin)
    own, found = calculator(request), []
    for one in request["structures"]:
        atoms = Atoms(**one)
        atoms.calc = own
        found.append(
            {
                "energy": atoms.get_potential_energy(),
                "forces": atoms.get_forces().tolist(),
                "stress": atoms.get_stress(voigt=False).tolist(),
            }
        )
    print("\n" + json.dumps(found))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if sys.argv[1:] == ["--answer"]:
        answer()
    else:
        serve({"model": on_graph, "ase": through_ase, "loading": loading}, versions)
