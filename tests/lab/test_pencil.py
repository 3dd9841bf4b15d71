"""A plain network does not know a turned molecule; one with the symmetries does, whatever its weights."""

from __future__ import annotations

import json
import math
import os
import re
import signal
from dataclasses import replace

import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

import cynosure
from cynosure.data import Frames
from cynosure.lab import demo_frames, progress
from cynosure.lab.comparison import potential_predictor
from cynosure.lab.curve_frames import CurveFrames
from cynosure.lab.molecules import Molecules
from cynosure.lab.pencil import (
    Network,
    Outcome,
    Pencil,
    Plan,
    Reached,
    conclusion,
    describe,
    experiment,
    measure_pencil,
    reached,
    write_pencil,
)
from cynosure.lab.pencil.experiment import measure_disguised, not_upright
from cynosure.lab.pencil.report import data_table
from cynosure.lab.plain import plain_predictor, train_plain_network
from cynosure.lab.runs import Run
from cynosure.o3 import axis_angle_to_matrix
from cynosure.training.interrupt import Interrupted

TINY = {"model": {"layers": 1, "channels": 2, "cutoff": 3.0, "radial_hidden": [4, 4]}}
PLAN = Plan(frames=(4, 8), copies=(2,), l_max=(1,), steps=20)
VERSIONS = ("as it is", "turned", "mirrored", "moved", "relabelled")


@pytest.fixture(scope="module")
def held_out():
    return Molecules.of(demo_frames("test")[:10])


@pytest.fixture(scope="module")
def frames():
    every = Frames.from_atoms(demo_frames("train")[:24])
    return CurveFrames(every.subset(range(12)), every.subset(range(12, 16)), every.subset(range(16, 24)))


@pytest.fixture(scope="module")
def finished(frames, tmp_path_factory):
    out = tmp_path_factory.mktemp("pencil")
    return measure_pencil(frames, out, PLAN, settings=TINY), out


# What is measured.


@pytest.mark.parametrize("l_max", [0, 2])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_no_disguise_changes_the_errors_of_a_network_of_the_library(l_max, dtype, tolerance, held_out):
    settings = {"layers": 2, "l_max": l_max, "channels": 4, "cutoff": 4.0}
    # Energies of a fresh network are small beside those of all electrons, which E0s would have to bring.
    model = cynosure.build(settings, ["H", "C", "O"], avg_neighbours=9.0, dtype=dtype)
    run = Run(l_max, 10, 0)
    outcome = measure_disguised(run, potential_predictor(model), held_out, held_out, 0, 0.0)
    assert tuple(outcome.forces) == VERSIONS
    assert outcome.forces["as it is"] > 0.1
    for version in VERSIONS:
        assert outcome.forces[version] == pytest.approx(outcome.forces["as it is"], rel=tolerance)
        assert outcome.energies[version] == pytest.approx(outcome.energies["as it is"], rel=tolerance)


def test_every_disguise_changes_the_errors_of_the_plain_network(held_out):
    training = Molecules.of(demo_frames("train")[:200]).centred()
    predict = plain_predictor(train_plain_network(training, epochs=40))
    outcome = measure_disguised(Run(None, 200, 0), predict, held_out.centred(), training, 0, 0.0)
    for version in VERSIONS[1:]:
        assert outcome.forces[version] > 1.5 * outcome.forces["as it is"]
        assert outcome.energies[version] > 1.5 * outcome.energies["as it is"]


def test_turned_copies_are_the_same_molecules_in_other_orientations(held_out):
    def copies(count):
        return held_out.with_turned_copies(count, torch.Generator().manual_seed(3))

    three = copies(3)
    assert len(three) == 4 * len(held_out)
    assert torch.equal(three.positions[:10], held_out.positions)
    assert torch.equal(copies(1).positions, three.positions[:20])
    distances = torch.cdist(three.positions, three.positions)
    torch.testing.assert_close(distances, torch.cdist(held_out.positions, held_out.positions).repeat(4, 1, 1))
    power = (three.positions * three.forces).sum((1, 2))
    torch.testing.assert_close(power, power[:10].repeat(4), rtol=1e-12, atol=1e-12)
    assert torch.equal(three.energy, held_out.energy.repeat(4))
    assert (three.positions[10:20] - three.positions[20:30]).abs().max() > 0.5
    assert torch.equal(copies(0).forces, held_out.forces)


@pytest.mark.parametrize("degrees", [0.0, 50.0, 180.0])
def test_tilts_are_the_angles_between_frames(degrees, held_out):
    one = held_out.select(torch.tensor([0, 0]))
    axis = torch.tensor([0.3, -1.0, 0.4], dtype=torch.float64)
    matrix = axis_angle_to_matrix(axis, torch.tensor(math.radians(degrees), dtype=torch.float64))
    turned = one.turned(torch.stack([torch.eye(3, dtype=torch.float64), matrix])).shifted(torch.ones(2, 3))
    torch.testing.assert_close(turned.tilts().tolist(), [0.0, degrees], rtol=0, atol=1e-5)
    assert float(Molecules.of(demo_frames("train")).tilts().median()) < 30


