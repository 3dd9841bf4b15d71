"""The command `cynosure`: one verb per file, each of which parses, calls and prints.

A verb's file is imported when the verb is run, and the heavy packages only inside its function, so that
`cynosure --help` answers at once. What goes wrong in a way that a user can put right (a ValueError, a missing
file, a full disk) is told in one plain line; anything else is a bug and keeps its traceback. Set
`CYNOSURE_TRACEBACK=1` to see the traceback of the former too.
"""

from __future__ import annotations

import errno
import importlib
import keyword
import os
import sys
import time
from typing import Any, NoReturn

import typer
import typer.core
import typer.main

__all__ = ["VERBS", "app", "fail", "main", "process_start"]

# Verb -> the line that `cynosure --help` shows. The function of that name lives in `cynosure.cli.<verb>`, or the Typer
# of a group of verbs; both names end with an underscore where the verb is a word of Python's.
VERBS: dict[str, str] = {
    "demo": "The whole story in three minutes: train, test the symmetries, run dynamics.",
    "train": "Train an interatomic potential on labelled frames.",
    "eval": "Measure a model's errors on labelled frames.",
    "md": "Run molecular dynamics with a model.",
    "relax": "Relax a structure, and its cell if asked.",
    "screen": "Relax many candidate structures, and rank them.",
    "eos": "Equation of state of a crystal: energy and pressure against volume.",
    "elastic": "Elastic constants and moduli of a crystal.",
    "phonons": "Phonons of a crystal: bands, density of states, free energy.",
    "check": "Check a model's symmetries and derivatives on a structure.",
    "bench": "Measure how fast a model runs on this machine, and the memory it needs.",
    "info": "Show what a data set or a model file holds.",
    "import": "Import a model that another package trained.",
    "lab": "Experiments on what symmetry is worth: pencil, forces, mirror, look, learning-curve.",
}

# A process older than this when the command line is entered was not started for this command (a test runner,
# a notebook), so its age says nothing about the command's own time.
_FRESH_PROCESS_SECONDS = 30.0


def _read_process_age() -> float | None:
    """Seconds since this process was started, or None where the system does not say (not Linux)."""
    try:
        with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:
            # The command name, in parentheses, may hold spaces: the fields are counted from behind it.
            # `starttime` is field 22 of the line, which is the 20th after the name.
            start_ticks = int(file.read().rpartition(")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - start_ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError, IndexError):
        return None


def process_start() -> float:
    """The moment, on the clock of `time.monotonic`, at which this command began.

    That is the true start of the process where the system tells it (so that starting Python counts), and the
    moment of the call where it does not.
    """
    age = _read_process_age()
    if age is None or not 0.0 <= age <= _FRESH_PROCESS_SECONDS:
        age = 0.0
    return time.monotonic() - age


def fail(message: str, code: int = 2) -> NoReturn:
    """Print `error: message` on stderr and leave with exit status `code`."""
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(code)


def _load(verb: str):
    """The command of one verb, or of a group of them, from its own file."""
    name = f"{verb}_" if keyword.iskeyword(verb) else verb
    content = getattr(importlib.import_module(f"cynosure.cli.{name}"), name)
    if isinstance(content, typer.Typer):
        return typer.main.get_command(content)
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    single.command(verb)(content)
    return typer.main.get_command(single)


class _LazyGroup(typer.core.TyperGroup):
    """The verbs of the table above, each imported only when it is run."""

    def list_commands(self, ctx) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx, cmd_name: str):
        # Enough to list the verb; `resolve_command` brings the real one.
        if cmd_name not in VERBS:
            return None
        return typer.core.TyperCommand(cmd_name, help=VERBS[cmd_name])

    def resolve_command(self, ctx, args) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return name, _load(name) if name in VERBS else command, rest

    def invoke(self, ctx) -> Any:
        try:
            return super().invoke(ctx)
        except (ValueError, OSError, KeyboardInterrupt) as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # the reader of a pipe left; typer ends quietly
            if os.environ.get("CYNOSURE_TRACEBACK") == "1":
                raise
            if isinstance(error, KeyboardInterrupt):
                fail("interrupted", code=130)
            fail(_describe(error))


def _describe(error: Exception) -> str:
    """One plain line for an error; the system's own errors are put as `what: where`."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.strerror}: {error.filename}"
    return str(error) or type(error).__name__


app = typer.Typer(
    cls=_LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="E(3)-equivariant interatomic potentials: train, evaluate, and run them.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from cynosure import __version__

        print(f"cynosure {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version and leave."
    ),
) -> None:
    """E(3)-equivariant interatomic potentials: train, evaluate, and run them."""


def main() -> None:
    """Entry point of the command `cynosure`."""
    app(prog_name="cynosure")
