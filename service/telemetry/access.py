"""The access line: one JSON object per request, written to stdout without a detour.

structlog costs 13 us a line in a running gateway; encoding one Struct into a buffer costs one. On
a terminal a person gets a readable line instead.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from queue import Full, Queue
from threading import Thread
from typing import BinaryIO

import msgspec

from service.telemetry.facts import Facts

_KEY = re.compile(r"psk_[0-9A-Za-z_]{20,}")

MAX_BATCHES = 64
"""What may wait for the log's reader: some seconds at full load."""

CLOSE_SECONDS = 1.0


class Dropped(msgspec.Struct, frozen=True):
    """Says in the log that lines are missing."""

    event: str
    lines: int


class AccessLine(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The fields of one line; those that never came to be are left out."""

    timestamp: str
    event: str
    request_id: str
    method: str
    path: str
    status: int
    duration_ms: float
    outcome: str
    key_id: str = ""
    model: str = ""
    target: str = ""
    attempts: int = 0
    stream: bool = False
    first_token_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    tokens: int | None = None
    cost_usd: float | None = None
    problem: str = ""
    faults: tuple[str, ...] = ()
    detail: str = ""
    trace_id: str = ""


def line_of(facts: Facts, ended_at: float, now: float) -> AccessLine:
    """The line for a request that ended at `ended_at` (monotonic), which is `now` in Unix seconds."""
    usage = facts.usage
    first_at = facts.first_event_at
    return AccessLine(
        timestamp=_timestamp(now),
        event="request",
        request_id=facts.request_id,
        method=facts.method,
        path=_without_keys(facts.path),
        status=facts.status,
        duration_ms=round((ended_at - facts.started_at) * 1000, 2),
        outcome=facts.outcome or ("complete" if facts.status < 400 else "refused"),
        key_id=facts.key_id,
        model=facts.model,
        target=facts.target,
        attempts=facts.attempts,
        stream=facts.stream,
        first_token_ms=None if first_at is None else round((first_at - facts.started_at) * 1000, 2),
        input_tokens=None if usage is None else usage.input_tokens,
        output_tokens=None if usage is None else usage.output_tokens,
        tokens=None if usage is None else usage.input_tokens + usage.output_tokens,
        cost_usd=None if facts.cost_nano_usd is None else facts.cost_nano_usd / 1e9,
        problem=facts.problem,
        faults=facts.faults,
        detail=facts.detail,
        trace_id=facts.trace_id,
    )


class AccessLog:
    """Buffers lines, and has a thread of its own write them out.

    A reader that stalls would otherwise hold up every request: once MAX_BATCHES wait for it, lines
    are dropped, and how many is said when it reads on.
    """

    def __init__(self, stream: BinaryIO, *, readable: bool) -> None:
        """readable: for a person at a terminal."""
        self._stream = stream
        self._encode = _readable if readable else _json()
        self._buffer = bytearray()
        self._lines = 0
        self._dropped = 0
        self._batches: Queue[bytes | None] = Queue(MAX_BATCHES)
        self._writer = Thread(target=self._write_batches, name="access-log", daemon=True)
        self._writer.start()

    def write(self, facts: Facts, ended_at: float, now: float) -> None:
        """Add the line of one request."""
        self._buffer += self._encode(line_of(facts, ended_at, now))
        self._lines += 1

    def flush(self) -> None:
        """Hand what is buffered to the writer."""
        if not self._buffer:
            return
        batch, self._buffer, lines, self._lines = bytes(self._buffer), bytearray(), self._lines, 0
        if self._dropped:
            batch = msgspec.json.encode(Dropped("log.dropped", self._dropped)) + b"\n" + batch
        try:
            self._batches.put_nowait(batch)
        except Full:
            self._dropped += lines
        else:
            self._dropped = 0

    def close(self) -> None:
        """Write out the rest; a reader that still stalls is waited for CLOSE_SECONDS."""
        self.flush()
        with suppress(Full):
            self._batches.put(None, timeout=CLOSE_SECONDS)
        self._writer.join(CLOSE_SECONDS)

    def _write_batches(self) -> None:
        while (batch := self._batches.get()) is not None:
            # A reader that has gone away is no reason to stop serving.
            with suppress(OSError, ValueError):
                self._stream.write(batch)
                self._stream.flush()


def _without_keys(path: str) -> str:
    """A key that somebody took for an id must not be in the log."""
    return _KEY.sub("psk_***", path) if "psk_" in path else path


def _json() -> Callable[[AccessLine], bytes]:
    encode = msgspec.json.Encoder().encode
    return lambda line: encode(line) + b"\n"


def _readable(line: AccessLine) -> bytes:
    time, mark = line.timestamp[11:19], "" if line.status < 400 else f"  {line.problem or line.outcome}"
    who = f"  {line.model} -> {line.target}" if line.target else ""
    tokens = f"  {line.tokens} tokens" if line.tokens is not None else ""
    text = f"{time}  {line.status} {line.method} {line.path}  {line.duration_ms:.1f} ms{who}{tokens}{mark}"
    # Paths and names are the clients' choice: none of them may steer the terminal or feign a line.
    return f"{text if text.isprintable() else ascii(text)[1:-1]}  {line.request_id}\n".encode()


_second: tuple[int, str] = (0, "")


def _timestamp(now: float) -> str:
    """ISO 8601 with milliseconds, UTC. The part down to the second is made once a second."""
    global _second  # noqa: PLW0603 - a cache of one string, which any line may renew
    whole = int(now)
    if _second[0] != whole:
        _second = (whole, datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S"))
    return f"{_second[1]}.{int((now - whole) * 1000):03d}Z"
