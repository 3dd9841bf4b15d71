"""Declared inputs, targets and derivatives: they turn as they say, and what symmetry forbids is zero."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule

import cynosure
from cynosure.graph import batch, from_atoms
from cynosure.nn import layout
from cynosure.o3 import CartesianTensor, random_rotation

EXACT = 1e-10

SETTINGS = {
    "channels": 4,
    "layers": 2,
    "l_max": 2,
    "radial_hidden": [8, 4],
    "inputs": {
        "spins": {"tensor": "i", "axial": True, "per": "atom", "odd": True},
        "field": {"tensor": "i"},
        "charge": {"irreps": "0e"},
    },
    "targets": {
        "dipole": {"tensor": "i"},
        "moments": {"irreps": "1e", "per": "atom", "odd": True},
        "handedness": {"irreps": "0o"},
        "shielding": {"tensor": "ij", "per": "atom"},
        "mixed": {"irreps": "2x0e+2x1o+1x2e"},
        "charges": {"irreps": "0e", "per": "atom", "total": "charge"},
        "bonds": {"tensor": "ij=ji", "per": "edge"},
    },
    "derivatives": {
        "polarization": {"formula": "-energy/field"},
        "torque": {"formula": "-energy/turn(spins)"},
    },
}
# A small network for what takes many passes.
TWICE = {
    "channels": 4,
    "layers": 1,
    "l_max": 1,
    "radial_hidden": [8, 4],
    "inputs": {name: SETTINGS["inputs"][name] for name in ("spins", "field")},
    "derivatives": {
        "polarization": {"formula": "-energy/field"},
        "polarizability": {"formula": "-energy/field/field"},
        "born": {"formula": "-energy/field/positions"},
        "born_turned": {"formula": "-energy/positions/field"},
        "exchange": {"formula": "energy/spins/spins"},
        "elastic": {"formula": "energy/strain/strain"},
        "internal": {"formula": "energy/positions/strain"},
        "torque": {"formula": "-energy/turn(spins)"},
    },
}
FIRST = ("energy", "energies", "forces", *SETTINGS["targets"], *SETTINGS["derivatives"])
RANKS = {
    "hessian": 2,
    "polarizability": 2,
    "born": 2,
    "born_turned": 2,
    "exchange": 2,
    "internal": 3,
    "elastic": 4,
}


def model_of(species=("H", "C", "O"), **changes) -> cynosure.potentials.Potential:
    config = {key: value for key, value in {**SETTINGS, **changes}.items() if value is not None}
    return cynosure.build(config, species, dtype=torch.float64, seed=3, scale=2.0, avg_neighbours=4.0)


@pytest.fixture(scope="module")
def model():
    return model_of()


@pytest.fixture(scope="module")
def twice():
    return cynosure.build(TWICE, ["H", "C", "O"], dtype=torch.float64, seed=3, scale=2.0, avg_neighbours=4.0)


def told(atoms: Atoms, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"spins": rng.normal(size=(len(atoms), 3)), "field": rng.normal(size=3), "charge": rng.normal()}


def graph_of(model, atoms: Atoms, inputs: dict[str, np.ndarray]):
    own = {name: inputs[name] for name in model.config.told}
    return from_atoms(atoms, model.cutoff, inputs=own, quantities=model.config.told)


def everything(model, atoms: Atoms, inputs: dict[str, np.ndarray], names=None) -> dict[str, torch.Tensor]:
    return model(graph_of(model, atoms, inputs), names or model.outputs)


def cluster() -> Atoms:
    """Four atoms without any symmetry."""
    return Atoms("HCOH", [[0.1, -0.2, 1.0], [0.0, 0.1, 0.0], [1.2, 0.3, -0.4], [-0.6, 0.8, -0.5]])


def turned_tensor(values: torch.Tensor, rank: int, R: torch.Tensor) -> torch.Tensor:
    for axis in range(values.ndim - rank, values.ndim):
        values = torch.tensordot(values, R, dims=([axis], [1])).movedim(-1, axis)
    return values


@pytest.mark.parametrize("inversion", [False, True])
def test_everything_turns_as_it_says(model, twice, inversion):
    atoms, sign = cluster(), -1.0 if inversion else 1.0
    R = sign * random_rotation(generator=torch.Generator().manual_seed(1))
    inputs = told(atoms)
    turned = atoms.copy()
    turned.positions = atoms.positions @ R.numpy().T
    moved = {
        "spins": sign * inputs["spins"] @ R.numpy().T,
        "field": R.numpy() @ inputs["field"],
        "charge": inputs["charge"],
    }

    def close(found, expected):
        torch.testing.assert_close(found, expected, rtol=0, atol=EXACT * (1 + float(expected.abs().max())))
        assert float(expected.abs().max()) > 1e-6  # (zero would turn just as well)

    before, after = everything(model, atoms, inputs, FIRST), everything(model, turned, moved, FIRST)
    for name in ("energy", "energies", "charges"):
        close(after[name], before[name])
    close(after["handedness"], sign * before["handedness"])
    for name in ("forces", "dipole", "polarization"):
        close(after[name], before[name] @ R.T)
    for name in ("moments", "torque"):
        close(after[name], sign * before[name] @ R.T)
    for name in ("shielding", "bonds"):
        close(after[name], turned_tensor(before[name], 2, R))
    kind = model.config.targets["mixed"].kind
    expected = layout.to_e3nn(kind, layout.transform(kind, layout.from_e3nn(kind, before["mixed"]), R))
    close(after["mixed"], expected)

    before, after = everything(twice, atoms, inputs, RANKS), everything(twice, turned, moved, RANKS)
    for name, rank in RANKS.items():
        close(after[name], turned_tensor(before[name], rank, R))


@pytest.mark.parametrize("which", ["model", "twice"])
def test_atoms_have_no_order(which, request):
    model, atoms = request.getfixturevalue(which), cluster()
    inputs, order = told(atoms), np.random.default_rng(2).permutation(len(atoms))
    before = everything(model, atoms, inputs)
    after = everything(model, atoms[order], {**inputs, "spins": inputs["spins"][order]})
    for name, value in before.items():
        quantity = model.config.outputs.get(name)
        owner = (
            quantity.owner
            if quantity
            else {"forces": "atom", "energies": "atom", "virials": "atom"}.get(name)
        )
        owner = "pair" if name == "hessian" else owner
        if owner in ("edge",):
            continue
        if owner == "atom":
            value = value[order]
        if owner == "pair":
            value = value.unflatten(0, (len(atoms), len(atoms)))[order][:, order].flatten(0, 1)
        torch.testing.assert_close(after[name], value, rtol=0, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize("which", ["model", "twice"])
def test_company_in_a_batch_changes_nothing(which, request):
    model = request.getfixturevalue(which)
    structures = [cluster(), molecule("H2O"), Atoms("O")]
    graphs = [graph_of(model, atoms, told(atoms, seed)) for seed, atoms in enumerate(structures)]
    whole = model(batch(graphs), model.outputs)
    alone = [model(graph, model.outputs) for graph in graphs]
    for name, value in whole.items():
        parts = torch.cat([one[name] for one in alone])
        torch.testing.assert_close(value, parts, rtol=0, atol=1e-10, equal_nan=True)


def test_reversal_of_time(model):
    atoms = cluster()
    inputs = told(atoms)
    forward = everything(model, atoms, inputs, FIRST)
    back = everything(model, atoms, {**inputs, "spins": -inputs["spins"]}, FIRST)
    for name in ("energy", "forces", "dipole", "handedness", "torque"):
        torch.testing.assert_close(back[name], forward[name], rtol=0, atol=EXACT)
    torch.testing.assert_close(back["moments"], -forward["moments"], rtol=0, atol=EXACT)
    # Three spins make a scalar of O(3) that only time forbids: without its label the energy has it.
    plain = {name: {**one, "odd": False} for name, one in SETTINGS["inputs"].items()}
    unlabelled = model_of(inputs=plain, targets=None, derivatives=None)
    energies = [
        unlabelled(graph_of(unlabelled, atoms, {**inputs, "spins": sign * inputs["spins"]}))["energy"]
        for sign in (1, -1)
    ]
    assert abs(float(energies[0] - energies[1])) > 1e-3


def test_derivatives_agree_with_differences(twice):
    model, atoms, h = twice, cluster(), 1e-5
    inputs = told(atoms)
    exact = everything(model, atoms, inputs)

    def outputs(name, moved=None, strain=None, **changes):
        copy = atoms.copy()
        if moved is not None:
            copy.positions += moved
        if strain is not None:
            copy.positions = copy.positions @ (np.eye(3) + strain)
        return everything(model, copy, {**inputs, **changes}, [name])[name]

    def slope(name, change):
        return (outputs(name, **change(h)) - outputs(name, **change(-h))) / (2 * h)

    def close(found, expected):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)

    unit = np.eye(3)
    for c in range(3):

        def field(step, c=c):
            return {"field": inputs["field"] + step * unit[c]}

        close(exact["polarization"][:, c], -slope("energy", field))
        close(exact["polarizability"][:, :, c], slope("polarization", field))
        close(exact["born_turned"][:, :, c], slope("forces", field))
        close(exact["born"][:, c, :], slope("forces", field))
    i = 2
    n = len(atoms)
    pairs = {name: exact[name].unflatten(0, (n, n)) for name in ("hessian", "exchange")}
    for c in range(3):
        step_of = np.zeros((n, 3))
        step_of[i, c] = 1.0
        close(pairs["hessian"][i, :, c, :], -slope("forces", lambda step, s=step_of: {"moved": step * s}))

        def spin(step, s=step_of):
            return {"spins": inputs["spins"] + step * s}

        close(pairs["exchange"][i, i, c, c], _second(outputs, spin, "energy", 1e-3)[0])
        axis = unit[c]

        def turn(step, axis=axis):
            spins = inputs["spins"].copy()
            angle = step * axis
            K = np.array([[0, -angle[2], angle[1]], [angle[2], 0, -angle[0]], [-angle[1], angle[0], 0]])
            spins[i] = (np.eye(3) + K + K @ K / 2) @ spins[i]
            return {"spins": spins}

        close(exact["torque"][i, c], -slope("energy", turn)[0])
    for a, b in ((0, 0), (1, 2)):
        strain = (np.outer(unit[a], unit[b]) + np.outer(unit[b], unit[a])) / 2

        def stretch(step, s=strain):
            return {"strain": step * s}

        close(exact["elastic"][0, a, b, a, b], _second(outputs, stretch, "energy", 1e-3)[0])


def _second(outputs, change, name, h):
    """The second derivative by central differences of fourth order."""
    value = {k: outputs(name, **change(k * h)) for k in (-2, -1, 0, 1, 2)}
    return (-value[-2] + 16 * value[-1] - 30 * value[0] + 16 * value[1] - value[2]) / (12 * h * h)


def test_sums_that_must_be_zero(twice):
    atoms = cluster()
    n = len(atoms)
    exact = everything(twice, atoms, told(atoms))
    for name in ("born", "born_turned"):  # the acoustic sum rule: a field does not see where a molecule is
        torch.testing.assert_close(
            exact[name].sum(0), torch.zeros(3, 3, dtype=torch.float64), rtol=0, atol=EXACT
        )
    hessian = exact["hessian"].unflatten(0, (n, n))
    assert float(hessian.sum(1).abs().max()) < 1e-9
    assert float((hessian - hessian.permute(1, 0, 3, 2)).abs().max()) < 1e-9
    transposed = exact["born"].transpose(1, 2)
    torch.testing.assert_close(transposed, exact["born_turned"], rtol=0, atol=EXACT)


def test_charges_add_up(model):
    structures = [cluster(), molecule("H2O")]
    graphs = [graph_of(model, atoms, told(atoms, seed)) for seed, atoms in enumerate(structures)]
    charges = model(batch(graphs), ["charges"])["charges"].split([len(atoms) for atoms in structures])
    for graph, own in zip(graphs, charges, strict=True):
        torch.testing.assert_close(own.sum(), graph.inputs["charge"][0], rtol=0, atol=1e-12)


def test_forces_are_those_of_a_model_without_targets(model):
    """Targets and derivatives change nothing about the energy and its own derivatives."""
    atoms = cluster()
    inputs = told(atoms)
    plain = model(graph_of(model, atoms, inputs), ("energy", "forces"))
    every = everything(model, atoms, inputs, FIRST)
    for name, value in plain.items():
        torch.testing.assert_close(every[name], value, rtol=0, atol=1e-12)


@pytest.mark.parametrize("architecture", ["nequip", "mace"])
def test_what_symmetry_forbids_is_zero(architecture):
    odd = {"dipole": {"tensor": "i"}, "octupole": {"irreps": "3o"}}
    if architecture == "nequip":  # MACE's features have natural parity
        odd |= {"handedness": {"irreps": "0o"}, "piezoelectric": {"tensor": "ijk=ikj", "reduce": "mean"}}
    settings = {"model": architecture, "channels": 4, "layers": 3, "l_max": 3, "radial_hidden": [8, 4]}
    settings |= {"hidden_l_max": 3} if architecture == "mace" else {"parity": True}
    model = cynosure.build({**settings, "targets": odd}, ["C", "Si", "H", "O", "F"], dtype=torch.float64)
    for atoms in (bulk("Si"), molecule("C2H2"), molecule("C6H6")):  # an inversion centre each
        found = model(from_atoms(atoms, model.cutoff), list(odd))
        assert all(float(value.abs().max()) < EXACT for value in found.values())
    if architecture == "nequip":  # mirror planes, and a dipole
        found = model(from_atoms(molecule("H2O"), model.cutoff), ["handedness", "dipole"])
        assert float(found["handedness"].abs().max()) < EXACT
        assert float(found["dipole"].norm()) > 1e-3


def test_a_strained_crystal_is_piezoelectric_only_without_inversion():
    targets = {"piezoelectric": {"tensor": "ijk=ikj", "reduce": "mean"}}
    model = cynosure.build(
        {"channels": 4, "layers": 2, "l_max": 3, "targets": targets}, ["Zn", "S"], dtype=torch.float64
    )
    blende = model(from_atoms(bulk("ZnS", "zincblende", a=5.4), model.cutoff), targets)["piezoelectric"][0]
    salt = model(from_atoms(bulk("ZnS", "rocksalt", a=5.0), model.cutoff), targets)["piezoelectric"][0]
    assert float(salt.abs().max()) < EXACT
    allowed = torch.zeros(3, 3, 3, dtype=torch.bool)  # e14 alone: all three indices differ
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        allowed[i, j, k] = allowed[i, k, j] = True
    assert float(blende[~allowed].abs().max()) < EXACT
    assert float(blende[allowed].abs().min()) > 1e-4


@pytest.mark.parametrize("parity", [True, False])
def test_only_parity_tells_a_mirror_image(parity):
    """An SO(3) network may give a handedness that inversion does not change; an O(3) network may not."""
    model = cynosure.build(
        {
            "channels": 4,
            "layers": 3,
            "parity": parity,
            "energy": False,
            "targets": {"hand": {"irreps": "0o"}},
        },
        ["H", "C", "F", "Cl", "Br"],
        dtype=torch.float64,
    )
    atoms = molecule("CH3Cl")
    atoms.numbers[:] = [6, 17, 9, 35, 1]
    mirrored = atoms.copy()
    mirrored.positions *= -1
    one, other = (float(model(from_atoms(a, 5.0), ["hand"])["hand"][0]) for a in (atoms, mirrored))
    assert abs(one) > 1e-6
    assert (abs(one + other) < 1e-10) == (parity is True)


def test_a_target_out_of_reach_is_refused():
    with pytest.raises(ValueError, match=r"targets.hand is 1x0o, which symmetry forbids.*model.parity=true"):
        cynosure.build({"parity": "natural", "targets": {"hand": {"irreps": "0o"}}}, ["H"])
    with pytest.raises(ValueError, match="odd under reversal of time, and no input is"):
        cynosure.build({"targets": {"moment": {"irreps": "1e", "odd": True}}}, ["H"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"targets": {"dipole": {}}}, "either by 'irreps' or by 'tensor'"),
        ({"targets": {"dipole": {"irreps": "1x"}}}, "1x"),
        ({"targets": {"di pole": {"irreps": "1o"}}}, "cannot be a name"),
        ({"targets": {"forces": {"irreps": "1o"}}}, "the name 'forces' is taken"),
        ({"targets": {"q": {"irreps": "0e", "total": 0}}}, "'total' is of one number for each atom"),
        ({"targets": {"q": {"irreps": "0e", "per": "atom", "total": "Q"}}}, "there is no input 'Q'"),
        ({"derivatives": {"d": {"formula": "energy/field"}}}, "cannot be differentiated by 'field'"),
        ({"derivatives": {"d": {"formula": "energy"}}}, "is no derivative"),
        ({"derivatives": {"d": {"formula": "energy/turn(positions)"}}}, "only an input that is a vector"),
        ({"energy": False}, "nothing to learn"),
        ({"inputs": {"b": {"irreps": "1e", "per": "edge"}}}, "not of edges"),
        (
            {"model": "mace", "inputs": {"b": {"irreps": "1e"}}},
            "cannot enter features of the architecture 'mace'",
        ),
    ],
)
def test_wrong_declarations_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        cynosure.build(settings, ["H", "O"])


def test_a_missing_input_is_named(model):
    with pytest.raises(ValueError, match=r"needs the input 'spins'.*column 'spins', 1x1e per atom"):
        model(from_atoms(cluster(), model.cutoff))


def test_an_elastic_tensor_has_its_symmetries():
    targets = {"elastic": {"tensor": "ijkl=jikl=klij", "reduce": "mean"}}
    model = cynosure.build(
        {"channels": 4, "l_max": 4, "layers": 1, "targets": targets}, ["Cu"], dtype=torch.float64
    )
    found = model(from_atoms(bulk("Cu"), model.cutoff), targets)["elastic"][0]
    assert float(CartesianTensor("ijkl=jikl=klij").symmetry_error(found)) < 1e-12
    assert abs(float(found[0, 0, 0, 0] - found[2, 2, 2, 2])) < EXACT  # cubic
    assert abs(float(found[0, 0, 0, 1])) < EXACT


@pytest.mark.parametrize("which", ["model", "twice"])
def test_a_model_file_keeps_declarations(which, request, tmp_path):
    model, atoms = request.getfixturevalue(which), cluster()
    model.save(tmp_path / "model.safetensors")
    loaded = cynosure.load(tmp_path / "model.safetensors")
    inputs = told(atoms)
    found = everything(loaded, atoms, inputs)
    for name, value in everything(model, atoms, inputs).items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=0, equal_nan=True)
