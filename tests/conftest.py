"""What tests of several folders share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

# Tests run side by side (`-n` in pyproject.toml), on one thread each; those about threads set their own number.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch


def _rerun(isa: str, file: str, chosen: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "-k", chosen, file],
        capture_output=True,
        text=True,
        env={**os.environ, "CYNOSURE_ISA": isa},
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture
def rerun_under() -> Callable[[str, str, str], None]:
    """Runs tests of a file once more under another instruction set: (its name, the file, what `-k` chooses)."""
    return _rerun


@pytest.fixture(scope="session")
def tiny() -> dict[str, Any]:
    """Settings of a small network with a repulsive core."""
    return {
        "model": "nequip",
        "layers": 2,
        "l_max": 1,
        "channels": 4,
        "radial_hidden": (8, 4),
        "cutoff": 3.5,
        "zbl": True,
    }


@pytest.fixture
def set_threads() -> Iterator[Callable[[int], None]]:
    """Sets how many threads torch computes with, until the end of the test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)
