"""A learning curve trains on nested sets, holds the same frames out of all, and goes on where it stopped."""

from __future__ import annotations

import json
import os
import re
import signal
from dataclasses import replace

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from cynosure.data import Frames, read_frames
from cynosure.lab import demo_frames, progress, trained
from cynosure.lab.learning_curve import (
    Curve,
    CurveFrames,
    Measured,
    Plan,
    Run,
    conclusion,
    describe,
    findings,
    measure_learning_curve,
    read_curve_frames,
    write_curve,
)
from cynosure.training import loop
from cynosure.training.interrupt import Interrupted

TINY = {"model": {"layers": 1, "channels": 2, "cutoff": 3.0, "radial_hidden": [4, 4]}}
PLAN = Plan(frames=(4, 8), seeds=1, l_max=(0, 1), steps=20, epochs=1)


@pytest.fixture(scope="module")
def frames():
    every = Frames.from_atoms(demo_frames("train")[:24])
    return CurveFrames(every.subset(range(12)), every.subset(range(12, 16)), every.subset(range(16, 24)))


@pytest.fixture(scope="module")
def finished(frames, tmp_path_factory):
    out = tmp_path_factory.mktemp("curve")
    return measure_learning_curve(frames, out, PLAN, settings=TINY), out


def without_times(curve):
    return {run: replace(measured, seconds=0.0) for run, measured in curve.measured.items()}


def positions(frames):
    return {np.round(frame.positions, 6).tobytes() for frame in frames}


# The frames.


def test_a_smaller_set_is_part_of_a_larger_one_with_the_same_seed(frames):
    for seed in range(3):
        chosen = [frames.chosen(count, seed).tolist() for count in (2, 5, 12)]
        assert chosen[0] == chosen[1][:2]
        assert chosen[1] == chosen[2][:5]
        assert sorted(chosen[2]) == list(range(12))
    assert frames.chosen(12, 0).tolist() != frames.chosen(12, 1).tolist()


def test_a_file_is_divided_without_overlap_and_always_in_the_same_way(tmp_path):
    path = tmp_path / "frames.xyz"
    ase.io.write(path, demo_frames("train")[:50])
    divided, notes = read_curve_frames(path)
    assert notes == ()
    parts = [positions(part) for part in (divided.pool, divided.validation, divided.held_out)]
    assert [len(part) for part in parts] == [36, 4, 10]
    assert len(set.union(*parts)) == 50
    assert read_curve_frames(path)[0].content_hash() == divided.content_hash()
    assert read_curve_frames(path, 0.4)[0].content_hash() != divided.content_hash()


def test_frames_to_measure_with_may_be_a_file_of_their_own(tmp_path):
    for name, split in (("a.xyz", "train"), ("b.xyz", "test")):
        ase.io.write(tmp_path / name, demo_frames(split)[:20])
    divided, _ = read_curve_frames(tmp_path / "a.xyz", str(tmp_path / "b.xyz"))
    assert len(divided.pool) + len(divided.validation) == 20
    assert positions(divided.held_out) == positions(read_frames(tmp_path / "b.xyz"))


def test_without_data_the_frames_are_those_of_the_demonstration():
    divided, _ = read_curve_frames(None)
    assert len(divided.pool) + len(divided.validation) == 500
    assert positions(divided.held_out) == positions(Frames.from_atoms(demo_frames("test")))
    assert divided.sizes() == (10, 20, 40, 80, 160, 320)


def test_sizes_of_a_small_pool(frames):
    assert frames.sizes() == (3, 6, 12)


def test_frames_without_forces_are_left_out_and_told_of(tmp_path):
    some = demo_frames("train")[:20]
    some[3].calc = None
    path = tmp_path / "frames.xyz"
    ase.io.write(path, some)
    divided, notes = read_curve_frames(path)
    assert len(divided.pool) + len(divided.validation) + len(divided.held_out) == 19
    assert notes == (f"1 of 20 frames of {path} have no forces and are left out.",)


