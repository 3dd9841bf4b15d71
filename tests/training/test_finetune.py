"""Fine-tuning: it starts at the base model exactly, moves what it should alone, and gives an ordinary model."""

import hashlib
import json
import os
import shutil
import signal

import numpy as np
import pytest
import torch
from ase.io import write
from safetensors.torch import load_file

import cynosure
from cynosure.data import read_frames, split
from cynosure.graph import batch, from_atoms
from cynosure.kernels import NotLowered
from cynosure.o3 import random_rotation
from cynosure.potentials import Evaluator, NequIP, read_header
from cynosure.training import Display, evaluate, from_settings, train
from cynosure.training.config import TrainConfig
from cynosure.training.metrics_log import read_log
from cynosure.training.setup import divide
from cynosure.training.trained_weights import TrainedWeights

MODEL = {
    "model": "nequip",
    "channels": 8,
    "layers": 2,
    "l_max": 1,
    "num_basis": 8,
    "radial_hidden": [16, 8],
    "cutoff": 3.0,
}
# A rate at which a step is taken and nothing moves: 1 − 1e-300 is 1.
STILL = {"lr": 1e-300}
WAYS = [{}, {"train": "readouts.*"}, {"rank": 2}, {"rank": 1, "train": ["layers.*.convolution.*"]}]


class Recorder(Display):
    def __init__(self, after_validation=None):
        self.text, self.after_validation = "", after_validation

    def say(self, text):
        self.text += text + "\n"

    def validation(self, *, step, score, best, metrics):
        if self.after_validation is not None:
            self.after_validation(step)


