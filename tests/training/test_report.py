"""The report stands on its own, tells what it was given, and runs nothing that a file name smuggles in."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from cynosure.training import from_settings
from cynosure.training.metrics import ErrorStats, Metrics
from cynosure.training.plots import learning_curves
from cynosure.training.report import ReportContent, render, write_report
from cynosure.training.uncertain_errors import UncertainErrors

STATS = ErrorStats(0.0123, 0.0234, 0.0345, 120)


def records(steps=50, every=10):
    for step in range(1, steps + 1):
        yield {"kind": "step", "step": step, "loss": 3.0 / step, "lr": 0.01 / step, "progress": step / steps}
        if step % every == 0:
            errors = {name: STATS.to_json() for name in ("energy", "energy_per_atom", "forces", "stress")}
            yield {"kind": "validation", "step": step, "score": 4.0 / step, "best": True, "errors": errors}


def content(**changes):
    errors = dict.fromkeys(("energy", "energy_per_atom", "forces", "stress"), STATS)
    metrics = Metrics(
        10, errors, {"C": STATS, "O": STATS}, {"warm": {"forces": STATS}, "cold": {"forces": STATS}}
    )
    rng = np.random.default_rng(0)
    pairs = {
        name: (value := rng.normal(size=n), value + 0.1) for name, n in (("energy", 10), ("forces", 2000))
    }
    given = {
        "title": "Training report: demo",
        "words": ["A lead.", "A sentence."],
        "run": (from_settings({"data": {"train": "frames.xyz"}}), list(records())),
        "tables": {"Held-out frames (10)": metrics, "Training frames (90)": metrics},
        "pairs": pairs,
        "next_steps": ["cynosure eval model.safetensors NEW.xyz"],
        "footer": "versions",
    }
    return ReportContent(**{**given, **changes})


class Links(HTMLParser):
    """Everything a browser would fetch or run, and whether the tags close."""

    VOID = frozenset({"meta", "br", "img", "path", "use", "rect", "image", "circle", "line"})

    def __init__(self):
        super().__init__()
        self.fetched, self.tags, self.open = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        self.fetched += [
            value for name, value in attributes if name in ("src", "href", "xlink:href") and value
        ]

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_it_needs_nothing_but_itself():
    page = Links()
    page.feed(render(content()))
    assert page.open == []
    assert page.tags.count("svg") == 3
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.fetched)
    assert any(link.startswith("data:image/png") for link in page.fetched)


def test_it_tells_what_it_was_given():
    text = render(content())
    for part in (
        "A lead.",
        "A sentence.",
        "Held-out frames (10)",
        "forces on O",
        "12.3 meV/Å",
        "1.971",
        "optimiser.lr",
    ):
        assert part in text
    assert "cynosure eval model.safetensors NEW.xyz" in text
    assert "prefers-color-scheme: dark" in text
    assert "currentColor" in text


def test_names_are_text_and_not_code():
    text = render(content(title="<script>alert(1)</script>", words=["<b>", "&amp"]))
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "&amp;amp" in text


@pytest.mark.parametrize(
    "changes",
    [
        {"run": (from_settings({"data": {"train": "frames.xyz"}}), []), "pairs": {}},
        {"run": (from_settings({"data": {"train": "frames.xyz"}}), list(records(steps=1, every=1)))},
        {"run": None},
        {"tables": {"Held-out frames (3)": Metrics(3, {"energy_per_atom": STATS})}},
        {"pairs": {"energy": (np.array([1.0]), np.array([1.0]))}},
    ],
)
def test_little_to_tell_is_told_too(changes, tmp_path):
    path = tmp_path / "report.html"
    write_report(path, content(**changes))
    assert path.read_text().count("<svg") == path.read_text().count("</svg>") >= 1


def test_long_runs_make_small_pictures():
    svg = learning_curves(list(records(steps=20_000, every=100)))
    assert len(svg) < 400_000
    assert re.search(r'<svg[^>]* width="\d+"', svg)
    assert not re.search(r'<svg[^>]* height="', svg)


def test_an_ensemble_shows_how_well_it_knows_its_errors():
    rng = np.random.default_rng(0)
    found = UncertainErrors(rng.normal(size=600), np.ones(600))
    errors = {"energy_per_atom": STATS, "forces": STATS}
    metrics = Metrics(10, errors, uncertainty={"energy_per_atom": found, "forces": found})
    text = render(content(tables={"Held-out frames (10)": metrics}))
    page = Links()
    page.feed(text)
    assert page.open == []
    assert "How well it knows its errors" in text
    assert "<th>within 1σ</th>" in text
    assert f"<td>{100 * found.within(1):.0f} %</td>" in text
    assert "How well it knows its errors" not in render(content())
