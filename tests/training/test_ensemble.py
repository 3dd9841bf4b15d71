"""Members train as they would alone; their spread is calibrated on held-out frames; a stopped run goes on exactly."""

import os
import signal

import numpy as np
import pytest
import torch
from ase.io import write
from safetensors.torch import load_file

import cynosure
from cynosure.data import Frames, GraphDataset, read_frames
from cynosure.potentials import UncertaintyFactors, members_of
from cynosure.training import Display, evaluate, train
from cynosure.training.metrics_log import read_log

SMALL_MACE = {
    "model": "mace",
    "channels": 4,
    "hidden_l_max": 0,
    "l_max": 1,
    "correlation": 2,
    "radial_hidden": [8, 8],
}
MODEL = {"channels": 8, "layers": 1, "l_max": 1, "num_basis": 4, "radial_hidden": [8, 8], "cutoff": 3.0}


class StopOnce(Display):
    """Interrupts the process at the first validation after a step."""

    def __init__(self, after):
        self.after = after

    def validation(self, *, step, score, best, metrics):
        if step > self.after:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def ensemble(settings, data, make_molecules, tmp_path):
    """Makes settings of an ensemble, in float64, validated on twelve molecules of their own."""
    write(tmp_path / "val.xyz", make_molecules(12, seed=3))

    def make(members=2, **changes):
        given = {
            "data": {"train": str(data), "val": str(tmp_path / "val.xyz")},
            "model": {**MODEL, "members": members},
            "dtype": "float64",
            **changes,
        }
        return settings(**given)

    return make


def part(folder, prefix):
    tensors = load_file(folder / "checkpoint.safetensors")
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def untimed(folder):
    return [
        {key: value for key, value in record.items() if key != "elapsed"}
        for record in read_log(folder / "metrics.jsonl")
    ]


@pytest.mark.parametrize("threads", [1, 3])
def test_a_member_trains_as_it_would_alone(ensemble, tmp_path, threads, set_threads):
    """Member n is the run with the seed n; the log has the means, and validation is of the mean."""
    # One batch of all frames, so that the order of frames, which is the seed's too, plays no part. So short a gradient
    # is let through that each is shortened, and by its own length.
    chosen = {"batch": {"max_edges": 10**6}, "optimiser": {"clip": 1e-3, "kind": "adam"}}
    set_threads(threads)  # for one member after the other, and for both at once
    result = train(ensemble(2, **chosen), out=tmp_path / "both")
    for seed in (0, 1):
        train(ensemble(1, seed=seed, **chosen), out=tmp_path / f"{seed}")
        for kind in ("model", "average"):
            expected = part(tmp_path / f"{seed}", f"{kind}/")
            found = part(tmp_path / "both", f"{kind}/members.{seed}.")
            assert found.keys() == expected.keys() != set()
            for name, tensor in expected.items():
                torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-9)
        memory = part(tmp_path / "both", f"members.{seed}/optimiser/")
        assert memory.keys() == part(tmp_path / f"{seed}", "optimiser/").keys() != set()
    runs = [untimed(tmp_path / name) for name in ("both", "0", "1")]
    for together, *alone in zip(*runs, strict=True):
        assert [record["step"] for record in alone] == 2 * [together["step"]]
        if together["kind"] == "step":
            for name in ("loss", "energy", "forces", "gradient"):
                assert together[name] == pytest.approx(np.mean([r[name] for r in alone]), rel=1e-6)
                assert alone[0][name] != pytest.approx(alone[1][name], rel=1e-3)
    # The rate is low, and the last validation the best: that of the model that was kept.
    model, frames = cynosure.load(result.model), read_frames(tmp_path / "val.xyz")
    rmse = together["errors"]["forces"]["rmse"]
    assert together["best"]
    assert rmse == pytest.approx(evaluate(model, frames).errors["forces"].rmse, rel=1e-9)
    for record in alone:
        assert rmse != pytest.approx(record["errors"]["forces"]["rmse"], rel=1e-3)


