"""The figures of a benchmark belong together, and what is measured is what a simulation does. No time is asserted."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.constraints import FixAtoms

from cynosure.analysis import Benchmark, Timing, bench, thread_counts
from cynosure.graph import from_atoms
from cynosure.kernels import core
from cynosure.potentials import Potential, build

needs_core = pytest.mark.skipif(not core.available(), reason="the compiled core is off or was not built")


TINY = {"model": "nequip", "layers": 2, "l_max": 1, "channels": 4, "radial_hidden": (8, 4), "cutoff": 4.0}
SECONDS = 0.05


@pytest.fixture(scope="module")
def model() -> Potential:
    return build(TINY, ["H", "O", "Si"], avg_neighbours=12.0, dtype=torch.float32)


@pytest.fixture
def cores(monkeypatch):
    """Gives this process a number of cores."""

    def give(number: int) -> None:
        monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(number)), raising=False)

    return give


def text_of(found: Benchmark) -> str:
    return str(found.report("model on crystal", "cynosure md"))


@needs_core
def test_the_figures_belong_together(model, silicon):
    silicon.set_constraint(FixAtoms([0]))
    before = silicon.copy()
    found = bench(model, silicon, seconds=SECONDS, dt_fs=2.0)
    (timing,) = found.timings
    assert found.atoms == 8
    assert found.edges == from_atoms(silicon, 4.0).num_edges
    assert found.dtype == "float32"
    assert timing.threads == torch.get_num_threads()
    assert 0 < timing.fastest <= timing.step <= timing.slowest
    assert timing.model > 0
    assert found.us_per_atom(timing) == pytest.approx(timing.step * 1e6 / 8)
    assert found.ns_per_day(timing) == pytest.approx(2e-6 * 86400 / timing.step)
    assert found.memory is not None
    assert found.memory.edges == found.edges / 8
    assert found.memory.pairs > found.memory.edges, "the skin holds pairs too"
    written = json.loads(json.dumps(found.to_json()))
    assert written["timings"][0]["ns_per_day"] == pytest.approx(found.ns_per_day(timing))
    text = text_of(found)
    for expected in ("compiled core (", "float32 on cpu", "2 fs", "kB per atom"):
        assert expected in text
    assert np.array_equal(silicon.positions, before.positions), "the structure given is not moved"
    assert silicon.calc is None


def test_the_number_of_threads_is_restored(model, silicon, cores):
    cores(2)
    before = torch.get_num_threads()
    seen = []
    found = bench(
        model, silicon, (2, 1), seconds=SECONDS, on_progress=lambda done, what: seen.append((done, what))
    )
    assert [timing.threads for timing in found.timings] == [2, 1]
    assert torch.get_num_threads() == before
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (1.0, "1 thread")
    with pytest.raises(KeyboardInterrupt):
        bench(model, silicon, (2,), seconds=SECONDS, on_progress=stop_when_measuring)
    assert torch.get_num_threads() == before


def stop_when_measuring(done: float, what: str) -> None:
    if done > 0:
        assert torch.get_num_threads() == 2
        raise KeyboardInterrupt


def test_atoms_move_a_little_each_step_and_keep_their_places(model, monkeypatch):
    seen = []
    unwatched = Potential.forward
    evaluate = "cynosure.potentials.Evaluator.evaluate"

    def watch(self, graph, outputs):
        seen.append(graph.positions.clone())
        return unwatched(self.model, graph, outputs)

    monkeypatch.setattr(evaluate, watch)
    atoms = bulk("Si", cubic=True)
    bench(model, atoms, seconds=0.5)
    places = torch.from_numpy(atoms.positions)
    # (The evaluator also looks at a small structure of its own, and at the structure as it was given.)
    moved = [found for found in seen if found.shape == places.shape and not torch.equal(found, places)]
    steps = [float((b - a).abs().max()) for a, b in zip(moved, moved[1:], strict=False)]
    assert len(moved) > 5
    # The fastest of 24 components at 300 K: some 2.5 × 0.003 Å/fs, over 0.5 fs.
    assert 0 < np.median(steps) < 0.02
    assert max(float((positions - places).abs().max()) for positions in moved) < 0.3


@pytest.mark.parametrize(
    ("text", "expected"), [(None, None), ("2", (2,)), ("1, 2,1", (1, 2)), ("all", (1, 2, 4, 6))]
)
def test_numbers_of_threads(text, expected, cores):
    cores(6)
    assert thread_counts(text) == expected


@pytest.mark.parametrize(("number", "expected"), [(1, (1,)), (2, (1, 2)), (4, (1, 2, 4)), (5, (1, 2, 4, 5))])
def test_all_threads(number, expected, cores):
    cores(number)
    assert thread_counts("all") == expected


@pytest.mark.parametrize("text", ["x", "0", "-1", "1,", "", "1.5", "7", "1,7"])
def test_bad_numbers_of_threads(text, cores):
    cores(6)
    with pytest.raises(ValueError, match=r"--threads 1,2|ask for 1 to 6"):
        thread_counts(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threads": ()}, "no number of threads"),
        ({"threads": (0,)}, "0 threads"),
        ({"dt_fs": 0.0}, "time step"),
        ({"dt_fs": float("nan")}, "time step"),
        ({"seconds": -1.0}, "seconds"),
        ({"device": "abacus"}, "abacus"),
        ({"dtype": "float16"}, "float16"),
    ],
)
def test_bad_settings(model, silicon, arguments, message):
    with pytest.raises(ValueError, match=message):
        bench(model, silicon, **arguments)


def test_bad_structures(model):
    with pytest.raises(ValueError, match=r"does not know Fe"):
        bench(model, Atoms("Fe"), seconds=SECONDS)
    with pytest.raises(ValueError, match="no atoms"):
        bench(model, Atoms(), seconds=SECONDS)
    with pytest.raises(ValueError, match="atom 1 has no mass"):
        bench(model, Atoms("H2", positions=[[0, 0, 0], [0, 0, 1]], masses=[1, 0]), seconds=SECONDS)


def test_a_structure_without_edges(model):
    found = bench(model, Atoms("H"), seconds=SECONDS)
    assert found.edges == 0
    assert "no two atoms are within the cutoff of 4 Å" in text_of(found)


def test_through_autograd_the_reason_is_told_and_memory_is_not_guessed(silicon):
    model = build({**TINY, "layer_norm": True}, ["Si"])
    found = bench(model, silicon, seconds=SECONDS)
    assert found.engine == "autograd"
    assert found.why_not
    assert found.memory is None
    assert found.largest is None
    text = text_of(found)
    assert f"not in the faster compiled core: {found.why_not}" in text
    assert "no estimate" in text
    assert found.to_json()["bytes_per_atom"] is None


def timing(threads: int, step: float, **times: float) -> Timing:
    times = {"fastest": step, "slowest": step, "model": step / 2, **times}
    return Timing(threads=threads, step=step, builds=0.0, **times)


@pytest.mark.parametrize(
    ("steps", "best", "words"),
    [
        ({1: 1.0, 2: 0.6, 4: 0.4}, 4, "4 threads: the fastest of those tried"),
        ({1: 1.0, 2: 0.6, 4: 0.59}, 2, "2 threads: more would save"),
        ({1: 1.0, 2: 9.0}, 1, "1 thread: more would save"),
        ({4: 1.0}, 4, "--threads all"),
    ],
)
def test_the_advice(model, silicon, steps, best, words):
    found = bench(model, silicon, seconds=SECONDS)
    found = replace(found, cores=4, timings=tuple(timing(threads, step) for threads, step in steps.items()))
    assert found.best.threads == best
    advice = found.report("", "cynosure md").next_steps
    assert words in advice[0]
    assert advice[-1] == f"OMP_NUM_THREADS={best} cynosure md"


def test_a_busy_machine_is_noticed(model, silicon):
    found = bench(model, silicon, seconds=SECONDS)
    calm = replace(found, timings=(timing(1, 1.0),))
    busy = replace(found, timings=(timing(1, 1.0), timing(2, 1.0, slowest=3.0)))
    assert not any("slowest round" in warning for warning in calm.report("", "").warnings)
    assert any("3.0 times as long" in warning for warning in busy.report("", "").warnings)


def test_threads_that_slow_it_down_are_named(model, silicon):
    found = bench(model, silicon, seconds=SECONDS)
    slower = replace(found, timings=(timing(2, 5.0), timing(1, 1.0)))
    assert any("2 threads take longer" in warning for warning in slower.report("", "").warnings)
    faster = replace(found, timings=(timing(2, 1.0), timing(1, 1.9)))
    assert not any("take longer" in warning for warning in faster.report("", "").warnings)
