"""How much memory a structure needs, and how large a structure the memory that is free can hold.

The count is of the calculator at its peak, on the CPU and through the compiled core. That peak is in the second step
of a simulation, when the core holds its arrays and the displacements of the edges are computed anew:

1. the network: arrays of the nodes and of the edges, inputs and results included (`kernels.CompiledProgram`),
2. the neighbour list: pairs up to cutoff + skin, and the edges among them (`deploy.skin`),
3. the structure itself (`deploy.calculator`).

Every term is proportional to the number of atoms, edges or pairs. What Python and torch take before, some 0.3 GB, is
not in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from cynosure.deploy.calculator import BYTES_PER_ATOM
from cynosure.deploy.skin import DEFAULT_SKIN, Edges, SkinNeighbours
from cynosure.potentials import Evaluator

# Atoms per Å³: liquid water has 0.10, silicon 0.05, copper 0.085, diamond 0.18.
DEFAULT_DENSITY = 0.1
Rows = tuple[tuple[str, str], ...]

# An edge's receiver and sender are inputs of the network, and counted there, as its displacement is.
_COUNTED_TWICE = 8 * (1 + 1)


@dataclass(frozen=True)
class Memory:
    """The memory that a calculator needs at its peak, bytes for each atom.

    Attributes:
        edges: per atom, both directions counted.
        pairs: per atom, those of the kept neighbour list: the edges and what lies in the skin.
        network: arrays of the network.
        neighbours: neighbour list, edges, displacements.
        structure: the rest.
    """

    edges: float
    pairs: float
    network: float
    neighbours: float
    structure: float

    @property
    def per_atom(self) -> float:
        """Everything, bytes for each atom."""
        return self.network + self.neighbours + self.structure

    def largest(self, free: float) -> int:
        """The largest number of atoms that fit in `free` bytes."""
        return max(0, math.floor(free / self.per_atom))


def estimate_memory(evaluator: Evaluator, edges: float, pairs: float) -> Memory | None:
    """The memory of a structure with so many neighbours, by the count above; within about 15 % of what is measured.

    Args:
        evaluator: of the model.
        edges: directed edges per atom, within the cutoff.
        pairs: directed pairs per atom, within cutoff + skin.

    Returns:
        the estimate; None where autograd serves (`evaluator.why_not` says why), whose memory is not known.

    Raises:
        ValueError: a number that is negative or not finite.
    """
    for name, value in (("edges", edges), ("pairs", pairs)):
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} per atom: {value}; a number of zero or more was expected")
    programs = evaluator.programs
    if not programs:
        return None
    of_edge = Edges.BYTES - _COUNTED_TWICE
    return Memory(
        edges=edges,
        pairs=pairs,
        network=sum(program.bytes_per_node() + edges * program.bytes_per_edge() for program in programs),
        neighbours=pairs * SkinNeighbours.BYTES_PER_PAIR + edges * of_edge,
        structure=BYTES_PER_ATOM,
    )


def estimate_memory_at_density(
    evaluator: Evaluator, density: float = DEFAULT_DENSITY, skin: float = DEFAULT_SKIN
) -> Memory | None:
    """The same for matter of uniform density ρ, where an atom has 4/3 π r³ ρ neighbours within r.

    Args:
        evaluator: of the model.
        density: atoms per Å³.
        skin: of the neighbour list, Å.

    Raises:
        ValueError: a density that is not positive.
    """
    if not (math.isfinite(density) and density > 0):
        raise ValueError(
            f"a density of {density} atoms/Å³; more than zero was expected, such as 0.1 for water"
        )
    cutoff = evaluator.model.cutoff
    edges, pairs = (4 / 3 * math.pi * r**3 * density for r in (cutoff, cutoff + skin))
    return estimate_memory(evaluator, edges, pairs)


def free_memory() -> int | None:
    """Bytes that a program can take now without others being swapped out; None where the system does not say.

    This is Linux's own estimate (MemAvailable). The limit of a batch job is not in it.
    """
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                name, _, value = line.partition(":")
                if name == "MemAvailable":
                    return 1024 * int(value.split()[0])
    except (OSError, ValueError, IndexError):
        pass
    return None


def memory_rows(evaluator: Evaluator, memory: Memory | None, atoms: int, free: int | None) -> Rows:
    """Names and texts: what `atoms` atoms need, what is free, and the largest structure that fits.

    Args:
        evaluator: of the model.
        memory: its estimate.
        atoms: number of atoms.
        free: bytes, None if unknown.

    Returns:
        rows for a `Table` of two columns.
    """
    if memory is None:
        why = f"no estimate: the network runs through autograd ({evaluator.why_not})"
        return (("needed", why), ("free now", _free_text(free)))
    rows = (
        ("needed", f"about {size(atoms * memory.per_atom)} ({memory.per_atom / 1000:.3g} kB per atom)"),
        ("of which network", size(atoms * memory.network)),
        ("of which neighbours", size(atoms * memory.neighbours)),
        ("free now", _free_text(free)),
    )
    if free is None:
        return rows
    largest = f"about {_rounded_down(memory.largest(free)):,} atoms with {memory.edges:.0f} edges each"
    return (*rows, ("largest that fits", largest))


def _free_text(free: int | None) -> str:
    return "unknown: this system does not say" if free is None else size(free)


def size(amount: float) -> str:
    """Bytes as kB, MB, GB or TB, with three digits."""
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:,.3g} TB" if amount < 999.5 else f"{amount:,.0f} TB"


def _rounded_down(number: int) -> int:
    """Two digits: the estimate knows no more."""
    digits = max(0, len(str(number)) - 2)
    return number // 10**digits * 10**digits
