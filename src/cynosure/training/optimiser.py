"""What moves the weights: Muon those that are matrices, Adam the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from cynosure.training.config import OptimiserConfig
from cynosure.training.muon import Muon, is_matrix


class Optimiser:
    """The optimiser of a run, over named parameters.

    Args:
        named: what it moves, on its device; names are those under which its memory is kept.
        config: settings.
    """

    def __init__(self, named: Mapping[str, nn.Parameter], config: OptimiserConfig) -> None:
        self._named, self._clip = dict(named), config.clip
        self._parts = self._made(list(named.values()), config)

    @staticmethod
    def _made(parameters: Sequence[nn.Parameter], config: OptimiserConfig) -> list[torch.optim.Optimizer]:
        matrices = [p for p in parameters if config.kind == "muon" and is_matrix(p)]
        known = {id(parameter) for parameter in matrices}
        others = [parameter for parameter in parameters if id(parameter) not in known]
        parts: list[torch.optim.Optimizer] = []
        if others:
            adam = torch.optim.AdamW(
                others,
                lr=config.lr,
                betas=config.betas,
                weight_decay=config.weight_decay,
                amsgrad=config.amsgrad,
                fused=others[0].device.type in ("cpu", "cuda"),
            )
            parts.append(adam)
        if matrices:
            muon = Muon(matrices, config.lr, config.momentum, config.matrix_scale, config.weight_decay)
            parts.append(muon)
        return parts

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self._named.values():
            parameter.grad = None

    @torch.no_grad()
    def clip(self) -> Tensor:
        """Shorten the gradient if it is longer than the settings allow; returns its length before, a scalar."""
        gradients = [parameter.grad for parameter in self._named.values() if parameter.grad is not None]
        norm = torch.stack(torch._foreach_norm(gradients)).norm()  # pyright: ignore[reportPrivateImportUsage]
        if bool(norm > self._clip):
            torch._foreach_mul_(gradients, self._clip / norm)  # pyright: ignore[reportPrivateImportUsage]
        return norm

    def step(self, lr: float) -> None:
        """Move the parameters at this learning rate."""
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = lr
            part.step()

    def tensors(self) -> dict[str, Tensor]:
        """`<moment>/<parameter>` to tensor for all that it remembers."""
        return {
            f"{moment}/{name}": value
            for part in self._parts
            for name, parameter in self._named.items()
            for moment, value in part.state.get(parameter, {}).items()
        }

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `tensors` gave, of an optimiser of the same settings and names."""
        by_name: dict[str, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            moment, _, name = key.partition("/")
            by_name.setdefault(name, {})[moment] = value
        names = {id(parameter): name for name, parameter in self._named.items()}
        for part in self._parts:
            own = [names[id(parameter)] for group in part.param_groups for parameter in group["params"]]
            state = {number: by_name[name] for number, name in enumerate(own) if name in by_name}
            # Its own loader knows on which device each moment and the count of steps belong.
            part.load_state_dict({"state": state, "param_groups": part.state_dict()["param_groups"]})
