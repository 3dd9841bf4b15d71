"""What is measured of a force field: whether it turns with a molecule, and whether an energy stands behind it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cynosure.lab.forces.ways import Forces


def equivariance_error(forces: Forces, positions: Tensor, rotations: Tensor) -> float:
    """‖F(R r) − R F(r)‖ / ‖F(r)‖, the norms over all frames, atoms and components.

    Args:
        forces: the force field.
        positions: [S, N, 3] Å.
        rotations: [S, 3, 3], one for each frame.
    """
    expected = forces(positions) @ rotations.mT
    return float((forces(positions @ rotations.mT) - expected).norm() / expected.norm())


def net_force(forces: Tensor) -> float:
    """eV/Å: root mean square over frames of |Σ_i F_i|, from forces [S, N, 3]."""
    return _rms(forces.sum(1).norm(dim=1))


def net_torque(positions: Tensor, forces: Tensor) -> float:
    """eV: root mean square over frames of |Σ_i s_i × F_i|, with s_i from the mean position; both [S, N, 3]."""
    arms = positions - positions.mean(1, keepdim=True)
    return _rms(torch.linalg.cross(arms, forces).sum(1).norm(dim=1))


def jacobian(forces: Forces, positions: Tensor, step: float = 1e-4) -> Tensor:
    """[3N, 3N] eV/Å²: J_ij = ∂F_i/∂r_j of one geometry [N, 3], by central differences.

    Args:
        forces: the force field.
        positions: [N, 3] Å.
        step: Å.
    """
    size = positions.numel()
    moves = step * torch.eye(size, dtype=positions.dtype).reshape(size, *positions.shape)
    forward, backward = forces(torch.cat([positions + moves, positions - moves])).split(size)
    return ((forward - backward) / (2 * step)).reshape(size, size).T


def curl(jacobian: Tensor) -> float:
    """‖J − Jᵀ‖ / ‖J + Jᵀ‖: the antisymmetric part relative to the symmetric one.

    It is zero where F = −∇E, for then J is minus the Hessian of E, which is symmetric.
    """
    return float((jacobian - jacobian.T).norm() / (jacobian + jacobian.T).norm())


def loop_work(forces: Forces, positions: Tensor, first: Tensor, second: Tensor, points: int = 64) -> float:
    """eV: ∮ F · dr once around the circle r + a cos φ + b sin φ of configurations.

    The trapezoidal rule, which for a smooth periodic function converges faster than any power of the number of points.

    Args:
        forces: the force field.
        positions: [N, 3] Å, the centre.
        first, second: [N, 3] Å, displacements a and b.
        points: on the circle.
    """
    angle = 2 * math.pi * torch.arange(points, dtype=positions.dtype)[:, None, None] / points
    path = positions + torch.cos(angle) * first + torch.sin(angle) * second
    tangent = torch.cos(angle) * second - torch.sin(angle) * first
    return float((forces(path) * tangent).sum()) * 2 * math.pi / points


def turn_work(forces: Forces, positions: Tensor, axis: Tensor, points: int = 64) -> float:
    """eV: ∮ F · dr while the rigid molecule makes a full turn about its mean position.

    Turning is a circle of configurations: what lies along the axis stays, the rest goes round.

    Args:
        forces: the force field.
        positions: [N, 3] Å.
        axis: [3], a unit vector.
        points: on the way.
    """
    centre = positions.mean(0)
    arms = positions - centre
    along = (arms @ axis)[:, None] * axis
    across = torch.linalg.cross(axis.expand_as(arms), arms)
    return loop_work(forces, centre + along, arms - along, across, points)


def _rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())
