"""A neighbour list that is kept while atoms move: built a little too wide, filtered at every step.

A list built at `cutoff + skin` holds every pair that can come within `cutoff` as long as nothing has moved
much. What "much" means, for atoms that move while the cell is strained too:

1. Let the list be built at positions r with cell C (rows are lattice vectors), and let r', C' be the present
   ones. With F = C⁻¹C' write r' = rF + u: the cell carries the atoms along, and u is what is left. The pair
   (i, j, S) then has the displacement d' = dF + u_j − u_i, where d is its displacement in the list.
2. Hence |d| ≤ ‖F⁻¹‖ (|d'| + |u_j − u_i|), with the spectral norm. A pair within the cutoff now had
   |d| ≤ ‖F⁻¹‖ (cutoff + 2 max|u − c|) for any constant c (a drift of the whole system changes no pair).
3. So the list is complete while ‖F⁻¹‖ (cutoff + 2 max|u − c|) ≤ cutoff + skin. At a fixed cell F = 1, and
   this is the usual rule: nobody has moved more than half the skin.

An atom that the user wraps back into the cell has jumped by a lattice vector: the rule fails, and the list is
built anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from cynosure.graph.neighbours import SEARCH_BYTES, neighbour_list

# How much further than the cutoff a kept list reaches where nobody says otherwise, Å.
DEFAULT_SKIN = 0.5

# The bound above is compared in floating point; this many Å of the skin are kept back for its rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Edges:
    """The directed edges of one structure that are shorter than the cutoff.

    Attributes:
        receivers: [E] int64, sorted ascending.
        senders: [E] int64.
        shifts: [E, 3] int64, the cell shift S of r_ij = r_j + S·cell − r_i.
        sender_order: [E] int64, the stable permutation that sorts the edges by sender.
        distances: [E] float64, Å.
        BYTES: memory of these arrays for each edge.
    """

    BYTES: ClassVar[int] = 8 * (1 + 1 + 3 + 1 + 1)

    receivers: Tensor
    senders: Tensor
    shifts: Tensor
    sender_order: Tensor
    distances: Tensor


class SkinNeighbours:
    """The edges of a structure that changes little from one call to the next.

    Args:
        cutoff: the longest edge, Å.
        skin: how much wider the kept list reaches, Å. Zero builds a new list at every call.
        device: where the edges live.

    Attributes:
        builds: how many lists have been built so far.
        BYTES_PER_PAIR: memory for each pair of the kept list (`_build`): five arrays, shifts among them twice, and
            what the search needed besides. That is free by then, but the allocator of the process keeps it.

    Raises:
        ValueError: if the cutoff is not positive or the skin is negative.
    """

    BYTES_PER_PAIR: ClassVar[int] = 8 * (1 + 1 + 3) + 8 * (3 + 1) + (SEARCH_BYTES - 8 * (1 + 1 + 3))

    def __init__(self, cutoff: float, skin: float = DEFAULT_SKIN, device: torch.device | str = "cpu") -> None:
        if not cutoff > 0 or not np.isfinite(cutoff):
            raise ValueError(f"the cutoff is {cutoff} Å; a positive length was expected")
        if not skin >= 0 or not np.isfinite(skin):
            raise ValueError(f"the skin is {skin} Å; a length of zero or more was expected")
        self.cutoff = float(cutoff)
        self.skin = float(skin)
        self.device = torch.device(device)
        self.builds = 0
        self._reference: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    @property
    def num_pairs(self) -> int:
        """Directed pairs in the kept list: those within cutoff + skin when it was built; 0 before the first."""
        return 0 if self._reference is None else self._senders.shape[0]

    def covers(self, positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray) -> bool:
        """Whether the kept list is complete for this structure (the rule in the module's docstring).

        Args:
            positions: [N, 3] Å, not wrapped since the list was built.
            cell: [3, 3] Å, rows are lattice vectors.
            pbc: [3] bool.
        """
        if self._reference is None or self.skin == 0:
            return False
        old_positions, old_cell, old_pbc = self._reference
        if positions.shape != old_positions.shape or not np.array_equal(pbc, old_pbc):
            return False
        if not (np.isfinite(positions).all() and np.isfinite(cell).all()):
            return False  # building the list will say what is wrong
        carried, stretch = old_positions, 1.0
        if not np.array_equal(cell, old_cell):
            # A cell that does not span space defines no strain of it: start afresh.
            if not min(abs(np.linalg.det(old_cell)), abs(np.linalg.det(cell))) > 1e-6:
                return False
            strain = np.linalg.solve(old_cell, cell)
            carried = old_positions @ strain
            stretch = 1.0 / float(np.linalg.svd(strain, compute_uv=False)[-1])
        moved = positions - carried
        # The middle of the bounding box is a good constant c: a drifting molecule keeps its list.
        moved = moved - 0.5 * (moved.min(axis=0) + moved.max(axis=0))
        furthest = float(np.sqrt((moved * moved).sum(axis=1).max()))
        return stretch * (self.cutoff + 2.0 * furthest) <= self.cutoff + self.skin - _ROUNDING

    def edges(self, positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray) -> Edges:
        """The edges shorter than the cutoff, from the kept list where it covers this structure.

        Args:
            positions: [N, 3] float64, Å, at least one atom.
            cell: [3, 3] float64, Å, rows are lattice vectors; zero rows where there is none.
            pbc: [3] bool.
        """
        if not self.covers(positions, cell, pbc):
            self._build(positions, cell, pbc)
        r = torch.from_numpy(positions).to(self.device)
        vectors = r.index_select(0, self._senders) - r.index_select(0, self._receivers)
        if self._crossing:
            vectors = vectors + self._float_shifts @ torch.from_numpy(cell).to(self.device)
        distances = torch.linalg.vector_norm(vectors, dim=1)
        keep = distances < self.cutoff
        kept = keep.nonzero().squeeze(1)
        new_index = keep.cumsum(0) - 1
        order = self._sender_order
        return Edges(
            receivers=self._receivers.index_select(0, kept),
            senders=self._senders.index_select(0, kept),
            shifts=self._shifts.index_select(0, kept),
            sender_order=new_index.index_select(0, order[keep.index_select(0, order)]),
            distances=distances.index_select(0, kept),
        )

    def _build(self, positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray) -> None:
        receivers, senders, shifts = neighbour_list(positions, cell, pbc, self.cutoff + self.skin)
        self._receivers = torch.from_numpy(receivers).to(self.device)
        self._senders = torch.from_numpy(senders).to(self.device)
        self._shifts = torch.from_numpy(shifts).to(self.device)
        self._float_shifts = self._shifts.to(torch.float64)
        self._crossing = bool(np.any(shifts))
        self._sender_order = torch.argsort(self._senders, stable=True)
        self._reference = (positions.copy(), cell.copy(), pbc.copy())
        self.builds += 1
