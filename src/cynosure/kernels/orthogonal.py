"""The orthogonal matrices nearest to many small matrices, nearly: the directions of the optimiser Muon."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cynosure.kernels import core

# Coefficients of one round of the iteration, and the number of rounds, of Jordan et al. 2024 (Muon): after them the
# singular values lie between 0.68 and 1.14, whatever they were from about 0.003 of the matrix's norm on.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ROUNDS = 5
# More multiply-adds than this are worth a second thread.
_WORK_PER_THREAD = 4_000_000


def orthogonal(matrices: Sequence[Tensor], factors: Sequence[float]) -> list[Tensor]:
    """factor · U Vᵀ of matrices U Σ Vᵀ, with singular values between 0.68 and 1.14 in place of one.

    With A = G Gᵀ/|G|², or Gᵀ G/|G|² of a tall G, the iteration X <- (a + b X Xᵀ + c (X Xᵀ)²) X from X = G/|G| gives
    X = Q G/|G|, where Q is the product of the rounds' M:

        M = a + b A + c A²,    Q <- M Q,    A <- M A M

    These are small square matrices, whatever the other side of G.

    Args:
        matrices: [..., rows, columns] each, of one dtype and device. A matrix of zeros stays zero.
        factors: one for each.
    """
    if not matrices or not core.serves(*matrices):
        return orthogonal_reference(matrices, factors)
    module = core.module()
    assert module is not None
    matrices = [matrix.contiguous() for matrix in matrices]
    results = [torch.empty_like(matrix) for matrix in matrices]
    rows, columns, numbers, sources, targets = [], [], [], [], []
    work = 0
    for matrix, result, factor in zip(matrices, results, factors, strict=True):
        *_, height, width = matrix.shape
        count, size = matrix.numel() // (height * width), height * width * matrix.element_size()
        rows += [height] * count
        columns += [width] * count
        numbers += [factor] * count
        sources += [matrix.data_ptr() + size * k for k in range(count)]
        targets += [result.data_ptr() + size * k for k in range(count)]
        work += count * min(height, width) ** 3 * 4 * ROUNDS
    threads = 1 if work < _WORK_PER_THREAD else torch.get_num_threads()
    single = matrices[0].dtype == torch.float32
    module.orthogonal(single, *COEFFICIENTS, ROUNDS, rows, columns, numbers, sources, targets, threads)
    return results


def orthogonal_reference(matrices: Sequence[Tensor], factors: Sequence[float]) -> list[Tensor]:
    """`orthogonal` in plain torch."""
    return [factor * _orthogonal(matrix) for matrix, factor in zip(matrices, factors, strict=True)]


def _orthogonal(matrix: Tensor) -> Tensor:
    a, b, c = COEFFICIENTS
    tall = matrix.shape[-2] > matrix.shape[-1]
    wide = matrix.mT if tall else matrix
    norm = torch.linalg.matrix_norm(wide, keepdim=True)
    x = wide / norm.clamp_min(torch.finfo(matrix.dtype).tiny)
    for _ in range(ROUNDS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x
