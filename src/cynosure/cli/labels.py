"""How a user names frames, and the columns and units of their labels; the same in every verb that reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

Keys = Annotated[
    list[str] | None,
    typer.Option("--key", metavar="LABEL=COLUMN", help="Where a label is, as in energy=REF_energy."),
]
Units = Annotated[
    list[str] | None,
    typer.Option("--unit", metavar="LABEL=UNIT", help="A unit other than eV and Å, as in stress=kBar."),
]


def pairs(texts: Sequence[str] | None) -> dict[str, str]:
    """`LABEL=VALUE` texts as a mapping.

    Raises:
        ValueError: a text that is not of this form.
    """
    found = {}
    for text in texts or []:
        label, equals, value = text.partition("=")
        if not (equals and label and value):
            raise ValueError(f"'{text}' should be LABEL=VALUE, such as energy=REF_energy")
        found[label] = value
    return found


def number_or_path(text: str | None) -> float | str | None:
    """Which frames are held out: a fraction, or else the name of a file."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text
