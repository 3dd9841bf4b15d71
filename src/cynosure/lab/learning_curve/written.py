"""The files that a measured learning curve leaves behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from cynosure.lab import page
from cynosure.lab.learning_curve.curve import Curve
from cynosure.lab.learning_curve.figure import save_learning_curve
from cynosure.lab.learning_curve.page import render
from cynosure.lab.learning_curve.power_law import Estimate
from cynosure.lab.learning_curve.report import conclusion, findings, warnings
from cynosure.lab.runs import network_name


def write_curve(curve: Curve, folder: Path) -> dict[str, Path]:
    """Write `curve.png`, `curve.json` (numbers in eV and Å, and the sentences) and `report.html`.

    Returns:
        `picture`, `json` and `report` to their paths.

    Raises:
        OSError: a file cannot be written.
    """
    return page.write_all(
        folder,
        "curve",
        lambda path: save_learning_curve(curve, path),
        to_json(curve),
        lambda picture: render(curve, picture),
    )


def to_json(curve: Curve) -> dict[str, Any]:
    """The curve as plain values: errors in eV/Å, [seeds][frames]; what one seed does not tell is null."""
    networks = []
    for network in curve.networks:
        law = curve.law(network)
        networks.append(
            {
                "network": network_name(network),
                "l_max": network,
                "held_out": curve.errors(network).tolist(),
                "training": curve.training_errors(network).tolist(),
                "exponent": _estimate(law.exponent),
                "prefactor": float(np.exp(law.log_prefactor.mean)),
                "misfit": law.misfit,
                "change_of_exponent": None
                if network == curve.baseline() or curve.baseline() is None
                else _estimate(curve.change_of_exponent(network)),
            }
        )
    return {
        "source": curve.source,
        "frames": list(curve.frames),
        "seeds": curve.seeds,
        "silence": curve.silence,
        "networks": networks,
        "conclusion": conclusion(curve),
        "findings": findings(curve),
        "warnings": list(warnings(curve)),
    }


def _estimate(estimate: Estimate) -> dict[str, Any]:
    known = len(estimate.values) > 1
    return {
        "mean": estimate.mean,
        "standard_error": estimate.standard_error if known else None,
        "half_width_95": estimate.half_width if known else None,
        "by_seed": list(estimate.values),
    }
