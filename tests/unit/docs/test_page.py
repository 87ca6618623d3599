"""The files of the /docs page: small, and complete without the internet."""

import re
from importlib.resources import files

import pytest

from service.docs.controller import FILES

PAGE = files("service.docs").joinpath("page")
ALL = [pytest.param(name, id=name) for name in FILES]


def text(name: str) -> str:
    """The file as text."""
    return PAGE.joinpath(name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ALL)
def test_nothing_comes_from_elsewhere(name: str) -> None:
    """No address but the SVG namespace, which nothing fetches."""
    found = set(re.findall(r"(?:https?:)?//[a-z0-9][a-z0-9.-]*\.[a-z]{2,}[^\s\"'`)]*", text(name)))
    assert found <= {"http://www.w3.org/2000/svg"}


def test_the_style_loads_nothing() -> None:
    """No font, picture or other style."""
    assert re.search(r"@import|url\(", text("docs.css")) is None


def test_the_page_has_nothing_inline() -> None:
    """So that its Content-Security-Policy needs no exception."""
    page = text("index.html")
    assert re.findall(r"<script(?![^>]* src=)[^>]*>", page) == []
    assert "<style" not in page
    assert re.search(r"\s(?:style|on\w+)=", page) is None


def test_links_are_relative() -> None:
    """So that it works below any path of a proxy; each is a file that is served."""
    links = re.findall(r"(?:href|src)=\"([^\"#]+)\"", text("index.html"))
    assert {link for link in links if link != "openapi.json"} == {
        f"docs/{name}" for name in FILES if name != "index.html"
    }


def test_the_document_is_never_read_as_html() -> None:
    """Whatever a name or a description holds, it goes through text nodes."""
    script = text("docs.js")
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert way not in script


def test_it_is_small() -> None:
    """All of it together, in bytes, before compression."""
    assert sum(len(text(name).encode()) for name in FILES) < 40_000


def test_the_key_is_kept_nowhere() -> None:
    """Only in the page's memory, and in no address."""
    script = text("docs.js")
    for place in ("localStorage", "sessionStorage", "indexedDB", "cookie", "pushState", "replaceState"):
        assert place not in script
