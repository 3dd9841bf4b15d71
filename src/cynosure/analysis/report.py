"""A description of something as titled tables, which a terminal, a page or a test can read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A titled table of text.

    Attributes:
        title: what it is about.
        columns: the heads; empty texts for a plain list of names and values.
        rows: one text per column each.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Report:
    """A description with what looks wrong about the thing, and what to type next.

    Attributes:
        title: one line.
        tables: the description.
        warnings: what a reader should look at, one line each.
        next_steps: commands.
        is_model: whether it describes a model rather than data.
    """

    title: str
    tables: tuple[Table, ...]
    warnings: tuple[str, ...] = ()
    next_steps: tuple[str, ...] = ()
    is_model: bool = False

    def __str__(self) -> str:
        lines = [self.title]
        for table in self.tables:
            lines.append(f"{table.title}:")
            lines += ["  " + "  ".join(cell for cell in row if cell) for row in table.rows]
        lines += [f"warning: {warning}" for warning in self.warnings]
        return "\n".join(lines)