def test_an_element_that_a_small_run_would_not_see_is_told_of(tmp_path):
    frames = demo_frames("train")[:40]
    stranger = Atoms("Ar", [[0.0, 0.0, 0.0]])
    stranger.calc = SinglePointCalculator(stranger, energy=0.0, forces=np.zeros((1, 3)))
    every = Frames.from_atoms([*frames, stranger])
    divided = CurveFrames(every.subset(range(30)), every.subset(range(30, 35)), every.subset(range(35, 41)))
    with pytest.raises(ValueError, match="frames of seed 0 have no Ar, which other frames have"):
        measure_learning_curve(divided, tmp_path, PLAN, settings=TINY)


# The runs.


def test_every_run_is_measured(finished):
    curve, out = finished
    assert curve.networks == (0, 1, None)
    assert set(curve.measured) == {Run(network, count, 0) for network in (0, 1, None) for count in (4, 8)}
    assert curve.errors(1).shape == (1, 2)
    assert all(0 < one.held_out < 10 and 0 < one.training < 10 for one in curve.measured.values())
    assert [path.name for path in out.iterdir()] == ["results.jsonl"]


def test_what_networks_are_trained_on(frames, tmp_path, monkeypatch):
    seen = {}

    def recorded(config, **kwargs):
        key = config.model["l_max"], len(read_frames(config.data.train)), config.seed
        seen[key] = config, positions(read_frames(config.data.train)), positions(read_frames(config.data.val))
        return train(config, **kwargs)

    train = trained.train
    monkeypatch.setattr(trained, "train", recorded)
    measure_learning_curve(frames, tmp_path, replace(PLAN, seeds=2), settings=TINY)
    assert len(seen) == 8
    for (l_max, _, seed), (config, trained_on, chosen_by) in seen.items():
        assert trained_on <= seen[l_max, 8, seed][1]
        assert trained_on <= positions(frames.pool)
        assert chosen_by == positions(frames.validation)
        other = seen[1 - l_max, len(trained_on), seed][0]
        assert trained_on == seen[1 - l_max, len(trained_on), seed][1]
        assert config.model == {**other.model, "l_max": l_max}
        unlike = {"model": config.model, "data": config.data}
        assert other.model_copy(update=unlike) == config
    assert len({config.batch.max_edges for config, _, _ in seen.values()}) == 1


def test_every_run_takes_the_steps_and_the_passes_that_were_promised(frames, tmp_path, finished):
    assert all(one.steps >= 20 for one in finished[0].measured.values())
    plan = replace(PLAN, l_max=(0,), epochs=30)
    longer = measure_learning_curve(frames, tmp_path, plan, settings=TINY)
    # Four frames are one batch, eight are two.
    steps = [longer.measured[Run(network, count, 0)].steps for network in (0, None) for count in (4, 8)]
    assert steps == [30, 60, 30, 60]


def report_every_step(monkeypatch):
    """However fast a run is."""
    monkeypatch.setattr(progress, "_SHOWN_EVERY", 0.0)
    monkeypatch.setattr(loop, "_DISPLAY_SECONDS", -1.0)


class Stop(Exception):
    pass


@pytest.mark.parametrize("how", ["between runs", "in a run", "by a signal"])
def test_an_interrupted_curve_goes_on_where_it_stopped(how, frames, finished, tmp_path, monkeypatch):
    report_every_step(monkeypatch)

    def interrupt(now):
        if how == "between runs" and now.measured and now.finished == 4:
            raise Stop
        in_fifth = now.finished == 4 and now.run.l_max is not None and now.fraction > 0 and not now.measured
        if in_fifth and how == "in a run":
            raise Stop
        if in_fifth and how == "by a signal":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises((Stop, Interrupted)):
        measure_learning_curve(frames, tmp_path, PLAN, settings=TINY, on_progress=interrupt)
    kept = (tmp_path / "results.jsonl").read_text().splitlines()
    assert len(kept) == 1 + 4

    trained = set()
    again = measure_learning_curve(
        frames, tmp_path, PLAN, settings=TINY, on_progress=lambda now: trained.add(now.run)
    )
    assert len(trained) == 2
    assert without_times(again) == without_times(finished[0])
    assert (tmp_path / "results.jsonl").read_text().splitlines()[: len(kept)] == kept


