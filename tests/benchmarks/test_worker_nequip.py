"""The worker of NequIP and Allegro: the settings name the model, and each compiled one has a file of its own.

Their packages are stood in for, since they live in the peers' environment.
"""

from __future__ import annotations

import sys
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import torch

NEQUIP = {"architecture": "nequip", "channels": 32}
ALLEGRO = {"architecture": "allegro"}
PACKAGES = (
    "allegro",
    "allegro.model",
    "nequip",
    "nequip.data",
    "nequip.integrations.ase",
    "nequip.integrations.utils",
    "nequip.model",
    "nequip.utils.global_state",
)


@pytest.fixture
def worker(benchmark, monkeypatch):
    for name in PACKAGES:
        monkeypatch.setitem(sys.modules, name, MagicMock(__version__="1.2.3"))
    module = benchmark("worker_nequip")
    yield module
    del sys.modules[module.__name__]


def test_the_settings_name_the_model(worker):
    builders = {"nequip": worker.nequip.model.NequIPGNNModel, "allegro": worker.allegro.model.AllegroModel}
    sizes = {
        "nequip": {"num_layers": 4, "num_features": 32, "radial_mlp_depth": 2, "radial_mlp_width": 64},
        "allegro": {"num_layers": 2},
    }
    for settings in (NEQUIP, ALLEGRO):
        name = settings["architecture"]
        assert worker.build(settings) is builders[name].return_value
        builders[name].assert_called_once()
        asked = builders[name].call_args.kwargs
        assert sizes[name].items() <= asked.items()
        assert (asked["l_max"], asked["parity"], asked["r_max"]) == (2, True, worker.CUTOFF)


def test_another_architecture_is_refused(worker):
    with pytest.raises(ValueError, match="no architecture 'mace'; there are 'nequip' and 'allegro'"):
        worker.build({"architecture": "mace"})


def test_compiled_models_are_told_apart_by_their_names(worker, tmp_path, monkeypatch):
    names = set()
    for threads in (1, 2):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        for settings in (NEQUIP, NEQUIP | {"channels": 64}, ALLEGRO):
            path = worker.compiled_path(settings | {"cache": str(tmp_path)})
            assert path.parent == tmp_path
            assert path.name.endswith(".nequip.pt2")  # NequIP loads by it
            names.add(path.name)
    assert len(names) == 6


def test_a_model_that_was_compiled_is_not_compiled_again(worker, tmp_path):
    settings = {**ALLEGRO, "engine": "compiled", "cache": str(tmp_path)}
    path: Path = worker.compiled_path(settings)
    path.touch()
    assert worker.calculator(settings) is worker.NequIPCalculator.from_compiled_model.return_value
    assert worker.NequIPCalculator.from_compiled_model.call_args.args == (path,)
