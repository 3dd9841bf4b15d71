"""Pretrained models, imported: do they say what the originals say, and how much faster?

    python -m benchmarks.pretrained parity --peers peers/bin/python
    python -m benchmarks.pretrained speed --peers peers/bin/python --threads 1

Models are imported once and kept in the cache. Both commands print tables in markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

import cynosure
from benchmarks import report
from benchmarks.cases import Against, Case, Side
from benchmarks.pretrained_structures import structures
from benchmarks.run import thread_counts
from benchmarks.sides import ROOT, environment, measure
from cynosure.importers import import_model

# Name -> checkpoint, modality.
MODELS: dict[str, tuple[str, str | None]] = {
    "SevenNet-0": ("7net-0", None),
    "SevenNet-l3i5": ("7net-l3i5", None),
    "SevenNet-MF-0, PBE": ("7net-mf-0", "PBE"),
    "SevenNet-MF-0, R2SCAN": ("7net-mf-0", "R2SCAN"),
}
# (model, structure, measurement) -> at least, aim.
_SPEED = {
    ("SevenNet-0", "w1", "model"): (15, 30),
    ("SevenNet-0", "w3", "model"): (15, 30),
    ("SevenNet-0", "w2", "ase"): (12, 20),
    ("SevenNet-l3i5", "w1", "model"): (12, 25),
}
_WHAT = {"model": "energy and forces on a built graph", "ase": "the whole ASE call, new positions each"}
_STRUCTURES = {"w1": "216 Si (W1)", "w2": "ethanol", "w3": "64 H2O (W3)"}


def main() -> None:
    arguments = _arguments()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    files = {
        name: _file(arguments.cache.resolve(), name, arguments.peers)
        for name in MODELS
        if arguments.only is None or arguments.only.lower() in name.lower()
    }
    if not files:
        raise SystemExit(f"no model is named like '{arguments.only}'; the models are {', '.join(MODELS)}")
    if arguments.what == "parity":
        for line in parity(files, arguments.peers):
            print(line, flush=True)
    else:
        speed(files, arguments)


def parity(files: Mapping[str, Path], python: str) -> Iterator[str]:
    """A table: each model and structure, and how far we are from the original's own calculator, which is in float32."""
    yield "| model | structure | atoms | energy, eV/atom | forces, eV/Å | stress, eV/Å³ | float32: energy | forces |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, path in files.items():
        theirs = _original(name, python)
        ours = {dtype: cynosure.Calculator(path, dtype=dtype) for dtype in ("float64", "float32")}
        for (label, atoms), expected in zip(structures().items(), theirs, strict=True):
            double, single = (deviation(atoms, calculator, expected) for calculator in ours.values())
            yield (
                f"| {name} | {label} | {len(atoms)} | {double['energy']:.1e} | {double['forces']:.1e} | "
                f"{'–' if 'stress' not in double else format(double['stress'], '.1e')} | {single['energy']:.1e} | {single['forces']:.1e} |"
            )


def deviation(atoms: Atoms, calculator: cynosure.Calculator, expected: Mapping[str, Any]) -> dict[str, float]:
    """The largest of energy per atom, forces and, in a crystal, stress."""
    atoms = atoms.copy()
    atoms.calc = calculator
    found = {
        "energy": abs(atoms.get_potential_energy() - expected["energy"]) / len(atoms),
        "forces": np.abs(atoms.get_forces() - expected["forces"]).max(),
    }
    if atoms.pbc.all():
        found["stress"] = np.abs(atoms.get_stress() - expected["stress"]).max()
    return {key: float(value) for key, value in found.items()}


def speed(files: Mapping[str, Path], arguments: argparse.Namespace) -> None:
    """A table of times, the original and the import in turn."""
    results = []
    for (name, structure, how), bounds in _SPEED.items():
        if name not in files:
            continue
        checkpoint, modality = MODELS[name]
        theirs = {"checkpoint": checkpoint, "modality": modality, "structure": structure}
        case = Case(
            f"{checkpoint}-{structure}",
            f"{name}, {_STRUCTURES[structure]}, {_WHAT[how]}",
            Side("Cynosure", "cynosure", how, {"file": str(files[name]), "structure": structure}),
            (Against(Side("sevenn", "sevenn", how, theirs), *bounds),),
        )
        for threads in thread_counts(arguments.threads):
            results.append(
                measure(
                    case,
                    threads,
                    arguments.rounds,
                    peers={"sevenn": arguments.peers},
                    cache=arguments.cache.resolve(),
                    tiny=False,
                    say=lambda text: print(text, file=sys.stderr, flush=True),
                )
            )
    table = [row for result in results for row in report.rows(result)]
    command = (
        f"python -m benchmarks.pretrained speed --rounds {arguments.rounds} --threads {arguments.threads}"
    )
    head = report.header(results, command, arguments.rounds)
    print(report.markdown(table, head, report.notes(results)))


def _file(cache: Path, name: str, python: str) -> Path:
    """The imported model, kept in the cache."""
    checkpoint, modality = MODELS[name]
    path = cache / f"{checkpoint}{'' if modality is None else '-' + modality.lower()}.safetensors"
    if not path.is_file():
        print(f"importing {name}", file=sys.stderr, flush=True)
        import_model(checkpoint, path, modality=modality, python=python, trust=True)
    return path


def _original(name: str, python: str) -> list[dict[str, Any]]:
    """What the original's own calculator says of the structures."""
    checkpoint, modality = MODELS[name]
    asked = [
        {
            "numbers": one.numbers.tolist(),
            "positions": one.positions.tolist(),
            "cell": one.cell.tolist(),
            "pbc": one.pbc.tolist(),
        }
        for one in structures().values()
    ]
    variables = environment(int(os.environ.get("OMP_NUM_THREADS", "1")))
    variables.pop("PYTHONPATH", None)  # it is for our interpreter
    done = subprocess.run(
        [python, "-m", "benchmarks.worker_sevenn", "--answer"],
        input=json.dumps({"checkpoint": checkpoint, "modality": modality, "structures": asked}),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=variables,
    )
    if done.returncode:
        raise SystemExit(f"sevenn failed on {name}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pretrained", description=__doc__)
    parser.add_argument("what", choices=["parity", "speed"])
    parser.add_argument("--peers", metavar="PYTHON", required=True, help="an interpreter that has sevenn")
    parser.add_argument("--only", metavar="WORD", help="models whose name contains it")
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each side (7)")
    parser.add_argument("--threads", default="1", help="numbers of threads (1)")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(__file__).parent / ".cache",
        help="where imported models are kept (benchmarks/.cache)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
