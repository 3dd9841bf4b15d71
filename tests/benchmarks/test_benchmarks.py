"""The benchmark: its list of cases, its arithmetic, and that it runs. No time is asserted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def cases(benchmark):
    return benchmark("cases")


@pytest.fixture
def report(benchmark):
    return benchmark("report")


def test_cases_have_names_of_their_own_and_bounds_in_order(cases):
    names = [case.name for case in cases.cases()]
    assert len(set(names)) == len(names)
    for case in cases.cases():
        labels = [side.label for side in case.sides]
        assert len(set(labels)) == len(labels), case.name
        assert case.others, case.name
        assert case.ours.worker == "cynosure", case.name
        for other in case.others:
            assert (ROOT / "benchmarks" / f"worker_{other.side.worker}.py").is_file()
            assert other.at_least is not None or other.aim is None, case.name
            if other.aim is not None:
                assert other.at_least > other.aim if case.rule == "flat" else other.at_least < other.aim


def test_what_the_project_promises_has_a_case(cases):
    bounds = {
        (case.name, other.side.label): (other.at_least, other.aim)
        for case in cases.cases()
        for other in case.others
    }
    assert bounds[("kernel-forward", "e3nn")] == (30, 50)
    assert bounds[("kernel-backward", "e3nn")] == (25, 38)
    for structure in ("w1", "w3"):
        assert bounds[(f"nequip64-{structure}", "NequIP eager")] == (20, 30)
        assert bounds[(f"nequip64-{structure}", "NequIP compiled")] == (14, 22)
        assert bounds[(f"nequip32-{structure}", "NequIP compiled")] == (12, 20)
    assert bounds[("nequip32-w2-ase", "NequIP compiled")] == (3, 6)
    for structure in ("w2", "w1"):
        assert bounds[(f"small-{structure}-ase", "Allegro compiled")] == (1, 2)
    assert bounds[("train64", "NequIP eager")] == (10, 20)
    assert bounds[("threads-w1", "Cynosure, 1 thread")] == (1.7, 1.9)
    assert bounds[("memory-4w3", "NequIP eager")] == (5, 10)
    assert bounds[("scaling", "100,000 atoms")] == (0.25, 0.10)
    assert bounds[("peak-forward", "FMA peak")] == bounds[("peak-backward", "FMA peak")] == (0.40, 0.60)


def test_the_labels_name_the_architectures(cases):
    architectures = {"NequIP": "nequip", "Allegro": "allegro"}
    sides = [side for case in cases.cases() for side in case.sides if side.worker == "nequip"]
    assert {side.settings["architecture"] for side in sides} == set(architectures.values())
    for side in sides:
        assert side.settings["architecture"] == architectures[side.label.split()[0]]
        assert ("channels" in side.settings) == (side.settings["architecture"] == "nequip")


@pytest.mark.parametrize(
    ("rule", "ours", "theirs", "bounds", "ratio", "verdict"),
    [
        ("faster", 2.0, 60.0, (20, 30), 30.0, "aim met"),
        ("faster", 2.0, 59.0, (20, 30), 29.5, "met"),
        ("faster", 2.0, 39.0, (20, 30), 19.5, "missed"),
        ("share", 90.0, 200.0, (0.4, 0.6), 0.45, "met"),
        ("flat", 100.0, 120.0, (0.25, 0.1), 0.2, "met"),
        ("flat", 100.0, 70.0, (0.25, 0.1), -0.3, "missed"),
        ("flat", 100.0, 92.0, (0.25, 0.1), -0.08, "aim met"),
        ("faster", 2.0, 60.0, (None, None), 30.0, ""),
    ],
)
def test_ratios_and_verdicts(report, rule, ours, theirs, bounds, ratio, verdict):
    assert report.compare(rule, ours, theirs) == pytest.approx(ratio)
    assert report.judge(rule, report.compare(rule, ours, theirs), *bounds) == verdict


def test_the_structures_are_those_that_the_table_names(benchmark):
    structures = benchmark("structures")
    assert [len(structures.structure(name)) for name in ("w1", "w2", "w3", "w3x4")] == [216, 9, 192, 768]
    assert [len(frame) for frame in structures.training_frames(5)] == [27] * 5
    assert len(structures.structure("si:5x5x5")) == 1000


def test_a_shuffled_structure_has_the_same_atoms_in_another_order(benchmark):
    structures = benchmark("structures")
    ordered, shuffled = (structures.structure(name).positions for name in ("si:2x2x2", "shuffled si:2x2x2"))
    assert sorted(shuffled.tolist()) == sorted(ordered.tolist())
    assert shuffled.tolist() != ordered.tolist()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", "--tiny", "--threads", "1", *arguments]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True, timeout=300
    )


def test_it_runs_and_writes_what_it_measured(tmp_path):
    """Our side of a kernel, of the ASE call and of a training step, each as small as it gets, and no peers."""
    document, table = tmp_path / "all.json", tmp_path / "table.md"
    only = "kernel-forward,nequip32-w2-ase,train32"
    done = run("--only", only, "--rounds", "2", "--json", str(document), "--markdown", str(table))
    assert done.returncode == 0, done.stderr
    content = json.loads(document.read_text(encoding="utf-8"))
    assert {row["case"] for row in content["rows"]} >= set(only.split(","))
    for result in content["measured"]:
        assert len(result["values"]["Cynosure"]) == 2
        assert min(result["values"]["Cynosure"]) > 0
    assert all(row["ratio"] is None and "--peers" in row["verdict"] for row in content["rows"])
    assert "| `kernel-forward` |" in table.read_text(encoding="utf-8")


def test_a_side_that_cannot_run_is_named_and_the_rest_goes_on(tmp_path):
    """The peers' interpreter is one without NequIP; our side is measured all the same."""
    document = tmp_path / "all.json"
    arguments = ["--only", "train32", "--rounds", "2", "--peers", sys.executable, "--json", str(document)]
    done = run(*arguments)
    assert done.returncode == 1
    assert "nequip" in done.stderr
    for result in json.loads(document.read_text(encoding="utf-8"))["measured"]:
        assert len(result["values"]["Cynosure"]) == 2
        assert result["values"]["NequIP eager"] == []
        assert result["missing"]["NequIP eager"].startswith("failed: ")
