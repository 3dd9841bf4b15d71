"""The architectures by name, and how one is built from settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch

from cynosure.graph import AtomGraph, Points
from cynosure.potentials.base import Potential
from cynosure.potentials.committee import SHARED, Committee, MixedConfig
from cynosure.potentials.config import parse
from cynosure.potentials.mace import MACE, MACEConfig
from cynosure.potentials.nequip import NequIP, NequIPConfig
from cynosure.potentials.presets import with_preset
from cynosure.potentials.settings import Calibration, PotentialConfig


class Architecture(NamedTuple):
    config: type[PotentialConfig]
    potential: type[Potential]


# To add a model: its file in this folder, and one line here.
MODELS: dict[str, Architecture] = {
    "mace": Architecture(MACEConfig, MACE),
    "mixed": Architecture(MixedConfig, Committee),
    "nequip": Architecture(NequIPConfig, NequIP),
}
DEFAULT_MODEL = "nequip"


def resolve(config: Mapping[str, Any], where: str = "model.") -> PotentialConfig:
    """Settings with every default filled in; `{}` is the default model, `{"preset": "small"}` the preset of this name.

    Args:
        config: the settings.
        where: prefix of the keys in messages.

    Raises:
        ValueError: an unknown model, preset, key or value; the message names the nearest valid one.
    """
    config = with_preset(config)
    name = config.get("model", DEFAULT_MODEL)
    if name not in MODELS:
        raise ValueError(f"no model '{name}'; the models are {', '.join(MODELS)}")
    if name == "mixed":
        config = _with_architectures(config, where)
    return parse(MODELS[name].config, {**config, "model": name}, where)


def _with_architectures(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The settings of a mixed ensemble with its architectures resolved."""
    of = config.get("of")
    if not isinstance(of, list | tuple) or not all(isinstance(one, Mapping) for one in of):
        raise ValueError(
            f"'{where}of' is a list of architectures, such as "
            f'[{{"model": "nequip"}}, {{"model": "mace"}}]; got {of!r}'
        )
    for number, one in enumerate(of):
        if one.get("model") == "mixed":
            raise ValueError(
                f"'{where}of.{number}' is a mixed ensemble itself; name its architectures one by one"
            )
    shared = {key: config[key] for key in SHARED if key in config}
    resolved = tuple(resolve({**shared, **one}, f"{where}of.{number}.") for number, one in enumerate(of))
    return {"members": len(resolved), **config, "of": resolved}


def build(
    config: Mapping[str, Any],
    species: Sequence[str | int],
    *,
    e0s: Mapping[str | int, float] | None = None,
    e0_kind: Literal["fitted", "isolated", "given"] = "fitted",
    scale: float | Mapping[str | int, float] = 1.0,
    shift: float | Mapping[str | int, float] = 0.0,
    avg_neighbours: float = 1.0,
    ranges: Mapping[str, Mapping[str, Any]] | None = None,
    example: AtomGraph | None = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Potential:
    """Build a potential with fresh weights.

    Member n of an ensemble is the model that a single one with the seed `seed` + n would be.

    Args:
        config: settings of the architecture, such as `{"model": "nequip", "layers": 4, "channels": 64}` or
            `{"preset": "large"}`.
        species: elements the model is to know, as symbols or atomic numbers; or kinds of points by their names.
        e0s: eV by species; zero if None.
        e0_kind: see `Calibration`.
        scale: eV per unit of network output, one number or by species.
        shift: eV per atom, one number or by species.
        avg_neighbours: mean number of neighbours within the cutoff.
        ranges: of inputs and targets, by name, as of `Range`.
        example: a typical batch of the data; with it, the fresh network's features are brought to unit variance
            (`Potential.normalise`).
        seed: of the initial weights; the global random state is left as it was.
        dtype: of the weights, float32 or float64.

    Raises:
        ValueError: an unknown model, key, value or element, or an element without its E0.
    """
    resolved = resolve(config)
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(f"a potential computes in float32 or float64, not {dtype}")
    points = resolved.points.points
    numbers = tuple(sorted({points.number(element) for element in species}))
    if not numbers:
        raise ValueError("a potential needs at least one element; give species=['Si'] or the like")
    calibration = parse(
        Calibration,
        {
            "species": numbers,
            "e0s": _by_species("e0s", 0.0 if e0s is None else e0s, numbers, points),
            "e0_kind": e0_kind,
            "scale": _by_species("scale", scale, numbers, points),
            "shift": _by_species("shift", shift, numbers, points),
            "avg_neighbours": avg_neighbours,
            "ranges": ranges or {},
        },
    )
    members = []
    for number in range(resolved.members):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + number)
            member = _member(resolved, calibration, number).to(dtype)
        if example is not None:
            member.normalise(example)
        members.append(member)
    return _together(resolved, calibration, members)


def assemble(config: PotentialConfig, calibration: Calibration) -> Potential:
    """The module for settings that are already validated."""
    return _together(
        config, calibration, [_member(config, calibration, number) for number in range(config.members)]
    )


def _member(config: PotentialConfig, calibration: Calibration, number: int) -> Potential:
    """One network."""
    own = config.of[number % len(config.of)] if isinstance(config, MixedConfig) else config
    return MODELS[own.model].potential(own.model_copy(update={"members": 1}), calibration)


def _together(config: PotentialConfig, calibration: Calibration, members: Sequence[Potential]) -> Potential:
    """The ensemble of these members, or the one that there is."""
    return members[0] if len(members) == 1 else Committee(config, calibration, members)


def _by_species(
    name: str, value: float | Mapping[str | int, float], numbers: tuple[int, ...], points: Points
) -> tuple[float, ...]:
    if not isinstance(value, Mapping):
        return (float(value),) * len(numbers)
    given = {points.number(element): float(number) for element, number in value.items()}
    missing = [z for z in numbers if z not in given]
    if missing:
        raise ValueError(f"'{name}' has no value for {points.listed(missing)}")
    return tuple(given[z] for z in numbers)
