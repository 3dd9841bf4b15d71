"""What others found, and the numbers of a run beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ase.units import kB
from examples.ionic_conductor.diffusion import conductivity

# Ab initio molecular dynamics with PBE, the functional of the frames that SevenNet-0 was trained on: Mo, Ong and Ceder,
# Chem. Mater. 24, 15 (2012). Activation energy (eV), and conductivity at 300 K (mS/cm), to which they extrapolated.
AB_INITIO = {"activation energy": 0.21, "conductivity at 300 K": 9.0}
# Car-Parrinello with PBE, tetragonal: Materzanini, Kahle, Marcolongo and Marzari, Phys. Rev. Mater. 5, 035408 (2021).
CAR_PARRINELLO = {"activation energy": 0.18}
# Conductivity at 27 °C, measured: Kamaya et al., Nat. Mater. 10, 682 (2011); activation energy of the same.
EXPERIMENT = {"activation energy": 0.25, "conductivity at 300 K": 12.0}
# How far things may be off: coefficients of diffusion by a factor, drift in meV/atom in a ps, motion of atoms that
# should stay where they are in Å².
FACTOR, DRIFT, RATTLE = 2.0, 0.1, 3.0
ROOM = 300.0  # K


def ab_initio(temperature: float, density: float) -> float:
    """Coefficient of diffusion of Mo, Ong and Ceder, cm²/s.

    They give it as a figure; this is what their activation energy and conductivity say, by Nernst and Einstein.

    Args:
        temperature: K.
        density: of lithium, in an Å³.
    """
    room = AB_INITIO["conductivity at 300 K"] / conductivity(1.0, ROOM, density)
    return room * float(np.exp(AB_INITIO["activation energy"] / kB * (1 / ROOM - 1 / temperature)))


def checks(numbers: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What the numbers of a run are held to, each with its value, its bound and whether it holds."""
    found = {}
    for run in numbers["runs"]:
        wanted, beside = run["wanted"], run["ab initio"]
        off = run["diffusion"]["Li"]["coefficient"][0] / beside
        name = f"lithium at {wanted:.0f} K, times ab initio"
        found[name] = {"value": off, "bound": FACTOR, "held": bool(1 / FACTOR <= off <= FACTOR)}
        for element, square in run["mean square displacement in half of a run"].items():
            if element != "Li":
                name = f"{element} at {wanted:.0f} K stays, Å²"
                found[name] = {"value": square, "bound": RATTLE, "held": bool(square <= RATTLE)}
    drift = numbers["constant energy"]["drift per ps"]
    found["drift of the energy, meV/atom in a ps"] = {
        "value": drift,
        "bound": DRIFT,
        "held": bool(abs(drift) <= DRIFT),
    }
    return found


def table(numbers: Mapping[str, Any]) -> str:
    """The numbers in words."""
    lines = [f"{'lithium':>8s}{'D, cm²/s':>22s}{'ab initio':>12s}{'along x, y, z':>30s}"]
    for run in numbers["runs"]:
        lithium = run["diffusion"]["Li"]
        value, error = lithium["coefficient"]
        axes = "  ".join(f"{lithium[f'along {axis}'][0]:.1e}" for axis in "xyz")
        spread = f"{value:.2e} ± {error:.1e}"
        lines.append(f"{run['wanted']:6.0f} K{spread:>22s}{run['ab initio']:12.2e}{axes:>30s}")
    fit = numbers["arrhenius"]
    energy, error = fit["activation energy"]
    low, high = fit["conductivity at 300 K, range"]
    lines += [
        "",
        f"activation energy {energy:.3f} ± {error:.3f} eV (ab initio {AB_INITIO['activation energy']}, "
        f"{CAR_PARRINELLO['activation energy']}; experiment {EXPERIMENT['activation energy']})",
        f"conductivity at 300 K, extrapolated: {fit['conductivity at 300 K']:.1f} mS/cm, "
        f"{low:.1f} to {high:.1f} (ab initio {AB_INITIO['conductivity at 300 K']}, "
        f"experiment {EXPERIMENT['conductivity at 300 K']})",
        "",
    ]
    energy = numbers["constant energy"]
    lines.append(
        f"constant energy, {energy['time']:.3g} ps at {energy['temperature']:.0f} K: drift "
        f"{energy['drift per ps']:+.1e} meV/atom in a ps, swing {energy['swing']:.2g} meV/atom"
    )
    lines += [
        "",
        *(
            f"{'held  ' if one['held'] else 'MISSED'}  {name}: {one['value']:.3g}, bound {one['bound']:g}"
            for name, one in numbers["checks"].items()
        ),
    ]
    return "\n".join(lines)
