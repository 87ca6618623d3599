"""docs/problems.md describes every problem as it is."""

import re
from pathlib import Path

import msgspec
import pytest

from service import errors, problems
from service.docs.failures import FAILURES, REQUEST_ID
from service.problems import Problem

TEXT = (Path(__file__).parents[3] / "docs" / "problems.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### (\w+)\n(.*?)(?=^### |\Z)", TEXT, re.MULTILINE | re.DOTALL))
CODES = sorted({kind.code for kind in problems.KINDS.values()})


@pytest.mark.parametrize("code", [pytest.param(code, id=code) for code in CODES])
def test_each_code_is_described(code: str) -> None:
    """Its URN and statuses, when it happens, and what the caller and the operator do."""
    section = SECTIONS[code]
    statuses = {str(kind.status) for kind in problems.KINDS.values() if kind.code == code}
    assert f"`urn:penstock:problem:{code}`" in section
    assert all(status in section.partition("- **When:**")[0] for status in statuses)
    assert all(f"- **{part}:**" in section for part in ("When", "Caller", "Operator"))
    assert f"[`{code}`](#{code})" in TEXT


@pytest.mark.parametrize("code", [pytest.param(code, id=code) for code in CODES])
def test_each_body_is_what_the_server_sends(code: str) -> None:
    """The example is what `service.problems` makes of one of the code's errors."""
    (body,) = re.findall(r"```json\n(.*?)```", SECTIONS[code], re.DOTALL)
    rendered = [
        problems.describe(failure.example, path="/v1/chat/completions", request_id=REQUEST_ID)
        for kind, failure in FAILURES.items()
        if problems.KINDS[kind].code == code
    ]
    assert msgspec.json.decode(body, type=Problem) in rendered


def test_no_code_is_described_that_is_not_there() -> None:
    """A code that was given up leaves the page."""
    assert set(re.findall(r"urn:penstock:problem:([a-z_]+)", TEXT)) == set(CODES)


def test_stream_events_are_what_the_server_sends() -> None:
    """Both dialects' error events, byte for byte."""
    failure = FAILURES[errors.ProviderTimedOut].example
    for event in (problems.openai_event, problems.anthropic_event):
        assert event(failure, request_id=REQUEST_ID).decode().strip() in TEXT
