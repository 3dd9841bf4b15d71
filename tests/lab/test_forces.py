"""What each way to get forces keeps and breaks, whatever the weights; and measures, where the answer is known."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

import cynosure
from cynosure.data import Frames
from cynosure.graph import batch, from_atoms
from cynosure.lab import demo_frames
from cynosure.lab.curve_frames import CurveFrames
from cynosure.lab.forces import Comparison, Molecule, Outcome, Plan, compare_forces, conclusion, write_forces
from cynosure.lab.forces.dynamics import drift_of, run_nve
from cynosure.lab.forces.measures import (
    curl,
    equivariance_error,
    jacobian,
    loop_work,
    net_force,
    net_torque,
    turn_work,
)
from cynosure.lab.forces.report import number, tables, warnings
from cynosure.lab.forces.ways import BALANCED, DIRECT, ENERGY, FIXED, RETRAINED, WAYS, balanced
from cynosure.lab.molecules import Molecules
from cynosure.lab.runs import Run
from cynosure.o3 import random_rotation

SMALL = {"layers": 2, "l_max": 1, "channels": 8, "cutoff": 4.0}
DOUBLE = torch.float64


@pytest.fixture(scope="module")
def held_out():
    return Molecules.of(demo_frames("test")[:4])


@pytest.fixture(scope="module")
def fields(held_out):
    """The force field of each way, with random weights."""
    found = {}
    for way in WAYS:
        torch.manual_seed(3 + way.seed)
        settings = {**SMALL, **(DIRECT if way is BALANCED else way).model}
        model = cynosure.build(settings, ["H", "C", "O"], avg_neighbours=9.0, dtype=DOUBLE)
        found[way.key] = Molecule(model, held_out.numbers).of(way)
    return found


@pytest.fixture
def rotations(held_out):
    return random_rotation(len(held_out), generator=torch.Generator().manual_seed(5))


# What symmetry and energy promise.


@pytest.mark.parametrize("way", [ENERGY, RETRAINED, DIRECT, BALANCED])
def test_vectors_turn_with_the_molecule(way, fields, held_out, rotations):
    assert equivariance_error(fields[way.key], held_out.positions, rotations) < 1e-10


def test_three_invariants_do_not(fields, held_out, rotations):
    forces = fields[FIXED.key]
    assert equivariance_error(forces, held_out.positions, rotations) > 0.5
    turned = held_out.positions @ rotations.mT
    torch.testing.assert_close(forces(turned), forces(held_out.positions), rtol=0, atol=1e-12)


def test_only_a_derivative_has_no_curl(fields, held_out):
    one = held_out.positions[0]
    curls = {key: curl(jacobian(forces, one)) for key, forces in fields.items()}
    assert curls["energy"] < 1e-6
    assert min(curls[key] for key in ("direct", "balanced", "fixed")) > 1e-2


def test_what_an_isolated_molecule_feels_in_all(fields, held_out):
    r = held_out.positions
    for way in (ENERGY, BALANCED):
        assert net_force(fields[way.key](r)) < 1e-10
        assert net_torque(r, fields[way.key](r)) < 1e-10
    assert net_force(fields["direct"](r)) > 1e-3
    assert net_torque(r, fields["direct"](r)) > 1e-3


def test_work_around_loops(fields, held_out):
    one = held_out.positions[0]
    generator = torch.Generator().manual_seed(1)
    a, b = (0.05 * torch.randn(*one.shape, generator=generator, dtype=DOUBLE) for _ in range(2))
    work = {key: abs(loop_work(forces, one, a, b)) for key, forces in fields.items()}
    assert work["energy"] < 1e-10
    assert min(work[key] for key in ("direct", "balanced", "fixed")) > 1e-6
    # A torque that turns with the molecule does 2π n · τ in a full turn; forces that stay where they are do nothing.
    axis = torch.tensor([0.6, 0.0, 0.8], dtype=DOUBLE)
    arms = one - one.mean(0)
    torque = torch.linalg.cross(arms, fields["direct"](one[None])[0]).sum(0)
    assert turn_work(fields["direct"], one, axis) == pytest.approx(
        2 * math.pi * float(torque @ axis), rel=1e-8
    )
    for key in ("energy", "balanced", "fixed"):
        assert abs(turn_work(fields[key], one, axis)) < 1e-10


def test_a_molecule_has_the_graph_of_its_atoms(held_out):
    model = cynosure.build({**SMALL, "cutoff": 2.0}, ["H", "C", "O"], dtype=DOUBLE)
    made = Molecule(model, held_out.numbers).graph(held_out.positions)
    expected = batch([from_atoms(Atoms(held_out.numbers, one.numpy()), 2.0) for one in held_out.positions])
    assert 0 < made.num_edges < 4 * 90
    for name in (
        "atomic_numbers",
        "positions",
        "receivers",
        "senders",
        "shifts",
        "structure",
        "sender_order",
    ):
        assert torch.equal(getattr(made, name), getattr(expected, name)), name


def test_balancing_changes_the_forces_as_little_as_can_be():
    generator = torch.Generator().manual_seed(2)
    r, f = (torch.randn(3, 6, 3, generator=generator, dtype=DOUBLE) for _ in range(2))
    taken = f - balanced(r, f)
    # What is taken is a rigid motion of the molecule; what is left is at right angles to all of these.
    for left in (balanced(r, f),):
        assert float(left.sum(1).abs().max()) < 1e-12
        assert float(torch.linalg.cross(r, left).sum(1).abs().max()) < 1e-12
        assert float((left * taken).sum((1, 2)).abs().max()) < 1e-12
    line = torch.tensor([[[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 2.5]]], dtype=DOUBLE)
    f = torch.randn(1, 3, 3, generator=generator, dtype=DOUBLE)
    assert float(torch.linalg.cross(line, balanced(line, f)).sum(1).abs().max()) < 1e-12


# Measures, where the answer is known.


def linear(matrix):
    """F = M r, on all components of a geometry."""
    return lambda positions: (positions.flatten(1) @ matrix.T).reshape(positions.shape)


def test_curl_and_loops_of_a_linear_force_field():
    generator = torch.Generator().manual_seed(4)
    matrix = torch.randn(6, 6, generator=generator, dtype=DOUBLE)
    r, a, b = torch.randn(3, 2, 3, generator=generator, dtype=DOUBLE)
    found = jacobian(linear(matrix), r)
    torch.testing.assert_close(found, matrix, rtol=0, atol=1e-10)
    even, odd = (matrix + matrix.T) / 2, (matrix - matrix.T) / 2
    assert curl(found) == pytest.approx(float(odd.norm() / even.norm()), rel=1e-9)
    assert curl(even) == 0
    flat = a.flatten(), b.flatten()
    expected = math.pi * float(flat[1] @ matrix @ flat[0] - flat[0] @ matrix @ flat[1])
    assert loop_work(linear(matrix), r, a, b, points=8) == pytest.approx(expected, rel=1e-12)


def spring(positions, length=1.0, stiffness=20.0):
    """Energy [S] and forces of a diatomic molecule."""
    arrow = positions[:, 1] - positions[:, 0]
    distance = arrow.norm(dim=1, keepdim=True)
    pull = stiffness * (distance - length) * arrow / distance
    return 0.5 * stiffness * (distance[:, 0] - length).square(), torch.stack([pull, -pull], dim=1)


def nve(forces, steps=400, **changed):
    start = torch.tensor([[[0.0, 0.0, 0.0], [0.0, 0.0, 1.05]]] * 3, dtype=DOUBLE)
    numbers = torch.tensor([7, 7])
    given = {"temperature": 300.0, "seed": 0, "steps": steps, **changed}
    return run_nve(forces, lambda r: spring(r)[0], numbers, start, **given)


def test_dynamics_keeps_the_energy_of_its_forces_and_no_other():
    kept = nve(lambda r: spring(r)[1])
    assert kept.times[-1] == pytest.approx(0.2)
    assert kept.totals.shape == (21, 3)
    assert np.abs(kept.totals).max() < 1e-4
    assert kept.totals[0] == pytest.approx(0, abs=1e-15)
    assert kept.temperatures[0] == pytest.approx(300, rel=1e-12)
    assert np.ptp(kept.temperatures) > 30
    assert (kept.fell_apart, kept.survived) == (0, pytest.approx(0.2))

    def pushed(r):  # a torque that turns with the molecule: no energy has such forces
        arrow = r[:, 1] - r[:, 0]
        across = torch.linalg.cross(arrow, torch.tensor([[1.0, 0.0, 0.0]], dtype=DOUBLE).expand_as(arrow))
        return spring(r)[1] + 0.02 * torch.stack([across, -across], dim=1)

    driven = nve(pushed)
    assert driven.drift is not None
    assert driven.drift > 20 * abs(kept.drift)


def test_trajectories_that_fall_apart_are_counted_and_not_averaged():
    gone = nve(lambda r: -30 * spring(r)[1])
    assert gone.fell_apart == 3
    assert (gone.drift, gone.heating) == (None, None)
    assert gone.survived < 0.2
    assert np.isfinite(gone.totals[0]).all()


def test_drift_is_the_slope_of_a_line():
    times = np.linspace(0, 2, 41)
    lines = np.stack([3.0 * times + 1.0, -0.5 * times], axis=1)
    assert drift_of(times, lines) == pytest.approx([3.0, -0.5], rel=1e-12)


# The experiment.


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 3}, "number of steps must be at least 20; got 3"),
        ({"trajectories": 0}, "number of trajectories must be at least 1"),
        ({"frames": 1}, "number of frames must be at least 2"),
        ({"picoseconds": 0.0}, r"dynamics can last from 0\.01 to 1000 ps; got 0"),
        ({"temperature": -1.0}, "temperature must lie between 0 and 10000 K; got -1"),
    ],
)
def test_a_plan_that_makes_no_experiment_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Plan(**change)


def test_what_is_wrong_is_said_before_training(tmp_path):
    every = Frames.from_atoms(demo_frames("train")[:12], source="frames.xyz")
    frames = CurveFrames(every.subset(range(8)), every.subset([8, 9]), every.subset([10, 11]))

    def refused(message, frames=frames, **settings):
        with pytest.raises(ValueError, match=message):
            compare_forces(frames, tmp_path / "out", Plan(steps=20), settings=settings)
        assert not (tmp_path / "out").exists()

    boxes = demo_frames("train")[:8]
    for atoms in boxes:
        calculator = SinglePointCalculator(atoms, **atoms.calc.results)
        atoms.cell, atoms.pbc, atoms.calc = [12.0] * 3, True, calculator
    crystal = replace(frames, pool=Frames.from_atoms(boxes, source="crystal.xyz"))
    refused(r"crystal\.xyz is not for this experiment.*one isolated molecule: it knows no periodic", crystal)
    refused(
        r"'model\.targets\.a\.irreps' cannot be set: the experiment decides",
        model={"targets": {"a": {"irreps": "0e"}}},
    )
    refused(r"direct 1o: targets\.force is 1x1o, which symmetry forbids", model={"l_max": 0})
    with pytest.raises(ValueError, match="20 training frames were asked for and there are 8"):
        compare_forces(frames, tmp_path / "out", Plan(frames=20))


def outcome(key, **changed):
    values = {
        **{"error": 0.01, "turned": 0.01, "equivariance": 1e-15, "net_force": 1e-15, "net_torque": 1e-15},
        **{"curl": 1e-9, "loop": 1e-12, "turn": 1e-12, "drift": 1e-6, "heating": 1.0, "survived": 3.0},
        **{
            "fell_apart": 0,
            "times": [0.0, 1.5, 3.0],
            "totals": [0.0, 1e-6, -1e-6],
            "steps": 9,
            "seconds": 5.0,
        },
    }
    return Outcome(run=Run(None, 100, 0, network=key), **{**values, **changed})


def example():
    curled = {"curl": 0.02, "loop": 0.005, "drift": 0.04, "totals": [0.0, 0.05, 0.1]}
    outcomes = {
        "energy": outcome("energy"),
        "retrained": outcome("retrained", drift=-2e-6),
        "direct": outcome("direct", net_force=0.05, net_torque=0.07, turn=0.3, error=0.012, **curled),
        "balanced": outcome("balanced", **{**curled, "drift": 0.02}),
        "fixed": outcome(
            "fixed", error=0.4, turned=1.3, equivariance=1.4, curl=0.5, drift=None, heating=None, fell_apart=8,
            survived=0.25, times=[0.0], totals=[0.0],
        ),
    }  # fmt: skip
    return Comparison("some frames", 100, outcomes, 1.0, 8, 500.0, 3.0, method="By hand.")


def test_the_conclusion_is_what_came_out():
    axes, turning, adding, curled, moved, last = conclusion(example())
    assert "off by 400 meV/Å on the held-out frames and by 1300 on the same frames turned" in axes
    assert "3x0e has three numbers, as a vector has, and is not one" in axes
    assert "12.0 and 10.0 meV/Å, turned or not" in turning
    assert "net force of 50.0 meV/Å and a net torque of 70.0 meV" in adding
    assert "gains or costs 300 meV" in adding
    assert "is 0.0200 of the symmetric one for direct 1o" in curled
    assert "5.00 meV of work" in curled
    assert "direct 1o 40.0 meV/atom/ps" in moved
    assert "all fell apart after 0.25 ps" in moved
    assert "Equivariance alone does not conserve energy" in moved
    assert "What to do next" in last
    tame = example()
    outcomes = {
        **tame.outcomes,
        "direct": outcome("direct", equivariance=0.3),
        "balanced": outcome("balanced"),
    }
    words = conclusion(replace(tame, outcomes=outcomes))
    assert "something is wrong with the network" in words[1]
    assert "no curl was found in any" in words[3]
    assert "drifted hardly more" in words[4]
    lost = {**tame.outcomes, "retrained": outcome("retrained", drift=None)}
    assert "Not even −∇E held together" in conclusion(replace(tame, outcomes=lost))[4]
    assert warnings(tame) == ()
    assert "Hardly better than answering zero" in warnings(replace(tame, silence=0.4))[0]
    assert "3x0e" in warnings(replace(tame, silence=0.4))[0]


def test_the_files_of_a_comparison(tmp_path):
    found = example()
    written = write_forces(found, tmp_path)
    assert written["picture"].read_bytes().startswith(b"\x89PNG")
    values = json.loads(written["json"].read_text())
    assert [one["way"] for one in values["ways"]] == ["energy", "retrained", "direct", "balanced", "fixed"]
    assert values["ways"][4]["drift"] is None
    page = written["report"].read_text()
    assert page.count("src='data:image/png;base64,") == 1
    assert "By hand." in page
    assert "nan" not in re.sub(r"base64,[^']+", "", page)
    rows = {row[0]: row[1:] for row in tables(found)[0].rows}
    assert rows["drift of the energy (meV/atom/ps)"] == ("0.00100", "−0.00200", "40.0", "20.0", "—")
    assert rows["trajectories that held together"][4] == "none, 0.25 ps"


def test_numbers_are_short():
    assert [number(x) for x in (0, 1234.4, 99.96, 12.345, 0.012, 3.2e-12, -0.5, -2e-9)] == [
        *("0", "1234", "100", "12.3", "0.0120", "3e-12", "−0.500", "−2e-09")
    ]
