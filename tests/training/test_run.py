"""A run from data to model: it learns, repeats exactly, keeps its folder in order, and says what is wrong."""

import json
import os
import re
import signal
import time

import numpy as np
import pytest
import torch
from ase.io import write
from safetensors.torch import load_file

import cynosure
from cynosure.data import read_frames
from cynosure.potentials import members_of, resolve
from cynosure.training import Display, LineDisplay, TrainConfig, evaluate, from_settings, train
from cynosure.training.metrics_log import read_log
from cynosure.training.pace import ByClock
from cynosure.training.setup import divide


class Recorder(Display):
    """Keeps what is said, and may act after a step."""

    def __init__(self, after_validation=None):
        self.text = ""
        self.after_validation = after_validation

    def say(self, text):
        self.text += text + "\n"

    def validation(self, *, step, score, best, metrics):
        if self.after_validation is not None:
            self.after_validation(step)


def tensors(folder):
    return load_file(folder / "checkpoint.safetensors")


def assert_same_run(one, other):
    first, second = tensors(one), tensors(other)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
    model, again = load_file(one / "model.safetensors"), load_file(other / "model.safetensors")
    assert all(torch.equal(tensor, again[name]) for name, tensor in model.items())


def untimed(folder):
    """The log without what the clock says."""
    return [
        {k: v for k, v in record.items() if k != "elapsed"} for record in read_log(folder / "metrics.jsonl")
    ]


def test_it_learns_and_keeps_everything(settings, data, tmp_path):
    display = Recorder()
    result = train(settings(epochs=40), out=tmp_path / "run", display=display)
    records = read_log(tmp_path / "run" / "metrics.jsonl")
    scores = [record["score"] for record in records if record["kind"] == "validation"]
    assert min(scores) < 0.5 * scores[0]
    assert result.ended_by == "its last epoch"
    assert result.epochs == 40
    held_out, seen = result.metrics.values()
    assert (held_out.n_structures, seen.n_structures) == (2, 18)
    assert set(held_out.errors) == {"energy", "energy_per_atom", "forces"}

    model = cynosure.load(result.model)
    assert model.provenance["config"]["data"]["train"] == "molecules.xyz"
    assert (
        model.provenance["best_step"]
        == min((record["score"], record["step"]) for record in records if record["kind"] == "validation")[1]
    )
    assert str(tmp_path) not in json.dumps(model.provenance)
    assert model.provenance["validation"] == held_out.to_json()

    resolved = json.loads((tmp_path / "run" / "config.json").read_text())
    assert TrainConfig(**resolved).epochs == 40
    assert resolved["loss"]["stress"] == 0
    assert resolved["model"]["model"] == "nequip"
    assert "optimiser.betas" in display.text
    assert "E0s by least squares" in display.text
    assert result.report.is_file()


def test_it_repeats_bit_by_bit_and_leaves_the_random_state_alone(settings, tmp_path):
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    train(settings(), out=tmp_path / "a")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert (torch.get_default_dtype(), torch.get_num_threads()) == (dtype, threads)
    torch.manual_seed(2)
    train(settings(), out=tmp_path / "b", checkpoint_seconds=0.0)
    assert_same_run(tmp_path / "a", tmp_path / "b")
    assert untimed(tmp_path / "a") == untimed(tmp_path / "b")
    train(settings(seed=1), out=tmp_path / "c")
    assert untimed(tmp_path / "a") != untimed(tmp_path / "c")


def test_scale_and_shift_of_each_species_come_from_the_training_data(settings, data, tmp_path):
    e0s = {"C": -1.0, "O": -2.0}
    config = settings(epochs=1, data={"train": str(data), "val": 0.1, "e0s": e0s})
    result = train(config, out=tmp_path / "run")
    frames = read_frames(data)
    train_frames, _ = divide(frames, config.data.val, config.seed)
    calibration = cynosure.load(result.model).calibration
    for number, scale, shift in zip(calibration.species, calibration.scale, calibration.shift, strict=True):
        forces = np.concatenate([frame.forces[frame.atomic_numbers == number] for frame in train_frames])
        assert scale == pytest.approx(np.sqrt(np.mean(forces**2)))
        # Every frame is C2O2, which cannot tell the two apart: both get the mean.
        beyond = [(frame.energy - 2 * sum(e0s.values())) / 4 for frame in train_frames]
        assert shift == pytest.approx(np.mean(beyond))
    assert calibration.scale[0] != calibration.scale[1]


