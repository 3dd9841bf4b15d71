"""Pictures of a simulation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from cynosure.deploy.dynamics import Sample


def plot_dynamics(samples: Sequence[Sample], path: str | Path) -> Path:
    """Draw energy and temperature (and pressure, where there is one) against time.

    Args:
        samples: at least one.
        path: the PNG file to write.

    Returns:
        the path.
    """
    time = np.array([sample.time for sample in samples])
    total = np.array([sample.total_per_atom for sample in samples])
    potential = np.array([sample.potential / sample.atoms for sample in samples])
    pressure = np.array([sample.pressure for sample in samples])
    panels = 3 if np.isfinite(pressure).any() else 2

    figure = Figure(figsize=(7.0, 1.2 + 2.0 * panels), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(panels, 1, sharex=True)
    axes[0].plot(time, 1000 * (potential - potential[0]), color="#4878a8", label="potential")
    axes[0].plot(time, 1000 * (total - total[0]), color="#c44e52", label="total")
    axes[0].set_ylabel("energy less the first\n(meV/atom)")
    axes[0].legend(loc="best", frameon=False)
    axes[1].plot(time, [sample.temperature for sample in samples], color="#55a868")
    axes[1].set_ylabel("temperature (K)")
    if panels == 3:
        axes[2].plot(time, pressure, color="#8172b2")
        axes[2].set_ylabel("pressure (GPa)")
    axes[-1].set_xlabel("time (ps)")
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    return Path(path)
