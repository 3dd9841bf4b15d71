"""report.html of a learning curve."""

from __future__ import annotations

from pathlib import Path

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
        "<h1>Does equivariance change the slope?</h1>" + page.paragraph(conclusion(curve), lead=True),
        page.picture(picture, "force error held out against the number of training frames"),
        *(page.paragraph(sentence) for sentence in findings(curve)),
        page.titled_table(exponent_table(curve)),
        page.titled_table(error_table(curve)),
        *(["<h2>To bear in mind</h2>"] if warnings(curve) else []),
        *(page.paragraph(sentence) for sentence in warnings(curve)),
        "<h2>How it was measured</h2>" + page.paragraph(curve.method),
    ]
    return page.document(f"Learning curve: {curve.source}", sections, curve.seconds)
