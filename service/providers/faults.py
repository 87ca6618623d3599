"""How a provider's refusal reads: status, error body and Retry-After as a `Fault`. Pure.

Both dialects put `error: {"message", "type"}` into the body; OpenAI adds `code` and `param`.
"""

import re
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

import msgspec

from service.providers.base import Fault, FaultKind

KIND_BY_STATUS = {
    401: FaultKind.UNAUTHORIZED,
    403: FaultKind.UNAUTHORIZED,
    404: FaultKind.MISSING,
    408: FaultKind.FAILED,
    409: FaultKind.FAILED,
    429: FaultKind.OVERLOADED,
}
"""Statuses below 500 that are not about the request itself; the other 4xx are REJECTED."""

ERROR_TYPE_STATUS = {
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "overloaded_error": 529,
    "invalid_request_error": 400,
    "request_too_large": 413,
    "content_filter": 400,
    "content_policy_violation": 400,
}
"""An error inside a 200 has no status; its type (Anthropic) or code (OpenAI) stands for one."""

_SECRET = re.compile(r"(?i)\b(?:(?:sk|pk|psk|key)[-_]|bearer )[A-Za-z0-9*._-]{8,}")
_ADDRESS = re.compile(r"(?i)\bhttps?://[^\s\"'<>]+|\b\d{1,3}(?:\.\d{1,3}){3}:\d{1,5}\b")

MAX_MESSAGE_CHARACTERS = 2000
"""Enough for a validation error; some servers send a traceback."""

MIN_KNOWN_CHARACTERS = 6

Conceal = Callable[[str], str]
"""Makes a provider's message fit for a client and the log."""


class ErrorMember(msgspec.Struct, frozen=True):
    """`error` of either dialect. Servers differ: `code` may be a number, anything may lack."""

    message: str | None = None
    type: str | None = None
    code: str | int | float | None = None
    param: str | None = None


class _ErrorBody(msgspec.Struct, frozen=True):
    """`detail` is what servers made with FastAPI say: a text, or a list of mistakes."""

    error: ErrorMember | str | None = None
    message: str | None = None
    detail: str | list[msgspec.Raw] | None = None


_ERROR_BODY = msgspec.json.Decoder(_ErrorBody)


def without_secrets(text: str) -> str:
    """`text` without what looks like an address or a key."""
    return _SECRET.sub("[redacted]", _ADDRESS.sub("[address]", text))[:MAX_MESSAGE_CHARACTERS]


def concealing(*, api_key: str | None, authority: str) -> Conceal:
    """Also hides this very key and this very address, `host` or `host:port`, as a provider may quote them.

    Keys of a few characters are placeholders, and a host without a dot may be any word: both stay.
    """
    host = authority.rpartition(":")[0] or authority
    known = [authority if ":" in authority else "", host if "." in host else "", api_key or ""]
    exact = "|".join(re.escape(text) for text in known if len(text) >= MIN_KNOWN_CHARACTERS)
    if not exact:
        return without_secrets
    replace = re.compile(exact).sub
    return lambda text: without_secrets(replace("[redacted]", text))


def fault_of_answer(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float,
    conceal: Conceal = without_secrets,
) -> Fault:
    """Read an answer that is no 2xx. `now`: Unix seconds, for a Retry-After given as a date."""
    pause_seconds = retry_after(headers, now=now)
    return _fault(status, read_error(body), conceal, retry_after_seconds=pause_seconds)


def fault_of_event(error: ErrorMember, conceal: Conceal = without_secrets) -> Fault:
    """Read an error that came inside a 200, as an event."""
    return _fault(_status_meant(error), error, conceal, retry_after_seconds=None)


def _status_meant(error: ErrorMember) -> int:
    """The status that `error` would have come with: some servers give it as `code`, else its words tell."""
    if isinstance(error.code, int) and 400 <= error.code <= 599:
        return error.code
    return ERROR_TYPE_STATUS.get(str(error.code)) or ERROR_TYPE_STATUS.get(error.type or "") or 500


def read_error(body: bytes) -> ErrorMember:
    """The `error` member of a body, empty where there is none (HTML, nothing, another shape)."""
    try:
        decoded = _ERROR_BODY.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ErrorMember()
    if isinstance(decoded.error, ErrorMember):
        return decoded.error
    detail = decoded.detail
    if isinstance(detail, list):
        detail = "; ".join(bytes(mistake).decode(errors="replace") for mistake in detail)
    return ErrorMember(message=decoded.error or decoded.message or detail)


def retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """Seconds to wait by `retry-after-ms` or `Retry-After` (RFC 9110, 10.2.3), never negative."""
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    if (seconds := _number(value)) is not None or value is None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _number(value: str | None) -> float | None:
    if value is None or not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
        return None
    return float(value)


def _fault(status: int, error: ErrorMember, conceal: Conceal, *, retry_after_seconds: float | None) -> Fault:
    if error.code == "content_filter" or error.type == "content_filter":
        kind = FaultKind.REJECTED
    elif 400 <= status < 500:
        kind = KIND_BY_STATUS.get(status, FaultKind.REJECTED)
    else:
        kind = FaultKind.FAILED
    return Fault(
        kind,
        conceal(error.message or f"The provider answered {status}."),
        reason=f"http_{status}",
        status=status,
        code=None if error.code is None else str(error.code),
        type=error.type,
        param=error.param,
        retry_after_seconds=retry_after_seconds,
    )
