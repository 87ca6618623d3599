"""What an answer's headers say about how it came to be. Pure."""

import re
from collections.abc import Mapping
from functools import lru_cache

from service.telemetry.facts import Facts

Headers = list[tuple[bytes, bytes]]

_UPSTREAM_IDS = ("x-request-id", "request-id")
"""OpenAI's and Anthropic's header for their own id of the request."""

_VISIBLE = re.compile(r"[\x21-\x7e]{1,200}")


def answer_headers(
    facts: Facts, dropped: tuple[str, ...], upstream_headers: Mapping[str, str], overhead_seconds: float
) -> Headers:
    """Which alias and target answered, after how many attempts, and the time that was ours."""
    headers = [
        model_header(facts),
        (b"x-penstock-target", _printable(facts.target)),
        (b"x-penstock-attempts", b"%d" % facts.attempts),
        (b"x-penstock-overhead-ms", b"%.2f" % max(overhead_seconds * 1000, 0.0)),
    ]
    if dropped:
        headers.append((b"x-penstock-dropped", ", ".join(dropped).encode("ascii", "replace")))
    for name in _UPSTREAM_IDS:
        value = upstream_headers.get(name)
        if value is not None and value != facts.request_id and _VISIBLE.fullmatch(value):
            headers.append((b"x-penstock-upstream-request-id", value.encode()))
            break
    return headers


def model_header(facts: Facts) -> tuple[bytes, bytes]:
    """The alias: the one fact that is known before any attempt has answered."""
    return (b"x-penstock-model", _printable(facts.model))


@lru_cache(maxsize=1024)
def _printable(name: str) -> bytes:
    """A model's name as a header value: ASCII without control characters."""
    return name.encode() if _VISIBLE.fullmatch(name) else ascii(name)[1:-1][:200].encode()
