"""Where the packages are whose checkpoints are imported.

Tests that need one are skipped where it is not installed. To run them, name a Python that has it:

    python -m venv peers && peers/bin/pip install sevenn==0.13.0 nequip==0.19.1
    python -m venv peers-mace && peers-mace/bin/pip install mace-torch==0.3.16
    export CYNOSURE_SEVENN_PYTHON=peers/bin/python CYNOSURE_NEQUIP_PYTHON=peers/bin/python
    export CYNOSURE_MACE_PYTHON=peers-mace/bin/python
    pytest tests/importers
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cynosure.importers import import_model
from cynosure.potentials import Potential


def python_with(package: str) -> str:
    """A Python that has a package; where there is none, the test is skipped."""
    variable = f"CYNOSURE_{package.upper()}_PYTHON"
    named = os.environ.get(variable)
    if named:
        return named
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed; {variable} may name a Python that has it")
    return sys.executable


def made(maker: str, python: str, folder: Path) -> Path:
    """The folder, with what the script `maker` beside this file writes into it."""
    script = Path(__file__).parent / maker
    variables = {
        name: value for name, value in os.environ.items() if name != "PYTHONPATH"
    }  # of our interpreter
    done = subprocess.run(
        [python, str(script), str(folder)], capture_output=True, text=True, check=False, env=variables
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def sevenn_python() -> str:
    return python_with("sevenn")


@pytest.fixture(scope="session")
def checkpoints(sevenn_python, tmp_path_factory) -> Path:
    """A folder with the checkpoints of `make_sevennet.py`."""
    return made("make_sevennet.py", sevenn_python, tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="session")
def nequip_python() -> str:
    return python_with("nequip")


@pytest.fixture(scope="session")
def nequip_files(nequip_python, tmp_path_factory) -> Path:
    """A folder with the checkpoints and packages of `make_nequip.py`."""
    return made("make_nequip.py", nequip_python, tmp_path_factory.mktemp("nequip"))


@pytest.fixture(scope="session")
def mace_python() -> str:
    return python_with("mace")


@pytest.fixture(scope="session")
def mace_models(mace_python, tmp_path_factory) -> Path:
    """A folder with the models of `make_mace.py`."""
    return made("make_mace.py", mace_python, tmp_path_factory.mktemp("mace"))


@pytest.fixture
def imported() -> Callable[..., Potential]:
    """Imports a checkpoint, with weights in float64, and sees that it agrees with the original to rounding."""

    def run(source: str | Path, python: str, out: Path, **others: str) -> Potential:
        found = import_model(source, out, python=python, trust=True, dtype="float64", **others)
        for one in found.deviations:
            # Ten thousand times less than what is asked for when a model is written.
            assert one.energy < 1e-10, one
            assert one.forces < 1e-9, one
            assert one.stress is None or one.stress < 1e-10, one
        return found.model

    return run
