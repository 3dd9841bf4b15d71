"""Cynosure's side of every comparison."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

import cynosure
from benchmarks.structures import AVG_NEIGHBOURS, SPECIES, structure, training_frames
from benchmarks.worker import Measurement, ase_calls, evaluations, memory_growth, once, serve
from cynosure import potentials
from cynosure.deploy import Calculator
from cynosure.graph import AtomGraph, batch, from_atoms
from cynosure.kernels import PathTable, convolve, core
from cynosure.o3 import clebsch_gordan
from cynosure.potentials import Potential

_OUTPUTS = ("energy", "forces")


class Kernel:
    """The convolution of one layer with values for its arguments.

    Attributes:
        table: the paths.
        inputs: x, harmonics, radial, weight.
        indices: receivers, senders.
        g: as the output, the derivative that comes in from behind.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        nodes, neighbours, basis = settings["nodes"], settings["neighbours"], settings["basis"]
        edges = nodes * neighbours
        kept = [term.split("x")[-1] for term in settings["irreps_in"].split("+")]
        self.table = PathTable.build(settings["irreps_in"], settings["irreps_edge"], keep=kept)
        generator = torch.Generator().manual_seed(0)
        senders = torch.randint(0, nodes, (edges,), generator=generator)
        self.indices = (torch.arange(nodes).repeat_interleave(neighbours), senders)
        sizes = [
            (nodes, self.table.irreps_in.dim),
            (edges, self.table.irreps_edge.dim),
            (edges, basis),
            (basis, self.table.num_weights),
            (nodes, self.table.irreps_out.dim),
        ]
        *self.inputs, self.g = (torch.randn(size, generator=generator) for size in sizes)
        self.edges, self.basis = edges, basis

    def __call__(self, x: Tensor, harmonics: Tensor, radial: Tensor, weight: Tensor) -> Tensor:
        receivers, senders = self.indices
        return convolve(x, harmonics, radial, weight, receivers, senders, self.table)


def forward(settings: Mapping[str, Any]) -> Measurement:
    kernel = Kernel(settings)

    def evaluate() -> None:
        with torch.no_grad():
            kernel(*kernel.inputs)

    return evaluations(evaluate), {}


def backward(settings: Mapping[str, Any]) -> Measurement:
    """Forward and backward, to x, harmonics, radial and weight."""
    kernel = Kernel(settings)
    leaves = [value.requires_grad_() for value in kernel.inputs]
    return evaluations(lambda: torch.autograd.grad(kernel(*leaves), leaves, kernel.g)), {}


def rate(settings: Mapping[str, Any]) -> Measurement:
    """GFLOP/s of the forward or the backward kernel: nonzero multiply-adds, as two operations each, over its time."""
    kernel = Kernel(settings)
    work = multiply_adds(kernel)[settings["pass"]]
    measure = evaluations(time_kernel(kernel, settings["pass"]))
    operations = 2 * work * kernel.edges
    note = f"{work:,} multiply-adds an edge in the {settings['pass']} kernel"
    return lambda: operations / measure() * 1e-6, {"note": note, "formula": inspect.getdoc(multiply_adds)}


def time_kernel(kernel: Kernel, which: str) -> Callable[[], object]:
    """What runs the bare kernel once, without autograd: `forward`, or `backward` to x, harmonics and radial.

    The weights' derivative is left out, as in the derivative to positions.
    """
    if not core.available():
        raise RuntimeError("the compiled core is off or was not built, and plain torch is no kernel to rate")
    arguments = (*kernel.inputs, *kernel.indices, kernel.table.key)
    if which == "forward":
        return lambda: torch.ops.cynosure.convolve(*arguments)
    wanted = [True, True, True, False]
    return lambda: torch.ops.cynosure.convolve_gradients(kernel.g, *arguments, wanted)


