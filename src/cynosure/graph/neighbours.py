"""Neighbour lists: every pair of atoms, periodic images included, closer than a cutoff.

The search itself is vesin's cell list. Around it stand the parts that make the answer exact and safe for
every cell: atoms are brought into a compact frame first, distances are then computed from the positions as
given, and impossible input is refused by name instead of searched.
"""

from __future__ import annotations

import numpy as np
import torch
import vesin
from numpy.typing import ArrayLike, NDArray

MIN_DISTANCE = 1e-3  # Å. Closer than this, two atoms are one atom written twice.

# Beyond this distance from the origin (Å) float64 resolves displacements no better than 1e-7 Å.
_FARTHEST = 1e9
# The thickest cell, Å: a tenth of a millimetre is in the wrong unit, and its search grid would not fit.
_THICKEST = 1e6
# The most cells the search may cut one axis into; the library beneath overflows its cell indices above ~3e5.
_MAX_CELLS_PER_AXIS = 50_000
# A cell with more images of itself in reach than this, and so many edges in all, is in the wrong unit.
_MANY_IMAGES = 1_000
_MAX_EDGES_OF_THIN_CELL = 50_000_000
# Memory that a search needs at its peak for each pair it finds, its result of 40 bytes included; measured, since part
# of it is vesin's.
SEARCH_BYTES = 152
# Below this many atoms a second thread costs more than it brings.
_ATOMS_PER_THREAD = 1000


