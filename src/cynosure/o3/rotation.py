"""Rotations in torch: how they are written down, drawn at random, and how they act on every irrep.

Every function is batched over leading axes, keeps dtype and device, and is differentiable. A rotation is
active and acts on column vectors, r → R r. The ways to write one:

    matrix        [..., 3, 3], orthogonal with determinant 1
    quaternion    [..., 4], (w, x, y, z) with the scalar part first; q and −q are one rotation
    axis, angle   [..., 3] and [...], right-handed about the axis, in radians
    angles        α, β, γ, each [...], in radians: R = R_y(α) R_x(β) R_y(γ), which takes the polar axis y to
                  polar angle β and azimuth α (from z towards x)
"""

from __future__ import annotations

import operator

import torch
from torch import Tensor

from cynosure.o3.clebsch_gordan import clebsch_gordan
from cynosure.o3.irreps import Irrep


def quaternion_to_matrix(quaternion: Tensor) -> Tensor:
    """The rotation matrix of a quaternion of any length but zero.

    Args:
        quaternion: [..., 4] float, (w, x, y, z).

    Returns:
        [..., 3, 3].

    Raises:
        ValueError: the last axis is not 4, the dtype is not float32 or float64, or a quaternion is zero.
    """
    _check_last_axis(quaternion, 4, "a quaternion (w, x, y, z)")
    w, x, y, z = _unit(quaternion, "a quaternion").unbind(-1)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def matrix_to_quaternion(matrix: Tensor) -> Tensor:
    """The unit quaternion of a rotation matrix, with w ≥ 0.

    The entries of 4 q qᵀ are linear in the matrix. The row with the largest diagonal entry, which is at least
    1, is normalised, so that nothing is lost at any angle. At exactly π both signs have w = 0; one is taken.

    Args:
        matrix: [..., 3, 3] float, rotations.

    Returns:
        [..., 4], (w, x, y, z).

    Raises:
        ValueError: `matrix` is not [..., 3, 3] of float32 or float64, or is no proper rotation.
    """
    _check_rotation(matrix)
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = (row.unbind(-1) for row in matrix.unbind(-2))
    outer = [
        [1 + xx + yy + zz, zy - yz, xz - zx, yx - xy],
        [zy - yz, 1 + xx - yy - zz, xy + yx, xz + zx],
        [xz - zx, xy + yx, 1 - xx + yy - zz, yz + zy],
        [yx - xy, xz + zx, yz + zy, 1 - xx - yy + zz],
    ]
    products = torch.stack([torch.stack(row, dim=-1) for row in outer], dim=-2)
    largest = products.diagonal(dim1=-2, dim2=-1).argmax(dim=-1)
    index = largest[..., None, None].expand(*largest.shape, 1, 4)
    row = products.gather(-2, index).squeeze(-2)
    quaternion = row / torch.linalg.vector_norm(row, dim=-1, keepdim=True)
    return torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)


def axis_angle_to_matrix(axis: Tensor, angle: Tensor) -> Tensor:
    """The right-handed rotation by `angle` about `axis`.

    Args:
        axis: [..., 3] float, of any length but zero.
        angle: [...] float, radians; broadcast against the leading axes of `axis`.

    Returns:
        [..., 3, 3].

    Raises:
        ValueError: the last axis of `axis` is not 3, its dtype is not float32 or float64, or an axis is zero.
    """
    _check_last_axis(axis, 3, "an axis (x, y, z)")
    half = (angle / 2).unsqueeze(-1)
    vector = half.sin() * _unit(axis, "an axis")
    scalar = half.cos().expand(*vector.shape[:-1], 1)
    return quaternion_to_matrix(torch.cat([scalar, vector], dim=-1))


