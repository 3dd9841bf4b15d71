"""Each check passes for a sound potential, and is the one that fails for the flaw it is there to find."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule

from cynosure.analysis import (
    CHECKS,
    Deviation,
    check,
    finite_differences,
    precision,
    symmetries,
    told,
    verdict,
)
from cynosure.potentials import Evaluator, build

NETWORK = {"l_max": 2, "channels": 4, "radial_hidden": (8, 4), "cutoff": 4.0}


def network(parity=True, layers=2, **how):
    return build(
        {"model": "nequip", **NETWORK, "parity": parity, "layers": layers},
        ["H", "C", "O", "Si"],
        scale=0.5,
        avg_neighbours=10.0,
        **how,
    )


def failed(found: list[Deviation]) -> set[str]:
    return {deviation.name for deviation in found if not deviation.ok}


def quantities(name: str, stress: bool = True) -> set[str]:
    return {f"{name}: energy", f"{name}: forces"} | ({f"{name}: stress"} if stress else set())


def slab() -> Atoms:
    atoms = bulk("Si") * (2, 2, 1)
    atoms.pbc = (True, True, False)
    atoms.rattle(0.05, seed=2)
    return atoms


STRUCTURES = {
    "crystal": lambda: bulk("Si", cubic=True),
    "one atom in a thin cell": lambda: Atoms(
        "Si", cell=[[2.3, 0, 0], [0.4, 2.4, 0], [0, 0.3, 2.5]], pbc=True
    ),
    "slab": slab,
    "molecule": lambda: molecule("CH3CH2OH"),
    "molecule in a box": lambda: Atoms("OH", [[0, 0, 0], [0.7, 0.6, 0.3]], cell=[9, 9, 9]),
    "one atom": lambda: Atoms("C"),
}


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize("e0_kind", ["fitted", "isolated"])
def test_a_sound_network_passes_everything(name, e0_kind):
    atoms = STRUCTURES[name]()
    e0s = {"H": -13.6, "C": -1030.0, "O": -2040.0, "Si": -7900.0}
    found = check(network(dtype=torch.float64, e0s=e0s, e0_kind=e0_kind), atoms)
    assert failed(found) == set()
    names = {deviation.name for deviation in found}
    stress, periodic = atoms.cell.volume > 0, bool(atoms.pbc.any())
    for always in ("rotation", "reflection", "translation", "permutation"):
        assert quantities(always, stress) <= names
    assert ("wrapping: energy" in names) == ("supercell: energy" in names) == periodic
    assert ("far fragments: energy" in names) == (not periodic)
    assert ("stress = finite strain" in names) == stress
    assert {"force = −dE/dx", "lone atom: energy", "cutoff: jump of force slope"} <= names


def index_matters(graph, vectors, energies):
    return energies * (1 + 0.1 * torch.arange(len(energies), dtype=energies.dtype))


def company_matters(graph, vectors, energies):
    return energies * (1.0 if graph.num_structures == 1 else 1.1)


def place_matters(graph, vectors, energies):
    return energies + 1e-3 * torch.sin(graph.positions[:, 0])


def size_matters(graph, vectors, energies):
    counts = graph.atoms_per_structure.index_select(0, graph.structure)
    return energies / counts


def direction_matters(graph, vectors, energies):
    return energies.index_add(0, graph.receivers, 1e-3 * vectors[:, 0] ** 2 * (4 - vectors.norm(dim=1)) ** 4)


def volume_matters(graph, vectors, energies):
    return energies + 1e-4 * graph.volume.index_select(0, graph.structure)


def half_is_forgotten(graph, vectors, energies):
    return 0.5 * (energies + energies.detach())


@pytest.mark.parametrize(
    ("flaw", "guilty"),
    [
        (direction_matters, {"rotation: energy", "reflection: energy"}),
        (place_matters, {"translation: energy", "wrapping: energy", "rotation: energy"}),
        (index_matters, {"permutation: energy", "permutation: forces"}),
        (company_matters, {"batch = single: energy", "batch = single: forces"}),
        (size_matters, {"supercell: energy", "supercell: forces"}),
        (volume_matters, {"stress = finite strain"}),
        (half_is_forgotten, {"force = −dE/dx", "stress = finite strain"}),
    ],
)
def test_a_flaw_is_found_where_it_shows(pairs, silicon, flaw, guilty):
    assert failed(check(pairs(), silicon)) == set()
    found = failed(check(pairs(flaw=flaw, e0_kind="fitted"), silicon))
    assert guilty <= found, found
    if flaw in (index_matters, company_matters, volume_matters, half_is_forgotten):
        assert found.isdisjoint(quantities("rotation") | quantities("translation"))


def test_a_molecule_that_feels_a_distant_one_is_found(pairs, ethanol):
    found = check(pairs(flaw=size_matters, e0_kind="fitted"), ethanol)
    assert {"far fragments: energy", "far fragments: forces"} <= failed(found)


def test_a_broken_lone_atom_is_found(pairs, silicon):
    def mean_over_neighbours(graph, vectors, energies):
        return energies / torch.bincount(graph.receivers, minlength=graph.num_atoms)

    found = check(pairs(flaw=mean_over_neighbours, e0_kind="fitted"), silicon)
    assert "lone atom: energy" in failed(found)
    assert "force = −dE/dx" not in failed(found)


def test_a_lone_atom_must_have_its_e0_where_that_is_known(pairs, ethanol):
    shifted = pairs(flaw=lambda graph, vectors, energies: energies + 0.01, e0_kind="fitted")
    assert all(deviation.ok for deviation in symmetries.lone_atom(shifted, ethanol))
    shifted.calibration = shifted.calibration.model_copy(update={"e0_kind": "isolated"})
    shifted.above_lone_atoms = lambda graph, network, lone: network
    assert failed(symmetries.lone_atom(shifted, ethanol)) == {"lone atom: energy"}


def truncated(lengths):
    return (lengths < 4.0).to(lengths.dtype)


def linear(lengths):
    return torch.clamp(1 - lengths / 4.0, min=0.0)


def cosine(lengths):
    return torch.where(
        lengths < 4.0, 0.5 * (1 + torch.cos(torch.pi * lengths / 4.0)), torch.zeros_like(lengths)
    )


@pytest.mark.parametrize("structure", ["silicon", "ethanol"])
@pytest.mark.parametrize(
    ("envelope", "jumps"),
    [
        (truncated, {"energy", "force", "force slope"}),
        (linear, {"force", "force slope"}),
        (cosine, {"force slope"}),
    ],
)
def test_a_rough_cutoff_is_found(pairs, request, structure, envelope, jumps):
    atoms = request.getfixturevalue(structure)
    found = finite_differences.smoothness(pairs(envelope), atoms)
    assert failed(found) == {f"cutoff: jump of {quantity}" for quantity in jumps}
    assert failed(finite_differences.smoothness(pairs(), atoms)) == set()


def test_the_jump_that_is_found_is_the_jump_that_is_there(pairs):
    """Two atoms joined by a cosine switch: the slope of the force jumps by φ''(4 Å) as computed by hand."""

    def pair_energy(graph, vectors, energies):
        lengths = vectors.norm(dim=1)
        return vectors.new_zeros(graph.num_atoms).index_add(0, graph.receivers, 0.5 * cosine(lengths))

    pair = Atoms("HH", [[0, 0, 0], [3.5, 0.3, 0.1]])
    found = {
        d.name: d.value
        for d in finite_differences.smoothness(pairs(flaw=pair_energy, e0_kind="fitted"), pair)
    }
    assert found["cutoff: jump of force slope"] == pytest.approx(0.5 * (np.pi / 4.0) ** 2, rel=1e-6)


def test_mirror_images_are_told_apart_only_by_those_who_may():
    chiral = Atoms("CHOSiC", [[0, 0, 0], [1.1, 0, 0.1], [-0.4, 1.3, 0], [-0.5, -0.9, 1.9], [0.2, -1.0, -1.2]])
    # A triple product, which a mirror turns round, takes three layers to become a scalar.
    for parity in (True, "natural"):
        found = symmetries.reflection(network(parity, 3, dtype=torch.float64), chiral)
        assert all(deviation.promised and deviation.ok for deviation in found)
    free = symmetries.reflection(network(False, 3, dtype=torch.float64), chiral)
    assert max(deviation.value for deviation in free) > 1e-6, "this structure does not tell the two apart"
    assert all(deviation.ok and not deviation.promised for deviation in free)
    assert "not promised" in str(free[0])
    assert "not counted: reflection" in verdict(free)


def test_a_network_in_float32_is_checked_in_float64_and_against_it(silicon):
    single = network(dtype=torch.float32)
    found = check(single, silicon)
    assert failed(found) == set()
    assert {"float32: energy", "float32: forces"} <= {deviation.name for deviation in found}
    assert next(iter(single.parameters())).dtype == torch.float32
    rotated = symmetries.rotation(single, silicon)
    assert all(deviation.ok for deviation in rotated), "in float32 itself the tolerances are wider"
    assert max(deviation.value for deviation in rotated) > 1e-10


def test_a_network_that_loses_too_much_in_float32_is_found(silicon):
    exact = network(dtype=torch.float64)
    other = network(dtype=torch.float32, seed=1)
    assert failed(precision(Evaluator(other), exact, silicon)) == {"float32: energy", "float32: forces"}


@pytest.mark.parametrize("measure", ["forces", "stress", "smoothness"])
def test_finite_differences_need_float64(silicon, measure):
    with pytest.raises(ValueError, match="float64"):
        getattr(finite_differences, measure)(network(), silicon)


def test_a_nan_is_never_ok(pairs, silicon):
    found = check(
        pairs(flaw=lambda graph, vectors, energies: energies * float("nan"), e0_kind="fitted"), silicon
    )
    assert {deviation.name for deviation in found} - failed(found) == {"lone atom: forces"}, (
        "which has no edges"
    )


def test_results_are_told_as_they_come(pairs, ethanol):
    heard: list[Deviation] = []
    assert check(pairs(), ethanol, on_deviation=heard.append) == heard
    assert len({deviation.name for deviation in heard}) == len(heard) >= len(CHECKS)


def test_the_structure_and_the_model_are_not_changed(pairs, silicon):
    model, before = pairs(), silicon.copy()
    check(model, silicon)
    assert silicon == before
    assert silicon.calc is None
    assert model.weight.grad is None


def test_the_verdict_names_what_is_broken(pairs, silicon):
    assert "promises hold" in verdict(check(pairs(), silicon))
    text = verdict(check(pairs(cosine), silicon))
    assert "cutoff: jump of force slope" in text
    assert "Do not trust" in text


def test_impossible_structures_are_refused(pairs):
    with pytest.raises(ValueError, match="no atoms"):
        check(pairs(), Atoms())
    with pytest.raises(ValueError, match="Fe"):
        check(pairs(), Atoms("Fe"))


TOLD = {
    "channels": 4,
    "layers": 1,
    "l_max": 2,
    "parity": True,
    "radial_hidden": [8, 4],
    "inputs": {
        "spins": {"tensor": "i", "axial": True, "per": "atom", "odd": True},
        "field": {"irreps": "1o"},
        "gradient": {"tensor": "ij=ji"},
        "charge": {"irreps": "0e", "default": 0.0},
    },
    "targets": {"dipole": {"tensor": "i"}, "moments": {"irreps": "1e", "per": "atom", "odd": True}},
    "derivatives": {
        "torque": {"formula": "-energy/turn(spins)"},
        "born": {"formula": "-energy/field/positions"},
        "internal": {"formula": "energy/gradient/strain"},
        "response": {"formula": "energy/field/charge"},
    },
}


def told_molecule() -> Atoms:
    atoms = Atoms("HCOH", [[0.1, -0.2, 1.0], [0.0, 0.1, 0.0], [1.2, 0.3, -0.4], [-0.6, 0.8, -0.5]])
    rng = np.random.default_rng(0)
    atoms.arrays["spins"] = rng.normal(size=(4, 3))
    atoms.info["field"] = rng.normal(size=3)
    atoms.info["gradient"] = (lambda m: m + m.T)(rng.normal(size=(3, 3)))
    return atoms


def test_inputs_turn_along_and_declared_outputs_as_they_say():
    model = build(TOLD, ["H", "C", "O"], dtype=torch.float64)
    found = {one.name: one for one in check(model, told_molecule())}
    wanted = {f"turned: {name}" for name in model.config.outputs}
    assert wanted | {"time reversed: energy", "time reversed: moments"} <= found.keys()
    assert all(one.ok for one in found.values()), "\n".join(str(one) for one in found.values() if not one.ok)


def test_a_target_that_does_not_turn_is_found():
    """A vector with a fixed part in it points somewhere in space, whatever the molecule does."""
    model = build(TOLD, ["H", "C", "O"], dtype=torch.float64)
    honest = model.heads["dipole"].forward
    model.heads["dipole"].forward = lambda features, species: honest(features, species) + 1e-4
    found = {one.name: one for one in told.tensors(model, told_molecule())}
    assert not found["turned: dipole"].ok
    assert found["turned: moments"].ok


def test_a_model_without_an_energy_is_checked_for_what_it_has():
    settings = {**TOLD, "energy": False, "derivatives": {}}
    model = build(settings, ["H", "C", "O"])
    found = [one.name for one in check(model, told_molecule())]
    assert found == ["turned: dipole", "turned: moments", "time reversed: dipole", "time reversed: moments"]
