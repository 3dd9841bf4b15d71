"""What an array that belongs to a structure holds: whose numbers they are, and how many each owner has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

# A pair is any two atoms of one structure, in the order (first, second), the first slower, an atom with itself
# included: what a Hessian has a block for.
Owner = Literal["structure", "atom", "edge", "pair"]

NO_SHIFT = -(2**31)


@dataclass(frozen=True)
class Quantity:
    """A kind of array: [owners, *shape].

    Attributes:
        owner: what each row belongs to.
        shape: of a row.
    """

    owner: Owner
    shape: tuple[int, ...] = ()


class Rows(NamedTuple):
    """The rows of a quantity in one structure.

    Attributes:
        values: [rows, *shape].
        ends: [rows, 5] int64, for numbers of some of the edges: receiver, sender and cell shift of the sender, which is
            `NO_SHIFT` throughout where any image of the sender may be meant; there must be a single one then.
    """

    values: NDArray[np.float64]
    ends: NDArray[np.int64] | None = None


# The labels of a potential. Others are declared by whoever has them.
LABELS: Mapping[str, Quantity] = {
    "energy": Quantity("structure"),
    "forces": Quantity("atom", (3,)),
    "stress": Quantity("structure", (3, 3)),
}
