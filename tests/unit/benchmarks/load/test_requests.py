"""What goes over the wire, for whomever it is meant."""

import msgspec
import pytest

from benchmarks.lab.subjects import Subject
from benchmarks.load.checking import Dialect
from benchmarks.load.requests import LARGE, SMALL, Ask, get, request, streamed
from benchmarks.upstream.questions import Questions
from benchmarks.upstream.script import Script

PLACE = Subject(name="x", port=4711, base_path="/v9", headers="authorization: Bearer k\r\n", model="fast")


def parts(wire: bytes) -> tuple[str, list[str], dict[str, object]]:
    """The request line, the header lines, and the body."""
    head, _, body = wire.partition(b"\r\n\r\n")
    line, *headers = head.decode().split("\r\n")
    return line, headers, msgspec.json.decode(body)


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(
    ("dialect", "line"),
    [
        pytest.param("openai", "POST /v9/chat/completions HTTP/1.1", id="openai"),
        pytest.param("anthropic", "POST /v9/messages HTTP/1.1", id="anthropic"),
    ],
)
def test_a_request(dialect: Dialect, line: str, stream: bool) -> None:
    """Each header once, the length that of the body, and the provider understands what is asked."""
    script = Script(tokens=7, interval_ms=2.5)
    made = request(Ask(stream=stream, script=script, dialect=dialect, headers="x-more: 1\r\n"), PLACE)
    said, headers, body = parts(made.wire)
    names = [header.partition(":")[0] for header in headers]
    assert said == line
    assert len(names) == len(set(names))
    assert {"host: 127.0.0.1:4711", "authorization: Bearer k", "x-more: 1"} <= set(headers)
    assert (made.dialect, made.tokens) == (dialect, 7 if stream else None)
    assert body["model"] == "fast"
    question = Questions(Script()).understand(made.wire.partition(b"\r\n\r\n")[2])
    assert question.stream is stream
    assert (question.script.tokens, question.script.interval_ms) == (7, 2.5)
    assert question.script.chars == len(SMALL)
    assert question.include_usage is (stream and dialect == "openai")


def test_the_length_is_that_of_the_body() -> None:
    """In bytes, also where a character has several."""
    wire = request(Ask(text="Grüße · ☃"), PLACE).wire
    head, _, body = wire.partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head.split(b"\r\n")


def test_a_question_may_name_another_model() -> None:
    """Before the place's usual one."""
    assert parts(request(Ask(model="other"), PLACE).wire)[2]["model"] == "other"


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        pytest.param(SMALL, 850, 1300, id="small-is-about-a-kilobyte"),
        pytest.param(LARGE, 95_000, 115_000, id="large-is-about-100-kb"),
    ],
)
def test_sizes(text: str, low: int, high: int) -> None:
    assert low <= len(request(Ask(text=text), PLACE).wire) <= high


def test_the_same_question_is_the_same_bytes_for_each_subject() -> None:
    """But for the port: a difference between subjects is theirs."""
    here, there = (request(streamed(5, 2), Subject(name=str(port), port=port)).wire for port in (1111, 2222))
    assert here == there.replace(b"2222", b"1111")


def test_a_get() -> None:
    """No body; any 200 will do."""
    made = get("/livez", PLACE)
    assert made.wire == b"GET /livez HTTP/1.1\r\nhost: 127.0.0.1:4711\r\nauthorization: Bearer k\r\n\r\n"
    assert (made.dialect, made.tokens) == (None, None)