def neighbour_list(
    positions: ArrayLike, cell: ArrayLike, pbc: ArrayLike, cutoff: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """All ordered pairs (receiver i, sender j, cell shift S) with |r_j + S·cell − r_i| < cutoff.

    Every pair appears in both directions, with the opposite shift; an atom is a neighbour of its own
    periodic images but not of itself. Any cell will do: triclinic, left-handed, thinner than the cutoff,
    periodic along some vectors only, absent. Atoms may lie anywhere, inside the cell or not.

    1. Refuse what has no answer (see Raises).
    2. Wrap atoms into the cell along periodic vectors, and close empty gaps along the others: a gap wider
       than the cutoff holds no pair, and a search grid spanning it would hold only empty cells.
    3. Find and sort the pairs of the compact structure, a rounding error farther than asked.
    4. Undo the wrapping in the shifts, and keep the pairs whose distance, from the positions as given, is
       below the cutoff. Opposite edges have bitwise opposite displacements, so both stay or both go.

    Args:
        positions: [N, 3], Å.
        cell: [3, 3], Å, rows are lattice vectors. Rows that are not periodic do not matter and may be zero.
        pbc: [3] bool (or one bool), periodic along each lattice vector.
        cutoff: Å, > 0.

    Returns:
        receivers [E], senders [E], shifts [E, 3], all int64, ordered by receiver, then sender, then shift.

    Raises:
        ValueError: no atoms; a position that is not finite, or beyond 1e9 Å; periodic lattice vectors that
            span no volume; a cutoff that is not a positive number; two atoms within `MIN_DISTANCE`; a cell
            so much thinner than the cutoff that the images cannot be counted out, or thicker than 1e6 Å.
    """
    positions, cell, pbc = _checked(positions, cell, pbc, cutoff)  # step 1
    frame = _search_frame(cell, pbc, len(positions), cutoff)
    compact, wraps, rounding = _compact(positions, frame, pbc, cutoff)  # step 2

    reach = cutoff * (1.0 + 1e-9) + rounding
    receivers, senders, shifts = _search(compact, frame, pbc, reach)  # step 3

    shifts += wraps[receivers] - wraps[senders]  # step 4
    distances = _distances(positions, cell, receivers, senders, shifts)
    near = distances < cutoff
    if not near.all():
        receivers, senders, shifts, distances = receivers[near], senders[near], shifts[near], distances[near]
    _refuse_overlaps(receivers, senders, shifts, distances)
    return receivers, senders, shifts


def _checked(
    positions: ArrayLike, cell: ArrayLike, pbc: ArrayLike, cutoff: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """The arguments as arrays of known shape, or an error that says which one is wrong and where."""
    positions = np.asarray(positions, dtype=np.float64)
    cell = np.asarray(cell, dtype=np.float64)
    pbc = np.array(np.broadcast_to(np.asarray(pbc, dtype=bool), (3,)))
    if not (np.isfinite(cutoff) and cutoff > 0):
        raise ValueError(f"the cutoff must be a positive length in Å; got {cutoff}")
    if positions.ndim != 2 or positions.shape[1] != 3:
        raise ValueError(f"positions have shape {positions.shape}; (atoms, 3) was expected")
    if len(positions) == 0:
        raise ValueError("the structure has no atoms; a neighbour list needs at least one")
    if cell.shape != (3, 3):
        raise ValueError(f"the cell has shape {cell.shape}; (3, 3) with lattice vectors as rows was expected")
    # Written so that NaN fails the comparison too.
    bad = ~(np.abs(positions) <= _FARTHEST).all(axis=1)
    if bad.any():
        atom = int(np.argmax(bad))
        raise ValueError(
            f"atom {atom} is at {positions[atom].tolist()} Å: a position must be finite and within"
            f" {_FARTHEST:.0e} Å of the origin ({int(bad.sum())} of {len(positions)} atoms are not)"
        )
    if not np.isfinite(cell).all():
        raise ValueError(f"the cell has an entry that is not finite: {cell.tolist()}")
    return positions, cell, pbc


def _search_frame(
    cell: NDArray[np.float64], pbc: NDArray[np.bool_], atoms: int, cutoff: float
) -> NDArray[np.float64]:
    """[3, 3] the periodic lattice vectors, with the other rows replaced by unit vectors orthogonal to them.

    With those rows orthogonal, distance along them is a lower bound of the distance to every periodic image,
    which is what lets `_compact` close gaps.
    """
    if pbc.all():
        frame = cell
    elif not pbc.any():
        return np.eye(3)
    else:
        frame = cell.copy()
        # The last right singular vectors span what the periodic rows do not.
        frame[~pbc] = np.linalg.svd(cell[pbc])[2][pbc.sum() :]
    lengths = np.linalg.norm(frame, axis=1)
    # A volume relative to the lattice vectors' lengths: the test does not depend on the unit.
    if not np.abs(np.linalg.det(frame)) > 1e-10 * np.prod(lengths):
        axes = ", ".join("abc"[axis] for axis in np.flatnonzero(pbc))
        raise ValueError(
            f"the structure is periodic along {axes} but those lattice vectors span no volume:"
            f" {cell.tolist()}; give a cell, or switch pbc off where there is none"
        )
    heights = 1.0 / np.linalg.norm(np.linalg.inv(frame), axis=0)
    if heights[pbc].max() > _THICKEST:
        raise ValueError(
            f"the cell is {heights[pbc].max():.3g} Å thick; is it in Å? {cell.tolist()}; switch pbc off along"
            " vectors that only stand for empty space"
        )
    images = np.prod(np.maximum(2.0 * cutoff / heights[pbc], 1.0))
    if images > _MANY_IMAGES and atoms**2 * images > _MAX_EDGES_OF_THIN_CELL:
        raise ValueError(
            f"the cell is only {heights[pbc].min():.3g} Å thick against a cutoff of {cutoff} Å, so that about"
            f" {images:.0e} images of it are in reach; is the cell in Å? {cell.tolist()}"
        )
    return frame


def _compact(
    positions: NDArray[np.float64], frame: NDArray[np.float64], pbc: NDArray[np.bool_], cutoff: float
) -> tuple[NDArray[np.float64], NDArray[np.int64], float]:
    """The same atoms, wrapped along periodic vectors and without empty gaps along the others.

    Returns:
        compact [N, 3], Å; wraps [N, 3] int64, the lattice vectors taken away from each atom; and a bound, Å,
        of the rounding error in the distances of `compact`.
    """
    wraps = np.zeros(positions.shape, dtype=np.int64)
    compact = positions
    if pbc.any():
        fractional = positions @ np.linalg.inv(frame)
        wraps[:, pbc] = np.floor(fractional[:, pbc]).astype(np.int64)
        compact = positions - wraps @ frame
    largest = np.max(np.abs(positions) + np.abs(wraps) @ np.abs(frame))
    for axis in np.flatnonzero(~pbc):
        along = compact @ frame[axis]
        order = np.argsort(along)
        excess = np.maximum(np.diff(along[order]) - 2.0 * cutoff, 0.0)
        if excess.any():
            moved = np.zeros(len(positions))
            moved[order[1:]] = np.cumsum(excess)
            compact = compact - moved[:, None] * frame[axis]
    return compact, wraps, float(32.0 * np.finfo(np.float64).eps * largest)


def _search(
    positions: NDArray[np.float64], frame: NDArray[np.float64], pbc: NDArray[np.bool_], reach: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The pairs within `reach` (perhaps some beyond it) of a compact structure, sorted."""
    inverse = np.linalg.inv(frame)
    extents = np.where(pbc, 1.0, np.ptp(positions @ inverse, axis=0)) / np.linalg.norm(inverse, axis=0)
    # A very long box is searched in coarser cells, to stay within what a cell index holds.
    reach = max(reach, float(extents.max()) / _MAX_CELLS_PER_AXIS)
    threads = max(1, min(torch.get_num_threads(), len(positions) // _ATOMS_PER_THREAD))
    search = vesin.NeighborList(cutoff=reach, full_list=True, n_threads=threads)
    found = search.compute(positions, frame, pbc, "ijS")
    receivers, senders, shifts = (array.astype(np.int64) for array in found)

    # One integer per edge orders as the tuple (receiver, sender, shift) does, and sorts much faster. Images
    # being bounded by `_search_frame`, it does not overflow below ten million atoms.
    key = receivers * len(positions) + senders
    for axis in np.flatnonzero(pbc):
        bound = int(np.abs(shifts[:, axis]).max(initial=0))
        key = key * (2 * bound + 1) + (shifts[:, axis] + bound)
    order = np.argsort(key)
    return receivers[order], senders[order], shifts[order]


def _distances(
    positions: NDArray[np.float64],
    cell: NDArray[np.float64],
    receivers: NDArray[np.int64],
    senders: NDArray[np.int64],
    shifts: NDArray[np.int64],
) -> NDArray[np.float64]:
    """[E] Å, term by term so that an edge and its opposite round alike, which a matrix product may not."""
    vectors = positions[senders] - positions[receivers]
    if shifts.any():
        vectors += shifts[:, :1] * cell[0] + shifts[:, 1:2] * cell[1] + shifts[:, 2:] * cell[2]
    return np.sqrt(np.einsum("ea,ea->e", vectors, vectors))


def _refuse_overlaps(
    receivers: NDArray[np.int64],
    senders: NDArray[np.int64],
    shifts: NDArray[np.int64],
    distances: NDArray[np.float64],
) -> None:
    """Raise where two atoms, or an atom and an image of itself, are on one spot."""
    if len(distances) == 0 or distances.min() >= MIN_DISTANCE:
        return
    edge = int(np.argmin(distances))
    first, second = sorted((int(receivers[edge]), int(senders[edge])))
    image = f", shifted by the lattice vectors {shifts[edge].tolist()}," if shifts[edge].any() else ""
    raise ValueError(
        f"atoms {first} and {second}{image} are on one spot, {distances[edge]:.1e} Å apart; atoms must be at"
        f" least {MIN_DISTANCE:g} Å apart: remove the duplicate, or check the cell"
    )
