"""The compiled core against its plain-torch reference, and what it says to input that is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cynosure.kernels import PathTable, convolve, convolve_reference, core

needs_core = pytest.mark.skipif(not core.available(), reason="the compiled core is off or was not built")
TABLES = {
    # Full vectors; channels that leave a tail in every instruction set; degrees that take the generic loops.
    "common": ("32x0e+32x1o+32x2e", "0e+1o+2e", ("0e", "1o", "2e")),
    "tails": ("5x0e+19x1o+3x1e+7x2e+2x2o", "0e+1o+2e", ("0e", "0o", "1o", "1e", "2e", "2o")),
    "high": ("4x3o+2x4e+17x0e", "0e+1o+2e+3o+4e+5o", ("0e", "1o", "3o", "4e", "5o", "1e")),
    "unlabelled": ("8x0+8x1", "0+1", ("0", "1")),
}
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}


def case(name: str, nodes: int, edges: int, basis: int, dtype: torch.dtype, in_order: bool, seed: int = 0):
    irreps_in, irreps_edge, keep = TABLES[name]
    table = PathTable.build(irreps_in, irreps_edge, keep)
    generator = torch.Generator().manual_seed(seed)
    shapes = [
        (nodes, table.irreps_in.dim),
        (edges, table.irreps_edge.dim),
        (edges, basis),
        (basis, table.num_weights),
    ]
    inputs = [torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes]
    receivers = torch.randint(0, max(nodes, 1), (edges,), generator=generator)
    if in_order:
        receivers = receivers.sort().values
    senders = torch.randint(0, max(nodes, 1), (edges,), generator=generator)
    return inputs, receivers, senders, table


def derivatives(function, inputs, receivers, senders, table) -> list[torch.Tensor]:
    """The value, its four derivatives, and the four of a sum of those: every kernel and every slot."""
    generator = torch.Generator().manual_seed(1)

    def draw(like):
        return torch.randn(like.shape, generator=generator, dtype=like.dtype)

    out = function(*inputs, receivers, senders, table)
    first = torch.autograd.grad(out, inputs, draw(out), create_graph=True)
    total = sum((draw(value) * value).sum() for value in first)
    second = torch.autograd.grad(total, inputs, create_graph=True)
    third = torch.autograd.grad(sum((draw(value) * value).sum() for value in second), inputs)
    return [out, *first, *second, *third]


@needs_core
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", TABLES)
def test_agrees_with_the_reference_to_third_order(name, dtype, in_order, threads, set_threads):
    set_threads(threads)
    # 300 edges on 4 nodes: more than one chunk each; and nodes without any edge.
    arguments = case(name, 6, 300, 11, dtype, in_order)
    found = derivatives(convolve, *arguments)
    expected = derivatives(convolve_reference, *arguments)
    for value, reference in zip(found, expected, strict=True):
        scale = reference.detach().abs().max()
        assert (value - reference).detach().abs().max() <= TOLERANCE[dtype] * scale


@needs_core
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", TABLES)
def test_the_step_of_training_on_forces_agrees_with_the_reference(
    name, dtype, threads, monkeypatch, set_threads
):
    inputs, *graph = case(name, 6, 300, 11, dtype, True)
    generator = torch.Generator().manual_seed(2)
    directions = [torch.randn(value.shape, generator=generator, dtype=dtype) for value in inputs[:3]]

    def step(function) -> tuple[torch.Tensor, ...]:
        """Like a loss on forces: derivatives to x, Y, R first, then one to everything but Y; g depends on all."""
        out = function(*inputs[:3], inputs[3] * 2, *graph)
        first = torch.autograd.grad(out, inputs[:3], out * 0.1 + 1, create_graph=True)
        loss = sum((value * u).sum() for value, u in zip(first, directions, strict=True))
        return torch.autograd.grad(loss, [inputs[0], inputs[2], inputs[3]])

    calls = []
    fused = torch.ops.cynosure.convolve_second
    monkeypatch.setattr(torch.ops.cynosure, "convolve_second", lambda *a: calls.append(1) or fused(*a))
    set_threads(threads)
    found = step(convolve)
    assert calls == [1]
    for value, reference in zip(found, step(convolve_reference), strict=True):
        assert (value - reference).abs().max() <= TOLERANCE[dtype] * reference.abs().max()


@needs_core
@settings(max_examples=30, deadline=None)
@given(
    name=st.sampled_from(sorted(TABLES)),
    nodes=st.integers(1, 9),
    edges=st.integers(0, 90),
    basis=st.integers(1, 17),
    seed=st.integers(0, 2**16),
)
def test_agrees_with_the_reference_for_any_sizes(name, nodes, edges, basis, seed):
    arguments = case(name, nodes, edges, basis, torch.float64, in_order=seed % 2 == 0, seed=seed)
    for value, reference in zip(
        derivatives(convolve, *arguments), derivatives(convolve_reference, *arguments), strict=True
    ):
        assert torch.allclose(
            value, reference, rtol=1e-12, atol=1e-12 * float(reference.detach().abs().sum())
        )


@needs_core
def test_gradcheck_and_gradgradcheck():
    inputs, receivers, senders, table = case("unlabelled", 3, 7, 2, torch.float64, True)

    def function(*inputs):
        return convolve(*inputs, receivers, senders, table)

    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs)


@needs_core
@pytest.mark.parametrize("threads", [1, 2])
def test_results_repeat_bit_for_bit(threads, set_threads):
    set_threads(threads)
    arguments = case("common", 50, 900, 8, torch.float32, True)
    runs = [derivatives(convolve, *arguments) for _ in range(3)]
    for run in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(run, runs[0], strict=True))


@needs_core
def test_operators_pass_the_checks_of_torch():
    inputs, receivers, senders, table = case("unlabelled", 3, 7, 2, torch.float64, True)
    arguments = (*inputs, receivers, senders, table.key)
    torch.library.opcheck(torch.ops.cynosure.convolve, arguments)
    g = torch.randn(3, table.irreps_out.dim, dtype=torch.float64, requires_grad=True)
    torch.library.opcheck(torch.ops.cynosure.convolve_gradients, (g, *arguments, [True, False, True, True]))


@needs_core
def test_a_table_is_its_key():
    table = case("tails", 3, 7, 2, torch.float64, True)[-1]
    assert PathTable.parse(table.key) == table


def test_transforms_of_torch_func_see_the_same_derivatives():
    inputs, *graph = case("unlabelled", 3, 7, 2, torch.float64, True)

    def function(*inputs):
        return convolve(*inputs, *graph).square().sum()

    plain = [value.detach() for value in inputs]
    expected = torch.autograd.grad(function(*inputs), inputs)
    found = torch.func.grad(function, argnums=(0, 1, 2, 3))(*plain)
    for value, reference in zip(found, expected, strict=True):
        assert torch.allclose(value, reference, rtol=1e-12, atol=1e-12)
    batch = torch.stack([plain[0], 2 * plain[0]])
    mapped = torch.vmap(lambda x: convolve(x, *plain[1:], *graph))(batch)
    assert torch.allclose(mapped[1], convolve(batch[1], *plain[1:], *graph), rtol=1e-12, atol=1e-12)


@needs_core
@pytest.mark.filterwarnings("ignore")  # torch.compile's own
def test_compiles_without_a_graph_break():
    inputs, *graph = case("unlabelled", 3, 7, 2, torch.float64, True)

    def function(*inputs):
        return convolve(*inputs, *graph).square().sum()

    expected = torch.autograd.grad(function(*inputs), inputs)
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    for value, reference in zip(torch.autograd.grad(compiled(*inputs), inputs), expected, strict=True):
        assert torch.allclose(value, reference, rtol=1e-12, atol=1e-12)


@needs_core
def test_derivatives_that_nobody_asks_for_are_not_computed(monkeypatch):
    inputs, receivers, senders, table = case("unlabelled", 3, 7, 2, torch.float64, True)
    x, harmonics, radial, weight = inputs
    asked = []
    inner = core.module().convolve_backward

    class Watched:
        def __getattr__(self, name):
            return getattr(core_module, name)

        def convolve_backward(self, *arguments):
            asked.append([address != 0 for address in arguments[-5:-1]])
            inner(*arguments)

    core_module = core.module()
    monkeypatch.setattr(core, "module", Watched)
    out = convolve(x, harmonics, radial, weight * 2, receivers, senders, table)
    torch.autograd.grad(out.sum(), harmonics)
    assert asked == [[False, True, False, False]]


@pytest.mark.parametrize(
    ("position", "change", "message"),
    [
        (0, lambda x: x[:, 1:], "'x' has shape"),
        (1, lambda y: y[:-1], "'harmonics' has shape"),
        (2, lambda r: r[0], "'radial' has shape"),
        (3, lambda w: w[:, :-1], "'weight' has shape"),
        (1, lambda y: y.float(), "'harmonics' is torch.float32"),
        (3, lambda w: w.to("meta"), "'weight' is torch.float64 on meta"),
        (4, lambda i: i.int(), "'receivers' is torch.int32"),
        (5, lambda i: i[:-1], "'senders' has shape"),
    ],
)
def test_a_wrong_argument_is_named(position, change, message):
    inputs, receivers, senders, table = case("unlabelled", 3, 7, 2, torch.float64, True)
    arguments = [*inputs, receivers, senders]
    arguments[position] = change(arguments[position])
    with pytest.raises(ValueError, match=message):
        convolve(*arguments, table)


@needs_core
@pytest.mark.parametrize("name", ["receivers", "senders"])
@pytest.mark.parametrize("index", [-1, 3, 2**40])
def test_an_index_that_names_no_node_is_refused(name, index):
    inputs, receivers, senders, table = case("unlabelled", 3, 7, 2, torch.float64, True)
    {"receivers": receivers, "senders": senders}[name][-1] = index
    with pytest.raises(ValueError, match=f"'{name}' names node {index} at edge 6; there are 3 nodes"):
        convolve(*inputs, receivers, senders, table)


def test_empty_and_strided_input():
    inputs, receivers, senders, table = case("unlabelled", 3, 0, 2, torch.float64, True)
    assert torch.equal(convolve(*inputs, receivers, senders, table), torch.zeros(3, table.irreps_out.dim))
    inputs, receivers, senders, table = case("unlabelled", 0, 0, 2, torch.float64, True)
    assert convolve(*inputs, receivers, senders, table).shape == (0, table.irreps_out.dim)
    inputs, receivers, senders, table = case("unlabelled", 5, 9, 4, torch.float64, True)
    strided = [torch.stack([value, value], dim=-1)[..., 0] for value in inputs]
    assert not strided[0].is_contiguous()
    expected = convolve(*inputs, receivers, senders, table)
    assert torch.equal(convolve(*strided, receivers, senders, table), expected)


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


@needs_core
@pytest.mark.parametrize("isa", core.module().isas() if core.available() else ["none"])
def test_every_instruction_set_agrees_with_the_reference(isa):
    code = f"""
