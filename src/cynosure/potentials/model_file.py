"""The model file: tensors and one JSON header in a safetensors container. Loading runs no code.

The header holds the format version, the architecture's settings, the calibration (species, E0s, scale, shift),
units, provenance, a SHA-256 checksum of each tensor, and a *probe*: a small structure with the outputs that the
reference path gave for it in float64 when the file was written. Whoever loads a model evaluates the probe first
and refuses on a mismatch, so a file or an engine can be broken but never silently wrong.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import ase
import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor
from torch.overrides import TorchFunctionMode

from cynosure.graph import AtomGraph, Rows, from_atoms
from cynosure.potentials.base import Potential
from cynosure.potentials.config import parse
from cynosure.potentials.probe import probe_atoms, probe_inputs
from cynosure.potentials.registry import assemble, resolve
from cynosure.potentials.settings import Calibration

FORMAT = 1
_KEY = "cynosure"
_PROBE_OUTPUTS = ("energy", "forces", "stress")
_DTYPES = {"float32": torch.float32, "float64": torch.float64}


def save(model: Potential, path: str | Path, provenance: Mapping[str, Any] | None = None) -> None:
    """Write `model` to `path`, atomically: a file that is there already stays whole until the new one is.

    Args:
        model: the potential.
        path: the file, usually `model.safetensors`.
        provenance: anything that JSON can hold about where the model comes from; the model's own if None.

    Raises:
        OSError: when the file cannot be written.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    points = model.points
    header = {
        "format": FORMAT,
        "config": model.config.model_dump(mode="json"),
        "calibration": model.calibration.model_dump(mode="json"),
        "dtype": str(model.dtype).removeprefix("torch."),
        "units": {
            "energy": points.energy,
            "length": points.length,
            "forces": f"{points.energy}/{points.length}",
            "stress": f"{points.energy}/{points.length}³",
        },
        "provenance": dict(model.provenance if provenance is None else provenance),
        "probe": _write_probe(model),
        "checksums": {name: _checksum(tensor) for name, tensor in tensors.items()},
    }
    write_atomically(Path(path), serialise(tensors, metadata={_KEY: json.dumps(header)}))