def test_progress_and_rate_of_a_run_by_epochs(settings, tmp_path):
    train(
        settings(epochs=3, schedule={"warmup": 0.0, "final": 0.5}, optimiser={"lr": 0.01}),
        out=tmp_path / "run",
    )
    steps = [record for record in read_log(tmp_path / "run" / "metrics.jsonl") if record["kind"] == "step"]
    progress = [record["progress"] for record in steps]
    assert progress == sorted(set(progress))
    assert progress[0] == 0.0
    assert [record["step"] for record in steps] == list(range(1, len(steps) + 1))
    assert steps[0]["lr"] == 0.01
    assert 0.005 <= steps[-1]["lr"] < 0.006


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_a_resumed_run_ends_as_if_there_had_been_none(settings, tmp_path, number):
    train(settings(), out=tmp_path / "whole")
    handler = signal.getsignal(number)

    def stop_once(step):
        if step > 3:
            os.kill(os.getpid(), number)

    stopped = train(settings(), out=tmp_path / "run", display=Recorder(stop_once))
    assert stopped.signal == number
    assert stopped.report is None
    assert stopped.next_steps() == [f"cynosure train --resume --out {tmp_path / 'run'}"]
    cynosure.load(stopped.model)
    assert signal.getsignal(number) is handler
    assert 3 < stopped.steps < len(untimed(tmp_path / "whole"))

    finished = train(settings(), out=tmp_path / "run", resume=True)
    assert finished.signal is None
    assert_same_run(tmp_path / "whole", tmp_path / "run")
    assert untimed(tmp_path / "run") == untimed(tmp_path / "whole")


def test_a_run_by_the_clock_repeats_from_its_log(settings, tmp_path):
    config = settings(epochs=None, minutes=11 / 60)
    began = time.monotonic()
    result = train(config, out=tmp_path / "clock")
    assert time.monotonic() - began < 11
    assert result.ended_by == "the end of its time"
    records = read_log(tmp_path / "clock" / "metrics.jsonl")
    progress = [record["progress"] for record in records if record["kind"] == "step"]
    assert progress == sorted(progress)
    assert progress[-1] > 0.9
    again = train(config, out=tmp_path / "again", replay=tmp_path / "clock" / "metrics.jsonl")
    assert again.ended_by == "the end of the log"
    assert untimed(tmp_path / "again") == untimed(tmp_path / "clock")
    first, second = tensors(tmp_path / "clock"), tensors(tmp_path / "again")
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_a_run_at_a_standstill_settles_from_its_best_weights(settings, tmp_path, monkeypatch):
    """And ends early; a stop in between, or a replay, changes nothing."""
    monkeypatch.setattr(ByClock, "_STANDSTILL", 3)
    monkeypatch.setattr(ByClock, "_VALIDATIONS", 200)
    # As rates rise that far, an early validation is the best.
    rising = {"optimiser": {"lr": 0.5, "kind": "adam"}, "schedule": {"warmup": 0.9, "final": 1.0}}
    config = settings(epochs=None, minutes=0.5, **rising)

    class StopWhenSettling(Recorder):
        def say(self, text):
            super().say(text)
            if "back to the weights of that step" in text:
                os.kill(os.getpid(), signal.SIGINT)

    began = time.monotonic()
    stopped = train(config, out=tmp_path / "run", display=StopWhenSettling())
    assert stopped.signal == signal.SIGINT
    kept = tensors(tmp_path / "run")
    best = {name.removeprefix("best/") for name in kept if name.startswith("best/")}
    assert best
    for name in best:
        assert torch.equal(kept[f"model/{name}"], kept[f"best/{name}"]), name
        assert torch.equal(kept[f"average/{name}"], kept[f"best/{name}"]), name
    result = train(config, out=tmp_path / "run", resume=True)
    assert result.ended_by == "a standstill of its validation errors"
    assert time.monotonic() - began < 25
    records = read_log(tmp_path / "run" / "metrics.jsonl")
    kinds = [record["kind"] for record in records]
    assert kinds.count("settle") == 1
    settled = kinds.index("settle")
    steps = [record for record in records if record["kind"] == "step"]
    assert steps[-1]["progress"] > 0.9
    before = [record["step"] for record in records[:settled] if record["kind"] == "step"]
    assert 0 < len(steps) - len(before) < len(before)
    train(config, out=tmp_path / "again", replay=tmp_path / "run" / "metrics.jsonl")
    assert untimed(tmp_path / "again") == untimed(tmp_path / "run")
    first, second = tensors(tmp_path / "run"), tensors(tmp_path / "again")
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_a_stopped_replay_resumes_without_being_told_of_its_log(settings, tmp_path):
    train(settings(), out=tmp_path / "whole")
    log = tmp_path / "whole" / "metrics.jsonl"

    def stop(step):
        os.kill(os.getpid(), signal.SIGINT)

    train(settings(), out=tmp_path / "run", replay=log, display=Recorder(stop))
    assert len(untimed(tmp_path / "run")) < len(untimed(tmp_path / "whole"))
    train(settings(), out=tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "run")
    other = tmp_path / "other.jsonl"
    other.write_text(log.read_text().splitlines()[0] + "\n")
    with pytest.raises(ValueError, match="log to repeat is not the one"):
        train(settings(), out=tmp_path / "run", resume=True, replay=other)


