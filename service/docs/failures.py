"""Every error that a route can answer with: when, and how it looks. Pure.

The examples are rendered by `service.problems`, as the errors themselves are. docs/problems.md
says what to do about each.
"""

from collections import defaultdict
from collections.abc import Iterable

import msgspec

from service import errors, problems
from service.docs.parts import LIMIT_HEADERS
from service.docs.schemas import Json, reference
from service.errors import GatewayError

REQUEST_ID = "req_5f1c0a9be24d4f7e8a6b3c2d"

PASSED_ON_STATUS = "4XX"
"""Where the provider's own status goes to the client (OpenAPI 3.1.0, 4.8.16: a range of codes)."""


class Failure(msgspec.Struct, frozen=True):
    """One kind of error. when: a sentence; headers: names in `components.headers`."""

    when: str
    example: GatewayError
    headers: tuple[str, ...] = ()


_REJECTED = errors.ProviderRejected(
    "This model's maximum context length is 128000 tokens.",
    status=422,
    kind="invalid_request_error",
    code="context_length_exceeded",
    param="messages",
)
_DRAINING = errors.ServerDraining("The server is shutting down; ask again shortly.", retry_after_seconds=1)
_SHUTDOWN = errors.ServerShutdown(
    "The server is shutting down; send the request again.", retry_after_seconds=1
)

_LIMITED = ("Retry-After", *LIMIT_HEADERS)

FAILURES: dict[type[GatewayError], Failure] = {
    errors.InvalidRequest: Failure(
        "The body is not valid JSON, or a field or parameter is missing, of a wrong type or out of range;"
        " `error.param` names it.",
        errors.InvalidRequest("temperature: Expected `float` <= 2.0.", param="temperature"),
    ),
    errors.InvalidApiKey: Failure(
        "No key where one is needed, or one that is malformed, unknown, revoked or expired; or a token that does not"
        " verify.",
        errors.InvalidApiKey("Send a key: Authorization: Bearer psk_… or x-api-key: psk_…"),
        ("WWW-Authenticate",),
    ),
    errors.PermissionDenied: Failure(
        "The key may not use this route or this model; or the server is open by default, and then answers only to"
        " localhost, 127.0.0.1 and [::1] as `Host`.",
        errors.PermissionDenied("This needs the scope 'admin', which the key that was sent does not have."),
    ),
    errors.ModelNotFound: Failure(
        "No model has this name.",
        errors.ModelNotFound(
            "The model 'gpt-9' does not exist here; GET /v1/models lists those that do.", param="model"
        ),
    ),
    errors.ObjectNotFound: Failure(
        "Nothing of yours has this id.",
        errors.ObjectNotFound("There is no key '7Hq2mZx0LwT9cBvE'; GET /admin/keys lists them."),
    ),
    errors.RouteNotFound: Failure(
        "No route has this path.",
        errors.RouteNotFound("There is no route '/v2/chat'; GET /docs lists them all."),
    ),
    errors.MethodNotAllowed: Failure(
        "Another method was used; `Allow` names those that the route has.",
        errors.MethodNotAllowed(
            "This route has no DELETE; it takes OPTIONS, POST.", allow=("OPTIONS", "POST")
        ),
        ("Allow",),
    ),
    errors.MethodNotKnown: Failure(
        "No route has this method.", errors.MethodNotKnown("This method is not known here; use GET or POST.")
    ),
    errors.BodyTimedOut: Failure(
        "The body was not complete within `server.body_timeout_seconds`; the connection is closed.",
        errors.BodyTimedOut(
            "The body was not complete in time (server.body_timeout_seconds); send it faster."
        ),
    ),
    errors.BodyTooLarge: Failure(
        "The body is larger than `server.max_body_bytes`.",
        errors.BodyTooLarge("The body is larger than 10000000 bytes (server.max_body_bytes); send less."),
    ),
    errors.HeadersTooLarge: Failure(
        "The headers are too large together.",
        errors.HeadersTooLarge("The headers are larger than 32768 bytes together; send less."),
    ),
    errors.UnsupportedMediaType: Failure(
        "The request does not say that its body is JSON.",
        errors.UnsupportedMediaType("Send the body as JSON with the header Content-Type: application/json."),
    ),
    errors.IdempotencyConflict: Failure(
        "The first request with this `Idempotency-Key` still runs, in a worker that can't be reached.",
        errors.IdempotencyConflict(
            "The first request with this Idempotency-Key still runs elsewhere, and can't be reached; ask again shortly.",
            param="Idempotency-Key",
            retry_after_seconds=1,
        ),
        ("Retry-After",),
    ),
    errors.IdempotencyMismatch: Failure(
        "This `Idempotency-Key` was sent before with another body.",
        errors.IdempotencyMismatch(
            "This Idempotency-Key was sent before with another body; send a new key with a new request.",
            param="Idempotency-Key",
        ),
    ),
    errors.LimitExceeded: Failure(
        "A limit on requests, tokens or concurrent requests is reached: of the key, its user or tenant, the model, the"
        " route or the address.",
        errors.LimitExceeded(
            "The limit of this API key is reached: 60 requests a minute, 60 at once. Send it again in 1 s.",
            retry_after_seconds=1,
        ),
        _LIMITED,
    ),
    errors.BudgetExceeded: Failure(
        "A budget has less left than the request may cost at most; without `Retry-After` it never renews.",
        errors.BudgetExceeded(
            "The budget of this API key, 20 USD a month, has less left than this request may cost. It renews in"
            " 86400 s: wait, ask for fewer tokens (max_tokens), or have the budget raised.",
            retry_after_seconds=86_400,
        ),
        _LIMITED,
    ),
    errors.ProviderRejected: Failure(
        "The provider refused the request (400, 404, 413, 422 and the like): its status, message and code.",
        _REJECTED,
    ),
    errors.ProviderAuthFailed: Failure(
        "The provider does not accept the operator's credentials.",
        errors.ProviderAuthFailed(
            "The provider does not accept this gateway's credentials; its operator has to look."
        ),
    ),
    errors.ProviderRateLimited: Failure(
        "The provider's own limit is reached, after all attempts.",
        errors.ProviderRateLimited("Rate limit reached for requests.", retry_after_seconds=12),
        ("Retry-After",),
    ),
    errors.ProviderFailed: Failure(
        "The provider failed, broke off or sent no valid answer, after all attempts.",
        errors.ProviderFailed("The provider could not be reached."),
    ),
    errors.ProviderUnavailable: Failure(
        "The provider asks for a longer pause than may be waited for.",
        errors.ProviderUnavailable("The model is being loaded.", retry_after_seconds=60),
        ("Retry-After",),
    ),
    errors.ProviderTimedOut: Failure(
        "The provider did not answer, or stopped answering, within its time.",
        errors.ProviderTimedOut("The provider sent nothing for 30 seconds."),
    ),
    errors.StoreUnavailable: Failure(
        "The database or Redis is away, and without it nobody can tell whether this may be done.",
        errors.StoreUnavailable(
            "The database is away or too slow; ask again shortly.", retry_after_seconds=1
        ),
        ("Retry-After",),
    ),
    errors.StreamCancelled: Failure(
        "The last event of a stream that its owner cancelled.",
        errors.StreamCancelled("The stream was cancelled."),
    ),
    errors.StreamAbandoned: Failure(
        "The last event of a stream that nobody read any more.",
        errors.StreamAbandoned("Nobody was reading this answer any more, so it was cancelled."),
    ),
    errors.StreamExpired: Failure(
        "The stream was here, and is no longer kept; or events that are wanted were dropped from it.",
        errors.StreamExpired("This stream is no longer kept (streams.keep_seconds); send the request again."),
    ),
    errors.ServerDraining: Failure("The server is shutting down.", _DRAINING, ("Retry-After",)),
    errors.ServerShutdown: Failure(
        "The server stopped before the answer began.", _SHUTDOWN, ("Retry-After",)
    ),
    GatewayError: Failure(
        "A fault of ours; the log has it by the request id.",
        GatewayError("Something went wrong on our side; the log has it by request_id."),
    ),
}

