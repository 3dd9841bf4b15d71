"""The fused convolution beside e3nn's TensorProduct, measured in turn in one run, on one core.

    python benchmarks/convolution.py [--rounds 9]

The workload: 64x(0e+1o+2e) ⊗ (0e+1o+2e) -> 0e+1o+2e, 11 paths, 10,000 edges on 500 nodes, float32, from the gather of
the senders to the sum at the receivers. e3nn takes its weights per edge; ours mixes 8 radial functions into them.
e3nn comes with `pip install '.[test]'`.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
warnings.filterwarnings("ignore", module="e3nn")

import e3nn  # noqa: E402
import torch  # noqa: E402
from e3nn import o3 as e3nn_o3  # noqa: E402

from cynosure.kernels import PathTable, convolve, core  # noqa: E402
from cynosure.o3 import clebsch_gordan  # noqa: E402

CHANNELS, NODES, NEIGHBOURS, BASIS = 64, 500, 20, 8
EDGES = NODES * NEIGHBOURS
KEEP = ("0e", "1o", "2e")


def ours() -> tuple[Callable, list[torch.Tensor]]:
    table = PathTable.build("+".join(f"{CHANNELS}x{ir}" for ir in KEEP), "+".join(KEEP), KEEP)
    receivers, senders = graph()
    inputs = [
        torch.randn(NODES, table.irreps_in.dim),
        torch.randn(EDGES, table.irreps_edge.dim),
        torch.randn(EDGES, BASIS),
        torch.randn(BASIS, table.num_weights),
    ]
    return lambda *inputs: convolve(*inputs, receivers, senders, table), inputs


def theirs() -> tuple[Callable, list[torch.Tensor]]:
    irreps_in = e3nn_o3.Irreps("+".join(f"{CHANNELS}x{ir}" for ir in KEEP))
    irreps_edge = e3nn_o3.Irreps("+".join(KEEP))
    paths = [
        (i, j, ir)
        for i, (_, ir_in) in enumerate(irreps_in)
        for j, (_, ir_edge) in enumerate(irreps_edge)
        for ir in ir_in * ir_edge
        if ir in irreps_in
    ]
    irreps_out, position, _ = e3nn_o3.Irreps([(CHANNELS, ir) for _, _, ir in paths]).sort()
    instructions = [(i, j, position[p], "uvu", True) for p, (i, j, _) in enumerate(paths)]
    product = e3nn_o3.TensorProduct(
        irreps_in, irreps_edge, irreps_out, instructions, shared_weights=False, internal_weights=False
    )
    receivers, senders = graph()
    inputs = [
        torch.randn(NODES, irreps_in.dim),
        torch.randn(EDGES, irreps_edge.dim),
        torch.randn(EDGES, product.weight_numel),
    ]

    def convolution(x, harmonics, weight):
        message = product(x[senders], harmonics, weight)
        return message.new_zeros(NODES, message.shape[1]).index_add_(0, receivers, message)

    return convolution, inputs


def graph() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    receivers = torch.arange(NODES).repeat_interleave(NEIGHBOURS)
    return receivers, torch.randint(0, NODES, (EDGES,), generator=generator)


def timers(convolution: Callable, inputs: list[torch.Tensor]) -> dict[str, Callable[[], float]]:
    """Seconds of one forward pass, and of one forward and backward pass to all inputs."""
    leaves = [value.clone().requires_grad_() for value in inputs]
    g = torch.randn_like(convolution(*inputs))

    def forward() -> float:
        with torch.no_grad():
            began = time.perf_counter()
            convolution(*inputs)
            return time.perf_counter() - began

    def both() -> float:
        began = time.perf_counter()
        torch.autograd.grad(convolution(*leaves), leaves, g)
        return time.perf_counter() - began

    return {"forward": forward, "forward + backward": both}


def multiply_adds(table: PathTable) -> dict[str, int]:
    """Nonzero multiply-adds an edge; padding and zeros of the matrices M[k, m] do not count.

    forward   Σ_p [B + nnz(M_p) + min(d_in, d_out)] C
    backward  Σ_p [3 B + 2 nnz(M_p) + 2 d_in + d_out] C     (to x, Y, R and W)
    and nnz(C_p) once or thrice for the contractions with Clebsch-Gordan numbers, which know no channel.
    """
    forward = backward = 0
    for path in table.paths:
        channels, ir_in = table.irreps_in[path.block_in]
        numbers = abs(clebsch_gordan(ir_in.l, table.irreps_edge[path.block_edge][1].l, path.ir_out.l)) > 1e-13
        cells, terms = int(numbers.any(axis=1).sum()), int(numbers.sum())
        forward += (BASIS + cells + min(ir_in.dim, path.ir_out.dim)) * channels + terms
        backward += (3 * BASIS + 2 * cells + 2 * ir_in.dim + path.ir_out.dim) * channels + 3 * terms
    return {"forward": forward, "backward": backward}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    torch.manual_seed(0)
    mine, peer = timers(*ours()), timers(*theirs())
    print(f"{processor()}, {time.strftime('%Y-%m-%d')}, torch {torch.__version__}, e3nn {e3nn.__version__}")
    print(f"core: {core.isa() or 'off (plain torch)'}, one thread, {rounds} rounds, medians")
    print(f"{'':22}{'ours, ns/edge':>15}{'e3nn, ns/edge':>15}{'ratio':>8}{'rounds from':>13}{'to':>7}")
    medians = {}
    for what in mine:
        for timer in (mine[what], peer[what]):
            timer()
            timer()
        pairs = [(mine[what](), peer[what]()) for _ in range(rounds)]
        a, b = (statistics.median(times) for times in zip(*pairs, strict=True))
        ratios = sorted(other / own for own, other in pairs)
        medians[what] = a
        print(
            f"{what:22}{a / EDGES * 1e9:15.0f}{b / EDGES * 1e9:15.0f}{b / a:8.1f}{ratios[0]:13.1f}{ratios[-1]:7.1f}"
        )
    module = core.module()
    if module is None:
        return
    peak = module.fma_peak(0.5)
    table = PathTable.build("+".join(f"{CHANNELS}x{ir}" for ir in KEEP), "+".join(KEEP), KEEP)
    work = multiply_adds(table)
    print(f"\nmultiply-adds: peak {peak:.0f} GFLOP/s; {multiply_adds.__doc__}")
    times = {
        "forward": medians["forward"],
        "backward": medians["forward + backward"] - medians["forward"],
    }
    for what, seconds in times.items():
        rate = 2 * work[what] * EDGES / seconds * 1e-9
        print(f"{what:22}{work[what]:8} an edge{rate:8.0f} GFLOP/s{100 * rate / peak:6.0f} % of the peak")


def processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
