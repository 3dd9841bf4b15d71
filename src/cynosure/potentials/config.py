"""Strict settings: an unknown key is an error that names the nearest valid one."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

ConfigT = TypeVar("ConfigT", bound="Config")


class Config(BaseModel):
    """Base of every settings model: frozen, and without room for keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


def parse(kind: type[ConfigT], settings: Mapping[str, Any], where: str = "") -> ConfigT:
    """Validate `settings` as a `kind`.

    Args:
        kind: the settings model.
        settings: keys and values.
        where: prefix of the keys in messages, such as `model.`.

    Raises:
        ValueError: one line for each problem: the dotted key, what is wrong, and for an unknown key the
            nearest valid one.
    """
    try:
        return kind.model_validate(dict(settings))
    except ValidationError as error:
        lines = [_explain(kind, problem, where) for problem in error.errors()]
        raise ValueError("\n".join(lines)) from None


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as dotted keys, lists of sections by number; an empty section stays, as `{}`."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
            value = {str(number): section for number, section in enumerate(value)}
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _explain(kind: type[BaseModel], problem: Any, where: str) -> str:
    location = [str(part) for part in problem["loc"]]
    key = (where + ".".join(location)).rstrip(".")
    if problem["type"] != "extra_forbidden":
        return f"'{key}': {problem['msg']} (got {problem['input']!r})"
    owner = kind
    for part in location[:-1]:
        field = owner.model_fields.get(part)
        if field is None or not (
            isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        ):
            break
        owner = field.annotation
    valid = list(owner.model_fields)
    near = difflib.get_close_matches(location[-1], valid, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"the keys are {', '.join(valid)}"
    return f"no setting '{key}'; {hint}"
