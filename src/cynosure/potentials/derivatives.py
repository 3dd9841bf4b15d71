"""Everything that follows from the energy by one derivative with respect to the edge vectors.

With g_e = ∂E/∂r_e for the edge e = (i <- j), r_e = r_j + S·cell − r_i:

    forces   F_i = Σ_{e: i receives} g_e − Σ_{e: i sends} g_e
    virials  W_i = −Σ_{e: i receives} r_e ⊗ g_e
    stress   σ   = sym(Σ_e r_e ⊗ g_e) / |V|
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from cynosure.graph import AtomGraph

# The outputs of a potential that are derivatives.
NAMES = frozenset({"forces", "stress", "virials"})


def outputs(
    graph: AtomGraph, energies: Tensor, vectors: Tensor, gradient: Tensor | None, wanted: Collection[str]
) -> dict[str, Tensor]:
    """What is wanted of a potential's outputs.

    Args:
        graph: the structures.
        energies: [N] eV, of each atom.
        vectors: [E, 3] Å.
        gradient: [E, 3] eV/Å, as of `edge_gradient`; None where no derivative is wanted.
        wanted: names of outputs.
    """
    results = {"energies": energies}
    if "energy" in wanted:
        results["energy"] = energies.new_zeros(graph.num_structures).index_add(0, graph.structure, energies)
    if gradient is not None:
        if "forces" in wanted:
            results["forces"] = forces(graph, gradient)
        if "stress" in wanted:
            results["stress"] = stress(graph, vectors, gradient)
        if "virials" in wanted:
            results["virials"] = virials(graph, vectors, gradient)
    return {name: results[name] for name in results if name in wanted}


def edge_gradient(energies: Tensor, vectors: Tensor, *, differentiable: bool) -> Tensor:
    """[E, 3] eV/Å: the derivative of Σ energies with respect to each edge vector.

    Args:
        energies: any shape, eV, computed from `vectors`.
        vectors: [E, 3] Å, a leaf that requires a gradient.
        differentiable: keep the graph, so that the result can be differentiated again.

    Raises:
        RuntimeError: when the energies do not depend on the vectors: a missing derivative is a mistake in a
            model and must never read as zero force.
    """
    if vectors.shape[0] == 0:
        return torch.zeros_like(vectors)
    gradient = None
    if energies.requires_grad:
        (gradient,) = torch.autograd.grad(
            energies.sum(), vectors, create_graph=differentiable, allow_unused=True
        )
    return require_gradient(gradient)


def require_gradient(gradient: Tensor | None) -> Tensor:
    """The edge gradient, if there is one.

    Raises:
        RuntimeError: as `edge_gradient`.
    """
    if gradient is None:
        raise RuntimeError(
            "the energy does not depend on the edge vectors, so it has no forces; check the model"
        )
    return gradient


def forces(graph: AtomGraph, gradient: Tensor) -> Tensor:
    """[N, 3] eV/Å from the edge gradient [E, 3]."""
    total = gradient.new_zeros(graph.num_atoms, 3)
    return total.index_add(0, graph.receivers, gradient).index_add(0, graph.senders, gradient, alpha=-1)


def virials(graph: AtomGraph, vectors: Tensor, gradient: Tensor) -> Tensor:
    """[N, 3, 3] eV: the virial of each atom, from the edges that it receives."""
    products = vectors.unsqueeze(2) * gradient.unsqueeze(1)
    return -gradient.new_zeros(graph.num_atoms, 3, 3).index_add(0, graph.receivers, products)


def stress(graph: AtomGraph, vectors: Tensor, gradient: Tensor) -> Tensor:
    """[S, 3, 3] eV/Å³, symmetric, positive under tension; NaN for a structure whose cell has no volume."""
    return stress_from_virials(graph, virials(graph, vectors, gradient))


def stress_from_virials(graph: AtomGraph, virials: Tensor) -> Tensor:
    """`stress` from the virials of the atoms, [N, 3, 3] eV: −Σ_i sym(W_i) / |V|."""
    total = -virials.new_zeros(graph.num_structures, 3, 3).index_add(0, graph.structure, virials)
    symmetric = (total + total.transpose(1, 2)) / 2
    volume = graph.volume
    # A finite stand-in first: NaN in a branch that `where` drops would still reach the gradient.
    solid = (volume > 0).view(-1, 1, 1)
    safe = torch.where(volume > 0, volume, torch.ones_like(volume)).to(virials.dtype).view(-1, 1, 1)
    return torch.where(solid, symmetric / safe, torch.full_like(symmetric, torch.nan))