def built(path, *, e0_kind="fitted", species=("H", "C", "O")):
    """A model file in float64 with fresh weights."""
    model = cynosure.build(
        MODEL,
        list(species),
        e0s={symbol: -4.0 - number for number, symbol in enumerate(species)},
        e0_kind=e0_kind,
        scale=0.7,
        shift=-0.3,
        avg_neighbours=3.0,
        seed=5,
        dtype=torch.float64,
    )
    model.save(path, provenance={"note": "fresh"})
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A model file that knows hydrogen, carbon and oxygen, with E0s that count as fitted."""
    return built(tmp_path_factory.mktemp("base") / "base.safetensors")


@pytest.fixture
def frames_file(make_molecules, tmp_path):
    """Molecules of carbon and oxygen in two compositions, with energies far from those of the base model."""
    frames = make_molecules(20)
    for number, atoms in enumerate(frames):
        if number % 3 == 0:
            atoms.symbols[1] = "C"
        atoms.calc.results["energy"] += 2.5 * atoms.symbols.count("C")
    path = tmp_path / "frames.xyz"
    write(path, frames)
    return path


@pytest.fixture
def chosen(base, frames_file):
    """Makes settings to fine-tune `base` on `frames_file`; keywords replace sections."""

    def make(finetune=None, *, e0s="auto", **changes) -> TrainConfig:
        settings = {
            "data": {"train": str(frames_file), "e0s": e0s},
            "finetune": {"base": str(base), **(finetune or {})},
            "dtype": "float64",
            "epochs": 3,
            "batch": {"max_edges": 60},
        }
        return from_settings({**settings, **changes})

    return make


def graphs(path, model):
    return batch([from_atoms(frame, model.cutoff) for frame in _atoms(path)])


def _atoms(path):
    from ase.io import read

    return read(path, ":")


def weights(path):
    return load_file(path)


def model_in_checkpoint(folder):
    """The weights as the optimiser left them, without averaging."""
    return part(folder, "model/")


def part(folder, prefix):
    tensors = load_file(folder / "checkpoint.safetensors")
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def validations(folder):
    return [record for record in read_log(folder / "metrics.jsonl") if record["kind"] == "validation"]


@pytest.mark.parametrize("way", WAYS)
def test_before_the_first_update_it_is_the_base_model(chosen, base, frames_file, tmp_path, way):
    result = train(chosen(way, optimiser=STILL), out=tmp_path / "run")
    start, tuned = cynosure.load(base), cynosure.load(result.model)
    assert result.steps > 0
    for name, tensor in weights(base).items():
        assert torch.equal(weights(result.model)[name], tensor), name
        assert torch.equal(model_in_checkpoint(tmp_path / "run")[name], tensor), name
    assert tuned.config == start.config
    assert tuned.calibration == start.calibration
    graph = graphs(frames_file, start)
    for name, value in start(graph, ("energy", "forces", "virials")).items():
        assert torch.equal(tuned(graph, (name,))[name], value), name
    # And so says the validation that comes before the first step.
    first = validations(tmp_path / "run")[0]
    assert first["step"] == 0
    held_out = evaluate(start, divide(read_frames(frames_file), 0.1, 0)[1])
    assert first["errors"]["forces"] == held_out.errors["forces"].to_json()


@pytest.mark.parametrize("way", WAYS)
def test_refitted_e0s_take_up_what_the_interactions_leave_and_no_force_changes(
    chosen, base, frames_file, tmp_path, way
):
    display = Recorder()
    result = train(chosen(way, e0s="fit", optimiser=STILL), out=tmp_path / "run", display=display)
    start, tuned = cynosure.load(base), cynosure.load(result.model)
    graph = graphs(frames_file, start)
    before, after = start(graph), tuned(graph)
    assert torch.equal(after["forces"], before["forces"])

    # Least squares over the training frames, written out.
    frames = read_frames(frames_file)
    used = split(20, 0.1, 0, (frames.groups, frames.force_sizes))[0]
    labels = np.array([frames[index].energy for index in used])
    counts = np.array([[(frames[index].atomic_numbers == z).sum() for z in (6, 8)] for index in used])
    atoms = counts.sum(axis=1)
    beyond = labels - before["energy"].numpy()[used]
    change = np.linalg.lstsq(counts / atoms[:, None], beyond / atoms, rcond=None)[0]
    tolerance = 1e-9
    assert np.abs(change).min() > 1e6 * tolerance
    # Hydrogen, which the data lack, keeps its own.
    expected = np.array(start.calibration.e0s) + np.array([0.0, *change])
    np.testing.assert_allclose(tuned.calibration.e0s, expected, rtol=0, atol=tolerance)
    assert tuned.calibration.e0s[0] == start.calibration.e0s[0]
    assert tuned.calibration.e0_kind == "fitted"
    assert tuned.calibration.scale == start.calibration.scale
    assert tuned.calibration.shift == start.calibration.shift
    moved = after["energy"].numpy()[used] - before["energy"].numpy()[used]
    np.testing.assert_allclose(moved, counts @ change, rtol=0, atol=tolerance)
    assert "E0s by least squares" in display.text


def test_one_composition_changes_the_e0s_as_little_as_it_can(chosen, base, data, tmp_path):
    config = chosen(optimiser=STILL, data={"train": str(data), "e0s": "fit"})
    result = train(config, out=tmp_path / "run")
    before, after = (np.array(cynosure.load(path).calibration.e0s) for path in (base, result.model))
    assert abs((after - before)[1]) > 0.1
    assert (after - before)[1] == pytest.approx((after - before)[2], rel=1e-9)


def test_frames_without_energies_leave_the_e0s(chosen, base, make_molecules, tmp_path):
    write(tmp_path / "forces.xyz", make_molecules(energy=False))
    display = Recorder()
    config = chosen(data={"train": str(tmp_path / "forces.xyz"), "e0s": "fit"})
    result = train(config, out=tmp_path / "run", display=display)
    assert cynosure.load(result.model).calibration == cynosure.load(base).calibration
    assert "E0s of the base model stay" in display.text


def test_energies_of_lone_atoms_replace_energies_of_lone_atoms(chosen, frames_file, tmp_path):
    lone = built(tmp_path / "lone.safetensors", e0_kind="isolated")
    ways = {"keep": "keep", "fit": "fit", "given": {"C": -7.5, "O": -8.25}}
    tuned = {}
    for name, e0s in ways.items():
        config = chosen({"base": str(lone)}, e0s=e0s, optimiser=STILL)
        tuned[name] = cynosure.load(train(config, out=tmp_path / name).model)
    start = cynosure.load(lone)
    graph = graphs(frames_file, start)
    for model in tuned.values():
        assert torch.equal(model(graph)["forces"], start(graph)["forces"])
    assert tuned["keep"].calibration == start.calibration
    assert tuned["given"].calibration.e0s == (start.calibration.e0s[0], -7.5, -8.25)
    kinds = {name: model.calibration.e0_kind for name, model in tuned.items()}
    assert kinds == {"keep": "isolated", "fit": "given", "given": "given"}


def test_what_is_frozen_stays_bit_by_bit_and_the_rest_moves(chosen, base, tmp_path):
    patterns = ["readouts.*", "layers.1.self_connection.weights.?"]
    display = Recorder()
    train(chosen({"train": patterns}), out=tmp_path / "run", display=display)
    start = weights(base)
    named = {name for name in start if name.startswith(("readouts.", "layers.1.self_connection."))}
    assert 0 < len(named) < len(start)
    now = model_in_checkpoint(tmp_path / "run")
    assert {name for name in start if not torch.equal(now[name], start[name])} == named
    averaged = part(tmp_path / "run", "average/")
    assert {name for name in averaged if not torch.equal(averaged[name], start[name])} == named
    moments = {name.partition("/")[2] for name in part(tmp_path / "run", "optimiser/")}
    assert moments == named
    total = sum(p.numel() for p in cynosure.load(base).parameters())
    part_of = sum(start[name].numel() for name in named)
    assert f"{part_of:,} of the model's {total:,} weights train" in display.text


def test_additions_have_low_rank_and_the_model_holds_their_sum(chosen, base, tmp_path):
    display = Recorder()
    result = train(chosen({"rank": 2}, ema={"decay": 0.0}), out=tmp_path / "run", display=display)
    start, now = weights(base), model_in_checkpoint(tmp_path / "run")
    additions = part(tmp_path / "run", "addition/")
    names = {name.rpartition(".")[0] for name in additions}
    assert {"layers.0.convolution.weight", "layers.0.self_connection.weights.0"} <= names
    assert "readouts.1.layers.0.weights.0" not in names  # [8, 1]: rank 2 would take more numbers than it has
    for name in names:
        first, second = additions[f"{name}.first"], additions[f"{name}.second"]
        assert second.abs().max() > 0
        torch.testing.assert_close(
            now[name], start[name] + first @ second / np.sqrt(2), rtol=0, atol=1e-14, msg=name
        )
        assert int(torch.linalg.matrix_rank(now[name] - start[name], atol=1e-12).max()) == 2
    # What has no addition trains as a whole; a buffer is no weight.
    parameters = {name for name, _ in cynosure.load(base).named_parameters()}
    assert all(not torch.equal(now[name], start[name]) for name in parameters)
    numbers = sum(tensor.numel() for tensor in additions.values())
    numbers += sum(start[name].numel() for name in parameters - names)
    total = sum(start[name].numel() for name in parameters)
    assert numbers < 0.6 * total
    assert f"all of the model's {total:,} weights train, as {numbers:,} numbers" in display.text

    # The file is an ordinary model: the same tensors, the same errors as during training, and the core runs it.
    assert weights(result.model).keys() == start.keys()
    best = [record for record in validations(tmp_path / "run") if record["best"]][-1]
    assert best["step"] > 0
    tuned = cynosure.load(result.model)
    _, frames = divide(read_frames(chosen().data.train), 0.1, 0)
    for engine in (None, Evaluator(tuned)):
        errors = evaluate(tuned, frames, engine=engine).to_json()
        for name in ("energy", "forces"):
            assert errors[name]["mae"] == pytest.approx(best["errors"][name]["mae"], rel=1e-9)


@pytest.mark.parametrize("shape", [(6, 5), (3, 6, 5)])
def test_gradients_of_additions_are_those_of_the_sum_written_out(shape):
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(shape, generator=generator, dtype=torch.float64)
    goal = torch.randn(shape, generator=generator, dtype=torch.float64)

    module = torch.nn.Module()
    module.weight = torch.nn.Parameter(start.clone())
    trained = TrainedWeights(module, rank=2, seed=3)
    a, b = (tensor.detach().clone().requires_grad_() for tensor in trained.additions.values())
    assert not b.any()
    optimiser = torch.optim.SGD(trained.named.values(), lr=1e-3)
    reference = torch.optim.SGD([a, b], lr=1e-3)
    for _ in range(5):
        reference.zero_grad()
        (start + a @ b / np.sqrt(2) - goal).pow(4).sum().backward()
        reference.step()
        optimiser.zero_grad()
        (module.weight - goal).pow(4).sum().backward()
        trained.pass_gradients()
        assert module.weight.grad is None
        optimiser.step()
        trained.put_into_model()
    for mine, written_out in zip(trained.additions.values(), (a, b), strict=True):
        torch.testing.assert_close(mine.detach(), written_out.detach(), rtol=1e-12, atol=1e-14)
    assert 0.1 < (module.weight - start).abs().max() < 10


def test_additions_train_in_the_core_as_through_autograd(chosen, tmp_path, monkeypatch):
    train(chosen({"rank": 2}), out=tmp_path / "core")

    def refuse(self):
        raise NotLowered("for this test")

    monkeypatch.setattr(NequIP, "lower", refuse)
    train(chosen({"rank": 2}), out=tmp_path / "autograd")
    core, autograd = (part(tmp_path / name, "addition/") for name in ("core", "autograd"))
    for name, tensor in core.items():
        torch.testing.assert_close(autograd[name], tensor, rtol=0, atol=1e-8, msg=name)


def test_symmetries_hold_after_training_with_additions(chosen, frames_file, tmp_path):
    model = cynosure.load(train(chosen({"rank": 2}), out=tmp_path / "run").model)
    atoms = _atoms(frames_file)[0]
    turn = -random_rotation(generator=torch.Generator().manual_seed(1)).numpy()  # a rotoinversion
    turned = atoms.copy()
    turned.positions = atoms.positions @ turn.T
    one, other = (model(from_atoms(a, model.cutoff)) for a in (atoms, turned))
    assert one["forces"].abs().max() > 0.1
    np.testing.assert_allclose(other["energy"], one["energy"], rtol=0, atol=1e-11)
    np.testing.assert_allclose(other["forces"], one["forces"].numpy() @ turn.T, rtol=0, atol=1e-11)


@pytest.mark.parametrize("way", [{"rank": 2}, {"train": ["readouts.*", "embedding"]}])
def test_a_resumed_run_ends_as_if_it_had_not_been_stopped(chosen, base, tmp_path, way):
    moved = shutil.copy(base, tmp_path / "elsewhere.safetensors")
    train(chosen(way, e0s="fit"), out=tmp_path / "whole")

    def stop(step):
        if step > 0:
            os.kill(os.getpid(), signal.SIGINT)

    stopped = train(chosen(way, e0s="fit"), out=tmp_path / "run", display=Recorder(stop))
    assert stopped.signal == signal.SIGINT
    assert 0 < stopped.steps < read_log(tmp_path / "whole" / "metrics.jsonl")[-1]["step"]
    # The base model is known by its content, wherever it is.
    train(chosen({**way, "base": str(moved)}, e0s="fit"), out=tmp_path / "run", resume=True)
    whole, resumed = (load_file(tmp_path / name / "checkpoint.safetensors") for name in ("whole", "run"))
    assert whole.keys() == resumed.keys()
    for name, tensor in whole.items():
        assert torch.equal(resumed[name], tensor), name
    first, second = (weights(tmp_path / name / "model.safetensors") for name in ("whole", "run"))
    assert all(torch.equal(second[name], tensor) for name, tensor in first.items())

    other = built(tmp_path / "other.safetensors", species=("C", "O"))
    with pytest.raises(ValueError, match="base model is not the one that the run was started with"):
        train(chosen({**way, "base": str(other)}, e0s="fit"), out=tmp_path / "run", resume=True)


def test_the_settings_are_kept_and_the_model_knows_where_it_comes_from(chosen, base, tmp_path):
    result = train(chosen({"rank": 2}), out=tmp_path / "run")
    kept = json.loads((tmp_path / "run" / "config.json").read_text())
    assert kept["finetune"] == {"base": str(base), "train": ["*"], "rank": 2}
    assert kept["data"]["e0s"] == "keep"
    assert kept["model"]["channels"] == 8
    assert from_settings(kept).finetune.rank == 2
    provenance = read_header(result.model)["provenance"]
    assert provenance["base"] == {
        "name": "base.safetensors",
        "sha256": hashlib.sha256(base.read_bytes()).hexdigest(),
    }
    assert str(base.parent) not in json.dumps(provenance)
    assert "It started from the weights of base.safetensors" in result.report.read_text()


def test_it_learns_and_a_log_repeats_it(chosen, tmp_path):
    train(chosen(e0s="fit", epochs=20), out=tmp_path / "run")
    scores = [record["score"] for record in validations(tmp_path / "run")]
    assert min(scores) < 0.3 * scores[0]
    log = tmp_path / "run" / "metrics.jsonl"
    train(chosen(e0s="fit", epochs=20), out=tmp_path / "again", replay=log)
    first, second = model_in_checkpoint(tmp_path / "run"), model_in_checkpoint(tmp_path / "again")
    assert all(torch.equal(second[name], tensor) for name, tensor in first.items())


def test_training_that_only_makes_the_base_model_worse_leaves_it_as_it_is(
    chosen, base, frames_file, tmp_path
):
    model = cynosure.load(base)
    frames = _atoms(frames_file)
    for atoms in frames:
        outputs = model(from_atoms(atoms, model.cutoff))
        atoms.calc.results = {"energy": float(outputs["energy"]), "forces": outputs["forces"].numpy()}
    write(tmp_path / "own.xyz", frames)
    config = chosen(data={"train": str(tmp_path / "own.xyz")}, optimiser={"lr": 0.5}, epochs=2)
    result = train(config, out=tmp_path / "run")
    assert validations(tmp_path / "run")[0]["score"] < 1e-12
    assert validations(tmp_path / "run")[-1]["score"] > 1e-6
    assert all(torch.equal(weights(result.model)[name], tensor) for name, tensor in weights(base).items())


def test_settings_that_agree_with_the_base_model_are_no_contradiction(chosen, tmp_path):
    train(chosen(model={"channels": 8, "cutoff": 3}, epochs=1), out=tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"channels": 16}}, r"model\.channels is 8 there and 16 here; leave these settings out"),
        ({"model": {"cutoff": 4.0, "l_max": 2}}, r"model\.cutoff is 3\.0 there and 4\.0 here, model\.l_max"),
        (
            {"model": {"preset": "small"}},
            r"model\.layers is 2 there and \d here|model\.channels is 8 there and",
        ),
        ({"model": {"chanels": 8}}, r"no setting 'model\.chanels'; did you mean 'channels'"),
        ({"finetune": {"base": "nothing.safetensors"}}, r"no model file 'nothing\.safetensors'"),
        (
            {"finetune": {"train": "readuot.*"}},
            r"finetune\.train: no parameter .* 'readuot\.\*'; they are embed",
        ),
        (
            {"e0s": {"C": -1.0, "O": -2.0}},
            r"E0s of the base model 'base\.safetensors' were fitted.*--e0s fit",
        ),
    ],
)
def test_what_does_not_fit_the_base_model_is_said_in_words(chosen, tmp_path, changes, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        train(chosen(**changes), out=tmp_path / "run")
    train(
        chosen(epochs=1), out=tmp_path / "run"
    )  # nothing is left that a corrected attempt would stumble over


def test_an_element_that_the_base_model_does_not_know_is_named(chosen, make_molecules, tmp_path, frames_file):
    strangers = make_molecules(4)
    strangers[0].symbols[0] = "Fe"
    write(tmp_path / "strangers.xyz", strangers)
    advice = (
        r"has Fe, which the model does not know; it knows H, C, O\. .*leave these frames out, or train a new"
    )
    for data in (
        {"train": str(tmp_path / "strangers.xyz")},
        {"train": str(frames_file), "val": str(tmp_path / "strangers.xyz")},
    ):
        with pytest.raises(ValueError, match=advice):
            train(chosen(data=data), out=tmp_path / "run")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"finetune": {"rank": 2}}, "beside those of a base model: --from MODEL"),
        ({"finetune": {"train": "readouts.*"}}, "beside those of a base model: --from MODEL"),
        ({"finetune": {"base": "a", "rank": 0}}, r"finetune\.rank"),
        ({"finetune": {"base": "a", "train": []}}, r"finetune\.train"),
        ({"finetune": {"base": "a", "rnak": 2}}, r"no setting 'finetune\.rnak'; did you mean 'rank'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        from_settings({"data": "frames.xyz", **settings})


def test_there_are_no_e0s_to_keep_without_a_base_model(settings, data, tmp_path):
    with pytest.raises(ValueError, match="no base model whose E0s could be kept; name it by --from"):
        train(settings(data={"train": str(data), "e0s": "keep"}), out=tmp_path / "run")
    train(settings(epochs=1), out=tmp_path / "run")
    assert json.loads((tmp_path / "run" / "config.json").read_text())["data"]["e0s"] == "fit"
    assert read_header(tmp_path / "run" / "model.safetensors")["provenance"]["base"] is None
