"""`cynosure train` by the processor's clock, and with optimisers of others: `python -m benchmarks.trainer NAME ARGS…`.

`--minutes` are those that the process has computed. On one thread of a machine that does nothing else that is the time
on the wall, and on any other what it would have been.

    own             that of the settings
    soap            Vyas et al. 2024, of pytorch-optimizer: Adam in the eigenbasis of Shampoo's preconditioners
    schedule-free   Defazio et al. 2024, of schedulefree: Adam with averaging in place of a schedule

The libraries are those of requirements-ablation.txt. Such a run cannot be resumed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cynosure import cli
from cynosure.training import learner
from cynosure.training.config import OptimiserConfig
from cynosure.training.optimiser import Optimiser


class Soap(Optimiser):
    """With the settings that its authors recommend; the learning rate is the run's."""

    @staticmethod
    def _made(parameters: Sequence[nn.Parameter], config: OptimiserConfig) -> list[torch.optim.Optimizer]:
        from pytorch_optimizer import SOAP

        return [
            SOAP(parameters, lr=config.lr, betas=(0.95, 0.95), weight_decay=0.0, precondition_frequency=10)
        ]

    def tensors(self) -> dict[str, Tensor]:
        return {}


class ScheduleFree(Optimiser):
    """Gradients are taken at one point and results at another, to which the weights go after each step."""

    @staticmethod
    def _made(parameters: Sequence[nn.Parameter], config: OptimiserConfig) -> list[torch.optim.Optimizer]:
        from schedulefree import AdamWScheduleFree

        return [AdamWScheduleFree(parameters, lr=config.lr, betas=config.betas, warmup_steps=200)]

    def zero_grad(self) -> None:
        super().zero_grad()
        for part in self._parts:
            part.train()  # pyright: ignore[reportAttributeAccessIssue] (schedulefree's)

    def step(self, lr: float) -> None:
        for part in self._parts:
            part.step()
            part.eval()  # pyright: ignore[reportAttributeAccessIssue]

    def tensors(self) -> dict[str, Tensor]:
        return {}


OPTIMISERS: dict[str, type[Optimiser]] = {"own": Optimiser, "soap": Soap, "schedule-free": ScheduleFree}


def main(arguments: Sequence[str]) -> None:
    name, *rest = arguments
    learner.Optimiser = OPTIMISERS[name]
    time.monotonic = time.process_time
    cli.process_start = lambda: 0.0  # what this clock showed then
    sys.argv = ["cynosure", *rest]
    cli.main()


if __name__ == "__main__":
    main(sys.argv[1:])
