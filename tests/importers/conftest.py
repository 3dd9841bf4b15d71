"""Where the packages are whose checkpoints are imported.

Tests that need one are skipped where it is not installed. To run them, name a Python that has it:

    python -m venv peers && peers/bin/pip install sevenn==0.13.0
    python -m venv peers-mace && peers-mace/bin/pip install mace-torch==0.3.16
    export CYNOSURE_SEVENN_PYTHON=peers/bin/python CYNOSURE_MACE_PYTHON=peers-mace/bin/python
    pytest tests/importers
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def python_with(package: str, variable: str) -> str:
    """A Python that has a package: the one that the variable names, or this one."""
    named = os.environ.get(variable)
    if named:
        return named
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed; {variable} may name a Python that has it")
    return sys.executable


def made(python: str, maker: str, folder: Path) -> Path:
    """The folder, with the checkpoints that a script beside this file writes."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([python, str(HERE / maker), str(folder)], check=True, capture_output=True, env=variables)
    return folder


@pytest.fixture(scope="session")
def sevenn_python() -> str:
    """A Python that has `sevenn`."""
    return python_with("sevenn", "CYNOSURE_SEVENN_PYTHON")


@pytest.fixture(scope="session")
def checkpoints(sevenn_python, tmp_path_factory) -> Path:
    """A folder with the checkpoints of `make_sevennet.py`."""
    return made(sevenn_python, "make_sevennet.py", tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="session")
def mace_python() -> str:
    """A Python that has `mace-torch`."""
    return python_with("mace", "CYNOSURE_MACE_PYTHON")


@pytest.fixture(scope="session")
def mace_models(mace_python, tmp_path_factory) -> Path:
    """A folder with the models of `make_mace.py`."""
    return made(mace_python, "make_mace.py", tmp_path_factory.mktemp("mace"))