ANY_ROUTE = (
    errors.PermissionDenied,
    errors.MethodNotAllowed,
    errors.HeadersTooLarge,
    GatewayError,
    errors.ServerDraining,
)
"""What a route can answer before anybody looks at what it is for."""

ANY_BODY = (
    errors.InvalidRequest,
    errors.BodyTimedOut,
    errors.BodyTooLarge,
    errors.UnsupportedMediaType,
    errors.ServerShutdown,
)
"""What a route with a JSON body adds."""

ANY_KEYED = (errors.IdempotencyConflict, errors.IdempotencyMismatch, errors.StoreUnavailable)
"""What a route adds that takes an `Idempotency-Key`."""

ANY_MODEL = (
    errors.ModelNotFound,
    errors.LimitExceeded,
    errors.BudgetExceeded,
    errors.ProviderRejected,
    errors.ProviderAuthFailed,
    errors.ProviderRateLimited,
    errors.ProviderFailed,
    errors.ProviderUnavailable,
    errors.ProviderTimedOut,
)
"""What a route adds that asks a model."""


def is_anthropic(path: str) -> bool:
    """Whether the route at `path` answers errors in Anthropic's shape."""
    return path.startswith("/v1/messages")


def error_examples() -> Json:
    """All errors by name, in both shapes, for `components.examples`."""
    return {
        _name(kind, anthropic): {
            "summary": problems.KINDS[kind].title,
            "value": msgspec.to_builtins(
                problems.describe(
                    failure.example,
                    path="/v1/messages" if anthropic else "/v1/chat/completions",
                    request_id=REQUEST_ID,
                )
            ),
        }
        for anthropic in (False, True)
        for kind, failure in FAILURES.items()
    }


def error_responses(kinds: Iterable[type[GatewayError]], *, anthropic: bool) -> dict[str, tuple[str, Json]]:
    """The answers for `kinds` by status: each with a name that equal answers share, and itself."""
    by_status: defaultdict[str, list[type[GatewayError]]] = defaultdict(list)
    for kind in sorted(kinds, key=list(FAILURES).index):
        by_status[_status(kind)].append(kind)
    return {
        status: ("".join(_name(kind, anthropic) for kind in found), _response(found, anthropic))
        for status, found in sorted(by_status.items())
    }


def _response(kinds: list[type[GatewayError]], anthropic: bool) -> Json:
    failures = [FAILURES[kind] for kind in kinds]
    headers = ["X-Request-ID", *dict.fromkeys(name for failure in failures for name in failure.headers)]
    names = [_name(kind, anthropic) for kind in kinds]
    body = {
        "schema": reference("AnthropicProblem" if anthropic else "Problem"),
        "examples": {name: {"$ref": f"#/components/examples/{name}"} for name in names},
    }
    return {
        "description": " ".join(dict.fromkeys(failure.when for failure in failures)),
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
        "content": {problems.MEDIA_TYPE.decode(): body},
    }


def _status(kind: type[GatewayError]) -> str:
    return PASSED_ON_STATUS if kind is errors.ProviderRejected else str(problems.KINDS[kind].status)


def _name(kind: type[GatewayError], anthropic: bool) -> str:
    name = "InternalError" if kind is GatewayError else kind.__name__
    return f"Anthropic{name}" if anthropic else name
