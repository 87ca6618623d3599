"""How each fact is told to a client: every one has a row, and both kinds of SDK can read it."""

from collections.abc import Iterator

import msgspec
import pytest

from service import errors, problems
from service.errors import GatewayError

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"


def all_classes(root: type[GatewayError] = GatewayError) -> Iterator[type[GatewayError]]:
    """`root` and every class below it that the package defines."""
    if root.__module__.startswith("service."):
        yield root
    for child in root.__subclasses__():
        yield from all_classes(child)


def example(kind: type[GatewayError]) -> GatewayError:
    """An error of this class."""
    if issubclass(kind, errors.MethodNotAllowed):
        return kind("It went wrong.", allow=("GET", "HEAD"))
    if issubclass(kind, errors.ProviderRejected):
        return kind("It went wrong.", status=422, kind="their_type", code="their_code", param="messages")
    return kind("It went wrong.")


EVERY = [pytest.param(example(kind), id=kind.__name__) for kind in all_classes()]

CONTRACT = [
    (errors.InvalidRequest, 400, "invalid_request", "invalid_request_error", "invalid_request_error"),
    (errors.InvalidApiKey, 401, "invalid_api_key", "authentication_error", "authentication_error"),
    (errors.PermissionDenied, 403, "permission_denied", "permission_error", "permission_error"),
    (errors.ModelNotFound, 404, "model_not_found", "invalid_request_error", "not_found_error"),
    (errors.ObjectNotFound, 404, "not_found", "invalid_request_error", "not_found_error"),
    (errors.RouteNotFound, 404, "not_found", "invalid_request_error", "not_found_error"),
    (errors.MethodNotAllowed, 405, "method_not_allowed", "invalid_request_error", "invalid_request_error"),
    (errors.MethodNotKnown, 501, "method_not_allowed", "server_error", "api_error"),
    (errors.StreamCancelled, 409, "cancelled", "invalid_request_error", "invalid_request_error"),
    (errors.StreamAbandoned, 409, "cancelled", "invalid_request_error", "invalid_request_error"),
    (errors.StreamExpired, 410, "stream_expired", "invalid_request_error", "invalid_request_error"),
    (errors.BodyTooLarge, 413, "too_large", "invalid_request_error", "request_too_large"),
    (errors.HeadersTooLarge, 431, "too_large", "invalid_request_error", "invalid_request_error"),
    (errors.UnsupportedMediaType, 415, "unsupported_media_type", "invalid_request_error", "invalid_request_error"),
    (errors.BodyTimedOut, 408, "request_timeout", "invalid_request_error", "invalid_request_error"),
    (errors.IdempotencyConflict, 409, "idempotency_conflict", "invalid_request_error", "invalid_request_error"),
    (errors.IdempotencyMismatch, 422, "idempotency_mismatch", "invalid_request_error", "invalid_request_error"),
    (errors.LimitExceeded, 429, "rate_limit_exceeded", "rate_limit_error", "rate_limit_error"),
    (errors.BudgetExceeded, 429, "budget_exceeded", "rate_limit_error", "rate_limit_error"),
    (errors.StoreUnavailable, 503, "store_unavailable", "server_error", "api_error"),
    (errors.ProviderAuthFailed, 502, "provider_auth", "server_error", "api_error"),
    (errors.ProviderRateLimited, 429, "provider_rate_limited", "rate_limit_error", "rate_limit_error"),
    (errors.ProviderFailed, 502, "provider_error", "server_error", "api_error"),
    (errors.ProviderUnavailable, 503, "provider_error", "server_error", "api_error"),
    (errors.ProviderTimedOut, 504, "provider_timeout", "server_error", "timeout_error"),
    (errors.ServerDraining, 503, "server_shutdown", "server_error", "api_error"),
    (errors.ServerShutdown, 503, "server_shutdown", "server_error", "api_error"),
    (GatewayError, 500, "internal_error", "server_error", "api_error"),
]  # fmt: skip