@pytest.mark.parametrize("mixed", [False, True], ids=["of one architecture", "mixed"])
def test_a_stopped_ensemble_goes_on_as_if_nothing_had_happened(ensemble, tmp_path, mixed):
    # As rates rise that far, the first validation is the best: a resumed run has it from its checkpoint alone.
    chosen = {"optimiser": {"lr": 5.0}, "schedule": {"warmup": 0.9, "final": 1.0}, "ema": {"decay": 0.0}}
    if mixed:
        one, other = {key: value for key, value in MODEL.items() if key != "cutoff"}, SMALL_MACE
        chosen["model"] = {"model": "mixed", "of": [one, other], "cutoff": MODEL["cutoff"]}
    config = ensemble(epochs=3, **chosen)
    report = train(config, out=tmp_path / "whole").report
    stopped = train(config, out=tmp_path / "run", display=StopOnce(0))
    assert stopped.signal == signal.SIGINT
    factors = cynosure.load(stopped.model).calibration.uncertainty
    assert factors != UncertaintyFactors()
    train(config, out=tmp_path / "run", resume=True)
    for name, tensor in part(tmp_path / "whole", "").items():
        assert torch.equal(part(tmp_path / "run", "")[name], tensor), name
    assert untimed(tmp_path / "run") == untimed(tmp_path / "whole")
    whole, run = (cynosure.load(tmp_path / name / "model.safetensors") for name in ("whole", "run"))
    assert run.provenance["best_step"] <= stopped.steps < run.provenance["steps"]
    assert run.calibration == whole.calibration
    told = "nequip of 1 layer, 8 channels, l ≤ 1; mace of 2 layers, 4 channels, l ≤ 1; cutoff 3.0 Å"
    assert (f"An ensemble of 2 models ({told})" in report.read_text()) is mixed
    for name, tensor in whole.state_dict().items():
        assert torch.equal(run.state_dict()[name], tensor), name


def test_the_factors_make_held_out_errors_as_large_as_expected(ensemble, tmp_path):
    result = train(ensemble(3), out=tmp_path / "run")
    model = cynosure.load(result.model)
    frames = read_frames(tmp_path / "val.xyz")
    factors = model.calibration.uncertainty
    # The members' own outputs, one frame at a time.
    squares = {"energy": [], "forces": []}
    for frame, graph in zip(frames, GraphDataset(frames, model.cutoff), strict=True):
        found = [{k: v.numpy() for k, v in member(graph).items()} for member in members_of(model)]
        energies, forces = (np.stack([one[name] for one in found]) for name in ("energy", "forces"))
        squares["energy"].append(((energies.mean(axis=0) - frame.energy) ** 2, energies.var(axis=0, ddof=1)))
        errors = (forces.mean(axis=0) - frame.forces) ** 2
        squares["forces"].append((errors.mean(axis=1), forces.var(axis=0, ddof=1).mean(axis=1)))
    for name, pairs in squares.items():
        errors, spreads = (np.concatenate(some) for some in zip(*pairs, strict=True))
        expected = np.sqrt(errors.mean() / spreads.mean())
        assert getattr(factors, name) == pytest.approx(expected, rel=1e-9)
        assert abs(expected - 1) > 0.01, "a factor of one could be there by chance"
    # What the run says of its held-out frames is what the model that it kept says.
    held_out = next(iter(result.metrics.values()))
    again = evaluate(model, frames)
    for name in ("energy_per_atom", "forces"):
        told, found = held_out.uncertainty[name], again.uncertainty[name]
        assert told.ratio == pytest.approx(1.0, abs=1e-9)
        assert found.ratio == pytest.approx(1.0, abs=1e-6)
        np.testing.assert_allclose(np.sort(told.uncertainties), np.sort(found.uncertainties), rtol=1e-6)
    assert model.provenance["validation"]["uncertainty"]["forces"]["n"] == 12 * 4 * 3
    report = (tmp_path / "run" / "report.html").read_text()
    assert "An ensemble of 3 models (nequip of 1 layer, 8 channels" in report
    assert "How well it knows its errors" in report
    assert "within 1σ" in held_out.table()


