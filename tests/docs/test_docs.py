"""The documentation does what it says: its Python runs, its commands exist, its tables hold the true defaults.

In a page, a ```python block is code that runs, all blocks of a page in order and in one namespace, in an empty
folder. A ```text block titled "output" after it is what it prints, with `...` for what may differ. A
```console line that begins with `$ cynosure` is a command. What is only to be looked at is another ```text.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import json
import re
import shlex
import sys
import textwrap
import types
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer.main
from typer.testing import CliRunner

from cynosure.cli import app
from cynosure.potentials import MODELS, MACEConfig, NequIPConfig
from cynosure.testing import PotentialContract
from cynosure.training.config import DataConfig, TrainConfig, flatten
from cynosure.training.loss import DEFAULT_WEIGHTS

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(path.name for path in DOCS.glob("*.md"))

# Pages whose commands are run too, in their place among the Python blocks. They are written for a person with
# some minutes; here each of these options gets a value that is over in seconds.
RUN_COMMANDS = {"quickstart.md"}
IN_SECONDS = {
    "--minutes": [
        "--epochs",
        "1",
        "--set",
        "model.channels=4",
        "--set",
        "model.layers=2",
        "--set",
        "model.l_max=1",
    ],
    "--steps": ["--steps", "5"],
}

_FENCE = re.compile(r"( *)```(\w*)(.*)")
_TITLE = re.compile(r'title="([^"]*)"')


class Block(NamedTuple):
    """A fenced block: its language, its title, its text, and the line of the page on which the text begins."""

    language: str
    title: str
    text: str
    line: int


def blocks_of(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    blocks, opened = [], None
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        match = _FENCE.fullmatch(line)
        if match is None:
            continue
        if opened is None:
            title = _TITLE.search(match[3])
            opened = (match[2], title[1] if title else "", number)
            continue
        language, title, start = opened
        text = textwrap.dedent("\n".join(lines[start : number - 1]) + "\n")
        blocks.append(Block(language, title, text, start + 1))
        opened = None
    assert opened is None, f"{page}, line {opened[2]}: this block is not closed"
    return blocks


def commands_of(block: Block) -> list[list[str]]:
    """The arguments of each `$ cynosure …` of a console block; a backslash continues a line."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [shlex.split(line)[2:] for line in lines if line.startswith("$ cynosure")]


@pytest.fixture
def in_an_empty_folder(tmp_path, monkeypatch):
    """A page may write files, define modules and register models; nothing of it stays."""
    monkeypatch.chdir(tmp_path)
    registered = dict(MODELS)
    yield
    MODELS.clear()
    MODELS.update(registered)


@pytest.mark.usefixtures("in_an_empty_folder")
@pytest.mark.parametrize("page", PAGES)
def test_code_runs(page, monkeypatch):
    module = types.ModuleType(f"docs_{Path(page).stem}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    printed = ""
    for block in blocks_of(page):
        if block.language == "python":
            printed = run_python(page, block, module)
        elif block.language == "console" and page in RUN_COMMANDS:
            for arguments in commands_of(block):
                run_command(page, block, arguments)
        elif block.title == "output":
            compare_output(page, block, printed)
    run_contracts(module)


def run_python(page: str, block: Block, module: types.ModuleType) -> str:
    """Run one block in the page's namespace and return what it printed."""
    # Blank lines in front, so that a traceback names the line of the page.
    code = compile("\n" * (block.line - 1) + block.text, str(DOCS / page), "exec")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, module.__dict__)
    return printed.getvalue()


def run_command(page: str, block: Block, arguments: list[str]) -> None:
    """Run one command of the page, made short."""
    shortened: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        shortened += IN_SECONDS.get(argument, [argument])
        if argument in IN_SECONDS:
            next(rest)  # the value that a person would wait for
    if arguments[0] == "relax":
        shortened += ["--steps", "5"]
    result = CliRunner().invoke(app, shortened)
    where = f"{page}, line {block.line}: cynosure {shlex.join(shortened)}"
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise AssertionError(where) from result.exception
    # In five steps nothing converges, and `relax` says so.
    assert result.exit_code == (1 if arguments[0] == "relax" else 0), f"{where}\n{result.output}"


def compare_output(page: str, block: Block, printed: str) -> None:
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    same = doctest.OutputChecker().check_output(block.text, printed, options)
    assert same, f"{page}, line {block.line}: the page says\n{block.text}\nand its code prints\n{printed}"


def run_contracts(module: types.ModuleType) -> None:
    """Run what pytest would collect from a page that was saved as a test file."""
    for value in list(vars(module).values()):
        if (
            isinstance(value, type)
            and issubclass(value, PotentialContract)
            and value is not PotentialContract
        ):
            for name in dir(value):
                if name.startswith("test_"):
                    getattr(value(), name)()


@pytest.mark.parametrize("page", PAGES)
def test_commands_exist(page):
    for block in blocks_of(page):
        for arguments in commands_of(block) if block.language == "console" else []:
            where = f"{page}, line {block.line}: cynosure {shlex.join(arguments)}"
            try:
                parse(arguments)
            except Exception as error:  # whatever the parser raises, the page must say where
                raise AssertionError(f"{where}: {error}") from error


def parse(arguments: list[str]) -> None:
    """Parse the arguments of the command `cynosure` as it would itself, and run nothing."""
    if arguments in (["--help"], ["--version"]):
        return
    group: Any = typer.main.get_command(app)
    context = group.make_context("cynosure", list(arguments))
    name, command, rest = group.resolve_command(context, arguments)
    command.make_context(name, rest, parent=context)


def test_training_page_has_every_setting_with_its_default():
    # JSON, as one writes a setting in a file or after --set.
    defaults = TrainConfig(data=DataConfig(train="frames.xyz"), model=NequIPConfig().model_dump()).to_json()
    expected = {key: json.dumps(value, ensure_ascii=False) for key, value in flatten(defaults).items()}
    for name in ("energy", "forces", "stress"):
        weight = f"`auto` is {DEFAULT_WEIGHTS[name]:g} "
        assert weight in rows_of("training.md")[f"loss.{name}"][1], (
            f"loss.{name}: the page must say '{weight}'"
        )
    written = {key: default for key, (default, _) in rows_of("training.md", without=MACE).items()}
    expected["data.train"] = written.get("data.train", "a row of the table")  # the one without a default
    assert written == expected


def test_training_page_has_every_setting_of_mace():
    defaults = flatten({"model": MACEConfig().model_dump(mode="json")})
    expected = {key: json.dumps(value, ensure_ascii=False) for key, value in defaults.items()}
    assert {key: default for key, (default, _) in rows_of("training.md", only=MACE).items()} == expected


MACE = "### Model: MACE"


def rows_of(page: str, only: str = "", without: str = "") -> dict[str, tuple[str, str]]:
    """Setting to (default, meaning), from the tables of settings of a page: of one section alone, or without one."""
    rows = {}
    section = ""
    for line in (DOCS / page).read_text(encoding="utf-8").splitlines():
        section = line if line.startswith("#") else section
        if (only and section != only) or section == without:
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if line.startswith("| `") and len(cells) == 3:
            key, default, meaning = cells
            assert key not in rows, f"{page}: {key} is there twice"
            rows[key.strip("`")] = (default.strip("`"), meaning)
    return rows