def test_too_little_time_is_said_before_any_work(settings, tmp_path):
    with pytest.raises(ValueError, match=r"0\.01 minutes are too few.*--minutes"):
        train(settings(epochs=None, minutes=0.01), out=tmp_path / "run")


def test_patience_ends_a_run_and_the_best_weights_are_kept(settings, data, tmp_path, make_molecules):
    write(tmp_path / "val.xyz", make_molecules(4, seed=3))
    # Without averaging and at a high rate, training goes to and fro.
    config = settings(
        data={"train": str(data), "val": str(tmp_path / "val.xyz")},
        epochs=500,
        patience=2,
        val_every=1,
        optimiser={"lr": 0.05},
        ema={"decay": 0.0},
    )
    result = train(config, out=tmp_path / "run")
    assert result.ended_by == "2 validations in a row without a better score"
    assert result.epochs < 500
    validations = [r for r in read_log(tmp_path / "run" / "metrics.jsonl") if r["kind"] == "validation"]
    assert [record["best"] for record in validations][-3:] == [True, False, False]
    assert validations[-1]["score"] > 1.01 * validations[-3]["score"]
    best = [record for record in validations if record["best"]][-1]
    errors = evaluate(cynosure.load(result.model), read_frames(tmp_path / "val.xyz")).to_json()
    for name in ("energy", "forces"):
        assert errors[name]["mae"] == pytest.approx(best["errors"][name]["mae"], rel=1e-6)


def test_a_folder_with_a_run_is_not_touched(settings, tmp_path):
    train(settings(epochs=1), out=tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with pytest.raises(ValueError, match=r"already holds a run.*--resume.*--out .*run-2"):
        train(settings(epochs=1), out=tmp_path / "run")
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="is a file"):
        train(settings(), out=tmp_path / "file")


def test_what_cannot_be_resumed(settings, tmp_path, make_molecules):
    with pytest.raises(FileNotFoundError, match="no run in"):
        train(settings(), out=tmp_path / "nothing", resume=True)
    train(settings(epochs=1), out=tmp_path / "run")
    with pytest.raises(ValueError, match=r"epochs was 1 and is 2"):
        train(settings(epochs=2), out=tmp_path / "run", resume=True)
    write(tmp_path / "molecules.xyz", make_molecules(seed=5))
    with pytest.raises(ValueError, match="frames are not those"):
        train(settings(epochs=1), out=tmp_path / "run", resume=True)