def test_a_finished_curve_trains_nothing_again_and_may_grow(frames, finished, tmp_path):
    (tmp_path / "results.jsonl").write_bytes((finished[1] / "results.jsonl").read_bytes())
    trained = []

    def note(now):
        if now.measured:
            trained.append(now.run)

    again = measure_learning_curve(frames, tmp_path, PLAN, settings=TINY, on_progress=note)
    assert trained == []
    assert again.measured == finished[0].measured
    grown = measure_learning_curve(
        frames, tmp_path, replace(PLAN, l_max=(1, 2)), settings=TINY, on_progress=note
    )
    assert trained == [Run(2, 4, 0), Run(2, 8, 0)]
    assert grown.networks == (1, 2, None)


def test_results_of_another_setup_are_not_mixed_in(frames, finished):
    _, out = finished
    with pytest.raises(ValueError, match=r"another setup \(steps was 20 and is 40\)"):
        measure_learning_curve(frames, out, replace(PLAN, steps=40), settings=TINY)
    with pytest.raises(ValueError, match=r"model\.channels was 2 and is 3"):
        measure_learning_curve(frames, out, PLAN, settings={"model": {**TINY["model"], "channels": 3}})
    other = replace(frames, held_out=frames.held_out.subset([0, 1]))
    with pytest.raises(ValueError, match="data was"):
        measure_learning_curve(other, out, PLAN, settings=TINY)


def test_a_broken_file_of_results_is_told_of(frames, tmp_path):
    (tmp_path / "results.jsonl").write_text('{"kind": "setup"\n')
    with pytest.raises(ValueError, match="line 1, is not a result of a learning curve"):
        measure_learning_curve(frames, tmp_path, PLAN, settings=TINY)


def test_progress_counts_runs_and_ends_with_nothing_left(frames, tmp_path, monkeypatch):
    report_every_step(monkeypatch)
    seen = []
    measure_learning_curve(frames, tmp_path, PLAN, settings=TINY, on_progress=seen.append)
    assert [one.finished for one in seen if one.measured] == [1, 2, 3, 4, 5, 6]
    assert all(one.total == 6 for one in seen)
    assert seen[0].left == np.inf
    assert all(0 < one.left < np.inf for one in seen if one.finished == 0 and one.fraction > 0)
    assert any(one.finished == 0 and one.fraction > 0 for one in seen)
    assert seen[-1].left == 0.0
    assert seen[-1].fraction == 1.0
    assert all(0 <= one.fraction <= 1 for one in seen)


def test_the_plain_network_is_left_out_where_it_cannot_be_used(frames, tmp_path):
    boxed = []
    for frame in (*frames.pool, *frames.validation, *frames.held_out):
        atoms = Atoms(frame.atomic_numbers, frame.positions, cell=[12.0] * 3, pbc=True)
        atoms.calc = SinglePointCalculator(atoms, energy=frame.energy, forces=frame.forces)
        boxed.append(atoms)
    every = Frames.from_atoms(boxed)
    crystal = CurveFrames(every.subset(range(12)), every.subset(range(12, 16)), every.subset(range(16, 24)))
    curve = measure_learning_curve(crystal, tmp_path, replace(PLAN, l_max=(0,)), settings=TINY)
    assert curve.networks == (0,)
    assert curve.notes == ("The plain network is left out: it knows no periodic structures.",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": (10,)}, "two different numbers of frames"),
        ({"frames": (1, 10)}, "each 2 or more"),
        ({"l_max": ()}, "l_max is a list"),
        ({"l_max": (-1,)}, "l_max is a list"),
        ({"seeds": 0}, "number of seeds must be at least 1; got 0"),
        ({"steps": 3}, "number of steps must be at least 20"),
        ({"epochs": 0}, "number of epochs must be at least 1"),
    ],
)
def test_a_plan_that_makes_no_curve_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Plan(**change)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": {"l_max": 2}}, "'model.l_max' cannot be set"),
        ({"seed": 3}, "'seed' cannot be set"),
        ({"data": "other.xyz"}, "'data' cannot be set"),
        ({"model": {"chanels": 2}}, "did you mean 'channels'"),
    ],
)
def test_settings_that_are_wrong_or_not_free_are_refused_before_any_training(
    settings, message, frames, tmp_path
):
    with pytest.raises(ValueError, match=message):
        measure_learning_curve(frames, tmp_path / "out", PLAN, settings=settings)
    assert not (tmp_path / "out").exists()


