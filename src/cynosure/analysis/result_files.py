"""The two files that a verb on crystals leaves: a picture, and all numbers as JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cynosure.potentials import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PICTURES = (".png", ".pdf", ".svg")


@dataclass(frozen=True)
class ResultFiles:
    """Where a picture and numbers will go.

    Attributes:
        picture: a .png, .pdf or .svg file.
        numbers: a JSON file.
    """

    picture: Path
    numbers: Path

    def write(self, numbers: Mapping[str, Any], figure: Figure) -> None:
        """Write both, each whole or not at all.

        Raises:
            OSError: a file cannot be written.
        """
        drawn = io.BytesIO()
        figure.savefig(drawn, format=self.picture.suffix[1:].lower(), dpi=150)
        write_atomically(self.picture, drawn.getvalue())
        write_atomically(self.numbers, (json.dumps(numbers, indent=2, allow_nan=False) + "\n").encode())


def result_files(
    structure: str, verb: str, out: Path | None = None, numbers: Path | None = None, overwrite: bool = False
) -> ResultFiles:
    """The files of a verb, once it is sure that they may be written; to be asked before anything is computed.

    Args:
        structure: the file that was read, or `FILE@n`; gives the picture its name, `FILE_VERB.png`.
        verb: such as `eos`.
        out: the picture, instead.
        numbers: the JSON file; by default it lies beside the picture.
        overwrite: whether files that are there already may be replaced.

    Raises:
        ValueError: the picture has an extension that cannot be drawn, or both are one file.
        FileNotFoundError: a folder is not there.
        FileExistsError: a file is there already and may not be replaced.
    """
    picture = out or Path(f"{Path(structure.partition('@')[0]).stem}_{verb}.png")
    files = ResultFiles(picture, numbers or picture.with_suffix(".json"))
    if picture.suffix.lower() not in _PICTURES:
        raise ValueError(
            f"{picture}: a picture cannot be written as '{picture.suffix}'; use {', '.join(_PICTURES)}"
        )
    if files.numbers == files.picture:
        raise ValueError(f"{picture}: the picture and the numbers need two files (--out, --json)")
    for option, path in (("--out", files.picture), ("--json", files.numbers)):
        if not path.parent.is_dir():
            raise FileNotFoundError(f"{path}: the folder {path.parent} is not there; make it first")
        if path.exists() and not overwrite:
            raise FileExistsError(
                f"{path} is there already; choose another name ({option}), or allow overwriting (--overwrite)"
            )
    return files
