"""An ensemble is the mean of its members' own models, and its uncertainty their spread."""

from __future__ import annotations

import ase.build
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import cynosure
from cynosure.graph import AtomGraph, batch, from_atoms
from cynosure.kernels import core
from cynosure.o3 import random_rotation
from cynosure.potentials import Committee, Evaluator, UncertaintyFactors, members_of, read_header

MEANS = ("energy", "energies", "forces", "stress", "virials")
ALL = (*MEANS, "energy_uncertainty", "forces_uncertainty")
# The rest of the settings is that of either architecture.
NEQUIP = {"model": "nequip", "layers": 2, "channels": 4, "l_max": 1, "radial_hidden": [6, 4]}
MACE = {
    "model": "mace",
    "hidden_l_max": 1,
    "channels": 3,
    "l_max": 2,
    "correlation": 2,
    "radial_hidden": [6, 4],
}
SMALL = {**NEQUIP, "cutoff": 4.0}
SETTINGS = {
    "nequip": {},
    "nequip with terms of pairs": {"zbl": True, "e0_kind": "isolated"},
    "mace": MACE,
    "without the core": {"layer_norm": True},
}


def build(members=3, seed=0, e0_kind="fitted", example=None, **config):
    settings = {"cutoff": 4.0, **config} if "of" in config else {**SMALL, **config}
    return cynosure.build(
        {"members": members, **settings},
        ["H", "C", "O"],
        e0s={"H": -13.6, "C": -1030.0, "O": -2040.0},
        e0_kind=e0_kind,
        scale={"H": 0.5, "C": 0.7, "O": 1.1},
        shift=-0.3,
        avg_neighbours=6.0,
        example=example,
        seed=seed,
        dtype=torch.float64,
    )


def atoms():
    molecule = ase.build.molecule("CH3CH2OH")
    molecule.rattle(0.05, seed=1)
    crystal = ase.build.bulk("C", "diamond", a=3.9) * (1, 1, 2)
    crystal.rattle(0.05, seed=2)
    return [molecule, crystal]


def structures() -> AtomGraph:
    return batch([from_atoms(one, 4.0) for one in atoms()])


def expected_of(models, graph) -> dict[str, np.ndarray]:
    """Mean and spread of models, by NumPy."""
    found = [{name: value.numpy() for name, value in model(graph, MEANS).items()} for model in models]
    every = {name: np.stack([one[name] for one in found]) for name in MEANS}
    expected = {name: values.mean(axis=0) for name, values in every.items()}
    expected["energy_uncertainty"] = every["energy"].std(axis=0, ddof=1)
    variance = every["forces"].var(axis=0, ddof=1)
    expected["forces_uncertainty"] = np.sqrt((variance[:, 0] + variance[:, 1] + variance[:, 2]) / 3)
    return expected


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_mean_and_spread_are_those_of_the_members_own_models(settings):
    model, graph = build(members=3, seed=7, **settings), structures()
    own = [build(members=1, seed=7 + number, **settings) for number in range(3)]
    expected = expected_of(own, graph)
    evaluator = Evaluator(model)
    assert evaluator.engine == ("core" if core.available() and "layer_norm" not in settings else "autograd")
    # Energies of −2000 eV keep their spread to 1e-12 of them.
    for found, tolerance in ((model(graph, ALL), 1e-10), (evaluator.evaluate(graph, ALL), 1e-9)):
        assert found.keys() == set(ALL)
        for name, value in found.items():
            np.testing.assert_allclose(value.numpy(), expected[name], rtol=1e-11, atol=tolerance)
    assert float(found["energy_uncertainty"].min()) > 0.01
    assert float(found["forces_uncertainty"].min()) > 0.01


@pytest.mark.parametrize(
    "pairs", [{}, SETTINGS["nequip with terms of pairs"]], ids=["plain", "with terms of pairs"]
)
def test_members_of_several_architectures_are_those_in_turn(pairs, tmp_path):
    model, graph = build(members=3, seed=7, model="mixed", of=[NEQUIP, MACE], **pairs), structures()
    own = [
        build(members=1, seed=7 + number, **one, **pairs) for number, one in enumerate((NEQUIP, MACE, NEQUIP))
    ]
    expected = expected_of(own, graph)
    evaluator = Evaluator(model)
    assert evaluator.engine == ("core" if core.available() else "autograd")
    model.save(tmp_path / "model.safetensors")
    again = cynosure.load(tmp_path / "model.safetensors")
    assert again.config == model.config
    for found in (model(graph, ALL), again(graph, ALL), evaluator.evaluate(graph, ALL)):
        for name, value in found.items():
            np.testing.assert_allclose(value.numpy(), expected[name], rtol=1e-11, atol=1e-9)
    for member, alone in zip(members_of(model), own, strict=True):
        assert member.config == alone.config


