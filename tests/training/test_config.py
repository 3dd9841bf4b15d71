"""Settings are strict, and come back from every form in which they are written."""

import json
import sys

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cynosure.training.config import (
    flatten,
    from_settings,
    load_settings,
    merge,
    parse_assignment,
)

MINIMAL = {"data": {"train": "frames.xyz"}}


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ({"optimizer": {}}, "did you mean 'optimiser'"),
        ({"optimiser": {"lrr": 1}}, "no setting 'optimiser.lrr'; did you mean 'lr'"),
        ({"schedule": {"warm_up": 0.1}}, "no setting 'schedule.warm_up'; did you mean 'warmup'"),
        ({"data": {"train": "a.xyz", "value": 0.2}}, "no setting 'data.value'; did you mean 'val'"),
        ({"zzz": 1}, "the keys are data, model, loss"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_valid_one(wrong, hint):
    with pytest.raises(ValueError, match="no setting") as error:
        from_settings({**MINIMAL, **wrong})
    assert hint in str(error.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"loss": {"forces": -1}},
        {"loss": {"energy": "on"}},
        {"epochs": 0},
        {"minutes": float("inf")},
        {"minutes": float("nan")},
        {"data": {"train": "a.xyz", "val": 1.5}},
        {"data": {"train": ""}},
        {"ema": {"decay": 1.0}},
        {"batch": {"max_edges": 0}},
        {"dtype": "float16"},
        {"epochs": 3, "minutes": 2},
    ],
)
def test_a_value_out_of_range_is_refused(wrong):
    with pytest.raises(ValueError, match="'"):
        from_settings({**MINIMAL, **wrong})


def test_settings_are_frozen():
    config = from_settings(MINIMAL)
    with pytest.raises(ValueError, match="frozen"):
        config.epochs = 3


@given(
    lr=st.floats(1e-6, 1.0),
    epochs=st.none() | st.integers(1, 10**6),
    val=st.floats(0.01, 0.99) | st.just("held_out.xyz"),
    weight=st.just("auto") | st.floats(0, 1e6),
    max_edges=st.just("auto") | st.integers(1, 10**9),
)
@hypothesis_settings(deadline=None, derandomize=True, max_examples=50)
def test_settings_survive_json(lr, epochs, val, weight, max_edges):
    config = from_settings(
        {
            "data": {"train": "a.xyz", "val": val},
            "optimiser": {"lr": lr},
            "loss": {"forces": weight},
            "batch": {"max_edges": max_edges},
            "epochs": epochs,
        }
    )
    assert from_settings(json.loads(json.dumps(config.to_json()))) == config


def test_every_setting_is_printed():
    config = from_settings({**MINIMAL, "model": {"channels": 7}})
    text = config.to_text()
    for key, value in flatten(config.to_json()).items():
        assert key in text
        if not isinstance(value, str):
            assert json.dumps(value) in text
    assert "model.channels" in text


def test_files_of_settings(tmp_path):
    (tmp_path / "a.json").write_text('{"epochs": 3, "model": {"layers": 2}}')
    assert load_settings(tmp_path / "a.json") == {"epochs": 3, "model": {"layers": 2}}
    (tmp_path / "a.toml").write_text("epochs = 3\n[model]\nlayers = 2\n")
    if sys.version_info >= (3, 11):
        assert load_settings(tmp_path / "a.toml") == {"epochs": 3, "model": {"layers": 2}}
    else:
        with pytest.raises(ValueError, match=r"Python 3\.11"):
            load_settings(tmp_path / "a.toml")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{", "not valid JSON"),
        ("a.json", "[1]", "object of settings"),
        ("a.yaml", "a: 1", "ends in"),
    ],
)
def test_broken_files_of_settings_are_named(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        load_settings(tmp_path / name)
    assert name in str(error.value)
    with pytest.raises(FileNotFoundError, match=r"nothing\.json"):
        load_settings(tmp_path / "nothing.json")


def test_assignments():
    assert parse_assignment("model.layers=4") == ("model.layers", 4)
    assert parse_assignment("dtype=float64") == ("dtype", "float64")
    assert parse_assignment('data.keys={"energy": "E=x"}') == ("data.keys", {"energy": "E=x"})
    for text in ("lr", "=3", "a..b=3", ".a=1"):
        with pytest.raises(ValueError, match=r"section\.key=value"):
            parse_assignment(text)


def test_merging_sets_nested_keys_and_leaves_the_original():
    original = {"model": {"layers": 2, "channels": 4}, "epochs": 1}
    merged = merge(original, [("model.layers", 5), ("optimiser.lr", 0.1), ("epochs", 2)])
    assert merged == {"model": {"layers": 5, "channels": 4}, "epochs": 2, "optimiser": {"lr": 0.1}}
    assert original == {"model": {"layers": 2, "channels": 4}, "epochs": 1}
    with pytest.raises(ValueError, match="'epochs' is not a section"):
        merge(original, [("epochs.lr", 1)])
