"""The figures as a table: medians, ratios with their range, and whether the bounds are met."""

from __future__ import annotations

import datetime
import platform
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.cases import Against, Rule
from benchmarks.sides import ROOT, Measured

_COLUMNS = (
    "case",
    "threads",
    "what",
    "ours",
    "against",
    "theirs",
    "ratio",
    "rounds",
    "at least",
    "aim",
    "verdict",
)


@dataclass(frozen=True)
class Row:
    """One line of the table: ours beside one other; the numbers are None where a side was not measured."""

    case: str
    what: str
    threads: int
    unit: str
    rule: Rule
    ours: str
    ours_median: float | None
    against: str
    against_median: float | None
    ratio: float | None
    lowest: float | None
    highest: float | None
    at_least: float | None
    aim: float | None
    verdict: str


def rows(result: Measured) -> list[Row]:
    """One row for every other side. Bounds count where they are set for: on one thread, or a case's own number."""
    counted = result.threads == 1 or not result.case.any_threads
    return [_row(result, other, counted) for other in result.case.others]


def _row(result: Measured, other: Against, counted: bool) -> Row:
    case = result.case
    ours, theirs = result.values[case.ours.label], result.values[other.side.label]
    at_least, aim = (other.at_least, other.aim) if counted else (None, None)
    ratio = lowest = highest = None
    verdict = result.missing.get(case.ours.label) or result.missing.get(other.side.label) or ""
    if ours and theirs:
        ratio = compare(case.rule, statistics.median(ours), statistics.median(theirs))
        each = [compare(case.rule, a, b) for a, b in zip(ours, theirs, strict=True)]
        lowest, highest = min(each), max(each)
        verdict = judge(case.rule, ratio, at_least, aim)
    return Row(
        case=case.name,
        what=case.what,
        threads=result.threads if case.ours.threads is None else case.ours.threads,
        unit=case.unit,
        rule=case.rule,
        ours=case.ours.label,
        ours_median=statistics.median(ours) if ours else None,
        against=other.side.label,
        against_median=statistics.median(theirs) if theirs else None,
        ratio=ratio,
        lowest=lowest,
        highest=highest,
        at_least=at_least,
        aim=aim,
        verdict=verdict,
    )


def compare(rule: Rule, ours: float, theirs: float) -> float:
    """How much better ours is (`faster`), which part of the other it is (`share`), how far off it (`flat`)."""
    if rule == "faster":
        return theirs / ours
    if rule == "share":
        return ours / theirs
    return theirs / ours - 1


def judge(rule: Rule, ratio: float, at_least: float | None, aim: float | None) -> str:
    """`aim met`, `met` (the least that will do), `missed`; nothing where no bound is set."""
    if at_least is None:
        return ""
    sign = -1 if rule == "flat" else 1
    ratio = abs(ratio) if rule == "flat" else ratio
    if aim is not None and sign * ratio >= sign * aim:
        return "aim met"
    return "met" if sign * ratio >= sign * at_least else "missed"


def header(results: Sequence[Measured], command: str, rounds: int) -> list[str]:
    """The command, the date, the processor, the versions, the commit: what the figures mean nothing without."""
    versions: dict[str, str] = {}
    for result in results:
        for side in result.info.values():
            versions |= side["versions"]
    listed = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    lines = [
        f"command: {command}",
        f"date: {datetime.datetime.now().astimezone().isoformat(timespec='minutes')}",
        f"processor: {processor()}, {platform.system()} {platform.machine()}",
        f"commit: {commit()}",
        f"versions: python {platform.python_version()}, {listed}",
        f"float32; {rounds} rounds in turn; medians, the ratio of the medians, and the range of the rounds' ratios",
    ]
    engines = sorted(
        {side["engine"] for result in results for side in result.info.values() if "engine" in side}
    )
    if engines:
        lines.append(f"models evaluated by: {', '.join(engines)}")
    return lines


def notes(results: Sequence[Measured]) -> list[str]:
    """What a measurement has to say about itself."""
    sides = [side for result in results for side in result.info.values()]
    said = [line for key in ("formula", "note") for side in sides for line in side.get(key, "").splitlines()]
    if not said:
        return []
    return ["", *dict.fromkeys(said)]


def plain(table: Sequence[Row]) -> list[str]:
    """Columns padded with spaces; the long description is left to the markdown."""
    cells = [_cells(row) for row in table]
    shown = [column for column in _COLUMNS if column != "what"]
    widths = {name: max(len(name), *(len(line[name]) for line in cells)) for name in shown}
    titles = {name: name for name in shown}
    return ["  ".join(line[name].ljust(widths[name]) for name in shown).rstrip() for line in (titles, *cells)]


def markdown(table: Sequence[Row], head: Sequence[str], foot: Sequence[str]) -> str:
    """The same as a page of the documentation includes it."""
    lines = [*(f"- {line}" for line in head), ""]
    lines += ["| " + " | ".join(_COLUMNS) + " |", "|" + "---|" * len(_COLUMNS)]
    for row in table:
        cells = _cells(row) | {"case": f"`{row.case}`"}
        lines.append("| " + " | ".join(cells[name].replace("|", "\\|") for name in _COLUMNS) + " |")
    if foot:
        lines += ["", "```text", *[line.rstrip() for line in foot if line.strip()], "```"]
    return "\n".join(lines) + "\n"


def as_json(results: Sequence[Measured], table: Sequence[Row], head: Sequence[str]) -> dict[str, Any]:
    """Everything: the rows, and every value that was measured."""
    measured = [
        {
            "case": result.case.name,
            "threads": result.threads,
            "values": result.values,
            "info": result.info,
            "missing": result.missing,
        }
        for result in results
    ]
    return {"header": list(head), "rows": [asdict(row) for row in table], "measured": measured}


def processor() -> str:
    """Its name as the system gives it, and the widest vectors it has."""
    try:
        with open("/proc/cpuinfo") as file:
            lines = [line.partition(":") for line in file]
    except OSError:
        return platform.processor() or "unknown"
    entries = {name.strip(): value.strip() for name, _, value in reversed(lines)}
    vectors = next((name for name in ("avx512f", "avx2") if name in entries.get("flags", "").split()), "")
    return ", ".join(part for part in (entries.get("model name", "unknown"), vectors) if part)


def commit() -> str:
    """The commit that is checked out, `-dirty` where files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()


def _cells(row: Row) -> dict[str, str]:
    return {
        "case": row.case,
        "threads": str(row.threads),
        "what": row.what,
        "ours": f"{_number(row.ours_median)} {row.unit}",
        "against": row.against,
        "theirs": f"{_number(row.against_median)} {row.unit}",
        "ratio": _ratio(row.rule, row.ratio),
        "rounds": "–"
        if row.lowest is None
        else f"{_ratio(row.rule, row.lowest)} … {_ratio(row.rule, row.highest)}",
        "at least": _bound(row.rule, row.at_least),
        "aim": _bound(row.rule, row.aim),
        "verdict": row.verdict,
    }


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _bound(rule: Rule, value: float | None) -> str:
    if value is None:
        return "–"
    if rule == "faster":
        return f"{value:g}×"
    return f"within {100 * value:.0f} %" if rule == "flat" else f"{100 * value:.0f} %"


def _ratio(rule: Rule, value: float | None) -> str:
    if value is None:
        return "–"
    if rule == "faster":
        return f"{value:.2f}×" if value < 10 else f"{value:.1f}×" if value < 100 else f"{value:.0f}×"
    return f"{100 * value:+.1f} %" if rule == "flat" else f"{100 * value:.0f} %"
