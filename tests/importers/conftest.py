"""Where the package is whose checkpoints are imported.

Tests that need `sevenn` are skipped where it is not installed. To run them, name a Python that has it:

    python -m venv peers && peers/bin/pip install sevenn==0.13.0
    CYNOSURE_SEVENN_PYTHON=peers/bin/python pytest tests/importers
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

MAKER = Path(__file__).parent / "make_sevennet.py"


@pytest.fixture(scope="session")
def sevenn_python() -> str:
    """A Python that has `sevenn`."""
    named = os.environ.get("CYNOSURE_SEVENN_PYTHON")
    if named:
        return named
    if importlib.util.find_spec("sevenn") is None:
        pytest.skip("sevenn is not installed; CYNOSURE_SEVENN_PYTHON may name a Python that has it")
    return sys.executable


@pytest.fixture(scope="session")
def checkpoints(sevenn_python, tmp_path_factory) -> Path:
    """A folder with the checkpoints of `make_sevennet.py`."""
    folder = tmp_path_factory.mktemp("checkpoints")
    subprocess.run([sevenn_python, str(MAKER), str(folder)], check=True, capture_output=True)
    return folder
