"""What is known of one request, gathered on its way and read once at its end.

A plain mutable record: each room writes its own facts, and only `service.telemetry` reads them.
Instants are seconds of `time.monotonic`; the loop's own clock only ticks in whole milliseconds.
"""

import msgspec

from service.pricing.arithmetic import Usage


class Facts(msgspec.Struct, gc=False):
    """One request. Empty strings and None mean that it never came so far."""

    request_id: str
    method: str
    path: str
    started_at: float
    route: str = ""
    status: int = 0
    trace_id: str = ""
    key_id: str = ""
    model: str = ""
    target: str = ""
    attempts: int = 0
    faults: tuple[str, ...] = ()
    stream: bool = False
    first_event_at: float | None = None
    upstream_seconds: float = 0.0
    usage: Usage | None = None
    cost_nano_usd: int | None = None
    outcome: str = ""
    problem: str = ""
    detail: str = ""
