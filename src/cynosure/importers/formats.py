"""The formats that can be imported. To add one: a reader in `readers`, a module that builds our model, a line here."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from cynosure.importers import build_mace, build_nequip
from cynosure.importers.handover import Handover
from cynosure.potentials import Potential


class Format(NamedTuple):
    """One package's checkpoints.

    Attributes:
        package: who writes and reads them.
        reader: the script in `readers` that hands a model over.
        heads: what the names of checkpoints that the package carries begin with.
        marks: words that occur in a checkpoint of this package, all of them.
        build: from what is handed over to a model in float64.
    """

    package: str
    reader: str
    heads: tuple[str, ...]
    marks: tuple[bytes, ...]
    build: Callable[[Handover], Potential]


FORMATS = {
    "sevennet": Format(
        "sevenn",
        "read_sevennet.py",
        ("7net-", "sevennet-"),
        (b"model_state_dict", b"_type_map"),
        build_nequip.build,
    ),
    "mace": Format(
        "mace-torch", "read_mace.py", (), (b"mace.modules.models", b"atomic_energies_fn"), build_mace.build
    ),
    "nequip": Format("nequip", "read_nequip.py", (), (b"versions", b"e3nn", b"nequip"), build_nequip.build),
}


def format_of(source: str, name: str = "auto") -> Format:
    """The format of a checkpoint, by what the file holds or by its name. The file is not unpickled for that.

    Raises:
        FileNotFoundError: no such file, and no name of a checkpoint that a package carries.
        ValueError: an unknown format; a file that is no checkpoint, or one of no known package.
    """
    if name not in ("auto", *FORMATS):
        raise ValueError(f"no format '{name}'; the formats are auto, {', '.join(FORMATS)}")
    for known in FORMATS.values():
        if source.lower().startswith(known.heads) and not Path(source).exists():
            return known
    if not Path(source).is_file():
        raise FileNotFoundError(f"no file '{source}', and no name of a checkpoint that a package carries")
    content = _told_in(source)
    if name != "auto":
        return FORMATS[name]
    for known in FORMATS.values():
        if all(mark in content for mark in known.marks):
            return known
    raise ValueError(
        f"'{source}' is a checkpoint of PyTorch, but of none of the known formats: {', '.join(FORMATS)}"
    )


# Entries of an archive by which its format is told.
_TOLD_BY = ("/data.pkl", "/model/package_metadata.txt")


def _told_in(path: str) -> bytes:
    """The pickle in a checkpoint of PyTorch, a zip archive; as bytes. Of a NequIP package, what it says of itself."""
    try:
        with zipfile.ZipFile(path) as archive:
            (name,) = [one for one in archive.namelist() if one.endswith(_TOLD_BY)]
            return archive.read(name)
    except (zipfile.BadZipFile, ValueError, EOFError) as error:
        raise ValueError(
            f"'{path}' is no checkpoint of PyTorch, or it was cut short ({error or 'it has no pickle'})"
        ) from None
