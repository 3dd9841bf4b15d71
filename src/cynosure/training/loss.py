"""What training minimises.

With s the data's scale (RMS force component, eV/Å), N the atoms of a structure and V its volume, the residuals
are made dimensionless and comparable:

    energy   x = ΔE / N / (s · 1 Å)          one per structure
    forces   x = ΔF / s                      three per atom
    stress   x = Δσ · V / N / (s · 1 Å)      nine per structure: the virial per atom, so that a crystal and a
                                             molecule in a large box are weighed alike

    others   x = Δy / rms(y)                 one for each component of a declared target or derivative

    L = Σ_k w_k · mean_k h(x)

over the residuals that have a label, with h(x) = x² or the Huber function scaled to slope one,
h(x) = x²/(2δ) for |x| < δ and |x| − δ/2 beyond.

The energy is first learned through the forces, its derivatives, and what is left of its error late: at progress p its
weight is w · ρ^(p − 1), which grows by the factor ρ (`energy_rise`) from start to end.

Dividing by s makes the weights and δ mean the same for soft and stiff materials, and leaves the clipping length
and the learning rate alone when the data change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import mse_loss, smooth_l1_loss

from cynosure.data import Frames, require_labels
from cynosure.training.config import LossConfig
from cynosure.training.targets import LABELS, Target

# Equal weights: measured on acetylacetone at equal numbers of steps, ten to one in favour of the energy left the
# forces 1.8 times worse and the energies too, since the energy of a short run is learned through the forces.
# A tenth for the stress: on silicon it is learned as well as with ten times the weight, and the forces better, because
# labels of the stress are the first to be unconverged, or in another order (`python -m benchmarks.ablation` compares).
DEFAULT_WEIGHTS: dict[str, float] = {"energy": 1.0, "forces": 1.0, "stress": 0.1}


class Term(NamedTuple):
    """One label's part of the loss: the sum of h over its residuals, and how many there are."""

    total: Tensor
    count: int


class Loss:
    """The loss of predictions against the labels of a batch.

    Args:
        config: weights as numbers (`resolve_weights`), kind and delta.
        scale: s, eV/Å, positive.
        scales: the same of each declared target, in its own unit.
    """

    def __init__(self, config: LossConfig, scale: float, scales: Mapping[str, float] | None = None) -> None:
        self.weights = positive_weights(config)
        self._scales = {**dict.fromkeys(LABELS, scale), **(scales or {})}
        self.energy_rise = config.energy_rise
        self.kind, self.delta = config.kind, config.delta

    @property
    def outputs(self) -> tuple[str, ...]:
        """What the model has to compute for it."""
        return tuple(self.weights)

    def terms(self, prediction: Mapping[str, Tensor], targets: Mapping[str, Target]) -> dict[str, Term]:
        """The unweighted terms of a batch, for the labels that have a weight and a target.

        Args:
            prediction: the model's outputs.
            targets: the batch's labels, on the same device.
        """
        terms = {}
        for name in self.weights:
            if name in targets:
                residual = targets[name].residual(prediction[name], per_atom=True)
                terms[name] = Term(self._penalty(residual / self._scales[name]), residual.numel())
        return terms

    def __call__(self, terms: Mapping[str, Term], progress: float = 1.0) -> Tensor:
        """The weighted sum of the means, a scalar.

        Args:
            terms: see `terms`.
            progress: of the run, from 0 to 1; the weights are those of this moment.

        Raises:
            ValueError: there are no terms.
        """
        if not terms:
            raise ValueError(f"none of the structures has a label for {', '.join(self.weights)}")
        risen = {"energy": self.energy_rise ** (progress - 1.0)}
        parts = [
            self.weights[name] * risen.get(name, 1.0) / term.count * term.total
            for name, term in terms.items()
        ]
        return torch.stack(parts).sum()

    def _penalty(self, residual: Tensor) -> Tensor:
        zero = torch.zeros_like(residual)
        if self.kind == "squared":
            return mse_loss(residual, zero, reduction="sum")
        return smooth_l1_loss(residual, zero, reduction="sum", beta=self.delta)


def positive_weights(config: LossConfig) -> dict[str, float]:
    """Weights of what the loss is about, by label; they must have been resolved."""
    weights = {name: float(getattr(config, name)) for name in LABELS} | config.targets
    return {name: weight for name, weight in weights.items() if weight > 0}


def resolve_weights(config: LossConfig, frames: Frames, *, energy: bool = True) -> LossConfig:
    """Weights as numbers: `auto` is the default where the frames have the label, else zero.

    Args:
        config: weights as numbers or `auto`.
        frames: the training data, and the declared targets that were looked for in them.
        energy: whether the model has an energy. One without learns no labels of it, nor of its derivatives.

    Raises:
        ValueError: a weight was asked for and the data, or the model, have no such label, or nothing is left to learn
            from.
    """
    counts = frames.label_counts()
    if not energy:
        if asked := [name for name in LABELS if getattr(config, name) not in ("auto", 0)]:
            raise ValueError(
                f"loss.{asked[0]} is {getattr(config, asked[0])}, but the model has no energy (model.energy is false), "
                f"and so no {asked[0]} to learn; leave this weight out, or let the model have an energy"
            )
        counts = {**counts, **dict.fromkeys(LABELS, 0)}
    require_labels(frames, [name for name in LABELS if getattr(config, name) not in ("auto", 0)])
    weights: dict[str, float] = {}
    for name in LABELS:
        asked = getattr(config, name)
        automatic = DEFAULT_WEIGHTS[name] if counts.get(name, 0) else 0.0
        weights[name] = automatic if asked == "auto" else float(asked)
    declared = [one.name for one in frames.targets]
    if strangers := config.targets.keys() - set(declared):
        raise ValueError(
            f"loss.targets.{sorted(strangers)[0]}: no such target or derivative is declared; "
            f"there are {', '.join(declared) or 'none'}"
        )
    of_targets = {name: config.targets.get(name, 1.0) for name in declared}
    require_labels(frames, [name for name, weight in of_targets.items() if weight > 0])
    if not any((*weights.values(), *of_targets.values())):
        raise ValueError(
            f"{frames.source}: there is nothing to learn from, because no frame has a label whose loss is on; name "
            "the columns, such as --key energy=REF_energy --key forces=REF_forces"
        )
    return config.model_copy(update={**weights, "targets": of_targets})
