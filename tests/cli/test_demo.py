"""`cynosure demo`, through its public door: quick by default, in full in the slow tier."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time

import ase.io
import numpy as np
import pytest

import cynosure
from cynosure.deploy.dynamics import molecular_dynamics
from cynosure.lab import demo_frames


def cynosure_command(*arguments, cwd):
    """Run the command line in a process of its own, as a user does."""
    command = [sys.executable, "-m", "cynosure", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=560, check=False)


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    process = cynosure_command("demo", "--quick", "--out", "story", cwd=folder)
    assert process.returncode == 0, process.stderr
    return folder / "story", process.stdout


def check_folder(out):
    """Everything that the demonstration promises to leave behind is there and can be read."""
    model = cynosure.load(out / "model.safetensors")
    assert model.species == (1, 6, 8)
    assert len(ase.io.read(out / "train.xyz", index=":")) == 500
    trajectory = ase.io.read(out / "nve.xyz", index=":")
    assert len(trajectory) > 2
    assert np.isfinite([frame.get_potential_energy() for frame in trajectory]).all()
    assert (out / "training" / "report.html").is_file()
    for name in ("hero", "images", "symmetries", "comparison", "energy"):
        content = (out / "pictures" / f"{name}.png").read_bytes()
        assert content.startswith(b"\x89PNG")
        assert len(content) > 20_000
    return model


def check_page(out):
    """The page needs nothing but itself, and links only to what is there."""
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("src='data:image/png;base64,") == 4
    assert not re.search(r"(src|href)='(?!data:|training/)", page)
    for link in re.findall(r"href='([^']+)'", page):
        assert (out / link).is_file()
    assert "too large" not in page
    assert "nan" not in re.sub(r"base64,[^']+", "", page).lower()


def test_the_quick_demo_leaves_everything_behind(quick):
    out, _ = quick
    check_folder(out)
    check_page(out)


def test_the_quick_demo_tells_every_part_of_the_story(quick):
    _, text = quick
    headings = re.findall(r"^\d\. (.*)$", text, flags=re.MULTILINE)
    assert len(headings) == 4
    for word in ("forces on O", "rotation: forces", "mirrored (S)", "test frames relabelled", "drift"):
        assert word in text
    assert "TOO LARGE" not in text
    energies = re.findall(r"(?:as it is|mirrored|turned)[^-]*(-\d+\.\d{9}) eV", text)
    assert len(energies) == 4
    assert len(set(energies)) == 1


def test_the_symmetries_hold_however_little_was_trained(quick):
    _, text = quick
    ours = [
        float(value) for value in re.findall(r"^  test frames [a-z ]+?\s+([\d.]+)", text, flags=re.MULTILINE)
    ]
    assert len(ours) == 5
    assert max(ours) - min(ours) <= 0.1


def test_what_it_says_to_type_next_works(quick):
    out, text = quick
    line = next(line for line in text.splitlines() if line.strip().startswith("cynosure eval"))
    _, *arguments = shlex.split(line.split("#")[0])
    process = cynosure_command(*arguments, "--json", "errors.json", cwd=out.parent)
    assert process.returncode == 0, process.stderr
    errors = json.loads((out.parent / "errors.json").read_text())
    assert errors["n_structures"] == 100


def test_a_folder_with_something_in_it_is_left_alone(quick, tmp_path):
    out, _ = quick
    before = sorted(path.name for path in out.iterdir())
    process = cynosure_command("demo", "--quick", "--out", out, cwd=tmp_path)
    assert process.returncode == 2
    assert "is not empty" in process.stderr
    assert "Traceback" not in process.stderr
    assert sorted(path.name for path in out.iterdir()) == before


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_full_demo_keeps_its_time_its_accuracy_and_its_energy(tmp_path):
    started = time.monotonic()
    process = cynosure_command("demo", cwd=tmp_path)
    seconds = time.monotonic() - started
    assert process.returncode == 0, process.stderr
    print(process.stdout)
    assert seconds < 180
    out = tmp_path / "cynosure-demo"
    model = check_folder(out)
    check_page(out)

    table = re.search(r"^forces +meV/Å +([\d.]+)", process.stdout, flags=re.MULTILINE)
    assert table is not None
    assert float(table.group(1)) < 80

    result = molecular_dynamics(
        model, demo_frames("test")[0], "nve", temperature=300, steps=20_000, dt_fs=0.5
    )
    blocks = np.array(result.totals[1:]).reshape(20, 1000).mean(axis=1)
    drift, wander = 1e3 * abs(result.drift()), 1e3 * float(np.abs(blocks - result.totals[0]).max())
    print(
        f"10 ps of NVE: drift {drift:.4f} meV/atom, largest block average {wander:.4f} meV/atom from the start"
    )
    assert drift < 1.0
    assert wander < 1.0
