"""metrics.jsonl: one JSON object a line for every step and every validation of a run, and where it settled."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class MetricsLog:
    """Appends records; what is written by `flush` is whole lines.

    A run that resumes goes back to the length that its checkpoint knows of, so that no line is torn and no step is
    there twice.

    Args:
        path: the file.
        length: bytes of it to keep.

    Raises:
        ValueError: the file is shorter than `length`: it was changed, and the run cannot be continued in it.
    """

    def __init__(self, path: Path, length: int = 0) -> None:
        self.path = path
        self._waiting: list[str] = []
        path.touch()
        found = path.stat().st_size
        if found < length:
            raise ValueError(
                f"'{path}' holds {found} bytes but the checkpoint knows {length}; it was changed since"
            )
        os.truncate(path, length)
        self._length = length

    def append(self, record: Mapping[str, Any]) -> None:
        """Keep a record to be written by the next `flush`. Numbers come back from JSON bit by bit as they were."""
        self._waiting.append(json.dumps(record, allow_nan=False))

    def flush(self) -> int:
        """Write what waits, to the disk, and return the length of the file in bytes."""
        if self._waiting:
            data = ("\n".join(self._waiting) + "\n").encode()
            with self.path.open("ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            self._length += len(data)
            self._waiting.clear()
        return self._length


def read_log(path: Path) -> list[dict[str, Any]]:
    """All records of a metrics file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a line that is not a record; names it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no log '{path}'")
    return parse_log(path.read_text(encoding="utf-8"), f"'{path}'")


def parse_log(text: str, where: str) -> list[dict[str, Any]]:
    """The records in the text of a metrics file.

    Raises:
        ValueError: a line that is not a record; names `where` and the line.
    """
    records = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            record = None
        if not isinstance(record, dict) or record.get("kind") not in ("step", "validation", "settle"):
            raise ValueError(f"{where}, line {number}, is not a record of a training run")
        records.append(record)
    return records
