"""A model's predictions on a set of frames, batch by batch, and the errors they make."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cynosure.data import Frames, GraphDataset, epoch_batches
from cynosure.graph import AtomGraph, batch
from cynosure.potentials import UNCERTAINTIES, Evaluator, Potential
from cynosure.training.declared import units_of
from cynosure.training.metrics import ErrorSums, Metrics
from cynosure.training.targets import LABELS, Target, targets_of
from cynosure.training.uncertain_errors import UncertainErrors

# Forces of a large model take some 50 kB an edge; more than this many edges gain no speed on any device.
DEFAULT_MAX_EDGES = 8192

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Predicted:
    """The predictions of one batch.

    Attributes:
        indices: [S] which frames of the data set.
        graph: the batch, on the CPU.
        targets: its labels, on the model's device.
        outputs: the model's outputs for the labels that are there, and their uncertainties if it is an ensemble, on the
            model's device.
    """

    indices: NDArray[np.int64]
    graph: AtomGraph
    targets: Mapping[str, Target]
    outputs: Mapping[str, Tensor]


Observer = Callable[[Predicted], None]


def require_known_elements(frames: Frames, species: Sequence[int]) -> None:
    """Raise unless a model for `species` (atomic numbers) knows every element of the frames.

    Raises:
        ValueError: names the strangers and the elements that are known.
    """
    strangers = sorted(set(frames.species()) - set(species))
    if strangers:
        names = frames.points.listed(strangers)
        known = frames.points.listed(species)
        raise ValueError(f"{frames.source} has {names}, which the model does not know; it knows {known}")


def predictions(
    model: Potential,
    dataset: GraphDataset,
    *,
    engine: Evaluator | None = None,
    max_edges: int = DEFAULT_MAX_EDGES,
    progress: Progress | None = None,
    until: float | None = None,
) -> Iterator[Predicted]:
    """Predict every labelled quantity of a data set.

    Frames come in an order that is random and always the same, so that what was seen when time ran out is a fair
    sample.

    Args:
        model: the potential.
        dataset: graphs for the model's cutoff.
        engine: evaluates the model faster, where its start is worth it; by default the model itself is called.
        max_edges: most edges in a batch.
        progress: called after each batch with the number of frames done and in all. What it raises passes through.
        until: start no batch, but the first, after this moment on the clock of `time.monotonic`.

    Raises:
        ValueError: an element that the model does not know, or a prediction that is not finite; names the frame.
    """
    require_known_elements(dataset.frames, model.species)
    call = model if engine is None else engine.evaluate
    done = 0
    for indices in epoch_batches(dataset.edge_counts(), max_edges, seed=0, epoch=0):
        if done and until is not None and time.monotonic() > until:
            return
        graph = batch([dataset[index] for index in indices])
        found = targets_of(graph, [name for name in graph.labels if name in model.outputs])
        targets = {name: target.to(model.device) for name, target in found.items()}
        wanted = [*targets, *(name for name, label in model.uncertainties.items() if label in targets)]
        outputs = call(graph.to(model.device), wanted) if targets else {}
        for name, target in targets.items():
            if not bool(torch.isfinite(target.predicted(outputs[name])).all()):
                raise ValueError(
                    f"the model's {name} is not finite for {_culprit(dataset, indices, graph, outputs[name], name)}; "
                    "the model is broken there: train it further or on data like it"
                )
        done += len(indices)
        yield Predicted(indices, graph, targets, outputs)
        if progress is not None:
            progress(done, len(dataset))


def evaluate(
    model: Potential,
    data: Frames | GraphDataset,
    *,
    engine: Evaluator | None = None,
    max_edges: int = DEFAULT_MAX_EDGES,
    progress: Progress | None = None,
    until: float | None = None,
    observers: Sequence[Observer] = (),
) -> Metrics:
    """The errors of a model on labelled frames.

    Args:
        model: the potential.
        data: frames, or their graphs for the model's cutoff.
        engine: evaluates the model faster, where its start is worth it; by default the model itself is called.
        max_edges: most edges in a batch.
        progress: called after each batch with the number of frames done and in all.
        until: stop early, with what has been evaluated, after this moment on the clock of `time.monotonic`.
        observers: called with each batch of predictions.

    Returns:
        The errors. Labels that the data lack are absent from them.

    Raises:
        ValueError: the data have no label at all; an unknown element; a prediction that is not finite.
    """
    dataset = data if isinstance(data, GraphDataset) else GraphDataset(data, model.cutoff)
    if not any(dataset.frames.label_counts().values()):
        raise ValueError(
            f"{dataset.frames.source} has no energy, forces or stress to compare with; name the columns, such as "
            "--key energy=REF_energy"
        )
    sums = _MetricsSums(dataset.frames.groups, model)
    for predicted in predictions(
        model, dataset, engine=engine, max_edges=max_edges, progress=progress, until=until
    ):
        sums.add(predicted)
        for observe in observers:
            observe(predicted)
    return sums.metrics()


class _MetricsSums:
    """Running sums of every error that `Metrics` reports."""

    def __init__(self, groups: Sequence[str], model: Potential) -> None:
        self._units, self._points = units_of(model.config), model.points
        names = sorted(set(groups))
        self._group_names = names if len(names) > 1 else []
        code = {name: number for number, name in enumerate(names)}
        self._group_codes = np.array([code[name] for name in groups], dtype=np.int64)
        self._structures = 0
        self._errors: dict[str, ErrorSums] = defaultdict(ErrorSums)
        self._elements: dict[int, ErrorSums] = defaultdict(ErrorSums)
        self._groups: dict[str, dict[str, ErrorSums]] = defaultdict(lambda: defaultdict(ErrorSums))
        self._uncertain: dict[str, list[UncertainErrors]] = defaultdict(list)

    def add(self, predicted: Predicted) -> None:
        graph = predicted.graph
        self._structures += graph.num_structures
        numbers = graph.atomic_numbers.numpy()
        for name, target in predicted.targets.items():
            owners = slice(None) if target.owners is None else target.owners.cpu().numpy()
            residual = target.residual(predicted.outputs[name], per_atom=False).cpu().numpy()
            if name == "forces":
                for z in np.unique(numbers[owners]):
                    self._elements[int(z)].add(residual[numbers[owners] == z])
            structures = graph.structures_of(graph.quantities[name].owner).numpy()[owners]
            codes = self._group_codes[predicted.indices[structures]]
            self._add(name, residual, codes)
            if name == "energy":
                per_atom = target.residual(predicted.outputs[name], per_atom=True).cpu().numpy()
                self._add("energy_per_atom", per_atom, codes)
        for name, label in UNCERTAINTIES.items():
            if name in predicted.outputs:
                kind = "energy_per_atom" if label == "energy" else label
                self._uncertain[kind].append(
                    _uncertain_errors(
                        predicted.targets[label], predicted.outputs[label], predicted.outputs[name]
                    )
                )

    def _add(self, name: str, residual: NDArray[np.float64], codes: NDArray[np.int64]) -> None:
        self._errors[name].add(residual)
        if self._group_names:
            for code in np.unique(codes):
                self._groups[self._group_names[code]][name].add(residual[codes == code])

    def metrics(self) -> Metrics:
        known = ("energy", "energy_per_atom", *LABELS[1:])
        order = [name for name in known if name in self._errors]
        order += [name for name in self._errors if name not in known]
        return Metrics(
            n_structures=self._structures,
            errors={name: self._errors[name].stats() for name in order},
            forces_by_element={
                self._points.name(z): self._elements[z].stats() for z in sorted(self._elements)
            },
            by_group={
                group or "(no group)": {name: sums[name].stats() for name in order if name in sums}
                for group, sums in sorted(self._groups.items())
            },
            units=self._units,
            uncertainty={name: UncertainErrors.joined(parts) for name, parts in self._uncertain.items()},
        )


def _uncertain_errors(target: Target, prediction: Tensor, uncertainty: Tensor) -> UncertainErrors:
    """Errors of energies per atom, or of force components, beside their uncertainties."""
    errors, expected = target.residual(prediction, per_atom=True), target.predicted(uncertainty)
    if target.per_atom is not None:
        expected = expected * target.per_atom
    expected = expected.view(-1, *[1] * (errors.ndim - 1)).expand_as(errors)
    return UncertainErrors(errors.cpu().numpy().ravel(), expected.cpu().numpy().ravel())


def _culprit(
    dataset: GraphDataset, indices: NDArray[np.int64], graph: AtomGraph, output: Tensor, name: str
) -> str:
    """The file and frame of the first prediction that is not finite."""
    bad = ~torch.isfinite(
        output.detach().cpu().flatten(1) if output.ndim > 1 else output.detach().cpu().unsqueeze(1)
    )
    row = int(bad.any(dim=1).nonzero()[0])
    structure = int(graph.structures_of(graph.quantities[name].owner)[row])
    return dataset.frames[int(indices[structure])].source