def fingerprint(model: Potential) -> str:
    """SHA-256 (hexadecimal) of what a model computes with: its settings, its calibration and its weights as they are.

    It does not depend on the file that a model came from, nor on its provenance; it does on the precision.
    """
    parts = {
        "config": model.config.model_dump(mode="json"),
        "calibration": model.calibration.model_dump(mode="json"),
        "tensors": {name: _checksum(tensor.detach().cpu()) for name, tensor in model.state_dict().items()},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def read_header(path: str | Path) -> dict[str, Any]:
    """The header of a model file, without its weights.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a model file, damaged, or written by a newer version.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no model file '{path}'")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"'{path}' is not a whole safetensors file ({error}); it may be cut short or of another kind"
        ) from None
    if _KEY not in metadata:
        raise ValueError(
            f"'{path}' is a safetensors file but not a Cynosure model: its header has no '{_KEY}' entry"
        )
    try:
        header = json.loads(metadata[_KEY])
    except json.JSONDecodeError as error:
        raise ValueError(f"the header of '{path}' is damaged: {error}") from None
    if not isinstance(header, dict) or not isinstance(header.get("format"), int):
        raise ValueError(f"the header of '{path}' is damaged: it has no format number")
    if header["format"] > FORMAT:
        raise ValueError(
            f"'{path}' has format {header['format']}; this Cynosure reads up to {FORMAT}: update it"
        )
    missing = {"config", "calibration", "dtype", "provenance", "probe", "checksums"} - header.keys()
    if missing:
        raise ValueError(f"the header of '{path}' is damaged: it has no {', '.join(sorted(missing))}")
    return header


def load(
    path: str | Path, *, device: torch.device | str = "cpu", dtype: torch.dtype | None = None
) -> Potential:
    """Read a model file, check it, and return the model in evaluation mode.

    1. Read the header and build the architecture without memory.
    2. Compare names, shapes and checksums of the tensors; only then take them over.
    3. Evaluate the probe and compare.

    Args:
        path: the file.
        device: where the model is to run.
        dtype: float32 or float64; as the file has it if None.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is damaged, foreign, of a newer format, or the probe does not come out right; the
            message says which.
    """
    header = read_header(path)
    if header["dtype"] not in _DTYPES or dtype not in (None, *_DTYPES.values()):
        raise ValueError(f"'{path}': a model computes in float32 or float64, not {dtype or header['dtype']}")
    try:
        config = resolve(header["config"])
        calibration = parse(Calibration, header["calibration"], where="calibration.")
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"the header of '{path}' does not describe a model: {error}") from None
    with torch.device("meta"), _WithoutValues():
        model = assemble(config, calibration)
    tensors = _read_tensors(Path(path), model, header)
    model.load_state_dict(tensors, assign=True)
    model.provenance = header["provenance"]
    model = model.to(device=device, dtype=dtype or _DTYPES[header["dtype"]]).eval()
    model.requires_grad_(True)
    check_probe(model, header["probe"], path)
    return model


class _WithoutValues(TorchFunctionMode):
    """Makes parameters whose values do not matter: on the meta device `torch.randn` would import SymPy, for 0.4 s."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return (torch.empty if func is torch.randn else func)(*args, **(kwargs or {}))


def check_probe(model: Potential, probe: Mapping[str, Any], path: str | Path) -> None:
    """Evaluate the probe of a header and compare each output.

    Raises:
        ValueError: names the output, its deviation and its tolerance.
    """
    outputs = _probe_outputs(model)
    try:
        graph = _probe_graph(model, probe).to(model.device)
        tolerances = probe["tolerance"][str(model.dtype).removeprefix("torch.")]
        tolerance = {name: float(tolerances[name]) for name in outputs}
        expected = {name: np.asarray(probe[name], dtype=np.float64) for name in outputs}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the probe in '{path}' is damaged: {error!r}") from None
    got = model(graph, outputs)
    for name in outputs:
        value = got[name].detach().cpu().to(torch.float64).numpy()
        if value.shape != expected[name].shape:
            raise ValueError(f"the probe in '{path}' is damaged: '{name}' has shape {expected[name].shape}")
        deviation = float(np.abs(value - expected[name]).max())
        if not deviation <= tolerance[name]:
            raise ValueError(
                f"'{path}' fails its probe: {name} deviates by {deviation:.3g} (tolerance {tolerance[name]:.3g}); "
                "the file is damaged, or this machine computes it wrongly. Do not use it."
            )


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that, whatever happens, the file holds either the old bytes or the new ones.

    Raises:
        OSError: when it cannot be written; the temporary file is removed.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    if os.name == "posix":  # the rename itself must reach the disk too
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _read_tensors(path: Path, model: Potential, header: Mapping[str, Any]) -> dict[str, Tensor]:
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    tensors: dict[str, Tensor] = {}
    with safe_open(path, framework="pt") as file:
        names = set(file.keys())
        if odd := sorted(names ^ expected.keys()):
            state = "is missing" if odd[0] in expected else "is not part of the model"
            raise ValueError(
                f"'{path}': tensor '{odd[0]}' {state}; the file and its header do not belong together"
            )
        for name, shape in expected.items():
            tensor = file.get_tensor(name)
            if tuple(tensor.shape) != shape or tensor.dtype != _DTYPES[header["dtype"]]:
                raise ValueError(
                    f"'{path}': tensor '{name}' is {tensor.dtype} {tuple(tensor.shape)}; the header says "
                    f"{header['dtype']} {shape}"
                )
            if _checksum(tensor) != header["checksums"].get(name):
                raise ValueError(
                    f"'{path}': tensor '{name}' does not match its checksum; the file is damaged"
                )
            tensors[name] = tensor.clone()
    return tensors


def _checksum(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()


def _write_probe(model: Potential) -> dict[str, Any]:
    """A small periodic structure with every species, its outputs in float64, and a tolerance per dtype.

    The float64 tolerance leaves room for another order of summation; the float32 tolerance is what float32
    costs this model on this structure, times ten for other processors, and never less than a few units in the
    last place.
    """
    atoms = probe_atoms(model.species, model.cutoff)
    exact = deepcopy(model).to("cpu", torch.float64).eval()
    probe: dict[str, Any] = {
        "numbers": atoms.numbers.tolist(),
        "positions": atoms.positions.tolist(),
        "cell": np.asarray(atoms.cell).tolist(),
    }
    scales = {name: own.scale for name, own in model.calibration.ranges.items()}
    inputs = probe_inputs(model.config.told, scales, len(atoms))
    probe["inputs"] = {name: values.tolist() for name, values in inputs.items()}
    graph = _probe_graph(model, probe)
    outputs = _probe_outputs(model)
    reference = {name: value.numpy() for name, value in exact(graph, outputs).items()}
    single = deepcopy(exact).to(torch.float32)
    rounded = {name: value.numpy() for name, value in single(graph, outputs).items()}
    tolerance: dict[str, dict[str, float]] = {"float64": {}, "float32": {}}
    for name, value in reference.items():
        size = float(np.abs(value).max()) + float(np.abs(exact._per_species.numpy()[1]).max())
        tolerance["float64"][name] = 1e-10 * size
        tolerance["float32"][name] = 10 * float(np.abs(rounded[name] - value).max()) + 1e-6 * size
        probe[name] = value.tolist()
    return {**probe, "tolerance": tolerance}


def _probe_outputs(model: Potential) -> tuple[str, ...]:
    of_energy = (*_PROBE_OUTPUTS, *model.uncertainties) if model.config.energy else ()
    return (*of_energy, *model.config.outputs)


def _probe_graph(model: Potential, probe: Mapping[str, Any]) -> AtomGraph:
    atoms = ase.Atoms(numbers=probe["numbers"], positions=probe["positions"], cell=probe["cell"], pbc=True)
    inputs = {name: Rows(np.asarray(values)) for name, values in probe["inputs"].items()}
    return from_atoms(atoms, model.cutoff, inputs=inputs, quantities=model.config.told)
