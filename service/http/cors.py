"""Cross-origin headers (Fetch standard, 3.2). Pure. None unless an origin is configured."""

from service.http.context import Headers

EXPOSED = (
    b"X-Request-ID, X-Stream-ID, Retry-After, RateLimit, RateLimit-Policy, X-Penstock-Model, X-Penstock-Target,"
    b" X-Penstock-Attempts, X-Penstock-Overhead-Ms, X-Penstock-Dropped, X-Penstock-Upstream-Request-ID,"
    b" Idempotent-Replayed"
)


def headers(allowed: tuple[str, ...], origin: str | None) -> Headers:
    """For an answer to `origin`; nothing where it is not allowed, so that the browser keeps the answer."""
    if not allowed:
        return []
    if "*" in allowed:
        return [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", EXPOSED)]
    vary = [(b"vary", b"Origin")]
    if origin not in allowed or origin is None:
        return vary
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-expose-headers", EXPOSED),
        *vary,
    ]


def preflight_headers() -> Headers:
    """What else a preflight wants to know. Credentials travel in headers, never in cookies."""
    return [
        (b"allow", b"DELETE, GET, HEAD, OPTIONS, PATCH, POST"),
        (b"access-control-allow-methods", b"DELETE, GET, HEAD, PATCH, POST"),
        (b"access-control-allow-headers", b"*, Authorization"),
        (b"access-control-max-age", b"600"),
    ]