def test_one_member_for_which_autograd_serves_is_told():
    model = build(members=2, model="mixed", of=[MACE, {**NEQUIP, "layer_norm": True}])
    evaluator = Evaluator(model)
    assert evaluator.engine == "autograd"
    if core.available():
        assert evaluator.why_not == "layer_norm"


def test_mirror_images_are_alike_if_they_are_for_every_member():
    assert build(model="mixed", of=[NEQUIP, MACE]).promises_reflection
    assert not build(model="mixed", of=[MACE, {**NEQUIP, "parity": False}]).promises_reflection


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "'model.of' is a list of architectures"),
        ({"of": "nequip"}, "'model.of' is a list of architectures"),
        ({"of": [NEQUIP, 3]}, "'model.of' is a list of architectures"),
        ({"of": [NEQUIP]}, "'model.of'.*at least 2"),
        ({"of": [NEQUIP, {"model": "mce"}]}, "no model 'mce'"),
        ({"of": [NEQUIP, {**MACE, "chanels": 3}]}, "'model.of.1.chanels'; did you mean 'channels'"),
        (
            {"of": [NEQUIP, {"model": "mixed", "of": [NEQUIP, MACE]}]},
            "'model.of.1' is a mixed ensemble itself",
        ),
        ({"of": [NEQUIP, {**MACE, "members": 2}]}, "of.1 is an ensemble itself"),
        ({"of": [NEQUIP, {**MACE, "cutoff": 5}]}, "of.1 has cutoff 5.0, the ensemble 4.0"),
        ({"of": [NEQUIP, MACE], "members": 1}, "2 architectures for an ensemble of 1"),
        ({"of": [NEQUIP, MACE], "channels": 3}, "no setting 'model.channels'"),
    ],
)
def test_a_mixture_that_cannot_be_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        cynosure.build({"model": "mixed", "cutoff": 4.0, **settings}, ["Si"])


def test_members_start_as_models_of_consecutive_seeds():
    graph = structures()
    members = members_of(build(members=2, seed=5, example=graph))
    for number, member in enumerate(members):
        alone = build(members=1, seed=5 + number, example=graph)
        assert members_of(alone) == [alone]
        assert not isinstance(alone, Committee)
        assert member.config == alone.config
        for name, tensor in alone.state_dict().items():
            assert torch.equal(member.state_dict()[name], tensor), name


def test_an_output_alone_is_what_it_is_among_all():
    model, graph = build(), structures()
    together = model(graph, ALL)
    for call in (model, Evaluator(model).evaluate):
        for name in ALL:
            (found,) = call(graph, (name,)).items()
            assert found[0] == name
            torch.testing.assert_close(found[1], together[name], rtol=1e-9, atol=1e-9, equal_nan=True)


def test_factors_scale_the_uncertainty_and_nothing_else():
    model, graph = build(), structures()
    plain = model(graph, ALL)
    factors = UncertaintyFactors(energy=2.5, forces=0.4)
    model.calibration = model.calibration.model_copy(update={"uncertainty": factors})
    for call in (model, Evaluator(model).evaluate):
        for name, value in call(graph, ALL).items():
            factor = {"energy_uncertainty": 2.5, "forces_uncertainty": 0.4}.get(name, 1.0)
            torch.testing.assert_close(value, factor * plain[name], rtol=1e-9, atol=1e-9, equal_nan=True)


