"""The command line: which cases, on how many threads, and where the table goes."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from pathlib import Path

from benchmarks import report
from benchmarks.cases import Case, cases
from benchmarks.sides import Measured, measure


def main() -> None:
    arguments = _arguments()
    chosen = choose(cases(arguments.quick), arguments.only)
    threads = thread_counts(arguments.threads)
    results: list[Measured] = []
    for case in chosen:
        for count in threads if case.any_threads else threads[:1]:
            results.append(
                measure(
                    case,
                    count,
                    arguments.rounds,
                    peers={"e3nn": arguments.peers, "nequip": arguments.peers, "mace": arguments.mace},
                    cache=arguments.cache.resolve(),
                    tiny=arguments.tiny,
                    say=_progress,
                )
            )
    _progress("")
    table = [row for result in results for row in report.rows(result)]
    head = report.header(results, _command(), arguments.rounds)
    foot = report.notes(results)
    print("\n".join([*head, "", *report.plain(table), *foot]))
    if arguments.markdown is not None:
        arguments.markdown.write_text(report.markdown(table, head, foot), encoding="utf-8")
    if arguments.json is not None:
        document = report.as_json(results, table, head)
        arguments.json.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if any(result.failed for result in results):
        sys.exit(1)


def choose(all_cases: list[Case], only: str | None) -> list[Case]:
    """The cases whose name contains one of the words in `only`, separated by commas.

    Raises:
        SystemExit: a word that no case's name contains.
    """
    if only is None:
        return all_cases
    words = [word.strip() for word in only.split(",") if word.strip()]
    for word in words:
        if not any(word in case.name for case in all_cases):
            raise SystemExit(f"no case is named like '{word}'; {_names(all_cases)}")
    return [case for case in all_cases if any(word in case.name for word in words)]


def thread_counts(text: str) -> list[int]:
    """`1,all` as numbers, each once; `all` is every core that this process may use.

    Raises:
        SystemExit: anything that is not a positive number or `all`.
    """
    if hasattr(os, "sched_getaffinity"):
        every = len(os.sched_getaffinity(0))
    else:
        every = os.cpu_count() or 1
    counts = [every if word == "all" else int(word) if word.isdigit() else 0 for word in text.split(",")]
    if not all(counts):
        raise SystemExit(f"--threads takes numbers and 'all', separated by commas, not '{text}'")
    return list(dict.fromkeys(counts))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Time Cynosure beside its peers, in turn, and print the ratios.",
        epilog=_names(cases()),
    )
    parser.add_argument("--only", metavar="NAME,…", help="cases whose name contains one of these words")
    parser.add_argument("--peers", metavar="PYTHON", help="the interpreter of the peers' environment")
    parser.add_argument("--mace", metavar="PYTHON", help="the interpreter of MACE's environment")
    parser.add_argument("--rounds", type=_positive, default=7, help="measurements of each side (7)")
    parser.add_argument("--threads", default="1,all", help="numbers of threads, 'all' for every core (1,all)")
    parser.add_argument("--quick", action="store_true", help="leave out structures above 10,000 atoms")
    parser.add_argument(
        "--tiny", action="store_true", help="shrink every case: does it run? Times mean nothing"
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there, as markdown")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measured value there")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(__file__).parent / ".cache",
        help="where compiled peers are kept (benchmarks/.cache)",
    )
    return parser.parse_args()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least one round is needed")
    return number


def _names(all_cases: list[Case]) -> str:
    return "the cases are " + ", ".join(case.name for case in all_cases)


def _command() -> str:
    """As it was typed, but for where the interpreter lies on this machine."""
    arguments = sys.argv[1:]
    for place, word in enumerate(arguments):
        if place and arguments[place - 1] in ("--peers", "--mace", "--cache", "--markdown", "--json"):
            arguments[place] = Path(word).name
        elif word.startswith(("--peers=", "--mace=")):
            arguments[place] = word.partition("=")[0] + "=python"
    return shlex.join(["python", "-m", "benchmarks", *arguments])


def _progress(text: str) -> None:
    """One line that is overwritten, where someone looks on."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
