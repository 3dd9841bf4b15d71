"""Pretrained models, imported: do they say what the originals say, and how much faster?

    python -m benchmarks.pretrained parity --peers peers/bin/python
    python -m benchmarks.pretrained speed --peers peers/bin/python --mace peers-mace/bin/python --threads 1

Models are imported once and kept in the cache. Both commands print tables in markdown. The MACE is one of the two
sizes of `python -m benchmarks --only mace`, with random weights, written by its package and imported.
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
from cynosure.importers import FORMATS, import_model
from cynosure.importers.handover import read
from cynosure.importers.probes import Probe

# Name -> checkpoint, modality.
MODELS: dict[str, tuple[str, str | None]] = {
    "SevenNet-0": ("7net-0", None),
    "SevenNet-l3i5": ("7net-l3i5", None),
    "SevenNet-MF-0, PBE": ("7net-mf-0", "PBE"),
    "SevenNet-MF-0, R2SCAN": ("7net-mf-0", "R2SCAN"),
}
# MACE's name of its size.
_MACE = "128x0e"
_MACE_NAME = f"MACE {_MACE}"
# (model, structure, measurement) -> at least, aim.
_SPEED = {
    ("SevenNet-0", "w1", "model"): (15, 30),
    ("SevenNet-0", "w3", "model"): (15, 30),
    ("SevenNet-0", "w2", "ase"): (12, 20),
    ("SevenNet-l3i5", "w1", "model"): (12, 25),
    ("SevenNet-0", "w2", "loading"): (),
}
_WHAT = {
    "model": "energy and forces on a built graph",
    "ase": "the whole ASE call, new positions each",
    "loading": "from the model file to the first energy, packages imported",
}
_STRUCTURES = {"w1": "216 Si (W1)", "w2": "ethanol", "w3": "64 H2O (W3)"}


def main() -> None:
    arguments = _arguments()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    dtype = "float64" if arguments.what == "parity" else "float32"
    files = {
        name: _file(arguments.cache.resolve(), name, arguments.peers, dtype)
        for name in MODELS
        if arguments.only is None or arguments.only.lower() in name.lower()
    }
    if not files and arguments.only.lower() not in _MACE_NAME.lower():
        known = ", ".join([*MODELS, _MACE_NAME])
        raise SystemExit(f"no model is named like '{arguments.only}'; the models are {known}")
    if arguments.what == "parity":
        for line in parity(files, arguments.peers):
            print(line, flush=True)
    else:
        speed(files, arguments)


def parity(files: Mapping[str, Path], python: str) -> Iterator[str]:
    """A table: each model and structure, and how far energies per atom, forces and stresses are apart.

    Ours from the original with both in float64, with both in float32 (its own calculator), and the original's float32
    from its float64: what its rounding is.
    """
    kinds = ("float64", "float32", "its rounding")
    yield "| model | structure | atoms |" + "".join(f" {kind}: eV/atom | eV/Å | eV/Å³ |" for kind in kinds)
    yield "|---|---|---|" + "---|---|---|" * len(kinds)
    for name, path in files.items():
        exact, own = _original_in_float64(name, path, python), _original(name, python)
        ours = {dtype: cynosure.Calculator(path, dtype=dtype) for dtype in ("float64", "float32")}
        for (label, atoms), double, single in zip(structures().items(), exact, own, strict=True):
            found = {dtype: _evaluated(atoms, calculator) for dtype, calculator in ours.items()}
            pairs = ((found["float64"], double), (found["float32"], single), (single, double))
            cells = "".join(_cells(one, other, atoms) for one, other in pairs)
            yield f"| {name} | {label} | {len(atoms)} |{cells}"


def _evaluated(atoms: Atoms, calculator: cynosure.Calculator) -> dict[str, Any]:
    atoms = atoms.copy()
    atoms.calc = calculator
    found = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
    return {**found, "stress": atoms.get_stress(voigt=False)} if atoms.pbc.all() else found


def _cells(one: Mapping[str, Any], other: Mapping[str, Any], atoms: Atoms) -> str:
    """Deviations of energy per atom, of forces and, in a crystal, of the stress."""
    energy = abs(one["energy"] - other["energy"]) / len(atoms)
    cells = [f"{energy:.1e}"]
    for name in ("forces", "stress") if atoms.pbc.all() else ("forces",):
        cells.append(f"{np.abs(np.asarray(one[name]) - np.asarray(other[name])).max():.1e}")
    return "".join(f" {cell} |" for cell in [*cells, "–"][:3])


def speed(files: Mapping[str, Path], arguments: argparse.Namespace) -> None:
    """A table of times, the original and the import in turn."""
    results = []
    cases = [_sevennet(name, structure, how, files) for name, structure, how in _SPEED if name in files]
    if arguments.mace is not None and (
        arguments.only is None or arguments.only.lower() in _MACE_NAME.lower()
    ):
        cases.append(_mace(arguments.cache.resolve(), arguments.mace))
    for case in cases:
        for threads in thread_counts(arguments.threads):
            results.append(
                measure(
                    case,
                    threads,
                    arguments.rounds,
                    peers={"sevenn": arguments.peers, "mace": arguments.mace},
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


def _sevennet(name: str, structure: str, how: str, files: Mapping[str, Path]) -> Case:
    checkpoint, modality = MODELS[name]
    theirs = {"checkpoint": checkpoint, "modality": modality, "structure": structure}
    return Case(
        f"{checkpoint}-{structure}-{how}",
        f"{name}, {_STRUCTURES[structure]}, {_WHAT[how]}",
        Side("Cynosure", "cynosure", how, {"file": str(files[name]), "structure": structure}),
        (Against(Side("sevenn", "sevenn", how, theirs), *_SPEED[name, structure, how]),),
        fresh=how == "loading",
    )


def _mace(cache: Path, python: str) -> Case:
    """A MACE with random weights, as its package writes it, imported, beside its package and a C++ evaluator of it."""
    source, path = cache / f"mace-{_MACE}.model", cache / f"mace-{_MACE}-float32.safetensors"
    if not path.is_file():
        print(f"importing {_MACE_NAME}", file=sys.stderr, flush=True)
        variables = environment(1)
        variables.pop("PYTHONPATH", None)  # it is for our interpreter
        words = [python, "-m", "benchmarks.worker_mace", "--save", _MACE, str(source)]
        subprocess.run(words, check=True, cwd=ROOT, env=variables)
        import_model(source, path, python=python, trust=True)
    theirs = {"hidden": _MACE, "structure": "w1"}
    return Case(
        f"mace-{_MACE}-w1",
        f"{_MACE_NAME}, {_STRUCTURES['w1']}, {_WHAT['model']}",
        Side("Cynosure", "cynosure", "model", {"file": str(path), "structure": "w1"}),
        (
            Against(Side("MACE eager", "mace", "model", {**theirs, "engine": "eager"}), 10, 20),
            Against(Side("symmetrix-xl", "mace", "model", {**theirs, "engine": "symmetrix"}), 1.3, 2.5),
        ),
    )


def _file(cache: Path, name: str, python: str, dtype: str) -> Path:
    """The imported model with weights of this precision, kept in the cache."""
    checkpoint, modality = MODELS[name]
    path = cache / "-".join([checkpoint, *([modality.lower()] if modality else []), f"{dtype}.safetensors"])
    if not path.is_file():
        print(f"importing {name}", file=sys.stderr, flush=True)
        import_model(checkpoint, path, modality=modality, python=python, trust=True, dtype=dtype)
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


def _original_in_float64(name: str, path: Path, python: str) -> list[dict[str, Any]]:
    """What the original says of the structures, in float64: what an import is compared with."""
    checkpoint, modality = MODELS[name]
    elements = list(cynosure.load(path).species)
    asked = [
        Probe(
            label,
            np.array([elements.index(z) for z in one.numbers]),
            one.positions,
            one.cell.array,
            tuple(one.pbc.tolist()),
        )
        for label, one in structures().items()
    ]
    found = read(FORMATS["sevennet"].reader, checkpoint, modality, asked, python).originals
    return [
        {"energy": float(one.energy), "forces": one.forces.numpy(), "stress": one.stress.numpy()}
        for one in found
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pretrained", description=__doc__)
    parser.add_argument("what", choices=["parity", "speed"])
    parser.add_argument("--peers", metavar="PYTHON", required=True, help="an interpreter that has sevenn")
    parser.add_argument(
        "--mace", metavar="PYTHON", help="an interpreter that has mace-torch, for its row of `speed`"
    )
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