import sys, pytest
sys.exit(pytest.main(["-q", "-n0", "-p", "no:cacheprovider", "-k", "third_order and tails", {str(Path(__file__))!r}]))
"""
    result = run(code, CYNOSURE_ISA=isa)
    assert result.returncode == 0, result.stdout + result.stderr
    assert run("from cynosure.kernels import core; print(core.isa())", CYNOSURE_ISA=isa).stdout.strip() == isa


@needs_core
def test_an_unknown_instruction_set_is_refused():
    result = run("from cynosure.kernels import core; core.isa()", CYNOSURE_ISA="mmx")
    assert (
        "ValueError: the environment variable CYNOSURE_ISA is 'mmx'; this processor and build have"
        in result.stderr
    )


def test_the_core_can_be_turned_off():
    code = "from cynosure.kernels import core; print(core.available(), core.isa())"
    assert run(code, CYNOSURE_CORE="off").stdout.strip() == "False None"


def test_a_core_that_was_not_built_is_no_error():
    code = """
import sys
sys.modules["cynosure._core"] = None  # importing it now raises ModuleNotFoundError
from cynosure.kernels import core
print(core.available(), core.isa())
"""
    result = run(code, CYNOSURE_CORE="on")
    assert result.stdout.strip() == "False None"
    assert result.stderr == ""


def test_a_core_that_does_not_load_is_an_error_that_says_what_to_do(tmp_path):
    (tmp_path / "_core.py").write_text("raise ImportError('libgomp.so.1: cannot open shared object file')")
    code = f"import cynosure; cynosure.__path__.insert(0, {str(tmp_path)!r}); import cynosure.kernels"
    assert "does not load: libgomp.so.1: cannot open" in run(code, CYNOSURE_CORE="on").stderr
    assert run(code, CYNOSURE_CORE="off").returncode == 0


@needs_core
@pytest.mark.parametrize("single", [True, False])
def test_the_peak_is_a_rate(single):
    # No narrower than one multiply-add in two nanoseconds, and no faster than any core made.
    assert 1 < core.module().fma_peak(0.05, single) < 2000


@needs_core
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_one_thread_pool_in_the_process():
    code = """
import cynosure.kernels.core as core, torch
core.isa()
print(len({line.split()[-1] for line in open("/proc/self/maps") if any(
    name in line for name in ("libgomp", "libomp", "libiomp"))}))
"""
    assert run(code).stdout.strip() == "1"
