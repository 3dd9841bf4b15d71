"""Short-range repulsion between screened nuclei."""

from __future__ import annotations

import torch
from ase.data import covalent_radii
from torch import Tensor

from cynosure.nn.radial import polynomial_envelope

# Ziegler, Biersack & Littmark 1985: the universal screening function Σ c exp(−d x).
_COEFFICIENTS = (0.18175, 0.50986, 0.28022, 0.02817)
_DECAYS = (3.19980, 0.94229, 0.40290, 0.20162)
_COULOMB = 14.399645478  # e² / 4πε0, eV Å
_BOHR = 0.529177210903  # Å


def zbl_energies(
    atomic_numbers: Tensor, receivers: Tensor, senders: Tensor, distances: Tensor, power: int = 6
) -> Tensor:
    """The universal repulsive potential of Ziegler, Biersack and Littmark, half of each pair to each atom.

        V(r) = Z_i Z_j e²/(4πε0 r) · φ(r/a) · u(r / (R_i + R_j)),   a = 0.8854 a_0 / (Z_i^0.23 + Z_j^0.23)

    The polynomial envelope u switches it off at the sum of the covalent radii R, so that it acts only where
    atoms are closer than any bond and training data seldom reach.

    Args:
        atomic_numbers: [N] int64.
        receivers: [E] int64.
        senders: [E] int64.
        distances: [E] Å.
        power: of the envelope.

    Returns:
        [N] eV.
    """
    z_i = atomic_numbers.index_select(0, receivers)
    z_j = atomic_numbers.index_select(0, senders)
    radii = torch.as_tensor(covalent_radii, dtype=distances.dtype, device=distances.device)
    reach = radii.index_select(0, z_i) + radii.index_select(0, z_j)
    z_i, z_j = z_i.to(distances.dtype), z_j.to(distances.dtype)
    x = distances * (z_i**0.23 + z_j**0.23) / (0.8854 * _BOHR)
    screening = sum(c * torch.exp(-d * x) for c, d in zip(_COEFFICIENTS, _DECAYS, strict=True))
    envelope = polynomial_envelope(distances / reach, power)
    pair = _COULOMB * z_i * z_j / distances * screening * envelope
    return distances.new_zeros(atomic_numbers.shape[0]).index_add(0, receivers, pair / 2)