# What follows from a curve.


def synthetic(exponents, seeds=3, scatter=0.0, training=0.2):
    """A curve of exact power laws, the exponent of each seed off by its share of `scatter`."""
    sizes = (10, 20, 40)
    rng = np.random.default_rng(0)
    measured = {}
    for network, exponent in exponents.items():
        for seed in range(seeds):
            b = exponent + scatter * rng.normal()
            for count in sizes:
                run, error = Run(network, count, seed), 0.4 * (count / 10) ** -b
                measured[run] = Measured(run, error, training * error, 100, 1.0)
    return Curve("some frames", tuple(exponents), sizes, seeds, measured, silence=1.0, method="By hand.")


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        (
            synthetic({0: 0.3, 1: 0.4, 2: 0.4}),
            "changed the slope here: l_max 1 and l_max 2 have a steeper curve",
        ),
        (synthetic({0: 0.3, 1: 0.2}), "changed the slope here: l_max 1 has a less steep curve"),
        (synthetic({0: 0.3, 1: 0.31}, scatter=0.1), "No change of slope was found: with 3 seeds"),
        (synthetic({0: 0.3, 1: 0.4}, seeds=1), "One seed has no uncertainty"),
        (synthetic({1: 0.3, 2: 0.4}), "cannot be said without an invariant network"),
        (synthetic({0: 0.3, None: 0.1}), "cannot be said without"),
    ],
)
def test_the_conclusion_is_what_came_out(curve, expected):
    assert expected in conclusion(curve)


def test_findings_have_the_difference_its_uncertainty_and_the_ratio():
    one, plain = findings(synthetic({0: 0.3, 1: 0.5, None: 0.3}))
    assert "exponent differs by +0.20 ± 0.00 (95 % interval +0.20 to +0.20), so its curve is steeper" in one
    assert f"With 40 frames its error is {4**-0.2:.2f} times that of l_max 0" in one
    assert plain.startswith("plain network against l_max 0: the exponent differs by +0.00")
    assert "cannot be told apart" in plain


def test_points_that_are_limited_by_more_than_frames_are_told_of():
    assert describe(synthetic({0: 0.3})).warnings == ()
    (warning,) = describe(synthetic({0: 0.3}, training=0.7)).warnings
    assert warning.startswith("l_max 0 with 10, 20 and 40 frames: the error on the training frames")
    # A network that has learnt nothing is limited by something else.
    (warning,) = describe(replace(synthetic({None: 0.0}, training=0.9), silence=0.4)).warnings
    assert warning.startswith("plain network with 10, 20 and 40 frames is no better than answering")


def test_the_files_of_a_curve(tmp_path):
    curve = synthetic({0: 0.3, 1: 0.4, 2: 0.4, 3: 0.4, None: 0.1}, scatter=0.01)
    written = write_curve(curve, tmp_path)
    assert written["picture"].read_bytes().startswith(b"\x89PNG")
    values = json.loads(written["json"].read_text())
    assert [network["network"] for network in values["networks"]][-1] == "plain network"
    assert values["networks"][1]["exponent"]["mean"] == curve.law(1).exponent.mean
    assert values["networks"][0]["change_of_exponent"] is None
    assert values["conclusion"] == conclusion(curve)
    page = written["report"].read_text()
    assert page.count("src='data:image/png;base64,") == 1
    for sentence in (conclusion(curve), "By hand.", "l_max 3 against l_max 0"):
        assert sentence in page


def test_a_curve_of_one_seed_and_one_network_has_its_files_too(tmp_path):
    written = write_curve(synthetic({2: 0.3}, seeds=1), tmp_path)
    values = json.loads(written["json"].read_text())
    assert values["networks"][0]["exponent"]["standard_error"] is None
    words = re.sub(r"base64,[^']+", "", written["report"].read_text())
    assert "<td>0.30</td>" in words
    assert "nan" not in words
