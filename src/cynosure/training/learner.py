"""One network in training: an ordinary model has one of them, an ensemble one for each member."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from cynosure.graph import AtomGraph
from cynosure.potentials import Potential, Trainable, members_of
from cynosure.training.checkpoint import Checkpoint
from cynosure.training.config import TrainConfig
from cynosure.training.loss import Loss, Term
from cynosure.training.optimiser import Optimiser
from cynosure.training.targets import Target
from cynosure.training.trained_weights import TrainedWeights


class Learner:
    """What evaluates a network, which of its weights train, and what moves them.

    Args:
        network: the network, on its device.
        config: settings.
        seed: of low-rank additions.
        name: before the names of its tensors in checkpoints.

    Attributes:
        trained: the weights that train.
    """

    def __init__(self, network: Potential, config: TrainConfig, seed: int, name: str = "") -> None:
        self.trained = TrainedWeights(network, config.finetune.train, config.finetune.rank, seed)
        self._outputs_of = Trainable(network)
        self._optimiser = Optimiser(self.trained.named, config.optimiser)
        self._name = name

    @classmethod
    def of(cls, model: Potential, config: TrainConfig) -> list[Learner]:
        """Those of a model's members, with the seeds `config.seed`, `config.seed` + 1, …

        Raises:
            ValueError: as `TrainedWeights`.
        """
        members = members_of(model)
        if len(members) == 1:
            return [cls(model, config, config.seed)]
        return [cls(m, config, config.seed + n, f"members.{n}/") for n, m in enumerate(members)]

    def differentiate(
        self, graph: AtomGraph, targets: Mapping[str, Target], loss: Loss, progress: float
    ) -> tuple[Tensor, dict[str, Term], Tensor]:
        """Predict, compare by the loss of this moment of the run, differentiate; shorten a gradient that is too long.

        Returns:
            The loss, its terms, and the length that the gradient had; scalars.
        """
        self._optimiser.zero_grad()
        terms = loss.terms(self._outputs_of(graph, loss.outputs), targets)
        total = loss(terms, progress)
        # The parameters by name: the edge vectors are leaves too, and nothing needs a derivative to them here.
        total.backward(inputs=self.trained.of_model)
        self.trained.pass_gradients()
        return total.detach(), terms, self._optimiser.clip()

    def move(self, lr: float) -> None:
        """Move the weights along the gradient of the last `differentiate`, at this learning rate."""
        self._optimiser.step(lr)
        self.trained.put_into_model()

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps besides the network's own weights."""
        additions = {f"addition/{name}": tensor for name, tensor in self.trained.additions.items()}
        memory = {f"optimiser/{name}": tensor for name, tensor in self._optimiser.tensors().items()}
        return {f"{self._name}{name}": tensor for name, tensor in (additions | memory).items()}

    def load(self, checkpoint: Checkpoint) -> None:
        """Take over what `tensors` gave; the network must have been given its weights of the same moment."""
        self.trained.load(checkpoint.part(f"{self._name}addition"))
        self._optimiser.load(checkpoint.part(f"{self._name}optimiser"))
