"""What is in a file: a model, or a data set?"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cynosure.analysis.data_report import describe_data
from cynosure.analysis.memory import DEFAULT_DENSITY, estimate_memory_at_density, free_memory, memory_rows
from cynosure.analysis.report import Report, Table
from cynosure.data import read_frames
from cynosure.potentials import Evaluator, Potential, flatten, load, read_header
from cynosure.potentials.declared import TensorConfig

# Longer texts of the provenance (a resolved configuration, say) are cut for the screen.
_LONGEST = 90


def info(
    path: str | Path,
    keys: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    *,
    atoms: int | None = None,
    density: float | None = None,
) -> Report:
    """Say what a file holds: a model file is loaded and its probe evaluated, anything else is read as frames.

    Args:
        path: a model file, a folder with `model.safetensors` in it, or a file of structures.
        keys: for structures: label to column, as for `cynosure.data.read_frames`.
        units: for structures: quantity to unit, as for `cynosure.data.read_frames`.
        atoms: for a model: estimate the memory that so many atoms need.
        density: of those atoms, per Å³; that of liquid water by default.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is neither, saying why; a damaged or foreign model file says so. A number of atoms or a
            density that is not positive, a density without atoms, or either for a file of structures.
    """
    _check_size(atoms, density)
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path} (looked in {path.absolute().parent})")
    if path.is_dir():
        inside = path / "model.safetensors"
        if not inside.is_file():
            raise ValueError(f"{path} is a folder without a model.safetensors in it; name a file")
        path = inside
    if is_safetensors(path):
        return describe_model(path, atoms, density)
    if atoms is not None:
        raise ValueError(f"{path} holds structures; memory is estimated for a model: name a model file")
    return describe_data(read_frames(path, keys or {}, units or {}))


def is_safetensors(path: Path) -> bool:
    """Whether the file is named or begins like a safetensors container, whole or not."""
    if path.suffix == ".safetensors":
        return True
    with path.open("rb") as file:
        start = file.read(9)
    # Eight bytes with the length of a JSON header, then the header.
    return len(start) == 9 and start[8:] == b"{" and struct.unpack("<Q", start[:8])[0] < path.stat().st_size


def _check_size(atoms: int | None, density: float | None) -> None:
    if atoms is not None and atoms < 1:
        raise ValueError(f"{atoms} atoms: one or more was expected")
    if density is not None and atoms is None:
        raise ValueError("a density says nothing without a number of atoms; give that too (--atoms N)")


def describe_model(path: str | Path, atoms: int | None = None, density: float | None = None) -> Report:
    """What a model file holds. The model is loaded, so that checksums and probe are checked.

    Args:
        path: of the model file.
        atoms: estimate the memory that so many need.
        density: of those atoms, per Å³; that of liquid water by default.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not a whole model file, or fails its probe.
    """
    path = Path(path)
    header = read_header(path)
    model = load(path)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    size = path.stat().st_size / 1e6
    overview = {
        "format": str(header["format"]),
        "parameters": f"{parameters:,} in {header['dtype']} ({size:.2f} MB)",
        **_points(model),
        "cutoff": f"{model.cutoff:g} {model.points.length}",
        "neighbours in training": f"{model.calibration.avg_neighbours:.1f} per atom",
        **_members(model),
        "promises": ", ".join(_promises(model)),
        "probe": f"evaluated and passed ({len(header['probe']['numbers'])} atoms)",
    }
    tables = [
        Table("Model", ("", ""), tuple(overview.items())),
        Table("Architecture", ("setting", "value"), _rows(model.config.model_dump(mode="json"))),
        _elements(model),
        *_declared(model),
    ]
    provenance = _rows(header["provenance"])
    if provenance:
        tables.append(Table("Provenance", ("", ""), provenance))
    if atoms is not None:
        tables.append(_memory(model, atoms, DEFAULT_DENSITY if density is None else density))
    return Report(
        title=f"{path}: a Cynosure model",
        tables=tuple(tables),
        next_steps=(
            f"cynosure check {path} STRUCTURE",
            f"cynosure eval {path} DATA",
            f"cynosure bench {path} STRUCTURE",
            f"cynosure md {path} STRUCTURE --ensemble nvt --temperature 300 --out md.traj",
        ),
        is_model=True,
    )


def _points(model: Potential) -> dict[str, str]:
    """What it is of."""
    points, names = model.points, model.points.listed(model.species)
    units = {} if points.in_atomic_units else {"units": f"{points.energy}, {points.length}"}
    column = "" if points.key is None else f", column '{points.key}'"
    return {("points" if points.names else "elements"): names + column, **units}


def _members(model: Potential) -> dict[str, str]:
    """Of an ensemble: how many, and how their spread becomes an uncertainty."""
    factors = model.calibration.uncertainty
    if not model.uncertainties:
        return {}
    uncertainty = f"spread × {factors.energy:.3g} for energies, × {factors.forces:.3g} for forces"
    return {"members": str(model.config.members), "uncertainty": uncertainty}


def _declared(model: Potential) -> list[Table]:
    """What the model is told, and what it tells besides the energy and what follows from it; none of a plain one."""
    config, rows = model.config, []
    for name, one in config.inputs.items():
        rows.append((name, "input", f"{_kind(one)}, column '{one.key or name}'"))
    for name, one in config.targets.items():
        rows.append((name, "target", f"{_kind(one)}, column '{one.key or name}'"))
    for name, one in config.derivatives.items():
        unit = f", {one.unit}" if one.unit else ""
        rows.append((name, "derivative", f"{one.formula}{unit}, column '{one.key or name}'"))
    return [Table("Declared tensors", ("", "", ""), tuple(rows))] if rows else []


def _kind(one: TensorConfig) -> str:
    what = f"{one.tensor} ({one.kind})" if one.tensor is not None else str(one.kind)
    odd = ", odd in time" if one.odd else ""
    unit = f", {one.unit}" if one.unit else ""
    return f"{what} per {one.per}{odd}{unit}"


def _promises(model: Potential) -> list[str]:
    """The symmetries that hold by construction."""
    always = ["rotation", "translation", "permutation"]
    if not model.promises_reflection:
        return [*always, "but not reflection (parity=False)"]
    return [*always, "reflection"]


def _elements(model: Potential) -> Table:
    calibration = model.calibration
    rows = tuple(
        (model.points.name(number), f"{e0:.6f}", f"{scale:.6g}", f"{shift:.6g}")
        for number, e0, scale, shift in zip(
            calibration.species, calibration.e0s, calibration.scale, calibration.shift, strict=True
        )
    )
    title = f"{'Points' if model.points.names else 'Elements'} (E0s: {calibration.e0_kind})"
    return Table(title, ("", *(f"{what} ({model.points.energy})" for what in ("E0", "scale", "shift"))), rows)


def _memory(model: Potential, atoms: int, density: float) -> Table:
    evaluator = Evaluator(model)
    memory = estimate_memory_at_density(evaluator, density)
    rows = memory_rows(evaluator, memory, atoms, free_memory())
    if memory is not None:
        rows = (("edges", f"{memory.edges:.0f} per atom"), *rows)
    return Table(f"Memory of {atoms:,} atoms at {density:g} atoms/Å³ (estimate)", ("", ""), rows)


def _rows(settings: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Dotted keys and printable values of nested settings."""
    lines = ((key, str(value)) for key, value in flatten(settings).items())
    return tuple((key, text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…") for key, text in lines)
