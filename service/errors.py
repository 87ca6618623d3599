"""The facts that can go wrong, free of HTTP: what happened, and what the caller can do.

`service.problems` holds the one table that gives each class its status, title and code.
Raise the class that states the fact; never a status code.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldError:
    """One mistake in a request body: `path` like `messages[0].role`, `message` with the remedy."""

    path: str
    message: str


class GatewayError(Exception):
    """A fact that ends a request. `detail` is shown to the client: no secrets, no addresses.

    param: the request's field or header at fault, if one is.
    retry_after_seconds: when asking again may help; None where it won't or nobody knows.
    """

    def __init__(
        self, detail: str, *, param: str | None = None, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.param = param
        self.retry_after_seconds = retry_after_seconds


class InvalidRequest(GatewayError):
    """The body or a header is malformed, of a wrong type or out of range.

    errors: every mistake, for clients that show it beside the field; not given, it is the one in `param`.
    """

    def __init__(
        self,
        detail: str,
        *,
        errors: tuple[FieldError, ...] = (),
        param: str | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(detail, param=param, retry_after_seconds=retry_after_seconds)
        self.errors = errors or ((FieldError(param, detail),) if param else ())


class ModelNotFound(GatewayError):
    """No alias, and no provider that serves any model, has this name."""


class RouteNotFound(GatewayError):
    """No route has this path."""


class MethodNotAllowed(GatewayError):
    """The route exists, but not for this method; `allow` lists those it has."""

    def __init__(self, detail: str, *, allow: tuple[str, ...]) -> None:
        super().__init__(detail)
        self.allow = allow


class MethodNotKnown(GatewayError):
    """A method that this server has never heard of (RFC 9110, 15.6.2)."""


class InvalidApiKey(GatewayError):
    """No key, or one that is malformed, unknown, revoked or expired; a token that doesn't verify."""


class PermissionDenied(GatewayError):
    """The caller may not do this here."""


class ObjectNotFound(GatewayError):
    """No object of this kind has this id, or it is someone else's."""


class LimitExceeded(GatewayError):
    """A limit on requests, tokens or concurrency is reached. headers: what the answer says of the limits."""

    def __init__(
        self,
        detail: str,
        *,
        retry_after_seconds: float | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(detail, retry_after_seconds=retry_after_seconds)
        self.headers = headers


class BudgetExceeded(LimitExceeded):
    """A budget of money or tokens is used up, or what is left is less than the request may cost."""


class StoreUnavailable(GatewayError):
    """The database or Redis is away, and this can't be decided without it."""


class BodyTooLarge(GatewayError):
    """The body exceeds `server.max_body_bytes`."""


class HeadersTooLarge(GatewayError):
    """The request's header lines together exceed the limit."""


class UnsupportedMediaType(GatewayError):
    """A JSON route was sent something that does not call itself JSON."""


class BodyTimedOut(GatewayError):
    """The body was not complete within `server.body_timeout_seconds`."""


class IdempotencyConflict(GatewayError):
    """The first request of an `Idempotency-Key` still runs, in a worker that can't be reached."""


class IdempotencyMismatch(GatewayError):
    """An `Idempotency-Key` was sent before with another body."""


class ProviderRejected(GatewayError):
    """The provider refused the request itself; repeating it elsewhere would not help.

    status: the provider's own, passed on. kind, code: its `error.type` and `error.code`.
    """

    def __init__(
        self,
        detail: str,
        *,
        status: int,
        kind: str | None = None,
        code: str | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(detail, param=param)
        self.status = status
        self.kind = kind
        self.code = code


class ProviderAuthFailed(GatewayError):
    """The provider does not accept the operator's credentials."""


class ProviderRateLimited(GatewayError):
    """The provider's own limit is reached, after all attempts."""


class ProviderFailed(GatewayError):
    """The provider failed, reset, or answered nonsense, after all attempts."""


class ProviderUnavailable(GatewayError):
    """The provider asked (503 with Retry-After) for a longer pause than may be waited for."""


class ProviderTimedOut(GatewayError):
    """The provider did not answer, or stopped answering, within its time."""


class ServerDraining(GatewayError):
    """The server is shutting down and takes no new requests."""


class ServerShutdown(GatewayError):
    """A request still running when the drain's time was over."""


class StreamCancelled(GatewayError):
    """A stream was ended because its caller wished so."""


class StreamAbandoned(StreamCancelled):
    """A stream was ended because nobody was reading it any more."""


class StreamExpired(GatewayError):
    """Events of a stream that existed, and are not kept any more."""
