"""How each fact of `service.errors` is told to a client. Pure: tables and rendering.

One body serves three kinds of reader: RFC 9457's members, OpenAI's `error` beside them, and on
Anthropic's routes the `"type": "error"` that its SDK looks for. docs/problems.md describes each.
"""

import math
from dataclasses import dataclass

import msgspec

from service import errors
from service.errors import GatewayError, InvalidRequest, MethodNotAllowed, ProviderRejected
from service.wire import sse

MEDIA_TYPE = b"application/problem+json"

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Kind:
    """What all problems of one class share. `code` also makes the type URI."""

    status: int
    code: str
    title: str


KINDS: dict[type[GatewayError], Kind] = {
    errors.InvalidRequest: Kind(400, "invalid_request", "The request is not valid"),
    errors.InvalidApiKey: Kind(401, "invalid_api_key", "No valid key"),
    errors.PermissionDenied: Kind(403, "permission_denied", "Not allowed"),
    errors.ModelNotFound: Kind(404, "model_not_found", "No such model"),
    errors.ObjectNotFound: Kind(404, "not_found", "No such object"),
    errors.RouteNotFound: Kind(404, "not_found", "No such route"),
    errors.MethodNotAllowed: Kind(405, "method_not_allowed", "Wrong method for this route"),
    errors.MethodNotKnown: Kind(501, "method_not_allowed", "Unknown method"),
    errors.BodyTimedOut: Kind(408, "request_timeout", "The body took too long"),
    errors.BodyTooLarge: Kind(413, "too_large", "The body is too large"),
    errors.HeadersTooLarge: Kind(431, "too_large", "The headers are too large"),
    errors.UnsupportedMediaType: Kind(415, "unsupported_media_type", "Wrong content type"),
    errors.IdempotencyConflict: Kind(409, "idempotency_conflict", "The first request still runs"),
    errors.IdempotencyMismatch: Kind(422, "idempotency_mismatch", "The key belongs to another body"),
    errors.LimitExceeded: Kind(429, "rate_limit_exceeded", "The limit is reached"),
    errors.BudgetExceeded: Kind(429, "budget_exceeded", "The budget is used up"),
    errors.StoreUnavailable: Kind(503, "store_unavailable", "The store is away"),
    errors.ProviderRejected: Kind(400, "provider_rejected", "The provider refused the request"),
    errors.ProviderAuthFailed: Kind(502, "provider_auth", "The provider refused our credentials"),
    errors.ProviderRateLimited: Kind(429, "provider_rate_limited", "The provider's limit is reached"),
    errors.ProviderFailed: Kind(502, "provider_error", "The provider failed"),
    errors.ProviderUnavailable: Kind(503, "provider_error", "The provider is unavailable"),
    errors.ProviderTimedOut: Kind(504, "provider_timeout", "The provider timed out"),
    errors.ServerDraining: Kind(503, "server_shutdown", "Shutting down"),
    errors.ServerShutdown: Kind(503, "server_shutdown", "Shutting down"),
    errors.StreamCancelled: Kind(409, "cancelled", "The stream was cancelled"),
    errors.StreamAbandoned: Kind(409, "cancelled", "The stream was cancelled"),
    errors.StreamExpired: Kind(410, "stream_expired", "No longer kept"),
    GatewayError: Kind(500, "internal_error", "Our own fault"),
}

ERROR_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
"""OpenAI's `error.type` where a status has its own; else by class, see `_openai_type`."""

ANTHROPIC_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""Anthropic's `error.type` by status; other 4xx are invalid_request_error, other 5xx api_error."""


class ErrorObject(msgspec.Struct, frozen=True):
    """The `error` member of both dialects."""

    message: str
    type: str
    param: str | None
    code: str | None


class FieldProblem(msgspec.Struct, frozen=True):
    """One mistake in the body."""

    path: str
    message: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every error answer."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    error: ErrorObject
    errors: tuple[FieldProblem, ...] = ()


class _ErrorEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    error: ErrorObject
    request_id: str
    type: str = ""


@dataclass(frozen=True, slots=True)
class Rendered:
    """An error as an HTTP answer."""

    status: int
    headers: Headers
    body: bytes


def kind_of(error: GatewayError) -> Kind:
    """The table's row for an error's class. Raises KeyError for a class that has none."""
    return KINDS[type(error)]


def code_of(error: GatewayError) -> str:
    """The problem's stable code, for logs and metrics."""
    return kind_of(error).code


def describe(error: GatewayError, *, path: str, request_id: str) -> Problem:
    """`error` as the body of an answer to a request for `path`, in the shape that its clients read."""
    kind = kind_of(error)
    status = _status(error, kind)
    anthropic = f"{path}/".startswith("/v1/messages/")
    return Problem(
        type="error" if anthropic else f"urn:penstock:problem:{kind.code}",
        title=kind.title,
        status=status,
        detail=error.detail,
        instance=path,
        request_id=request_id,
        error=_error_object(error, kind, status, anthropic=anthropic),
        errors=_fields(error),
    )


def render(error: GatewayError, *, path: str, request_id: str) -> Rendered:
    """`error` as an answer to a request for `path`."""
    problem = describe(error, path=path, request_id=request_id)
    return Rendered(problem.status, _headers(error), msgspec.json.encode(problem))


def openai_event(error: GatewayError, *, request_id: str) -> bytes:
    """`error` as the last event of a stream of OpenAI's dialect."""
    kind = kind_of(error)
    found = _error_object(error, kind, _status(error, kind), anthropic=False)
    return sse.encode(msgspec.json.encode(_ErrorEvent(found, request_id)))


def anthropic_event(error: GatewayError, *, request_id: str) -> bytes:
    """`error` as the last event of a stream of Anthropic's dialect."""
    kind = kind_of(error)
    found = _error_object(error, kind, _status(error, kind), anthropic=True)
    return sse.encode(msgspec.json.encode(_ErrorEvent(found, request_id, "error")), b"error")


def _status(error: GatewayError, kind: Kind) -> int:
    return error.status if isinstance(error, ProviderRejected) else kind.status


def _error_object(error: GatewayError, kind: Kind, status: int, *, anthropic: bool) -> ErrorObject:
    own_type = _anthropic_type(status) if anthropic else _openai_type(status)
    if isinstance(error, ProviderRejected):
        return ErrorObject(error.detail, error.kind or own_type, error.param, error.code)
    return ErrorObject(error.detail, own_type, error.param, kind.code)


def _openai_type(status: int) -> str:
    return ERROR_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")


def _anthropic_type(status: int) -> str:
    return ANTHROPIC_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")


def _fields(error: GatewayError) -> tuple[FieldProblem, ...]:
    if not isinstance(error, InvalidRequest):
        return ()
    return tuple(FieldProblem(field.path, field.message) for field in error.errors)


def _headers(error: GatewayError) -> Headers:
    headers: Headers = [(b"content-type", MEDIA_TYPE)]
    if error.retry_after_seconds is not None:
        headers.append((b"retry-after", str(math.ceil(error.retry_after_seconds)).encode()))
    if isinstance(error, errors.InvalidApiKey):
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(error, errors.LimitExceeded):
        headers.extend(error.headers)
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", ", ".join(error.allow).encode()))
    if isinstance(error, errors.BodyTimedOut | errors.ServerDraining | errors.BodyTooLarge):
        headers.append((b"connection", b"close"))
    return headers
