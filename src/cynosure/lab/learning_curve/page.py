"""report.html of a learning curve."""

from __future__ import annotations

from pathlib import Path

from cynosure.analysis import Table
from cynosure.lab import page
from cynosure.lab.learning_curve.curve import Curve
from cynosure.lab.learning_curve.report import conclusion, error_table, exponent_table, findings, warnings


def render(curve: Curve, picture: Path) -> str:
    """The page as HTML, its picture inside.

    Args:
        curve: what was measured.
        picture: the PNG file of `save_learning_curve`.
    """
    sections = [
        "<h1>Does equivariance change the slope?</h1>" + _paragraph(conclusion(curve), lead=True),
        page.picture(picture, "force error held out against the number of training frames"),
        *(_paragraph(sentence) for sentence in findings(curve)),
        _titled_table(exponent_table(curve)),
        _titled_table(error_table(curve)),
        *(["<h2>To bear in mind</h2>"] if warnings(curve) else []),
        *(_paragraph(sentence) for sentence in warnings(curve)),
        "<h2>How it was measured</h2>" + _paragraph(curve.method),
    ]
    return page.document(f"Learning curve: {curve.source}", sections, curve.seconds)


def _paragraph(sentence: str, lead: bool = False) -> str:
    return f"<p{' class=lead' if lead else ''}>{page.text(sentence)}</p>"


def _titled_table(table: Table) -> str:
    return f"<h2>{page.text(table.title)}</h2>{page.table(table.columns, table.rows)}"