def test_a_run_that_was_killed_before_its_first_checkpoint_starts_anew(settings, tmp_path):
    train(settings(epochs=2), out=tmp_path / "whole")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_bytes((tmp_path / "whole" / "config.json").read_bytes())
    (tmp_path / "run" / "metrics.jsonl").write_text('{"kind": "step", "st')
    train(settings(epochs=2), out=tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_a_finished_run_resumes_into_the_same_end(settings, tmp_path):
    first = train(settings(epochs=2), out=tmp_path / "run")
    before = tensors(tmp_path / "run")
    (tmp_path / "run" / "report.html").unlink()
    second = train(settings(epochs=2), out=tmp_path / "run", resume=True)
    assert second.report.is_file()
    assert second.steps == first.steps
    assert all(torch.equal(tensor, before[name]) for name, tensor in tensors(tmp_path / "run").items())
    for one, other in zip(first.metrics.values(), second.metrics.values(), strict=True):
        assert one.errors["forces"].mae == pytest.approx(other.errors["forces"].mae, rel=1e-6)


def test_a_loss_that_is_not_finite_stops_with_advice_and_keeps_the_best(settings, tmp_path, monkeypatch):
    from cynosure.training.loss import Loss

    honest = Loss.__call__

    def broken(self, terms, *progress):
        total = honest(self, terms, *progress)
        broken.calls += 1
        return total * float("nan") if broken.calls > 12 else total

    broken.calls = 0
    monkeypatch.setattr(Loss, "__call__", broken)
    with pytest.raises(
        ValueError, match=r"loss became nan at step .*optimiser\.lr=0\.002.*best weights.*model"
    ) as e:
        train(settings(optimiser={"lr": 0.01}), out=tmp_path / "run")
    monkeypatch.undo()
    assert re.search(r"step \d+", str(e.value))
    model = cynosure.load(tmp_path / "run" / "model.safetensors")
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_stress_is_learnt_where_it_is_labelled(settings, tmp_path, make_crystals):
    write(tmp_path / "crystals.xyz", make_crystals())
    config = settings(data={"train": str(tmp_path / "crystals.xyz"), "val": 0.25}, epochs=2)
    result = train(config, out=tmp_path / "run")
    assert set(next(iter(result.metrics.values())).errors) == {
        "energy",
        "energy_per_atom",
        "forces",
        "stress",
    }
    assert "stress" in read_log(tmp_path / "run" / "metrics.jsonl")[0]


def test_energies_alone_are_learnt_with_a_warning(settings, tmp_path, make_molecules):
    write(tmp_path / "energies.xyz", make_molecules(forces=False))
    display = Recorder()
    config = settings(data={"train": str(tmp_path / "energies.xyz")}, epochs=2)
    result = train(config, out=tmp_path / "run", display=display)
    assert "There are no forces" in display.text
    assert set(next(iter(result.metrics.values())).errors) == {"energy", "energy_per_atom"}
    assert "There are no forces" in result.report.read_text()


def test_forces_alone_are_learnt_with_a_warning(settings, tmp_path, make_molecules):
    write(tmp_path / "forces.xyz", make_molecules(energy=False))
    display = Recorder()
    result = train(
        settings(data={"train": str(tmp_path / "forces.xyz")}, epochs=2),
        out=tmp_path / "run",
        display=display,
    )
    assert "No frame has an energy" in display.text
    assert set(next(iter(result.metrics.values())).errors) == {"forces"}


def test_frames_without_a_useful_label_are_left_out(settings, tmp_path, make_molecules):
    bare = make_molecules(3, seed=7, energy=False, forces=False)
    write(tmp_path / "mixed.xyz", [*bare, *make_molecules(10)])
    write(tmp_path / "val.xyz", make_molecules(4, seed=3))
    display = Recorder()
    config = settings(data={"train": str(tmp_path / "mixed.xyz"), "val": str(tmp_path / "val.xyz")}, epochs=1)
    result = train(config, out=tmp_path / "run", display=display)
    assert "3 of 13 training frames have none of energy, forces" in display.text
    assert [metrics.n_structures for metrics in result.metrics.values()] == [4, 10]


@pytest.mark.parametrize("e0s", ['{"C": -4.0, "O": -6.0}', {"C": -4.0, "O": -6.0}])
def test_given_energies_of_atoms_are_kept_exactly(settings, data, tmp_path, e0s):
    result = train(settings(data={"train": str(data), "e0s": e0s}, epochs=1), out=tmp_path / "run")
    model = cynosure.load(result.model)
    assert model.calibration.e0s == (-4.0, -6.0)
    assert model.calibration.e0_kind == "given"


def test_bad_data_is_said_in_words(settings, data, tmp_path, make_molecules):
    out = tmp_path / "run"
    with pytest.raises(FileNotFoundError, match=r"nothing\.xyz"):
        train(settings(data={"train": str(tmp_path / "nothing.xyz")}), out=out)
    with pytest.raises(ValueError, match="REF_energy"):
        train(settings(data={"train": str(data), "keys": {"energy": "REF_energy"}}), out=out)
    with pytest.raises(ValueError, match=r"'stress' is not in .* although its loss weight is on"):
        train(settings(loss={"stress": 1.0}), out=out)
    with pytest.raises(ValueError, match="O but no E0 is given"):
        train(settings(data={"train": str(data), "e0s": {"C": 1.0}}), out=out)
    with pytest.raises(ValueError, match=r"no setting 'model\.chanels'; did you mean 'channels'"):
        train(settings(model={"chanels": 3}), out=out)
    with pytest.raises(ValueError, match="device 'nowhere' cannot be used"):
        train(settings(device="nowhere"), out=out)
    write(tmp_path / "one.xyz", make_molecules(1))
    with pytest.raises(ValueError, match="at least 2"):
        train(settings(data={"train": str(tmp_path / "one.xyz")}), out=out)
    strangers = make_molecules(2)
    strangers[1].symbols[0] = "Fe"
    write(tmp_path / "strangers.xyz", strangers)
    with pytest.raises(ValueError, match="has Fe, which the model does not know"):
        train(settings(data={"train": str(data), "val": str(tmp_path / "strangers.xyz")}), out=out)
    # None of these left anything behind that a corrected attempt would stumble over.
    train(settings(epochs=1), out=out)


def test_a_full_disk_stops_the_run_and_the_run_goes_on_afterwards(settings, tmp_path, monkeypatch):
    import errno

    train(settings(), out=tmp_path / "whole")
    replace, calls = os.replace, []

    def full_after_a_while(source, target):
        if str(target).endswith("checkpoint.safetensors"):
            calls.append(target)
            if len(calls) > 3:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    monkeypatch.setattr(os, "replace", full_after_a_while)
    with pytest.raises(OSError, match=r"No space left.*before it is whole.*--resume"):
        train(settings(), out=tmp_path / "run", checkpoint_seconds=0.0)
    monkeypatch.undo()
    assert not [name for name in os.listdir(tmp_path / "run") if name.startswith(".")]
    train(settings(), out=tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "run")
    assert untimed(tmp_path / "run") == untimed(tmp_path / "whole")


def test_held_out_frames_are_of_each_group_and_of_small_and_large_forces(make_molecules, tmp_path):
    path = tmp_path / "frames.xyz"
    write(path, [*make_molecules(40, seed=1), *make_molecules(8, seed=2, forces=False)])
    frames = read_frames(path)
    for seed in range(5):
        kept, held_out = divide(frames, 0.25, seed)
        assert (len(kept), len(held_out)) == (36, 12)
        assert held_out.groups.count("warm") == held_out.groups.count("cold") == 6
        for group in ("warm", "cold"):
            sizes = np.sort(frames.force_sizes[[g == group for g in frames.groups]])
            found = np.sort(held_out.force_sizes[[g == group for g in held_out.groups]])
            # One of each four in the order of size, those without forces (NaN) at its end.
            assert [np.searchsorted(sizes, size) // 4 for size in found[:5]] == list(range(5))
            assert np.isnan(found[5])
    once, again = (divide(frames, 0.25, 3)[1].content_hash() for _ in range(2))
    assert once == again != divide(frames, 0.25, 4)[1].content_hash()


@pytest.mark.parametrize(("frames", "held_out"), [(2, 1), (20, 2), (150, 15), (200, 15), (500, 25)])
def test_few_frames_are_held_out_if_nothing_is_said(frames, held_out):
    from cynosure.data import split
    from cynosure.training.setup import _held_out

    training, validation = split(frames, _held_out(frames), seed=0)
    assert (len(training), len(validation)) == (frames - held_out, held_out)


def test_automatic_sizes_suit_the_data(data, tmp_path):
    from cynosure.data import GraphDataset, read_frames
    from cynosure.training.setup import resolve_sizes

    dataset = GraphDataset(read_frames(data), 3.0)
    config = resolve_sizes(from_settings({"data": str(data)}), dataset)
    assert config.batch.max_edges >= max(dataset.edge_counts())
    assert config.epochs * len(dataset) / 5 >= 2000
    assert config.val_every == config.epochs // 100
    given = resolve_sizes(from_settings({"data": str(data), "minutes": 3}), dataset)
    assert given.epochs is None


@pytest.mark.parametrize(
    ("minutes", "threads", "given", "expected"),
    [
        (4, 1, {}, "small"),
        (10, 1, {}, "medium"),
        (100, 1, {}, "large"),
        (50, 2, {"cutoff": 4.0}, "large"),
        (5, 2, {"cutoff": 4.0, "zbl": True}, "medium"),
        (100, 1, {"channels": 8}, None),
        (100, 1, {"members": 2}, None),
        (100, 1, {"model": "nequip"}, None),
        (100, 1, {"preset": "small"}, None),
        (None, 1, {}, None),
    ],
)
def test_the_preset_follows_from_the_time_there_is(data, set_threads, minutes, threads, given, expected):
    from cynosure.training.setup import choose_preset, resolve_model

    set_threads(threads)
    said = []
    open_settings = {"data": str(data), "model": given, "minutes": minutes, "batch": {"max_edges": 2000}}
    config = resolve_model(from_settings(open_settings), None)
    found = choose_preset(config, given, said.append)
    if expected is None:
        assert (found, said) == (config, [])
    else:
        wanted = resolve({"preset": expected, **given}).model_dump(mode="json")
        assert found.model == wanted
        assert found == config.model_copy(update={"model": wanted})
        assert f"preset '{expected}'" in said[0]


def test_a_run_by_the_clock_starts_with_the_preset_it_chose(settings, data, tmp_path, monkeypatch):
    """And is resumed with it, though another number of threads would choose another."""
    from cynosure.potentials import presets
    from cynosure.training import setup

    small = {"model": "nequip", "layers": 1, "l_max": 0, "channels": 4}
    monkeypatch.setattr(presets, "PRESETS", {"large": {**small, "members": 2}, "small": small})
    monkeypatch.setattr(setup, "_STEPS_FOR_MEDIUM", 0)
    monkeypatch.setattr(setup, "_STEPS_FOR_MEMBERS", 1)
    config = TrainConfig(data={"train": str(data)}, minutes=0.2)
    recorder = Recorder()
    result = train(config, out=tmp_path / "run", display=recorder)
    assert "Model: preset 'large', for 0.2 minutes on " in recorder.text
    assert members_of(cynosure.load(result.model))[1:]
    monkeypatch.setattr(setup, "_STEPS_FOR_MEDIUM", 10**9)
    kept = json.loads((tmp_path / "run" / "config.json").read_text())
    again = train(from_settings(kept), out=tmp_path / "run", resume=True)
    assert again.steps == result.steps


def test_plain_lines(settings, tmp_path, capsys):
    train(settings(epochs=2), out=tmp_path / "run", display=LineDisplay(interval=0.0))
    text = capsys.readouterr().out
    assert "Training on 18 frames, validating on 2" in text
    assert re.search(r"validation at step \d+: energy [\d.e+-]+ meV/atom, forces [\d.e+-]+ meV/Å", text)