def multiply_adds(kernel: Kernel) -> dict[str, int]:
    """Nonzero multiply-adds of the fused algorithm an edge, padding and the zeros of M[k, m] = Σ_n C_mnk Y_n left out.

    With C channels, B radial functions and d = 2l + 1, summed over the paths p:

        forward   [B + nnz(M_p) + min(d_in, d_out)] C + nnz(C_p)
                  mixing of the radial functions, product, weighting; contraction of Clebsch-Gordan with Y
        backward  [2 B + 2 nnz(M_p) + 2 d_in + d_out] C + 2 nnz(C_p)
                  mixing and its transpose (to R), transposed product (to x), outer product (to M); the three
                  weightings; contraction and its transpose (to Y)
    """
    totals = {"forward": 0, "backward": 0}
    basis, table = kernel.basis, kernel.table
    for path in table.paths:
        channels, ir_in = table.irreps_in[path.block_in]
        ir_edge = table.irreps_edge[path.block_edge][1]
        nonzero = abs(clebsch_gordan(ir_in.l, ir_edge.l, path.ir_out.l)) > 1e-12  # [m, n, k]
        cells, numbers = int(nonzero.any(axis=1).sum()), int(nonzero.sum())
        d_in, d_out = ir_in.dim, path.ir_out.dim
        totals["forward"] += (basis + cells + min(d_in, d_out)) * channels + numbers
        totals["backward"] += (2 * basis + 2 * cells + 2 * d_in + d_out) * channels + 2 * numbers
    return totals


def peak(settings: Mapping[str, Any]) -> Measurement:
    """GFLOP/s of multiply-adds that one core reaches, in the instruction set that the kernels use."""
    function = getattr(core.module(), "fma_peak", None)
    if function is None:
        raise RuntimeError("the peak is not available: the compiled core is off, or does not measure it")
    return lambda: float(function(0.3)), {}


def on_graph(settings: Mapping[str, Any]) -> Measurement:
    """Energy and forces of a graph that is already built."""
    use, engine, graph = _engine_and_graph(settings)
    return evaluations(lambda: use(graph)), {"edges": graph.num_edges, "engine": engine}


def memory(settings: Mapping[str, Any]) -> Measurement:
    use, engine, graph = _engine_and_graph(settings)
    return memory_growth(lambda: use(graph)), {"edges": graph.num_edges, "engine": engine}


def through_ase(settings: Mapping[str, Any]) -> Measurement:
    """The whole call, with new positions at each: neighbour list, energy, forces."""
    atoms = structure(settings["structure"])
    atoms.calc = Calculator(_frozen(settings))
    return ase_calls(atoms), {}


def loading(settings: Mapping[str, Any]) -> Measurement:
    """From the model file to the first energy through ASE, in a fresh process that has imported what it needs."""

    def first() -> None:
        atoms = structure(settings["structure"])
        atoms.calc = Calculator(settings["file"])
        atoms.get_potential_energy()

    return once(first), {}


def training(settings: Mapping[str, Any]) -> Measurement:
    """One step of Adam on energies and forces of a batch."""
    model = _build(settings).train()
    frames = training_frames(settings["frames"])
    graph = batch([from_atoms(frame, model.cutoff) for frame in frames])
    parameters = list(model.parameters())
    optimiser = torch.optim.Adam(parameters, lr=1e-4)
    call = potentials.Trainable(model)
    atoms = len(frames[0])

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        out = call(graph, _OUTPUTS)
        loss = out["energy"].square().mean() / atoms + out["forces"].square().mean()
        loss.backward(inputs=parameters)  # as `cynosure train` does
        optimiser.step()

    number = sum(value.numel() for value in parameters)
    return evaluations(step), {"edges": graph.num_edges, "parameters": number}


def _build(settings: Mapping[str, Any]) -> Potential:
    """A model of the settings `config` with random weights, or that of a `file`."""
    if "file" in settings:
        return potentials.load(settings["file"])
    return potentials.build(settings["config"], SPECIES, avg_neighbours=AVG_NEIGHBOURS)


def _frozen(settings: Mapping[str, Any]) -> Potential:
    return _build(settings).eval().requires_grad_(False)


def _engine_and_graph(settings: Mapping[str, Any]) -> tuple[Callable[[AtomGraph], object], str, AtomGraph]:
    """What evaluates the model, its engine, and the graph."""
    model = _frozen(settings)
    graph = from_atoms(structure(settings["structure"]), model.cutoff)
    evaluator = potentials.Evaluator(model)
    return lambda graph: evaluator.evaluate(graph, _OUTPUTS), evaluator.engine, graph


def versions() -> dict[str, str]:
    return {
        "cynosure": getattr(cynosure, "__version__", "?"),
        "torch": torch.__version__,
        "core": core.isa() or "off (plain torch)",
    }


if __name__ == "__main__":
    serve(
        {
            "forward": forward,
            "backward": backward,
            "rate": rate,
            "peak": peak,
            "model": on_graph,
            "ase": through_ase,
            "training": training,
            "memory": memory,
            "loading": loading,
        },
        versions,
    )