def body_of(error: GatewayError, path: str) -> dict[str, object]:
    """The answer's JSON."""
    decoded: dict[str, object] = msgspec.json.decode(
        problems.render(error, path=path, request_id="req_1").body
    )
    return decoded


def headers_of(error: GatewayError) -> dict[bytes, bytes]:
    """The answer's headers; none comes twice."""
    found = problems.render(error, path=CHAT, request_id="req_1").headers
    assert len(dict(found)) == len(found)
    return dict(found)


@pytest.mark.parametrize("error", EVERY)
def test_every_error_has_a_row_of_its_own(error: GatewayError) -> None:
    assert type(error) in problems.KINDS
    assert problems.code_of(error) == problems.KINDS[type(error)].code


def test_no_row_is_left_over() -> None:
    """The contract's table is whole: each row is an error that exists."""
    assert (
        set(problems.KINDS) == set(all_classes()) == {row[0] for row in CONTRACT} | {errors.ProviderRejected}
    )


@pytest.mark.parametrize(
    ("kind", "status", "code", "openai_type", "anthropic_type"),
    [pytest.param(*row, id=row[0].__name__) for row in CONTRACT],
)
def test_the_contracts_table(
    kind: type[GatewayError], status: int, code: str, openai_type: str, anthropic_type: str
) -> None:
    error = example(kind)
    title = problems.KINDS[kind].title
    shared = {"title": title, "status": status, "detail": "It went wrong.", "request_id": "req_1"}
    told = {"message": "It went wrong.", "param": None, "code": code}
    assert problems.render(error, path=CHAT, request_id="req_1").status == status
    assert body_of(error, CHAT) == {
        "type": f"urn:penstock:problem:{code}", **shared, "instance": CHAT, "error": {**told, "type": openai_type},
    }  # fmt: skip
    assert body_of(error, MESSAGES) == {
        "type": "error", **shared, "instance": MESSAGES, "error": {**told, "type": anthropic_type},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "anthropic"),
    [
        pytest.param("/v1/messages", True, id="messages"),
        pytest.param("/v1/messages/count_tokens", True, id="count-tokens"),
        pytest.param("/v1/chat/completions", False, id="chat"),
        pytest.param("/chat", False, id="simple"),
        pytest.param("/", False, id="elsewhere"),
        pytest.param("/v1/messagesandmore", False, id="a-name-that-only-begins-so"),
    ],
)
def test_the_route_decides_the_shape(path: str, anthropic: bool) -> None:
    assert (body_of(GatewayError("x"), path)["type"] == "error") is anthropic


def test_a_mistake_in_a_field_is_named_twice() -> None:
    """As OpenAI's `param`, and in the list that RFC 9457's example has."""
    error = errors.InvalidRequest("Expected a string.", param="messages[0].role")
    body = body_of(error, CHAT)
    assert body["errors"] == [{"path": "messages[0].role", "message": "Expected a string."}]
    assert isinstance(body["error"], dict)
    assert body["error"]["param"] == "messages[0].role"


def test_a_mistake_without_a_field_has_no_list() -> None:
    """An empty `errors` would say that there were none."""
    assert "errors" not in body_of(errors.InvalidRequest("Not JSON."), CHAT)


def test_a_providers_refusal_keeps_its_words() -> None:
    """Status, type, code and param are the provider's; the problem's own type is ours."""
    error = errors.ProviderRejected("No.", status=422, kind="their_type", code="their_code", param="tools")
    body = body_of(error, CHAT)
    assert problems.render(error, path=CHAT, request_id="r").status == body["status"] == 422
    assert body["type"] == "urn:penstock:problem:provider_rejected"
    assert body["error"] == {"message": "No.", "type": "their_type", "param": "tools", "code": "their_code"}


