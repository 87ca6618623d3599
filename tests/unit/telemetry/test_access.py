"""The access line: one JSON object per request, or a line that a person reads."""

import io
import threading

import msgspec
import pytest

from service.pricing.arithmetic import Usage
from service.telemetry.access import MAX_BATCHES, AccessLog
from service.telemetry.facts import Facts

NOW = 1_700_000_000.25
LEAST = {
    "timestamp": "2023-11-14T22:13:20.250Z",
    "event": "request",
    "request_id": "req_1",
    "method": "POST",
    "path": "/chat",
    "status": 200,
    "duration_ms": 250.0,
    "outcome": "complete",
}


def facts(**more: object) -> Facts:
    """A request that began at 100."""
    return msgspec.structs.replace(Facts("req_1", "POST", "/chat", 100.0, status=200), **more)


def line(known: Facts, *, readable: bool = False) -> bytes:
    """What is written for it."""
    stream = io.BytesIO()
    log = AccessLog(stream, readable=readable)
    log.write(known, 100.25, NOW)
    assert stream.getvalue() == b""
    log.close()
    return stream.getvalue()


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        pytest.param({}, {}, id="the-least"),
        pytest.param({"status": 404}, {"status": 404, "outcome": "refused"}, id="refused-by-the-edge"),
        pytest.param(
            {"outcome": "client_abort", "status": 499},
            {"outcome": "client_abort", "status": 499},
            id="aborted",
        ),
        pytest.param(
            {"model": "fast", "target": "up/gpt", "attempts": 2, "faults": ("http_503",), "stream": True},
            {"model": "fast", "target": "up/gpt", "attempts": 2, "faults": ["http_503"], "stream": True},
            id="an-answer-after-a-retry",
        ),
        pytest.param({"first_event_at": 100.1}, {"first_token_ms": 100.0}, id="a-first-event"),
        pytest.param(
            {"usage": Usage(10, 4, 0, 5), "cost_nano_usd": 1500},
            {"input_tokens": 10, "output_tokens": 5, "tokens": 15, "cost_usd": 1.5e-6},
            id="tokens-and-cost",
        ),
        pytest.param(
            {"problem": "provider_error", "detail": "reset", "trace_id": "4bf9"},
            {"problem": "provider_error", "detail": "reset", "trace_id": "4bf9"},
            id="a-problem",
        ),
    ],
)
def test_a_line_holds_what_is_known(more: dict[str, object], expected: dict[str, object]) -> None:
    written = line(facts(**more))
    assert written.endswith(b"\n") and written.count(b"\n") == 1
    assert msgspec.json.decode(written) == {**LEAST, **expected}


def test_no_value_can_begin_a_second_line() -> None:
    """Neither as JSON nor for a person: a forged line would be believed."""
    evil = facts(path="/a\nb", model="m\nx", target="t\r\nx", status=500, problem="p\nx")
    assert line(evil).count(b"\n") == 1
    assert len(line(evil, readable=True).splitlines()) == 1


def test_a_person_reads_the_same_in_short() -> None:
    """Time, status, route, duration, who answered, tokens, and the id to look for."""
    known = facts(model="fast", target="up/gpt", usage=Usage(10, 0, 0, 5))
    assert line(known, readable=True) == (
        b"22:13:20  200 POST /chat  250.0 ms  fast -> up/gpt  15 tokens  req_1\n"
    )
    assert b"  provider_error  req_1\n" in line(facts(status=502, problem="provider_error"), readable=True)


def test_timestamps_follow_the_clock() -> None:
    """Also where the second's part is remembered, and when time goes back."""
    stream = io.BytesIO()
    log = AccessLog(stream, readable=False)
    for now in (NOW, NOW + 0.5, NOW + 1, NOW - 60):
        log.write(facts(), 100.0, now)
    log.close()
    times = [msgspec.json.decode(one)["timestamp"][14:] for one in stream.getvalue().splitlines()]
    assert times == ["13:20.250Z", "13:20.750Z", "13:21.250Z", "12:20.250Z"]


class Closed(io.BytesIO):
    """A pipe whose reader has gone."""

    def write(self, data: object, /) -> int:
        """Fails as a broken pipe does."""
        raise BrokenPipeError


def test_a_reader_that_left_stops_nothing() -> None:
    """The lines are lost, and the writer goes on until it is told to end."""
    log = AccessLog(Closed(), readable=False)
    for _ in range(3):
        log.write(facts(), 100.25, NOW)
        log.flush()
    log.close()
    assert not log._writer.is_alive()


class Stalled(io.BytesIO):
    """A pipe whose reader takes nothing for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.reads_on = threading.Event()

    def write(self, data: object) -> int:
        """Wait for the reader."""
        self.entered.set()
        assert self.reads_on.wait(10)
        return super().write(data)  # type: ignore[arg-type]


def test_a_reader_that_stalls_holds_nobody_up_and_learns_what_it_missed() -> None:
    """Writing never waits; beyond MAX_BATCHES lines are counted, and the count is told first."""
    stream = Stalled()
    log = AccessLog(stream, readable=False)
    log.write(facts(), 100.25, NOW)
    log.flush()
    assert stream.entered.wait(10)
    for _ in range(MAX_BATCHES + 3):
        log.write(facts(), 100.25, NOW)
        log.flush()
    stream.reads_on.set()
    while not log._batches.empty():
        log._writer.join(0.01)
    log.write(facts(), 100.25, NOW)
    log.close()
    lines = [msgspec.json.decode(one) for one in stream.getvalue().splitlines()]
    assert [one for one in lines if one["event"] == "log.dropped"] == [{"event": "log.dropped", "lines": 3}]
    assert len(lines) == 1 + MAX_BATCHES + 1 + 1