def test_uncertainties_stand_beside_their_errors_however_frames_are_batched(make_molecules):
    model = cynosure.build(
        {**MODEL, "members": 3}, ["C", "O"], scale=0.5, avg_neighbours=3, dtype=torch.float64
    )
    factors = UncertaintyFactors(energy=2.0, forces=3.0)
    model.calibration = model.calibration.model_copy(update={"uncertainty": factors})
    frames = Frames.from_atoms(
        [
            *make_molecules(3),
            *make_molecules(2, seed=1, forces=False),
            *make_molecules(4, seed=2, energy=False),
        ]
    )
    expected = {"energy_per_atom": [], "forces": []}
    for frame, graph in zip(frames, GraphDataset(frames, model.cutoff), strict=True):
        found = model(graph, ("energy", "forces", "energy_uncertainty", "forces_uncertainty"))
        if "energy" in frame.labels():
            error = float(found["energy"]) - frame.energy
            expected["energy_per_atom"].append((error / 4, float(found["energy_uncertainty"]) / 4))
        if "forces" in frame.labels():
            errors, spread = found["forces"].numpy() - frame.forces, found["forces_uncertainty"].numpy()
            expected["forces"] += [(errors[i, c], spread[i]) for i in range(4) for c in range(3)]
    for max_edges in (1, 10**6):
        metrics = evaluate(model, frames, max_edges=max_edges)
        assert metrics.uncertainty.keys() == expected.keys()
        for name, pairs in expected.items():
            told = metrics.uncertainty[name]
            found = sorted(zip(told.errors.tolist(), told.uncertainties.tolist(), strict=True))
            np.testing.assert_allclose(found, sorted(pairs), rtol=1e-9, atol=1e-9)
    json = metrics.to_json()["uncertainty"]["forces"]
    assert json["rmse"] == pytest.approx(metrics.errors["forces"].rmse)
    assert json["n"] == metrics.errors["forces"].n


def test_a_single_model_claims_nothing(make_molecules):
    model = cynosure.build(MODEL, ["C", "O"], avg_neighbours=3, dtype=torch.float64)
    metrics = evaluate(model, Frames.from_atoms(make_molecules(2)))
    assert metrics.uncertainty == {}
    assert "uncertainty" not in metrics.to_json()
    assert "uncertainty" not in metrics.table()
    assert metrics.calibrated() == (metrics, {})


def test_fine_tuning_starts_from_each_member_and_names_weights_as_in_one(ensemble, tmp_path):
    base = train(ensemble(2, epochs=1), out=tmp_path / "base").model
    way = {"base": str(base), "rank": 1, "train": ["layers.*"]}
    new = ensemble(1).model_copy(update={"model": {}, "epochs": 1})
    config = new.model_copy(update={"finetune": new.finetune.model_validate(way)})
    train(config, out=tmp_path / "tuned")
    start = cynosure.load(base)
    first = next(r for r in untimed(tmp_path / "tuned") if r["kind"] == "validation")
    assert first["step"] == 0
    errors = evaluate(start, read_frames(tmp_path / "val.xyz")).errors
    assert first["errors"] == {name: stats.to_json() for name, stats in errors.items()}
    before, after = start.state_dict(), part(tmp_path / "tuned", "model/")
    moved = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert {name.split(".")[1] for name in moved} == {"0", "1"}
    assert {name.split(".")[2] for name in moved} == {"layers"}
    additions = [part(tmp_path / "tuned", f"members.{number}/addition/") for number in (0, 1)]
    assert additions[0].keys() == additions[1].keys() != set()
    # A is drawn for each member, of unit normals, and has hardly moved.
    for name in (name for name in additions[0] if name.endswith(".first")):
        assert float((additions[0][name] - additions[1][name]).abs().max()) > 0.5, name
    with pytest.raises(ValueError, match=r"model\.members is 2 there and 3 here"):
        train(config.model_copy(update={"model": {"members": 3}}), out=tmp_path / "odd")