# The runs.


def test_every_network_is_measured_with_equal_steps(finished):
    pencil, out = finished
    assert pencil.networks == (Network(None), Network(None, 2), Network(1))
    assert len(pencil.outcomes) == 6
    for count in (4, 8):
        steps = {outcome.steps for run, outcome in pencil.outcomes.items() if run.frames == count}
        assert steps == {20}
    assert pencil.versions == VERSIONS
    errors = torch.tensor([pencil.forces(Network(1), version).tolist() for version in VERSIONS])
    torch.testing.assert_close(errors, errors[:1].expand_as(errors), rtol=1e-5, atol=0)
    assert all(outcome.seconds > 0 for outcome in pencil.outcomes.values())
    assert pencil.notes == ()
    assert [path.name for path in out.iterdir()] == ["results.jsonl"]


def without_times(pencil):
    return {run: replace(outcome, seconds=0.0) for run, outcome in pencil.outcomes.items()}


def test_an_experiment_that_is_stopped_in_a_plain_run_goes_on_where_it_stopped(
    frames, finished, tmp_path, monkeypatch
):
    monkeypatch.setattr(progress, "_SHOWN_EVERY", 0.0)

    sent = []

    def interrupt(now):
        if not sent and now.finished == 3 and now.fraction > 0 and now.measured is None:
            sent.append(now.run)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        measure_pencil(frames, tmp_path, PLAN, settings=TINY, on_progress=interrupt)
    kept = (tmp_path / "results.jsonl").read_text().splitlines()
    assert len(kept) == 1 + 3
    assert sent == [Run(None, 8, 0)]
    trained = set()
    again = measure_pencil(
        frames, tmp_path, PLAN, settings=TINY, on_progress=lambda now: trained.add(now.run)
    )
    assert len(trained) == 3
    assert without_times(again) == without_times(finished[0])


def test_finished_runs_are_kept_and_networks_may_be_added(frames, finished, tmp_path, monkeypatch):
    (tmp_path / "results.jsonl").write_bytes((finished[1] / "results.jsonl").read_bytes())
    trained, shown = [], []

    def recorded(data, epochs, **settings):
        shown.append((len(data), epochs, settings["batch_size"], len(settings["validation"])))
        return train_plain_network(data, epochs, **settings)

    monkeypatch.setattr(experiment, "train_plain_network", recorded)

    def note(now):
        if now.measured:
            trained.append(now.run)

    more = replace(PLAN, copies=(2, 3))
    grown = measure_pencil(frames, tmp_path, more, settings=TINY, on_progress=note)
    assert trained == [Run(None, 4, 0, 3), Run(None, 8, 0, 3)]
    # Four frames and three copies of each make a step, as four frames alone do for other networks.
    assert shown == [(16, 20, 16, 8), (32, 10, 16, 8)]
    assert all(grown.outcomes[run] == finished[0].outcomes[run] for run in grown.outcomes if run.copies != 3)
    with pytest.raises(ValueError, match="steps was 20 and is 40"):
        measure_pencil(frames, tmp_path, replace(PLAN, steps=40), settings=TINY)


def boxed(frames):
    for frame in frames:
        atoms = Atoms(frame.atomic_numbers, frame.positions, cell=[12.0] * 3, pbc=True)
        atoms.calc = SinglePointCalculator(atoms, energy=frame.energy, forces=frame.forces)
        yield atoms


def test_frames_that_a_plain_network_cannot_take_are_refused(frames, tmp_path):
    crystal = Frames.from_atoms(list(boxed(frames.pool)), source="crystal.xyz")
    with pytest.raises(ValueError, match=r"crystal\.xyz cannot be shown to the plain network.*periodic"):
        measure_pencil(replace(frames, pool=crystal), tmp_path / "out", PLAN, settings=TINY)
    with pytest.raises(ValueError, match=r"'model\.l_max' cannot be set: the experiment decides"):
        measure_pencil(frames, tmp_path / "out", PLAN, settings={"model": {"l_max": 2}})
    assert not (tmp_path / "out").exists()


def test_frames_that_do_not_stand_upright_are_told_of():
    upright = Molecules.of(demo_frames("train")[:20])
    assert not_upright(upright) == ()
    copies = upright.with_turned_copies(1, torch.Generator().manual_seed(0))
    (note,) = not_upright(copies.select(torch.arange(20, 40)))
    assert re.search(r"turned against the first by \d+°", note)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": (10,)}, "two different numbers of frames"),
        ({"copies": (0,)}, "copies is a list of numbers from 1 upwards"),
        ({"l_max": ()}, "l_max is a list"),
        ({"seeds": 0}, "number of seeds must be at least 1; got 0"),
        ({"steps": 3}, "number of steps must be at least 20"),
        ({"targets": (0.1, 0.0)}, "errors to be reached are positive"),
    ],
)
def test_a_plan_that_makes_no_experiment_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Plan(**change)


