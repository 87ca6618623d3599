"""The figures in benchmarks/README.md."""

from pathlib import Path

import msgspec
import pytest

from benchmarks.report.readme import README, filled, markdown, write_readme
from benchmarks.report.saved import ResultsMissing
from tests.unit.benchmarks.report.examples import AGAINST, FULL, PEERS

_BEGIN, _END = "<!-- results: begin, written by `just bench` -->", "<!-- results: end -->"


@pytest.mark.parametrize(
    ("text", "row"),
    [
        pytest.param(
            markdown(FULL, []),
            "| JSON: CPU per request | 126 µs | 19.4 µs | 6.49 × | ✓ ≤ 7 × nginx |",
            id="kept",
        ),
        pytest.param(
            markdown(FULL, []),
            "| added latency, JSON, p50 | 0.720 ms | 0.190 ms | 3.79 × | ✗ ≤ 0.6 ms |",
            id="missed",
        ),
        pytest.param(
            markdown(FULL, []), r"| JSON: requests/s | 7,918/s | 49,074/s \* | 0.16 × |  |", id="derived"
        ),
        pytest.param(
            markdown(PEERS, []), "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |", id="peers"
        ),
        pytest.param(
            markdown(AGAINST, []),
            "| JSON: CPU per request | 139 µs | 126 µs | +10.2 % | (+8.6 … +11.8 %) | slower |",
            id="a-comparison",
        ),
    ],
)
def test_rows(text: str, row: str) -> None:
    assert row in text.splitlines()


def test_the_readme_says_what_made_it() -> None:
    """Command, machine, notes, errors, and what is missing; texts from outside are no markup."""
    text = markdown(FULL, [])
    assert text.rstrip().endswith("Made by `just bench full` on 2026-11-25 in 512 s.")
    for part in (
        "2 cores of AMD EPYC",
        "- JSON: the load side",
        "- **3 errors**: json",
        "- not measured: guarded-redis",
    ):
        assert part in text
    assert "<script" not in text.replace("\\<script", "")


def test_a_name_cannot_break_the_table() -> None:
    """Neither by a bar nor by a line break."""
    figure = msgspec.structs.replace(FULL.figures[0], name="a|b\nc")
    assert r"| a\|b c | 126 µs |" in markdown(msgspec.structs.replace(FULL, figures=(figure,)), [])


def test_only_what_stands_between_the_marks_is_replaced() -> None:
    """And filling twice is filling once."""
    once = filled(f"before\n{_BEGIN}\nold\n{_END}\nafter\n", "new\n")
    assert once == f"before\n{_BEGIN}\n\nnew\n\n{_END}\nafter\n"
    assert filled(once, "new\n") == once


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("no marks", id="none"),
        pytest.param(_BEGIN, id="no-end"),
        pytest.param(f"{_END} {_BEGIN}", id="the-wrong-way-round"),
    ],
)
def test_a_readme_without_marks_is_refused(text: str) -> None:
    with pytest.raises(ResultsMissing):
        filled(text, "table")


def test_the_readme_has_its_marks() -> None:
    """Writing would fail without them."""
    assert filled(README.read_text(encoding="utf-8"), "table")


def test_the_readme_shows_the_pictures_beside_it(tmp_path: Path) -> None:
    """By relative paths that exist."""
    readme = tmp_path / "README.md"
    readme.write_text(f"{_BEGIN}{_END}", encoding="utf-8")
    write_readme(FULL, [], readme, tmp_path / "images")
    text = readme.read_text(encoding="utf-8")
    assert '<img src="images/latency.png" width="640" alt="latency">' in text
    assert (tmp_path / "images" / "latency.png").is_file()


def test_no_picture_is_drawn_for_a_readme_that_cannot_show_it(tmp_path: Path) -> None:
    """Else the old text would stand beside new pictures."""
    readme = tmp_path / "README.md"
    readme.write_text("no marks", encoding="utf-8")
    with pytest.raises(ResultsMissing):
        write_readme(FULL, [], readme, tmp_path / "images")
    assert not (tmp_path / "images").exists()
