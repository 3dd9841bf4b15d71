"""Which of a model's weights train: all, those with certain names, or low-rank additions to them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class _Addition:
    """W = W₀ + s · A B, kept in the model's own parameter W.

    Attributes:
        weight: W, [..., in, out].
        start: W₀, the same shape.
        first, second: A [..., in, rank] and B [..., rank, out].
        scale: s = 1/√rank: with A of unit variance, a step of B moves W by as much whatever the rank.
    """

    weight: nn.Parameter
    start: Tensor
    first: nn.Parameter
    second: nn.Parameter
    scale: float

    def pass_gradients(self) -> None:
        """∂L/∂A = s ∂L/∂W Bᵀ and ∂L/∂B = s Aᵀ ∂L/∂W, in place of the gradient of W."""
        if self.weight.grad is not None:
            self.first.grad = self.scale * self.weight.grad @ self.second.mT
            self.second.grad = self.scale * self.first.mT @ self.weight.grad
            self.weight.grad = None

    def put_into_model(self) -> None:
        self.weight.copy_(self.start + self.scale * self.first @ self.second)


class TrainedWeights:
    """What the optimiser moves.

    Either parameters of the model themselves, or low-rank additions to them (LoRA, Hu et al. 2022, section 4.1):

        W = W₀ + A B / √rank,

    A from a unit normal and B zero, so that training starts at W₀ exactly. Each W mixes the channels of one irrep, or
    the radial functions of a path, and any numbers in it leave the symmetries alone. The model holds the sums W
    throughout: what evaluates, averages or saves it knows nothing of A and B.

    A parameter to which an addition would hold no fewer numbers than itself (a vector, a small matrix) trains as a
    whole. The parameters that no pattern names stay as they are.

    Args:
        model: with the weights to start from, on its device.
        patterns: names of the parameters to train, with `*` and `?`.
        rank: of the additions; None for none.
        seed: of A.

    Attributes:
        named: what the optimiser moves, by name: that of the parameter, for an addition with `.first` (A) or `.second`
            (B) after it.
        of_model: the parameters of the model that change.
        additions: the entries of `named` that are not parameters of the model.

    Raises:
        ValueError: a pattern that no parameter matches.
    """

    def __init__(
        self, model: nn.Module, patterns: Sequence[str] = ("*",), rank: int | None = None, seed: int = 0
    ) -> None:
        parameters = dict(model.named_parameters())
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in parameters):
                raise ValueError(
                    f"finetune.train: no parameter of the model matches '{pattern}'; they are {', '.join(parameters)}"
                )
        generator = torch.Generator().manual_seed(seed)
        self.named: dict[str, nn.Parameter] = {}
        self.additions: dict[str, nn.Parameter] = {}
        self.of_model: list[nn.Parameter] = []
        self._additions: list[_Addition] = []
        for name, parameter in parameters.items():
            if not any(fnmatchcase(name, pattern) for pattern in patterns):
                continue
            self.of_model.append(parameter)
            addition = None if rank is None else _addition(parameter, rank, generator)
            if addition is None:
                self.named[name] = parameter
            else:
                self._additions.append(addition)
                self.additions |= {f"{name}.first": addition.first, f"{name}.second": addition.second}
        self.named |= self.additions
        self._total = sum(parameter.numel() for parameter in parameters.values())

    def pass_gradients(self) -> None:
        """Turn the gradients of the model's parameters into those of what trains."""
        for addition in self._additions:
            addition.pass_gradients()

    @torch.no_grad()
    def put_into_model(self) -> None:
        """Bring the model up to date with what the optimiser has moved."""
        for addition in self._additions:
            addition.put_into_model()

    @torch.no_grad()
    def load(self, additions: Mapping[str, Tensor]) -> None:
        """Take over A and B; the model must have been given its weights of the same moment."""
        for name, tensor in self.additions.items():
            tensor.copy_(additions[name])

    def __str__(self) -> str:
        """How many weights train of how many, in words."""
        changing = sum(parameter.numel() for parameter in self.of_model)
        part = f"{changing:,} of" if changing < self._total else "all of"
        text = f"{part} the model's {self._total:,} weights train"
        if self.additions:
            numbers = sum(parameter.numel() for parameter in self.named.values())
            text += f", as {numbers:,} numbers ({len(self._additions)} of {len(self.of_model)} parameters by additions)"
        return text


def _addition(weight: nn.Parameter, rank: int, generator: torch.Generator) -> _Addition | None:
    """An addition that is zero; None where it would hold no fewer numbers than the weight."""
    if weight.ndim < 2:
        return None
    *by, rows, columns = weight.shape
    if rank * (rows + columns) >= rows * columns:
        return None
    first = torch.randn((*by, rows, rank), generator=generator, dtype=weight.dtype).to(weight.device)
    return _Addition(
        weight,
        weight.detach().clone(),
        nn.Parameter(first),
        nn.Parameter(weight.new_zeros((*by, rank, columns))),
        1 / math.sqrt(rank),
    )