# What follows.


def test_frames_to_reach_an_error_are_read_off_the_line():
    counts, errors = (10, 40, 160), [0.8 * (n / 10) ** -0.5 for n in (10, 40, 160)]
    assert reached(counts, errors, 0.8 * 3**-0.5).frames == pytest.approx(30, rel=1e-12)
    assert reached(counts, errors, errors[2]).frames == pytest.approx(160, rel=1e-12)
    assert reached(counts, errors, 0.9) == Reached(10.0, or_fewer=True)
    assert reached(counts, errors, 0.19) == Reached(None)
    # The first time that the line comes down counts, wherever it goes afterwards.
    assert reached(counts, [0.8, 0.2, 0.9], 0.4).frames == pytest.approx(20, rel=1e-12)


def synthetic(turned, silence=1.0):
    """Errors at 10 and 40 frames: upright 0.5 and 0.2 for plain networks without copies, and `turned` else."""
    outcomes = {}
    for network, errors in turned.items():
        for count, error in zip((10, 40), errors, strict=True):
            run = Run(network.l_max, count, 0, network.copies)
            blind = network == Network(None)
            forces = dict.fromkeys(VERSIONS, error) | ({"as it is": error / 10} if blind else {})
            if network.l_max is None:
                forces["relabelled"] = 2 * error
            outcomes[run] = Outcome(run, forces, forces, 0.1 * error, 100, 10.0)
    return Pencil("some frames", tuple(turned), (10, 40), 1, outcomes, silence, (0.5, 0.2), method="By hand.")


EXAMPLE = {
    Network(None): (2.0, 2.4),
    Network(None, 5): (0.9, 0.4),
    Network(0): (0.4, 0.1),
    Network(2): (0.2, 0.05),
}


def test_the_conclusion_is_what_came_out():
    words = conclusion(synthetic(EXAMPLE))
    assert "240 meV/Å on upright frames, 2400 on the same frames turned" in words[0]
    assert "did not know that a turned molecule is the same" in words[0]
    assert "did best with 5 of each frame: 400 meV/Å on turned frames" in words[1]
    assert "To do as well as the copies, l_max 2 (equivariant) needs 10 frames or fewer." in words[1]
    assert words[2].startswith(
        "l_max 0 (invariant), trained on the same upright frames: 100 meV/Å whatever is done"
    )
    assert "plain network, 5 turned copies has 800 meV/Å where atoms of one element change places" in words[4]
    assert "What to do next" in words[-1]
    assert "more steps" not in words[1]
    hurried = synthetic(EXAMPLE)
    unfinished = {
        run: replace(one, training=0.9 * one.training / 0.1) for run, one in hurried.outcomes.items()
    }
    assert (
        "(On the copies themselves it has 360: more steps, --steps, would help it.)"
        in conclusion(replace(hurried, outcomes=unfinished))[1]
    )
    ignorant = synthetic({**EXAMPLE, Network(None): (10.0, 10.0)})
    assert "has hardly learnt anything yet" in conclusion(ignorant)[0]
    assert any("Hardly better than answering zero" in warning for warning in describe(ignorant).warnings)
    known = synthetic({**EXAMPLE, Network(2): (0.2, 0.05)})
    broken = dict(known.outcomes)
    run = Run(2, 40, 0)
    broken[run] = replace(broken[run], forces={**broken[run].forces, "turned": 0.06})
    assert "l_max 2 (equivariant): 50.0 to 60.0 meV/Å, so it lacks a symmetry." in conclusion(
        replace(known, outcomes=broken)
    )


def test_data_to_equal_error_says_where_a_network_never_gets():
    table = data_table(synthetic(EXAMPLE))
    assert table.columns == ("… meV/Å", "500", "200", "time of a training")
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["plain"] == ("—", "—", "10 s")
    assert rows["plain + 5 turned copies"] == ("27", "—", "10 s")
    assert rows["l_max 0 (invariant)"] == ("≤ 10", "20", "10 s")
    assert rows["l_max 2 (equivariant)"] == ("≤ 10", "≤ 10", "10 s")
    assert rows["plain, asked upright"] == ("≤ 10", "≤ 10", "10 s")


def test_the_files_of_an_experiment(tmp_path):
    pencil = synthetic(EXAMPLE)
    written = write_pencil(pencil, tmp_path)
    assert written["picture"].read_bytes().startswith(b"\x89PNG")
    values = json.loads(written["json"].read_text())
    assert [one["copies"] for one in values["networks"]] == [0, 5, 0, 0]
    assert values["networks"][0]["frames_to_reach"][0] == {"frames": None, "or_fewer": False}
    assert values["networks"][3]["forces"]["turned"] == pytest.approx([0.2, 0.05])
    page = written["report"].read_text()
    assert page.count("src='data:image/png;base64,") == 1
    for sentence in (conclusion(pencil)[0], "By hand.", "Data and time to equal error"):
        assert sentence in page
    assert "nan" not in re.sub(r"base64,[^']+", "", page)
