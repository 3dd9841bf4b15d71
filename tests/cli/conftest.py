"""Model files and structures for the commands to work on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from ase.build import bulk, molecule
from ase.io import write

from cynosure.potentials import build


def _saved(folder: Path, config: Mapping[str, Any]) -> Path:
    model = build(config, ["H", "C", "O", "Si"], scale=0.3, avg_neighbours=12.0, dtype=torch.float32)
    model.provenance = {"note": "[odd] markup"}
    path = folder / "model.safetensors"
    model.save(path)
    return path


@pytest.fixture(scope="session")
def model_file(tmp_path_factory, tiny) -> Path:
    """A small model with fresh weights that knows H, C, O and Si."""
    return _saved(tmp_path_factory.mktemp("model"), tiny)


@pytest.fixture(scope="session")
def chiral_model_file(tmp_path_factory, tiny) -> Path:
    """The same without parity labels."""
    return _saved(tmp_path_factory.mktemp("chiral"), {**tiny, "parity": False})


@pytest.fixture(scope="session")
def ensemble_file(tmp_path_factory, tiny) -> Path:
    """The same with two members."""
    return _saved(tmp_path_factory.mktemp("ensemble"), {**tiny, "members": 2})


@pytest.fixture
def crystal_file(tmp_path) -> Path:
    """Eight silicon atoms without labels."""
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.05, seed=1)
    path = tmp_path / "crystal.xyz"
    write(path, atoms)
    return path


@pytest.fixture
def molecule_file(tmp_path) -> Path:
    """Ethanol without labels."""
    path = tmp_path / "molecule.xyz"
    write(path, molecule("CH3CH2OH"))
    return path


@pytest.fixture
def labelled_file(tmp_path) -> Path:
    """Three times one hydrogen molecule, with an energy of −2 Hartree under a name of its own."""
    atoms = molecule("H2")
    atoms.info["mine"] = -2.0
    path = tmp_path / "labelled.xyz"
    write(path, [atoms] * 3)
    return path
