"""What is refused before any checkpoint is opened, and what without the package; nothing is ever written then."""

from __future__ import annotations

import importlib.util
import pickle
import sys
import zipfile

import pytest
from typer.testing import CliRunner

from cynosure.cli import app
from cynosure.importers import import_model
from cynosure.importers.formats import format_of


def archive(path, content: bytes) -> str:
    """A file that looks like a checkpoint of PyTorch with this pickle."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", content)
    return str(path)


@pytest.fixture
def checkpoint(tmp_path) -> str:
    return archive(tmp_path / "some.pth", pickle.dumps({"model_state_dict": {}, "config": {"_type_map": {}}}))


def test_the_format_is_told_by_name_or_by_content(checkpoint):
    assert format_of("7net-0").package == "sevenn"
    assert format_of(checkpoint).package == "sevenn"
    assert format_of(checkpoint, "sevennet").package == "sevenn"


def test_a_nequip_checkpoint_and_a_package(tmp_path):
    versions = {"versions": {"torch": "2", "e3nn": "0.6", "nequip": "0.19.1"}}
    checkpoint = archive(tmp_path / "some.ckpt", pickle.dumps({"hyper_parameters": versions}))
    assert format_of(checkpoint).package == "nequip"
    package = tmp_path / "some.nequip.zip"
    with zipfile.ZipFile(package, "w") as file:
        file.writestr("some/model/eager_model.pkl", b"not to be read")
        file.writestr("some/model/package_metadata.txt", "versions:\n  e3nn: 0.6.0\n  nequip: 0.19.1\n")
    assert format_of(str(package)).package == "nequip"


def test_nothing_is_unpickled_without_trust(tmp_path, checkpoint):
    with pytest.raises(ValueError, match=r"is a pickle.*--trust.*process of its own"):
        import_model(checkpoint, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_a_format_is_recognised_without_running_the_pickle(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("the pickle was run",))

    source = archive(tmp_path / "bomb.pth", pickle.dumps({"model_state_dict": Bomb(), "_type_map": 0}))
    assert format_of(source).package == "sevenn"


def test_files_that_are_no_checkpoints(tmp_path, checkpoint):
    (tmp_path / "text.pth").write_text("not a checkpoint")
    (tmp_path / "short.pth").write_bytes((tmp_path / "some.pth").read_bytes()[:-30])
    for name in ("text.pth", "short.pth"):
        with pytest.raises(ValueError, match=f"{name}' is no checkpoint of PyTorch, or it was cut short"):
            format_of(str(tmp_path / name))
    other = archive(tmp_path / "other.pth", pickle.dumps({"weights": 1}))
    with pytest.raises(ValueError, match="none of the known formats: sevennet, mace, nequip"):
        format_of(other)
    with pytest.raises(FileNotFoundError, match=r"no file 'nowhere\.pth'"):
        format_of("nowhere.pth")
    with pytest.raises(ValueError, match="no format 'onnx'"):
        format_of(checkpoint, "onnx")


def test_a_python_that_is_not_there(tmp_path, checkpoint):
    with pytest.raises(FileNotFoundError, match=r"cannot run the Python 'no/such/python' \(--python\)"):
        import_model(checkpoint, tmp_path / "out", trust=True, python="no/such/python")


@pytest.mark.parametrize(
    ("package", "format", "requirement"),
    [
        ("sevenn", "sevennet", r"sevenn==0\.13\.0"),
        ("nequip", "nequip", r"nequip==0\.19\.1"),
        ("mace", "mace", r"mace-torch==0\.3\.16"),
    ],
)
def test_a_package_that_is_not_there(package, format, requirement, tmp_path, checkpoint):
    if importlib.util.find_spec(package) is not None:
        pytest.skip("the package is there")
    with pytest.raises(ValueError, match=f"pip install {requirement} for it"):
        import_model(checkpoint, tmp_path / "out", format=format, trust=True, python=sys.executable)
    assert not (tmp_path / "out").exists()


def test_the_command_says_it_in_one_line(tmp_path, checkpoint):
    result = CliRunner().invoke(app, ["import", checkpoint, "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert "--trust" in result.stderr
