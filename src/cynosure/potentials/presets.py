"""Architectures by name, from the fastest to the most accurate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MEDIUM: dict[str, Any] = {"model": "nequip", "layers": 4, "channels": 64}
PRESETS: dict[str, dict[str, Any]] = {
    "small": {"model": "nequip", "layers": 3, "channels": 32},
    "medium": _MEDIUM,
    # Errors of two architectures have less in common than those of two networks of one, so that more of them cancels in
    # the mean; and MACE, whose steps take half the time, leaves it to the other.
    "large": {"model": "mixed", "members": 4, "of": [_MEDIUM, {"model": "mace", "channels": 64}]},
}


def with_preset(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of an architecture in which `preset` has been replaced by what it stands for; others go over it.

    Raises:
        ValueError: no such preset, or it has another architecture than the settings say.
    """
    settings = dict(config)
    name = settings.pop("preset", None)
    if name is None:
        return settings
    if name not in PRESETS:
        raise ValueError(f"no preset '{name}'; the presets are {', '.join(PRESETS)}")
    preset = PRESETS[name]
    if settings.get("model", preset["model"]) != preset["model"]:
        raise ValueError(
            f"the preset '{name}' is of the model '{preset['model']}', not '{settings['model']}'; leave one of them out"
        )
    return {**preset, **settings}