def test_uncertainties_do_not_depend_on_axes_order_or_origin():
    model, (molecule, _) = build(), atoms()
    names = ("energy_uncertainty", "forces_uncertainty")
    before = model(from_atoms(molecule, 4.0), names)
    order = np.random.default_rng(0).permutation(len(molecule))
    for sign in (1, -1):
        rotation = sign * random_rotation(generator=torch.Generator().manual_seed(3)).numpy()
        turned = molecule[order]
        turned.positions = turned.positions @ rotation.T + [1.0, -2.0, 0.5]
        after = model(from_atoms(turned, 4.0), names)
        torch.testing.assert_close(after[names[0]], before[names[0]], rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(after[names[1]], before[names[1]][order], rtol=1e-10, atol=1e-10)


def test_members_that_agree_are_certain():
    model, graph = build(members=2), structures()
    first, second = members_of(model)
    second.load_state_dict(first.state_dict())
    for call in (model, Evaluator(model).evaluate):
        found = call(graph, ("energy_uncertainty", "forces_uncertainty"))
        assert all(not value.any() for value in found.values())


def test_changed_weights_of_a_member_are_taken_over():
    model, graph = build(), structures()
    evaluator = Evaluator(model)
    before = evaluator.evaluate(graph, ALL)
    with torch.no_grad():
        next(members_of(model)[2].parameters()).mul_(1.5)
    after, expected = evaluator.evaluate(graph, ALL), model(graph, ALL)
    assert not torch.allclose(after["forces_uncertainty"], before["forces_uncertainty"], rtol=1e-3)
    for name in ALL:
        torch.testing.assert_close(after[name], expected[name], rtol=1e-9, atol=1e-9, equal_nan=True)


def test_a_file_holds_all_members_and_their_factors(tmp_path):
    model, graph, path = build(), structures(), tmp_path / "model.safetensors"
    factors = UncertaintyFactors(energy=3.0, forces=1.5)
    model.calibration = model.calibration.model_copy(update={"uncertainty": factors})
    model.save(path)
    again = cynosure.load(path)
    assert isinstance(again, Committee)
    assert again.config.members == 3
    assert again.calibration.uncertainty == factors
    for name, value in model(graph, ALL).items():
        assert torch.equal(again(graph, (name,))[name].nan_to_num(), value.nan_to_num()), name
    assert {"energy_uncertainty", "forces_uncertainty"} <= read_header(path)["probe"].keys()
    single = cynosure.load(path, dtype=torch.float32)
    assert single(graph, ALL)["forces_uncertainty"].dtype == torch.float32
    # A member is a model of its own.
    member = members_of(again)[1]
    member.save(tmp_path / "member.safetensors")
    alone = cynosure.load(tmp_path / "member.safetensors")
    assert torch.equal(alone(graph)["forces"], members_of(model)[1](graph)["forces"])


def test_a_file_that_lacks_a_member_or_computes_another_spread_is_refused(tmp_path):
    import json

    from safetensors import safe_open

    path = tmp_path / "model.safetensors"
    build().save(path)
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["cynosure"])
    tensors = load_file(path)

    def rewritten(change, kept):
        changed = json.loads(json.dumps(header))
        change(changed)
        save_file(kept, path, metadata={"cynosure": json.dumps(changed)})
        return path

    two = {name: tensor for name, tensor in tensors.items() if not name.startswith("members.2.")}
    with pytest.raises(ValueError, match=r"'members\.2\..*' is missing"):
        cynosure.load(rewritten(lambda _: None, two))
    with pytest.raises(ValueError, match="fails its probe: energy"):
        cynosure.load(rewritten(lambda h: h["config"].update(members=2), two))
    with pytest.raises(ValueError, match="fails its probe: forces_uncertainty"):
        cynosure.load(rewritten(lambda h: h["calibration"]["uncertainty"].update(forces=1.1), dict(tensors)))
    with pytest.raises(ValueError, match="members"):
        cynosure.load(rewritten(lambda h: h["config"].update(members=0), dict(tensors)))


def test_what_a_single_model_lacks_is_said():
    single, graph = build(members=1), structures()
    for call in (single, Evaluator(single).evaluate):
        with pytest.raises(ValueError, match=r"no output 'forces_uncertainty'.*--ensemble"):
            call(graph, ("energy", "forces_uncertainty"))
    with pytest.raises(ValueError, match=r"no output 'dipole'; the outputs are energy, .*forces_uncertainty"):
        build()(graph, ("dipole",))
    with pytest.raises(ValueError, match="2 members where the settings say 3"):
        Committee(build().config, single.calibration, [single, build(members=1, seed=1)])
