"""Frames as graphs, made when asked for, and the order in which training meets them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cynosure.data.frames import Frames
from cynosure.graph import AtomGraph, from_arrays

CACHE_EDGES = 20_000_000  # at 48 bytes an edge, about 1 GB


class GraphDataset:
    """The graphs of a set of frames for one cutoff, built on the fly.

    Graphs met before are kept while their edges together stay within a budget; past it, the one unused for
    longest goes. So a set of any size can be trained on, and a small one is built once.

    Args:
        frames: the structures and labels.
        cutoff: Å.
        indices: use only these frames, in this order.
        cache_edges: most edges to keep in memory; 0 keeps none.
    """

    def __init__(
        self,
        frames: Frames,
        cutoff: float,
        indices: ArrayLike | None = None,
        cache_edges: int = CACHE_EDGES,
    ) -> None:
        self.frames = frames if indices is None else frames.subset(indices)
        self.cutoff = float(cutoff)
        self._cache: OrderedDict[int, AtomGraph] = OrderedDict()
        self._cache_limit = cache_edges
        self._cached_edges = 0
        self._edge_counts: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> AtomGraph:
        """The graph of one frame, with the labels that the frame has.

        Raises:
            IndexError: no such frame.
            ValueError: a structure without a graph (atoms on one spot, a cell without volume, …), naming the
                file and the frame.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"graph {index} was asked of a dataset of {len(self)}")
        index = int(index) % len(self)
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        frame = self.frames[index]
        try:
            graph = from_arrays(
                frame.atomic_numbers,
                frame.positions,
                frame.cell,
                frame.pbc,
                self.cutoff,
                {**frame.labels(), **frame.declared_of(inputs=False)},
                frame.declared_of(inputs=True),
                self.frames.quantities,
            )
        except ValueError as error:
            raise ValueError(f"{frame.source}: {error}") from error
        self._keep(index, graph)
        return graph

    def __iter__(self) -> Iterator[AtomGraph]:
        return (self[index] for index in range(len(self)))

    def edge_counts(self) -> NDArray[np.int64]:
        """[frames] the number of edges of each graph. The first call builds every graph once."""
        if self._edge_counts is None:
            counts = np.array([graph.num_edges for graph in self], dtype=np.int64)
            counts.flags.writeable = False
            self._edge_counts = counts
        return self._edge_counts

    def _keep(self, index: int, graph: AtomGraph) -> None:
        if graph.num_edges > self._cache_limit or self._cache_limit <= 0:
            return
        self._cache[index] = graph
        self._cached_edges += graph.num_edges
        while self._cached_edges > self._cache_limit:
            _, oldest = self._cache.popitem(last=False)
            self._cached_edges -= oldest.num_edges


def split(
    n: int, fraction: float, seed: int, keys: Sequence[ArrayLike] = ()
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide n frames into training and validation: at random, or evenly over what `keys` says of them.

    Args:
        n: number of frames, at least 2.
        fraction: share of validation frames, strictly between 0 and 1. Both sides get at least one.
        seed: the same seed gives the same division.
        keys: [n] each, what frames are sorted by, the first before the second. In that order (and at random among
            equals) validation frames follow each other at equal distances, so that few of them represent all.

    Returns:
        (training, validation) indices, each ascending; together every frame once.

    Raises:
        ValueError: n < 2, or the fraction is not between 0 and 1.
    """
    if n < 2:
        raise ValueError(f"{n} frames cannot be divided into training and validation; at least 2 are needed")
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"the validation fraction must lie between 0 and 1; got {fraction}")
    n_validation = min(max(round(n * fraction), 1), n - 1)
    rng = np.random.default_rng(seed)
    order = rng.permutation(n)
    if keys:
        # (The last key of lexsort is the first to sort by; it is stable.)
        order = order[np.lexsort([np.asarray(key)[order] for key in reversed(keys)])]
    chosen = np.floor((np.arange(n_validation) + rng.random()) * n / n_validation).astype(np.int64)
    return np.sort(np.delete(order, chosen)), np.sort(order[chosen])


def epoch_batches(
    edge_counts: ArrayLike, max_edges: int, seed: int, epoch: int, shuffle: bool = True
) -> list[NDArray[np.int64]]:
    """The batches of one epoch: every frame once, as many to a batch as the edge budget holds.

    Frames are taken in order (shuffled anew each epoch) and a batch is closed when the next frame would exceed
    the budget. A frame that exceeds it by itself stands alone and leaves the batch being filled open.

    Args:
        edge_counts: [frames] edges of each frame. An isolated atom, with none, counts as one edge.
        max_edges: the budget of a batch, at least 1.
        seed, epoch: together they decide the order, whatever was drawn before.
        shuffle: False keeps the frames in order.

    Returns:
        indices of the frames of each batch; their order is deterministic.

    Raises:
        ValueError: the budget is less than 1.
    """
    if max_edges < 1:
        raise ValueError(f"a batch must hold at least one edge; got a budget of {max_edges}")
    costs = np.maximum(np.asarray(edge_counts, dtype=np.int64), 1)
    order = np.arange(len(costs))
    if shuffle:
        order = np.random.default_rng([seed, epoch]).permutation(len(costs))
    batches: list[list[int]] = []
    current: list[int] = []
    filled = 0
    for frame in order.tolist():
        cost = int(costs[frame])
        if cost > max_edges:
            batches.append([frame])
            continue
        if filled + cost > max_edges:
            batches.append(current)
            current, filled = [], 0
        current.append(frame)
        filled += cost
    if current:
        batches.append(current)
    return [np.array(batch, dtype=np.int64) for batch in batches]
