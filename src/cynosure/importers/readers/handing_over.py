"""How a reader hands a model over: numbers in a safetensors file, words in its JSON header, no pickle.

A reader is a script. It runs in a process of its own, whose Python has the package that wrote the checkpoint and need
not have Cynosure: what is used here is NumPy and ASE. It is given a request, a JSON file:

    source      the checkpoint, or a name that the package knows
    modality    which of several levels of theory, or of several models; null for the only one
    structures  kinds [N], positions [N, 3] Å, cell [3, 3] Å and pbc [3] of each; kind k stands for the element number
                k modulo the number of elements, in the order of their atomic numbers
    out         the file to write

The file has the tensors of the model, the structures with their elements, and energies, forces and stresses that the
original model gives for them in float64. What cannot be handed over is told as `out` + `.refused`, one line of text.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class Refused(Exception):
    """The model cannot be handed over; the message tells the user why."""


class Original(NamedTuple):
    """A model as its own package computes it.

    Attributes:
        description: what is not numbers; anything that JSON can hold.
        tensors: the numbers, by name.
        species: atomic numbers that the model knows, ascending.
        evaluate: energy (eV), forces [N, 3] (eV/Å) and stress [3, 3] (eV/Å³, positive under tension) of ASE's atoms.
    """

    description: dict[str, Any]
    tensors: dict[str, np.ndarray]
    species: tuple[int, ...]
    evaluate: Callable[[Any], tuple[float, np.ndarray, np.ndarray]]


def package(module: str, what: str, requirement: str, known: tuple[int, ...]) -> Any:
    """The package that reads a checkpoint, imported.

    Args:
        module: how it is imported.
        what: it reads, in words.
        requirement: what pip is told, `name==version`.
        known: the first numbers of the versions whose models the reader knows.
    """
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        raise Refused(
            f"{sys.executable} cannot read {what} ({error}): pip install {requirement} for it, or name "
            "another Python (--python) that has the package"
        ) from None
    if version(found.__version__)[: len(known)] != known:
        raise Refused(
            f"{sys.executable} has {requirement.partition('==')[0]} {found.__version__}; models are read with "
            f"{requirement} (pip install {requirement}, or --python)"
        )
    return found


def version(text: str | None) -> tuple[int, ...]:
    """The first three numbers of a version."""
    return tuple(int(number) for number in re.findall(r"\d+", str(text))[:3])


def hand_over(read: Callable[[str, str | None], Original]) -> None:
    """Do what the request says that the command line names.

    Args:
        read: from a source and a modality to the model.
    """
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    out = Path(request["out"])
    try:
        original = read(request["source"], request["modality"])
        tensors = dict(original.tensors)
        for number, structure in enumerate(request["structures"]):
            tensors |= _evaluated(original, structure, f"structures.{number}.")
    except Refused as reason:
        Path(f"{out}.refused").write_text(str(reason), encoding="utf-8")
        sys.exit(3)
    description = {**original.description, "species": [int(z) for z in original.species]}
    _write(out, tensors, {"description": json.dumps(description)})


def sha256(path: str | Path) -> str:
    """Of a file's bytes, in hexadecimal."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _evaluated(original: Original, structure: Mapping[str, Any], prefix: str) -> dict[str, np.ndarray]:
    from ase import Atoms

    numbers = [original.species[kind % len(original.species)] for kind in structure["kinds"]]
    atoms = Atoms(
        numbers=numbers,
        positions=structure["positions"],
        cell=structure["cell"],
        pbc=structure["pbc"],
    )
    energy, forces, stress = original.evaluate(atoms)
    return {
        f"{prefix}numbers": np.asarray(numbers, dtype=np.int64),
        f"{prefix}energy": np.asarray(energy, dtype=np.float64),
        f"{prefix}forces": np.asarray(forces, dtype=np.float64),
        f"{prefix}stress": np.asarray(stress, dtype=np.float64),
    }


def _write(path: Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """A safetensors file: the length of the header (8 bytes, little-endian), the header in JSON, the bytes."""
    kinds = {"float64": "F64", "int64": "I64"}
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    offset, parts = 0, []
    for name, tensor in tensors.items():
        data = np.ascontiguousarray(tensor).astype(tensor.dtype.newbyteorder("<"), copy=False).tobytes()
        header[name] = {
            "dtype": kinds[tensor.dtype.name],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + len(data)],
        }
        offset += len(data)
        parts.append(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(parts))
