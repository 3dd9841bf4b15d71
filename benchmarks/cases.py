"""Everything that is measured, as one list: what against what, and how much better it is to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

# What the numbers of a case are compared by: `faster` other / ours, to be large; `share` ours / other, to be large;
# `flat` how far ours and the other are apart, to be small.
Rule = Literal["faster", "share", "flat"]


@dataclass(frozen=True)
class Side:
    """One process and what it measures.

    Attributes:
        label: its name in the table.
        worker: the module `benchmarks.worker_…` that serves it; all but `cynosure` run in the peers' environment.
        measure: the name of the measurement in that worker.
        settings: what the measurement takes.
        threads: of this side, whatever the run's; None for the run's.
        per: what its values are divided by (atoms, for a time per atom).
    """

    label: str
    worker: str
    measure: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    threads: int | None = None
    per: float = 1.0


@dataclass(frozen=True)
class Against:
    """What ours is compared with, and the bounds: the least that will do, and the aim; None where none is set."""

    side: Side
    at_least: float | None = None
    aim: float | None = None


@dataclass(frozen=True)
class Case:
    """One comparison: ours beside others, measured in turn.

    Attributes:
        name: how the command line names it.
        what: how the table names it.
        ours: our side.
        others: the rest.
        rule: how the two are compared.
        unit: of the values.
        fresh: whether every round needs new processes, as a peak of memory does.
    """

    name: str
    what: str
    ours: Side
    others: tuple[Against, ...]
    rule: Rule = "faster"
    unit: str = "ms"
    fresh: bool = False

    @property
    def sides(self) -> list[Side]:
        return [self.ours, *(other.side for other in self.others)]

    @property
    def any_threads(self) -> bool:
        """Whether the case is run for every number of threads asked for."""
        return any(side.threads is None for side in self.sides)


KERNEL = {
    "irreps_in": "64x0e+64x1o+64x2e",
    "irreps_edge": "0e+1o+2e",
    "nodes": 500,
    "neighbours": 20,
    "basis": 8,
}
_EVALUATOR, _ASE = "energy and forces on a built graph", "the whole ASE call, new positions each"
_STRUCTURES = {
    "w1": "216 Si atoms (W1)",
    "w2": "ethanol, 9 atoms (W2)",
    "w3": "64 water molecules (W3)",
    "w3x4": "256 water molecules (4 × W3)",
}
# Cells of 8 atoms along each lattice vector.
_SILICON = {
    1_000: "si:5x5x5",
    4_000: "si:10x10x5",
    10_000: "si:10x25x5",
    32_000: "si:20x20x10",
    100_000: "si:25x25x20",
}
_QUICK_ATOMS = 10_000
# The default model, and the fastest.
_SMALL = {"preset": "small"}


def architecture(channels: int, radial_hidden: tuple[int, ...] = (64, 64)) -> dict[str, Any]:
    """Our settings for what NequIP is compared with; (64, 64) is its radial network to the last weight."""
    return {
        "model": "nequip",
        "layers": 4,
        "l_max": 2,
        "parity": True,
        "channels": channels,
        "cutoff": 5.0,
        "radial_hidden": radial_hidden,
        "layer_weight": 0,
    }


def cases(quick: bool = False) -> list[Case]:
    """All of them; `quick` leaves out the largest structures."""
    return [
        *_kernel(),
        _model("w1", 64, eager=(20, 30), compiled=(14, 22)),
        _model("w3", 64, eager=(20, 30), compiled=(14, 22)),
        _model("w1", 32, compiled=(12, 20)),
        _model("w3", 32, compiled=(12, 20)),
        _ase("w1", 64),
        _ase("w3", 64),
        _ase("w1", 32),
        _ase("w3", 32),
        _ase("w2", 32, compiled=(3, 6)),
        _small("w2"),
        _small("w1"),
        _training("train64", 64, (64, 64), eager=(10, 20)),
        _training("train64-default-radial", 64, (32, 16)),
        _training("train32", 32, (64, 64)),
        _training("train32-default-radial", 32, (32, 16)),
        *_mace("w1"),
        *_mace("w3"),
        *_mace_training(),
        _threads(),
        _memory(),
        _scaling(quick),
        _order(quick),
        *_peak(),
    ]


def _kernel() -> list[Case]:
    what = "convolution, 64x(0e+1o+2e) ⊗ (0e+1o+2e), 11 paths, 10,000 edges, gather to scatter"
    bounds = {"forward": (30, 50), "backward": (25, 38)}
    described = {"forward": f"{what}, forward", "backward": f"{what}, forward + backward to all inputs"}
    return [
        Case(
            f"kernel-{name}",
            described[name],
            Side("Cynosure", "cynosure", name, KERNEL),
            (Against(Side("e3nn", "e3nn", name, KERNEL), *bounds[name]),),
        )
        for name in bounds
    ]


def _nequip(measure: str, engine: str, channels: int, **settings: Any) -> Side:
    model = {"architecture": "nequip", "channels": channels}
    return Side(f"NequIP {engine}", "nequip", measure, {**model, "engine": engine, **settings})


def _model(
    structure: str,
    channels: int,
    *,
    eager: tuple[float, float] | tuple[()] = (),
    compiled: tuple[float, float] | tuple[()] = (),
) -> Case:
    return Case(
        f"nequip{channels}-{structure}",
        f"NequIP architecture, {channels} channels, {_STRUCTURES[structure]}, {_EVALUATOR}",
        Side("Cynosure", "cynosure", "model", {"config": architecture(channels), "structure": structure}),
        (
            Against(_nequip("model", "eager", channels, structure=structure), *eager),
            Against(_nequip("model", "compiled", channels, structure=structure), *compiled),
        ),
    )


def _ase(structure: str, channels: int, *, compiled: tuple[float, float] | tuple[()] = ()) -> Case:
    return Case(
        f"nequip{channels}-{structure}-ase",
        f"NequIP architecture, {channels} channels, {_STRUCTURES[structure]}, {_ASE}",
        Side("Cynosure", "cynosure", "ase", {"config": architecture(channels), "structure": structure}),
        (Against(_nequip("ase", "compiled", channels, structure=structure), *compiled),),
    )


def _small(structure: str) -> Case:
    """What one would choose for speed."""
    allegro = {"architecture": "allegro", "engine": "compiled", "structure": structure}
    return Case(
        f"small-{structure}-ase",
        f"preset small beside Allegro of 2 layers and default sizes, {_STRUCTURES[structure]}, {_ASE}",
        Side("Cynosure", "cynosure", "ase", {"config": _SMALL, "structure": structure}),
        (Against(Side("Allegro compiled", "nequip", "ase", allegro), 1, 2),),
    )


def _training(
    name: str, channels: int, radial: tuple[int, ...], *, eager: tuple[float, float] | tuple[()] = ()
) -> Case:
    ours = "" if radial == (64, 64) else f", our default radial network {radial}"
    return Case(
        name,
        f"training step, energy and forces, 5 × 27 atoms, {channels} channels{ours}",
        Side("Cynosure", "cynosure", "training", {"config": architecture(channels, radial), "frames": 5}),
        (Against(_nequip("training", "eager", channels, frames=5), *eager),),
    )


# MACE's names of its sizes, and our settings for them.
_MACE = {
    "128x0e": {"channels": 128, "hidden_l_max": 0},
    "64x0e+64x1o": {"channels": 64, "hidden_l_max": 1},
}


def mace_architecture(hidden: str) -> dict[str, Any]:
    """Our settings for a MACE of two layers, edges to degree 3 and correlation 3, with its radial network."""
    return {"model": "mace", "cutoff": 5.0, "radial_hidden": (64, 64, 64), **_MACE[hidden]}


def _mace(structure: str) -> list[Case]:
    return [
        Case(
            f"mace-{hidden}-{structure}",
            f"MACE architecture, {hidden}, {_STRUCTURES[structure]}, {_EVALUATOR}",
            Side(
                "Cynosure", "cynosure", "model", {"config": mace_architecture(hidden), "structure": structure}
            ),
            tuple(
                Against(
                    Side(
                        label, "mace", "model", {"engine": engine, "hidden": hidden, "structure": structure}
                    ),
                    *bounds,
                )
                for label, engine, bounds in (
                    ("MACE eager", "eager", (10, 20)),
                    ("symmetrix-xl", "symmetrix", (1.3, 2)),
                )
            ),
        )
        for hidden in _MACE
    ]


def _mace_training() -> list[Case]:
    return [
        Case(
            f"train-mace-{hidden}",
            f"training step, energy and forces, 5 × 27 atoms, MACE architecture, {hidden}",
            Side("Cynosure", "cynosure", "training", {"config": mace_architecture(hidden), "frames": 5}),
            (Against(Side("MACE eager", "mace", "training", {"hidden": hidden, "frames": 5}), 6),),
        )
        for hidden in _MACE
    ]


def _threads() -> Case:
    settings = {"config": architecture(64), "structure": "w1"}
    return Case(
        "threads-w1",
        f"two threads beside one, 64 channels, {_STRUCTURES['w1']}",
        Side("Cynosure, 2 threads", "cynosure", "model", settings, threads=2),
        (Against(Side("Cynosure, 1 thread", "cynosure", "model", settings, threads=1), 1.7, 1.9),),
    )


def _memory() -> Case:
    what = "growth of peak memory in energy and forces"
    nequip = replace(_nequip("memory", "eager", 64, structure="w3x4"), threads=1)
    return Case(
        "memory-4w3",
        f"{what}, 64 channels, {_STRUCTURES['w3x4']}",
        Side(
            "Cynosure",
            "cynosure",
            "memory",
            {"config": architecture(64), "structure": "w3x4"},
            threads=1,
        ),
        (Against(nequip, 5, 10),),
        unit="MiB",
        fresh=True,
    )


def _per_atom(label: str, structure: str, atoms: int) -> Side:
    """The default model, µs an atom."""
    settings = {"config": _SMALL, "structure": structure}
    return Side(label, "cynosure", "model", settings, threads=1, per=atoms / 1000)  # of ms


def _scaling(quick: bool) -> Case:
    first, *rest = (
        _per_atom(f"{atoms:,} atoms", structure, atoms)
        for atoms, structure in _SILICON.items()
        if not quick or atoms <= _QUICK_ATOMS
    )
    return Case(
        "scaling",
        "time per atom as a structure grows, silicon, default model",
        first,
        tuple(Against(side, 0.25, 0.10) for side in rest),
        rule="flat",
        unit="µs/atom",
    )


def _order(quick: bool) -> Case:
    atoms = _QUICK_ATOMS if quick else max(_SILICON)
    return Case(
        "order",
        f"time per atom when atoms are numbered at random, {atoms:,} atoms of silicon, default model",
        _per_atom("in order", _SILICON[atoms], atoms),
        (Against(_per_atom("at random", f"shuffled {_SILICON[atoms]}", atoms)),),
        rule="flat",
        unit="µs/atom",
    )


def _peak() -> list[Case]:
    described = {"forward": "forward", "backward": "backward (to x, Y and R)"}
    return [
        Case(
            f"peak-{name}",
            f"multiply-adds of the {described[name]} kernel, as a share of the core's peak",
            Side("Cynosure", "cynosure", "rate", {**KERNEL, "pass": name}, threads=1),
            (Against(Side("FMA peak", "cynosure", "peak", threads=1), 0.40, 0.60),),
            rule="share",
            unit="GFLOP/s",
        )
        for name in described
    ]
