"""The reference page is the Structs' own words, and up to date."""

from pathlib import Path

from service.config.reference import reference
from service.config.settings import Sections

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_the_page_in_the_repository_is_the_one_the_code_writes() -> None:
    """If not: `just docs`."""
    assert PAGE.read_text(encoding="utf-8") == reference()


def test_every_section_has_its_heading() -> None:
    """A section that is added to the Structs is described without further ado."""
    page = reference()
    assert all(f"[{name}]" in page for name in Sections.__struct_fields__)


def test_nothing_is_left_undescribed() -> None:
    """Each row says what its key is for."""
    rows = [line for line in reference().splitlines() if line.startswith("| `")]
    assert rows and not [row for row in rows if row.endswith("|  |")]
