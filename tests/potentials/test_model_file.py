"""The model file: exact, checked, refused when damaged, and never half written."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import ase.build
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import cynosure
from cynosure.graph import from_atoms
from cynosure.potentials import fingerprint, model_file, read_header

SMALL = {"model": "nequip", "channels": 4, "layers": 2, "l_max": 1}


@pytest.fixture
def model():
    return cynosure.build(
        SMALL, ["H", "O"], e0s={"H": -13.6, "O": -2037.8}, e0_kind="isolated", scale=1.3, seed=3
    )


@pytest.fixture
def path(model, tmp_path) -> Path:
    file = tmp_path / "model.safetensors"
    model.save(file, {"data": "water"})
    return file


def rewrite(path: Path, change) -> None:
    """Change the header of a model file."""
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["cynosure"])
    change(header)
    save_file(load_file(path), path, metadata={"cynosure": json.dumps(header)})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "config", [SMALL, {**SMALL, "parity": True, "layer_norm": True}, {**SMALL, "l_max": 0, "zbl": True}]
)
def test_a_model_comes_back_bit_for_bit(config, dtype, tmp_path):
    model = cynosure.build(
        config, ["H", "O"], e0s={"H": -13.6, "O": -2037.8}, avg_neighbours=3.7, dtype=dtype
    )
    model.save(tmp_path / "m.safetensors", {"note": "Å"})
    back = cynosure.load(tmp_path / "m.safetensors")
    graph = from_atoms(ase.build.molecule("H2O"), model.cutoff)
    for name, value in model(graph).items():
        assert torch.equal(value, back(graph)[name])
    assert back.config == model.config
    assert back.calibration == model.calibration
    assert back.provenance == {"note": "Å"}
    assert back.dtype == dtype


def test_a_fingerprint_is_of_what_is_computed(model, path, tmp_path):
    """Not of the file, nor of where a model comes from; but of every weight, every setting and every E0."""
    own = fingerprint(model)
    model.save(tmp_path / "other.safetensors", {"data": "other"})
    assert (
        fingerprint(cynosure.load(path)) == fingerprint(cynosure.load(tmp_path / "other.safetensors")) == own
    )
    assert fingerprint(cynosure.load(path, dtype=torch.float64)) != own
    others = [
        cynosure.build(
            SMALL | more, ["H", "O"], e0s={"H": h, "O": -2037.8}, e0_kind="isolated", scale=1.3, seed=3
        )
        for more, h in (({"envelope_power": 7}, -13.6), ({}, -13.5))
    ]
    with torch.no_grad():
        last = list(model.parameters())[-1]
        last.view(-1)[0] = torch.nextafter(last.view(-1)[0], torch.tensor(9.0))
    assert len({own, *(fingerprint(other) for other in (*others, model))}) == 4


def test_load_in_another_dtype(path, model):
    graph = from_atoms(ase.build.molecule("H2O"), model.cutoff)
    back = cynosure.load(path, dtype=torch.float64)
    assert back.dtype == torch.float64
    torch.testing.assert_close(back(graph)["energy"], model(graph)["energy"], rtol=0, atol=1e-3)


def test_a_loaded_model_can_be_trained(path, model):
    back = cynosure.load(path)
    graph = from_atoms(ase.build.molecule("H2O"), model.cutoff)
    back(graph, differentiable=True)["forces"].square().sum().backward()
    assert all(p.grad is not None for p in back.parameters())


def test_the_header_tells_the_units_and_the_probe(path):
    header = read_header(path)
    assert header["units"] == {"energy": "eV", "length": "Å", "forces": "eV/Å", "stress": "eV/Å³"}
    assert set(header["probe"]["numbers"]) == {1, 8}
    assert np.asarray(header["probe"]["stress"]).shape == (1, 3, 3)


def test_probe_has_every_species_when_there_are_many(tmp_path):
    species = list(range(1, 90))
    model = cynosure.build({**SMALL, "channels": 2}, species)
    model.save(tmp_path / "many.safetensors")
    assert set(read_header(tmp_path / "many.safetensors")["probe"]["numbers"]) == set(species)
    assert cynosure.load(tmp_path / "many.safetensors").species == tuple(species)


def test_every_corrupt_byte_is_noticed(path, tmp_path):
    data = path.read_bytes()
    header_end = 8 + int.from_bytes(data[:8], "little")
    rng = np.random.default_rng(0)
    broken = tmp_path / "broken.safetensors"
    for position in [*rng.integers(header_end, len(data), 40).tolist(), header_end, len(data) - 1]:
        damaged = bytearray(data)
        damaged[position] ^= 0x40
        broken.write_bytes(bytes(damaged))
        with pytest.raises(ValueError, match="does not match its checksum"):
            cynosure.load(broken)


def test_damage_in_the_header_is_an_error_or_harmless(path, tmp_path, model):
    data = path.read_bytes()
    header_end = 8 + int.from_bytes(data[:8], "little")
    rng = np.random.default_rng(1)
    broken = tmp_path / "broken.safetensors"
    graph = from_atoms(ase.build.molecule("H2O"), model.cutoff)
    expected = model(graph)["energy"]
    for position in rng.integers(0, header_end, 60).tolist():
        damaged = bytearray(data)
        damaged[position] ^= int(rng.integers(1, 256))
        broken.write_bytes(bytes(damaged))
        try:
            energy = cynosure.load(broken)(graph)["energy"]
        except ValueError:
            continue
        # What the probe lets pass may differ by what float32 may differ (an E0's last digit), no more.
        torch.testing.assert_close(energy, expected, rtol=0, atol=1e-2)


@pytest.mark.parametrize("kept", [0, 4, 100, 0.5, 0.999])
def test_a_truncated_file_is_refused(path, tmp_path, kept):
    data = path.read_bytes()
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(data[: int(kept * len(data)) if isinstance(kept, float) else kept])
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        cynosure.load(cut)


def test_a_foreign_file_is_refused(tmp_path):
    save_file({"a": torch.zeros(3)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ValueError, match="not a Cynosure model"):
        cynosure.load(tmp_path / "foreign.safetensors")
    (tmp_path / "text.safetensors").write_text("not a model at all, but long enough to look at")
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        cynosure.load(tmp_path / "text.safetensors")
    with pytest.raises(FileNotFoundError, match="no model file"):
        cynosure.load(tmp_path / "nothing.safetensors")
    with pytest.raises(FileNotFoundError, match="no model file"):
        cynosure.load(tmp_path)


def test_header_and_weights_must_belong_together(path):
    rewrite(path, lambda header: header["config"].update(channels=5))
    with pytest.raises(ValueError, match="the header says"):
        cynosure.load(path)
    rewrite(path, lambda header: header["config"].update(channels=4, layers=3))
    with pytest.raises(ValueError, match="is missing"):
        cynosure.load(path)


def test_a_header_cannot_ask_for_the_moon(path):
    rewrite(path, lambda header: header["config"].update(l_max=10**6))
    with pytest.raises(ValueError, match="does not describe a model"):
        cynosure.load(path)


def test_a_newer_format_is_refused(path):
    rewrite(path, lambda header: header.update(format=model_file.FORMAT + 1))
    with pytest.raises(ValueError, match="update it"):
        cynosure.load(path)


def test_the_probe_catches_a_wrong_result(path):
    rewrite(path, lambda header: header["calibration"].update(scale=[1.3001, 1.3]))
    with pytest.raises(ValueError, match="fails its probe"):
        cynosure.load(path)


@pytest.mark.parametrize("tolerance", [{}, {"energy": "much", "forces": 1.0, "stress": 1.0}, None])
def test_a_probe_without_its_tolerances_is_damaged(path, tolerance):
    rewrite(path, lambda header: header["probe"].update(tolerance={"float32": tolerance}))
    with pytest.raises(ValueError, match=r"the probe in .* is damaged"):
        cynosure.load(path)


def test_no_space_left_keeps_the_old_file(path, model, monkeypatch):
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    other = cynosure.build(SMALL, ["H", "O"], seed=9)
    with pytest.raises(OSError, match="No space left"):
        other.save(path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_loading_imports_nothing_heavy(tmp_path):
    """Parameters are made without values; on the meta device `torch.randn` alone would import SymPy, for 0.4 s."""
    path = tmp_path / "model.safetensors"
    cynosure.build({"layers": 1, "channels": 4, "learned_frequencies": True}, ["Si"]).save(path)
    program = f"""
import sys, torch
before = set(sys.modules)
import cynosure
cynosure.load({str(path)!r})
print(sorted({{"sympy", "torch._dynamo"}} & (set(sys.modules) - before)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
