"""Irreducible representations of O(3) and SO(3) as frozen values: which geometric quantities a feature holds.

An irrep is a degree l ≥ 0, of dimension 2l + 1, with a parity p: the sign under inversion of space. A
rotoinversion −R acts as p·D^l(R). Irreps of the rotation group alone carry no parity (p = 0) and print as a
bare degree.

    name    what transforms so
    0e      a scalar: energy, charge                       0o   a pseudoscalar: a signed volume
    1o      a vector: position, force, dipole              1e   an axial vector: torque, magnetic field
    2e      a traceless symmetric matrix: quadrupole       2o   its pseudotensor
    1       a vector of which only rotations are asked
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, overload

_PARITY_OF_LETTER = {"e": 1, "o": -1, "": 0}
_LETTER_OF_PARITY = {parity: letter for letter, parity in _PARITY_OF_LETTER.items()}
_IRREP = re.compile(r"(\d+)([eo]?)", re.ASCII)
_BLOCK = re.compile(r"(?:(\d+)\s*x\s*)?(\d+[eo]?)", re.ASCII)


@functools.total_ordering
@dataclass(frozen=True, slots=True)
class Irrep:
    """One irreducible representation of O(3), or of SO(3) where p = 0.

    Irreps are ordered by degree, and within a degree odd before even: 0o < 0e < 1o < 1e < 2o < …

    Attributes:
        l: the degree, an integer ≥ 0; the dimension is 2l + 1.
        p: the parity: +1 even ("e"), −1 odd ("o"), 0 unlabelled (rotations only).

    Raises:
        ValueError: l is not an integer ≥ 0, or p is not one of −1, 0, 1.
    """

    l: int
    p: int

    def __post_init__(self) -> None:
        if isinstance(self.l, bool) or not isinstance(self.l, int) or self.l < 0:
            raise ValueError(f"the degree l of an irrep is an integer ≥ 0; got {self.l!r}")
        if isinstance(self.p, bool) or not isinstance(self.p, int) or self.p not in _LETTER_OF_PARITY:
            raise ValueError(
                f"the parity p of an irrep is 1 (even), -1 (odd) or 0 (unlabelled); got {self.p!r}"
            )

    @staticmethod
    def parse(text: str | Irrep) -> Irrep:
        """The irrep written as `text`: a degree, then "e", "o" or nothing. An `Irrep` is returned as it is.

        Raises:
            ValueError: `text` is not of this form.
        """
        if isinstance(text, Irrep):
            return text
        match = _IRREP.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None:
            raise ValueError(
                f"{text!r} is not an irrep; write a degree and a parity, as in '0e', '1o' or '2'"
            )
        return Irrep(int(match[1]), _PARITY_OF_LETTER[match[2]])

    @property
    def dim(self) -> int:
        """The dimension 2l + 1."""
        return 2 * self.l + 1

    def is_scalar(self) -> bool:
        """Whether nothing in the group changes it: 0e, or the unlabelled 0. The pseudoscalar 0o is none."""
        return self.l == 0 and self.p >= 0

    def __mul__(self, other: Irrep) -> tuple[Irrep, ...]:
        """The irreps of the product: every l from |l1 − l2| to l1 + l2, with parity p1·p2, each once.

        Raises:
            ValueError: one of the two carries a parity and the other none.
        """
        if not isinstance(other, Irrep):
            return NotImplemented
        if (self.p == 0) != (other.p == 0):
            raise ValueError(
                f"the product of '{self}' and '{other}' mixes an irrep with parity and one without; "
                "write both with e or o, or both without"
            )
        degrees = range(abs(self.l - other.l), self.l + other.l + 1)
        return tuple(Irrep(degree, self.p * other.p) for degree in degrees)

    def __lt__(self, other: Irrep) -> bool:
        if not isinstance(other, Irrep):
            return NotImplemented
        return (self.l, self.p) < (other.l, other.p)

    def __str__(self) -> str:
        return f"{self.l}{_LETTER_OF_PARITY[self.p]}"

    def __repr__(self) -> str:
        return f"Irrep('{self}')"


class SortedIrreps(NamedTuple):
    """What `Irreps.sort` returns: `irreps[k]` is block `permutation[k]` of the original."""

    irreps: Irreps
    permutation: tuple[int, ...]


Block = tuple[int, Irrep]


@dataclass(frozen=True, init=False, repr=False, slots=True)
class Irreps:
    """A direct sum of irreps, in order: a tuple of blocks (multiplicity, irrep), written "64x0e+32x1o".

    Iteration, `len` and an integer index give blocks; a slice gives `Irreps`; `+` joins two; `ir in irreps`
    asks whether an irrep occurs. Two `Irreps` are equal when their blocks are: "1o+1o" is not "2x1o" until
    `simplify`.

    Args:
        spec: a string of blocks joined by "+", each "mul x irrep" or an irrep alone (multiplicity 1), where
            "" is the empty sum; or an `Irreps`; or an `Irrep`; or an iterable whose items are (multiplicity,
            irrep) pairs or irreps, each irrep an `Irrep` or a string.

    Raises:
        ValueError: a block is malformed, a multiplicity is negative, or blocks with and without parity mix.
    """

    blocks: tuple[Block, ...]

    def __init__(
        self, spec: str | Irreps | Irrep | Iterable[tuple[int, Irrep | str] | Irrep | str] = ()
    ) -> None:
        if isinstance(spec, Irreps):
            blocks = spec.blocks
        elif isinstance(spec, Irrep):
            blocks = ((1, spec),)
        elif isinstance(spec, str):
            blocks = _parse_blocks(spec)
        elif isinstance(spec, Iterable):
            blocks = tuple(_block(item) for item in spec)
        else:
            raise ValueError(f"{spec!r} does not describe irreps; write them as in '64x0e+32x1o'")
        if len({ir.p == 0 for _, ir in blocks}) > 1:
            raise ValueError(
                f"'{_join(blocks)}' mixes irreps with and without parity; write all with e or o, or none"
            )
        object.__setattr__(self, "blocks", blocks)

    @staticmethod
    def spherical_harmonics(lmax: int, p: int = -1) -> Irreps:
        """One irrep of each degree 0 … lmax, as the spherical harmonics of a vector transform.

        Args:
            lmax: the highest degree, ≥ 0.
            p: the parity of the vector: −1 for a polar one (0e+1o+2e+…), 1 for an axial one (0e+1e+2e+…),
                0 for no parity (0+1+2+…).
        """
        if lmax < 0:
            raise ValueError(f"the highest degree lmax is ≥ 0; got {lmax}")
        return Irreps([(1, Irrep(degree, p**degree if p else 0)) for degree in range(lmax + 1)])

    @property
    def dim(self) -> int:
        """The number of components: the sum of multiplicity × (2l + 1)."""
        return sum(mul * ir.dim for mul, ir in self.blocks)

    @property
    def num_irreps(self) -> int:
        """The sum of the multiplicities."""
        return sum(mul for mul, _ in self.blocks)

    @property
    def lmax(self) -> int:
        """The highest degree. Raises ValueError where there is no irrep at all."""
        degrees = [ir.l for mul, ir in self.blocks if mul > 0]
        if not degrees:
            raise ValueError("empty irreps have no highest degree")
        return max(degrees)

    def slices(self) -> list[slice]:
        """The range of components that each block takes, in order."""
        result, start = [], 0
        for mul, ir in self.blocks:
            result.append(slice(start, start + mul * ir.dim))
            start += mul * ir.dim
        return result

    def sort(self) -> SortedIrreps:
        """Blocks in ascending order of their irrep, equal ones in place, and the permutation of blocks."""
        permutation = tuple(sorted(range(len(self.blocks)), key=lambda index: self.blocks[index][1]))
        return SortedIrreps(Irreps([self.blocks[index] for index in permutation]), permutation)

    def simplify(self) -> Irreps:
        """Neighbours of equal irrep merged into one block, and blocks of multiplicity zero left out.

        The components keep their places, so no array has to move. `irreps.sort().irreps.simplify()` is the
        canonical form, with each irrep in one block.
        """
        merged: list[Block] = []
        for mul, ir in self.blocks:
            if mul and merged and merged[-1][1] == ir:
                merged[-1] = (merged[-1][0] + mul, ir)
            elif mul:
                merged.append((mul, ir))
        return Irreps(merged)

    def filter(
        self,
        keep: str | Irreps | Irrep | Iterable[Irrep | str] | Callable[[Irrep], bool] | None = None,
        lmax: int | None = None,
    ) -> Irreps:
        """The blocks whose irrep is kept, in order.

        Args:
            keep: irreps to keep (multiplicities are ignored), or a predicate of an irrep; None keeps all.
            lmax: the highest degree to keep; None sets no bound.
        """
        kept = list(self.blocks)
        if callable(keep):
            kept = [(mul, ir) for mul, ir in kept if keep(ir)]
        elif keep is not None:
            wanted = {ir for _, ir in Irreps(keep)}
            kept = [(mul, ir) for mul, ir in kept if ir in wanted]
        return Irreps([(mul, ir) for mul, ir in kept if lmax is None or ir.l <= lmax])

    def count(self, ir: Irrep | str) -> int:
        """The multiplicity of `ir`, summed over all blocks; 0 where it does not occur."""
        wanted = Irrep.parse(ir)
        return sum(mul for mul, other in self.blocks if other == wanted)

    def tensor_product(self, other: str | Irreps | Irrep) -> Irreps:
        """The decomposition of the full tensor product, sorted, one block for each irrep.

        Raises:
            ValueError: one of the two carries parities and the other none.
        """
        pairs = [(mul1 * mul2, ir1 * ir2) for mul1, ir1 in self.blocks for mul2, ir2 in Irreps(other).blocks]
        return Irreps([(mul, ir) for mul, product in pairs for ir in product]).sort().irreps.simplify()

    def __iter__(self) -> Iterator[Block]:
        return iter(self.blocks)

    def __len__(self) -> int:
        return len(self.blocks)

    @overload
    def __getitem__(self, index: int) -> Block: ...
    @overload
    def __getitem__(self, index: slice) -> Irreps: ...
    def __getitem__(self, index: int | slice) -> Block | Irreps:
        return Irreps(self.blocks[index]) if isinstance(index, slice) else self.blocks[index]

    def __contains__(self, ir: Irrep | str) -> bool:
        return self.count(ir) > 0

    def __add__(self, other: str | Irreps | Irrep) -> Irreps:
        return Irreps(self.blocks + Irreps(other).blocks)

    def __str__(self) -> str:
        return _join(self.blocks)

    def __repr__(self) -> str:
        return f"Irreps('{self}')"


def _join(blocks: Iterable[Block]) -> str:
    return "+".join(f"{mul}x{ir}" for mul, ir in blocks)


def _parse_blocks(text: str) -> tuple[Block, ...]:
    if not text.strip():
        return ()
    blocks = []
    for piece in text.split("+"):
        match = _BLOCK.fullmatch(piece.strip())
        if match is None:
            raise ValueError(
                f"'{piece.strip()}' in the irreps '{text}' is malformed; write multiplicity x degree parity, "
                "as in '64x0e+32x1o' or, for rotations only, '64x0+32x1'"
            )
        blocks.append((int(match[1] or 1), Irrep.parse(match[2])))
    return tuple(blocks)


def _block(item: tuple[int, Irrep | str] | Irrep | str) -> Block:
    if isinstance(item, (Irrep, str)):
        return 1, Irrep.parse(item)
    if not isinstance(item, tuple | list) or len(item) != 2:
        raise ValueError(f"{item!r} is not a block of irreps; give (multiplicity, irrep), as in (32, '1o')")
    mul, ir = item
    if isinstance(mul, bool) or not isinstance(mul, int) or mul < 0:
        raise ValueError(f"the multiplicity of a block of irreps is an integer ≥ 0; got {mul!r} in {item!r}")
    return mul, Irrep.parse(ir)
