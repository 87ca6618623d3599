"""The page: whole, escaped, and asking nothing of anyone."""

import base64
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from benchmarks.record import Run
from benchmarks.report.drawing import Colour
from benchmarks.report.markup import Html, element
from benchmarks.report.page import page, write_page
from benchmarks.report.saved import finite
from tests.unit.benchmarks.report.examples import AGAINST, EMPTY, FULL, HOSTILE, MINIMAL, PEERS

_VOID = {"meta", "br"}
_CSS = (Path(__file__).parents[4] / "benchmarks" / "report" / "page.css").read_text()


class _Reader(HTMLParser):
    """Notes every element, attribute and text, and that what is opened is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def values(self, name: str) -> list[str]:
        return [value for each, value in self.attributes if each == name]


RUNS = {"full": FULL, "against": AGAINST, "peers": PEERS, "minimal": MINIMAL, "empty": EMPTY}


@cache
def _page(name: str) -> str:
    return page(RUNS[name], [FULL])


@pytest.mark.parametrize("name", RUNS)
def test_the_page_is_well_formed_and_its_ids_are_unique(name: str) -> None:
    read = _Reader(_page(name))
    assert read.open == [] and read.tags[:2] == ["html", "head"]
    ids = read.values("id")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", RUNS)
def test_the_page_loads_nothing(name: str) -> None:
    """No script, no picture, no font, no style from elsewhere; links go into the page or are data."""
    text = _page(name)
    read = _Reader(text)
    assert not {"script", "img", "link", "iframe", "object", "image", "foreignobject"} & set(read.tags)
    links = [*read.values("href"), *read.values("xlink:href"), *read.values("src"), *read.values("action")]
    assert all(link.startswith(("#", "data:application/json;base64,")) for link in links)
    assert all(target.startswith("#") for target in re.findall(r"url\(['\"]?([^)]*)", text))
    assert "@import" not in text and not [each for each, _ in read.attributes if each.startswith("on")]


@pytest.mark.parametrize("name", RUNS)
def test_every_figure_is_in_the_page(name: str) -> None:
    """By name, and by an id that can be linked to."""
    read = _Reader(_page(name))
    assert {figure.name for figure in RUNS[name].figures} <= set(read.texts)
    assert {figure.key for figure in RUNS[name].figures} <= set(read.values("id"))


def test_what_people_and_programs_wrote_is_escaped() -> None:
    """Notes, reasons, errors and names stand there as they were written, and do nothing."""
    named = msgspec.structs.replace(FULL.figures[0], name=HOSTILE, key='"><b>')
    run = msgspec.structs.replace(
        FULL,
        command=HOSTILE,
        subjects={HOSTILE: HOSTILE, "nginx": "1"},
        figures=(*FULL.figures, named),
    )
    text = page(run, [])
    assert "<script" not in text and "<img" not in text and "<b>" not in text
    assert HOSTILE in _Reader(text).texts


def test_the_verdict_comes_first() -> None:
    """Before any figure."""
    text = _page("against")
    assert text.index("Head is slower than base in 1 of 3 figures") < text.index("<table")
    assert _page("full").index("3 wrong answers") < _page("full").index("keeps 2 of 3 bars")


def test_the_table_has_intervals() -> None:
    """Medians alone don't say how sure they are."""
    read = _Reader(_page("against"))
    assert any(re.fullmatch(r"126 ± \d+ µs", text) for text in read.texts)
    assert "(+8.6 … +11.8 %)" in read.texts and "slower" in read.texts


def test_the_whole_run_can_be_taken_along(tmp_path: Path) -> None:
    """As JSON, in a link that is the data itself."""
    path = tmp_path / "index.html"
    write_page(FULL, [], path)
    read = _Reader(path.read_text(encoding="utf-8"))
    (data,) = [link for link in read.values("href") if link.startswith("data:")]
    assert msgspec.json.decode(base64.b64decode(data.partition(",")[2]), type=Run) == finite(FULL)
    assert read.values("download") == ["2026-11-25-093038-full-33e56c4+.json"]


def test_the_page_knows_every_colour_of_the_plots_by_day_and_by_night() -> None:
    """Else a line would be drawn in the colour for white on a dark page."""
    day, night = _CSS.split("prefers-color-scheme: dark", 1)
    for colour in Colour:
        assert f"{colour.variable}: {colour.value};" in day
        assert f"{colour.variable}: #" in night


@pytest.mark.parametrize(
    ("made", "text"),
    [
        pytest.param(element("p", "a < b & c"), "<p>a &lt; b &amp; c</p>", id="text-is-escaped"),
        pytest.param(element("p", element("b", "x"), "<"), "<p><b>x</b>&lt;</p>", id="elements-are-not"),
        pytest.param(
            element("a", "x", href='"><'), '<a href="&quot;&gt;&lt;">x</a>', id="attributes-are-escaped"
        ),
        pytest.param(element("p", class_="a", data_x="b"), '<p class="a" data-x="b"></p>', id="names"),
        pytest.param(element("meta", charset="utf-8"), '<meta charset="utf-8">', id="void"),
    ],
)
def test_elements(made: Html, text: str) -> None:
    assert made == text