@pytest.mark.parametrize(
    ("status", "openai_type", "anthropic_type"),
    [
        pytest.param(400, "invalid_request_error", "invalid_request_error", id="400"),
        pytest.param(404, "invalid_request_error", "not_found_error", id="404"),
        pytest.param(413, "invalid_request_error", "request_too_large", id="413"),
    ],
)
def test_a_provider_that_names_no_type_gets_that_of_its_status(
    status: int, openai_type: str, anthropic_type: str
) -> None:
    error = errors.ProviderRejected("No.", status=status)
    for path, expected in ((CHAT, openai_type), (MESSAGES, anthropic_type)):
        assert body_of(error, path)["error"] == {
            "message": "No.",
            "type": expected,
            "param": None,
            "code": None,
        }


@pytest.mark.parametrize("error", EVERY)
def test_every_answer_says_that_it_is_a_problem(error: GatewayError) -> None:
    assert headers_of(error)[b"content-type"] == b"application/problem+json"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        pytest.param(None, None, id="nobody-knows"),
        pytest.param(0.2, b"1", id="rounded-up"),
        pytest.param(30.0, b"30", id="whole"),
        pytest.param(30.1, b"31", id="never-too-early"),
    ],
)
def test_retry_after_is_whole_seconds(seconds: float | None, shown: bytes | None) -> None:
    error = errors.ProviderRateLimited("Later.", retry_after_seconds=seconds)
    assert headers_of(error).get(b"retry-after") == shown


def test_a_wrong_method_tells_the_right_ones() -> None:
    """RFC 9110, 15.5.6: a 405 must."""
    assert headers_of(errors.MethodNotAllowed("No.", allow=("GET", "HEAD")))[b"allow"] == b"GET, HEAD"


@pytest.mark.parametrize(
    ("error", "closes"),
    [
        pytest.param(errors.BodyTimedOut("x"), True, id="a-body-that-never-came"),
        pytest.param(errors.BodyTooLarge("x"), True, id="a-body-nobody-will-read"),
        pytest.param(errors.ServerDraining("x"), True, id="shutting-down"),
        pytest.param(errors.InvalidRequest("x"), False, id="an-ordinary-mistake"),
    ],
)
def test_the_connection_is_closed_where_it_is_of_no_more_use(error: GatewayError, closes: bool) -> None:
    assert (headers_of(error).get(b"connection") == b"close") is closes


@pytest.mark.parametrize("error", EVERY)
def test_every_error_can_be_an_event(error: GatewayError) -> None:
    """One event; OpenAI's is unnamed, Anthropic's is `event: error` with its own `type`."""
    for render, head, extra in (
        (problems.openai_event, b"data: ", {}),
        (problems.anthropic_event, b"event: error\ndata: ", {"type": "error"}),
    ):
        wire = render(error, request_id="req_1")
        assert wire.startswith(head) and wire.endswith(b"\n\n") and wire.count(b"\n\n") == 1
        event = msgspec.json.decode(wire.removeprefix(head))
        told = event.pop("error")
        assert event == {"request_id": "req_1", **extra}
        assert told["message"] == "It went wrong."
        assert told["code"] == (
            "their_code" if isinstance(error, errors.ProviderRejected) else problems.code_of(error)
        )


@pytest.mark.parametrize(
    ("status", "openai_type", "anthropic_type"),
    [
        pytest.param(400, "invalid_request_error", "invalid_request_error", id="400"),
        pytest.param(404, "invalid_request_error", "not_found_error", id="404"),
    ],
)
def test_a_refusal_inside_a_stream_has_the_type_of_its_status(
    status: int, openai_type: str, anthropic_type: str
) -> None:
    error = errors.ProviderRejected("No.", status=status)
    for render, expected in (
        (problems.openai_event, openai_type),
        (problems.anthropic_event, anthropic_type),
    ):
        data = render(error, request_id="r").partition(b"data: ")[2]
        assert msgspec.json.decode(data)["error"]["type"] == expected
