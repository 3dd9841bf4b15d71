"""Short-range repulsion between screened nuclei."""

from __future__ import annotations

from typing import Literal

import torch
from ase.data import covalent_radii
from pydantic import Field, model_validator
from torch import Tensor

from cynosure.nn.radial import polynomial_envelope
from cynosure.potentials.config import Config

_BOHR = 0.529177210903  # Å


class ZBLConfig(Config):
    """Constants of the repulsion `zbl_energies`.

    The defaults are those of Ziegler, Biersack & Littmark 1985; other programs round them, or chose others.

    Attributes:
        charge: e²/4πε0, eV Å.
        length: λ, Å.
        exponent: ν.
        coefficients: c_k of the screening function.
        decays: d_k of the screening function.
        reach: where the repulsion ends: at the sum of the covalent `radii`, so that it acts only where atoms are
            closer than any bond and training data seldom reach, or at the model's `cutoff`.
        power: of the polynomial envelope.
    """

    charge: float = Field(default=14.399645478, gt=0)
    length: float = Field(default=0.8854 * _BOHR, gt=0)
    exponent: float = 0.23
    coefficients: tuple[float, ...] = (0.18175, 0.50986, 0.28022, 0.02817)
    decays: tuple[float, ...] = (3.19980, 0.94229, 0.40290, 0.20162)
    reach: Literal["radii", "cutoff"] = "radii"
    power: int = Field(default=6, ge=3, le=64)

    @model_validator(mode="after")
    def _one_decay_per_coefficient(self) -> ZBLConfig:
        if len(self.coefficients) != len(self.decays):
            counts = f"'coefficients' has {len(self.coefficients)} numbers and 'decays' {len(self.decays)}"
            raise ValueError(f"{counts}; as many were expected")
        return self


UNIVERSAL = ZBLConfig()


def zbl_energies(
    atomic_numbers: Tensor,
    receivers: Tensor,
    senders: Tensor,
    distances: Tensor,
    cutoff: float,
    constants: ZBLConfig = UNIVERSAL,
) -> Tensor:
    """The universal repulsive potential of Ziegler, Biersack and Littmark, half of each pair to each atom.

        V(r) = Z_i Z_j e²/(4πε0 r) · φ(r/a) · u(r/R),   a = λ / (Z_i^ν + Z_j^ν),   φ(x) = Σ_k c_k exp(−d_k x)

    The polynomial envelope u switches it off at R, the sum of the covalent radii or the cutoff.

    Args:
        atomic_numbers: [N] int64.
        receivers: [E] int64.
        senders: [E] int64.
        distances: [E] Å.
        cutoff: Å, of the edges.
        constants: the others.

    Returns:
        [N] eV.
    """
    z_i = atomic_numbers.index_select(0, receivers)
    z_j = atomic_numbers.index_select(0, senders)
    if constants.reach == "radii":
        radii = torch.as_tensor(covalent_radii, dtype=distances.dtype, device=distances.device)
        reach = radii.index_select(0, z_i) + radii.index_select(0, z_j)
    else:
        reach = cutoff
    z_i, z_j = z_i.to(distances.dtype), z_j.to(distances.dtype)
    x = distances * (z_i**constants.exponent + z_j**constants.exponent) / constants.length
    every = zip(constants.coefficients, constants.decays, strict=True)
    screening = sum((c * torch.exp(-d * x) for c, d in every), start=torch.zeros_like(x))
    envelope = polynomial_envelope(distances / reach, constants.power)
    pair = constants.charge * z_i * z_j / distances * screening * envelope
    return distances.new_zeros(atomic_numbers.shape[0]).index_add(0, receivers, pair / 2)