def matrix_to_axis_angle(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """The unit axis and the angle in [0, π] of a rotation matrix.

    The identity has no axis: (0, 1, 0) and angle 0 are returned there, with zero derivatives. At exactly π
    both directions of the axis are right and one is taken.

    Args:
        matrix: [..., 3, 3] float, rotations.

    Returns:
        axis [..., 3] and angle [...].

    Raises:
        ValueError: `matrix` is not [..., 3, 3] of float32 or float64, or is no proper rotation.
    """
    quaternion = matrix_to_quaternion(matrix)
    vector = quaternion[..., 1:]
    is_zero = (vector == 0).all(-1)
    polar_axis = torch.tensor([0.0, 1.0, 0.0], dtype=matrix.dtype).to(matrix.device)
    vector = torch.where(is_zero.unsqueeze(-1), polar_axis, vector)
    axis = _unit(vector, "an axis")
    length = (vector * axis).sum(-1)  # unlike a root of squares, exact for the smallest angles too
    return axis, 2 * torch.atan2(length.masked_fill(is_zero, 0.0), quaternion[..., 0])


def angles_to_matrix(alpha: Tensor, beta: Tensor, gamma: Tensor) -> Tensor:
    """The rotation R_y(α) R_x(β) R_y(γ): first γ about y, then β about x, then α about y.

    Args:
        alpha, beta, gamma: [...] float, radians; broadcast against one another.

    Returns:
        [..., 3, 3].
    """
    alpha, beta, gamma = torch.broadcast_tensors(alpha, beta, gamma)
    return _about_y(alpha) @ _about_x(beta) @ _about_y(gamma)


def matrix_to_angles(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The angles (α, β, γ) of a rotation matrix, with β in [0, π] and α, γ in [−π, π].

    At β = 0 and β = π only one combination of α and γ is defined: α = 0 is taken, and the derivatives of α
    and β are zero there.

    Args:
        matrix: [..., 3, 3] float, rotations.

    Returns:
        alpha, beta, gamma, each [...].

    Raises:
        ValueError: `matrix` is not [..., 3, 3] of float32 or float64, or is no proper rotation.
    """
    _check_rotation(matrix)
    x, y, z = matrix[..., 1].unbind(-1)
    on_axis = (x == 0) & (z == 0)
    # On the polar axis the azimuth is a convention, not a limit: masked before any division by zero.
    x, z = x.masked_fill(on_axis, 0.0), z.masked_fill(on_axis, 1.0)
    alpha = torch.atan2(x, z)
    beta = torch.atan2(torch.hypot(x, z).masked_fill(on_axis, 0.0), y)
    # What is left after α and β have been taken off is a rotation about y.
    rest = (_about_y(alpha) @ _about_x(beta)).transpose(-1, -2) @ matrix
    return alpha, beta, torch.atan2(rest[..., 0, 2], rest[..., 0, 0])


def random_rotation(
    *shape: int,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> Tensor:
    """Rotation matrices drawn uniformly from SO(3) (Haar measure): normalised Gaussian quaternions.

    Args:
        *shape: the leading axes; none for a single matrix.
        generator: source of randomness, on `device`; torch's global one where None.
        dtype: float32 or float64.
        device: where to draw; torch's default device where None.

    Returns:
        [*shape, 3, 3].

    Source: K. Shoemake, Uniform random rotations, Graphics Gems III (1992), section III.6.
    """
    return quaternion_to_matrix(torch.randn(*shape, 4, generator=generator, dtype=dtype, device=device))


def wigner_D(l: int | Irrep, matrix: Tensor) -> Tensor:
    r"""The matrix by which a rotation or a rotoinversion acts on an irrep, in the basis of `cynosure.o3`.

    Y_l(R r) = D^l(R) Y_l(r), D(R1) D(R2) = D(R1 R2), D(R)ᵀ D(R) = 1, D^1(R) = R; for an irrep with parity p,
    D(−R) = p D(R).

    Each degree is coupled from the one below, without angles and so without a singular point:

        D^l_ab = Σ C[m, i, a] C[n, j, b] D^{l−1}_mn R_ij,        C = clebsch_gordan(l − 1, 1, l)

    Args:
        l: a degree, or an `Irrep`. A degree, or an irrep without parity, takes proper rotations only.
        matrix: [..., 3, 3] float32 or float64, orthogonal to the square root of the dtype's precision.

    Returns:
        [..., 2l + 1, 2l + 1] of the same dtype and device, differentiable in `matrix`.

    Raises:
        ValueError: `l` is negative; `matrix` is not [..., 3, 3] of float32 or float64, or is not orthogonal;
            or it has determinant −1 while `l` says nothing of parity.
    """
    degree, parity = (l.l, l.p) if isinstance(l, Irrep) else (operator.index(l), 0)
    if degree < 0:
        raise ValueError(f"a degree l is ≥ 0; got {degree}")
    flipped = _is_improper(matrix)
    if parity == 0 and bool(flipped.any()):
        raise ValueError(
            f"the matrix has determinant -1, and degree {degree} without a parity does not say how an "
            f"inversion acts; pass an Irrep with one, as in Irrep.parse('{degree}o')"
        )
    flipped = flipped[..., None, None]
    rotation = torch.where(flipped, -matrix, matrix)
    result = torch.ones_like(matrix[..., :1, :1]) if degree == 0 else rotation
    for below in range(1, degree):
        coupling = torch.from_numpy(clebsch_gordan(below, 1, below + 1).copy()).to(matrix)
        left = torch.einsum("mia,...mn->...ain", coupling, result)
        left = torch.einsum("...ain,...ij->...anj", left, rotation)
        result = torch.einsum("...anj,njb->...ab", left, coupling)
    return torch.where(flipped, -result, result) if parity == -1 else result


def _about_x(angle: Tensor) -> Tensor:
    cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    rows = [[one, zero, zero], [zero, cos, -sin], [zero, sin, cos]]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def _about_y(angle: Tensor) -> Tensor:
    cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    rows = [[cos, zero, sin], [zero, one, zero], [-sin, zero, cos]]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def _unit(vector: Tensor, what: str) -> Tensor:
    # Scaled by its largest component first: squares of very small or large components leave the range of
    # floats.
    largest = vector.detach().abs().amax(-1, keepdim=True)
    if not bool(((largest > 0) & largest.isfinite()).all()):
        raise ValueError(
            f"{what} of length zero, infinity or NaN has no direction; give finite ones, not zero"
        )
    vector = vector / largest
    return vector / torch.linalg.vector_norm(vector, dim=-1, keepdim=True)


def _check_last_axis(vector: Tensor, size: int, what: str) -> None:
    if vector.ndim == 0 or vector.shape[-1] != size:
        raise ValueError(f"{what} is [..., {size}]; got shape {tuple(vector.shape)}")
    _check_dtype(vector, what)


def _check_dtype(values: Tensor, what: str) -> None:
    if values.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"{what} is float32 or float64; got {values.dtype}, convert it first")


def _is_improper(matrix: Tensor) -> Tensor:
    """[...] bool: where the determinant is −1. Raises ValueError where a matrix is not orthogonal."""
    if matrix.ndim < 2 or matrix.shape[-2:] != (3, 3):
        raise ValueError(f"a rotation matrix is [..., 3, 3]; got shape {tuple(matrix.shape)}")
    _check_dtype(matrix, "a rotation matrix")
    values = matrix.detach()
    identity = torch.eye(3, dtype=values.dtype, device=values.device)
    deviation = (values.transpose(-1, -2) @ values - identity).abs().amax((-2, -1))
    tolerance = torch.finfo(values.dtype).eps ** 0.5
    if not bool((deviation <= tolerance).all()):
        raise ValueError(
            f"the matrix is not orthogonal: |RᵀR − 1| reaches {deviation.max().item():.2g}; "
            f"{tolerance:.1g} is allowed in {values.dtype}"
        )
    return torch.linalg.det(values) < 0


def _check_rotation(matrix: Tensor) -> None:
    if bool(_is_improper(matrix).any()):
        raise ValueError("the matrix has determinant -1: a rotoinversion; a rotation has determinant 1")
