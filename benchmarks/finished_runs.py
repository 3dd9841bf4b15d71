"""Runs that are finished, with what came of them: lines of JSON in a file, so that none of them is repeated."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

RunT = TypeVar("RunT")
OutcomeT = TypeVar("OutcomeT")


def read(log: Path, run: type[RunT], outcome: type[OutcomeT]) -> dict[RunT, OutcomeT]:
    """The outcomes by run, from `keep`; none where there is no file. Both are frozen dataclasses."""
    if not log.exists():
        return {}
    done = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        values = json.loads(line)
        done[_taken(run, values)] = _taken(outcome, values)
    return done


def keep(log: Path, run: Any, outcome: Any) -> None:
    """Add a line."""
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps({**asdict(run), **asdict(outcome)}) + "\n")


def _taken(kind: Any, values: dict[str, Any]) -> Any:
    return kind(**{field.name: values[field.name] for field in fields(kind)})
