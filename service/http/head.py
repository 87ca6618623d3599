"""What the edge reads from a request's header lines, in one pass. Pure."""

import msgspec

from service.http import malformed

PASSED_ON = {
    b"anthropic-version": "anthropic-version",
    b"anthropic-beta": "anthropic-beta",
    b"openai-beta": "openai-beta",
}
"""The only request headers of a caller that reach a provider, beside X-Request-ID."""

_HEEDED = frozenset(
    (
        b"host",
        b"content-length",
        b"authorization",
        b"x-request-id",
        b"x-api-key",
        b"x-forwarded-for",
        b"origin",
        b"access-control-request-method",
        b"traceparent",
        b"idempotency-key",
        *PASSED_ON,
    )
)
"""Of some ten headers of a usual request, the edge reads three."""


class Head(msgspec.Struct, gc=False):
    """The request's headers, as far as the edge cares."""

    size: int = 0
    host: bytes | None = None
    request_id: bytes | None = None
    content_length: int | None = None
    origin: str | None = None
    preflight: bool = False
    trace_id: str = ""
    bearer: bytes | None = None
    api_key: bytes | None = None
    forwarded_for: str = ""
    idempotency_key: bytes | None = None

    @property
    def credential(self) -> bytes | None:
        """The caller's key: a Bearer one, else `x-api-key` (Anthropic's clients)."""
        return self.api_key if self.bearer is None else self.bearer


def _pass_on(passed_on: dict[str, str], name: str, value: str) -> None:
    """Note a header; several lines of one name are one list (RFC 9110, 5.3)."""
    passed_on[name] = f"{passed_on[name]}, {value}" if name in passed_on else value


def _bearer(value: bytes) -> bytes | None:
    """The token of `Bearer TOKEN` (RFC 6750, 2.1; the scheme in any case); None for anything else."""
    scheme, _, token = value.partition(b" ")
    return token.strip() or None if scheme.lower() == b"bearer" else None


def read_head(headers: list[tuple[bytes, bytes]], passed_on: dict[str, str]) -> Head:
    """The head that `headers` say (names in lower case). passed_on: gets those that go to a provider."""
    head = Head()
    size = 0
    for name, value in headers:
        size += len(name) + len(value)
        if name in _HEEDED:
            _heed(head, name, value, passed_on)
    head.size = size
    return head


def _heed(head: Head, name: bytes, value: bytes, passed_on: dict[str, str]) -> None:
    if name == b"host":
        head.host = value if head.host is None else malformed.TWO_HOSTS
    elif name == b"content-length":
        head.content_length = int(value) if value.isdigit() else None
    elif name == b"authorization":
        # Two of them: neither is believed, as with Host.
        head.bearer = _bearer(value) if head.bearer is None else b"-"
    elif name == b"x-request-id":
        head.request_id = value
    elif name == b"x-api-key":
        head.api_key = (value or None) if head.api_key is None else b"-"
    elif name == b"x-forwarded-for":
        line = value.decode("latin-1")
        head.forwarded_for = f"{head.forwarded_for},{line}" if head.forwarded_for else line
    elif name == b"origin":
        head.origin = value.decode("latin-1")
    elif name == b"access-control-request-method":
        head.preflight = True
    elif name == b"traceparent":
        head.trace_id = value[3:35].decode("latin-1") if len(value) == 55 else head.trace_id
    elif name == b"idempotency-key":
        head.idempotency_key = value if head.idempotency_key is None else b""
    else:
        _pass_on(passed_on, PASSED_ON[name], value.decode("latin-1"))
