"""The framework's document, completed: what is added, and what it is added to."""

from typing import Any

import pytest

from service import errors, problems
from service.docs.failures import FAILURES, error_examples, error_responses
from service.docs.openapi import complete
from service.docs.route import Route
from service.docs.routes import ROUTES
from service.principal import Scope
from service.wire.openai import ChatCompletion, ChatCompletionRequest, ModelCard

JSON = "application/json"
CHAT = ("post", "/v1/chat/completions")
MODEL = ("get", "/v1/models/{model_id}")
SCOPES = {CHAT: Scope.CHAT, MODEL: None}


def framework() -> dict[str, Any]:
    """Two routes as the framework describes them."""

    def body(name: str) -> dict[str, Any]:
        return {"content": {JSON: {"schema": {"$ref": f"#/components/schemas/{name}"}}}}

    refusal = {"description": "Bad request", "content": {JSON: {"schema": {}}}}
    answer = {"description": "Done."}
    return {
        "info": {"title": "Penstock", "version": "1.2.3"},
        "openapi": "3.1.0",
        "servers": [{"url": "/gateway"}],
        "paths": {
            MODEL[1]: {
                "get": {
                    "operationId": "V1ModelsModelIdModel",
                    "summary": "Model",
                    "parameters": [{"name": "model_id", "in": "path", "required": True, "schema": {}}],
                    "responses": {"200": answer | body("ModelCard"), "400": refusal},
                }
            },
            CHAT[1]: {
                "post": {
                    "operationId": "V1ChatCompletionsChatCompletions",
                    "summary": "ChatCompletions",
                    "description": "From the docstring.",
                    "requestBody": body("ChatCompletionRequest") | {"required": True},
                    "responses": {"200": answer | body("ChatCompletion"), "400": refusal},
                }
            },
        },
    }


@pytest.fixture
def document() -> dict[str, Any]:
    """The published document of these two routes."""
    return complete(
        framework(),
        [ChatCompletionRequest, ChatCompletion, ModelCard],
        SCOPES,
        {key: ROUTES[key] for key in (CHAT, MODEL)},
    )


def test_the_framework_knows_the_server(document: dict[str, Any]) -> None:
    """Title, version and root path are the application's, not this module's."""
    assert document["servers"] == [{"url": "/gateway"}]
    assert document["info"]["title"] == "Penstock"
    assert document["info"]["version"] == "1.2.3"


def test_routes_stand_in_the_tables_order(document: dict[str, Any]) -> None:
    """What matters most comes first, whatever order the framework has."""
    assert list(document["paths"]) == [CHAT[1], MODEL[1]]


def test_docstring_and_row_make_the_description(document: dict[str, Any]) -> None:
    """The docstring says what the route does, its row what no signature tells."""
    operation = document["paths"][CHAT[1]]["post"]
    assert operation["operationId"] == "createChatCompletion"
    assert operation["description"].startswith("From the docstring. Fields that are not listed")


def test_a_stream_stands_beside_the_whole_answer(document: dict[str, Any]) -> None:
    """One status, two media types, each with examples."""
    content = document["paths"][CHAT[1]]["post"]["responses"]["200"]["content"]
    assert list(content) == [JSON, "text/event-stream"]
    event, text = content["text/event-stream"]["schema"]["anyOf"]
    end_mark, data = event["properties"]["data"]["anyOf"]
    assert (end_mark["const"], text["type"]) == ("[DONE]", "string")
    assert [body["$ref"].rpartition("/")[2] for body in data["contentSchema"]["anyOf"]] == [
        "ChatCompletionChunk",
        "StreamError",
    ]
    assert content["text/event-stream"]["examples"]["complete"]["value"].endswith("data: [DONE]\n\n")
    assert "[DONE]" not in content["text/event-stream"]["examples"]["broken"]["value"]


def test_the_frameworks_own_refusals_are_gone(document: dict[str, Any]) -> None:
    """Its 400 has a body that no route answers with; a route without a body has no 400 at all."""
    assert "400" not in document["paths"][MODEL[1]]["get"]["responses"]
    chat = document["paths"][CHAT[1]]["post"]["responses"]["400"]
    assert chat == {"$ref": "#/components/responses/InvalidRequest"}
    assert list(document["components"]["responses"]["InvalidRequest"]["content"]) == [
        "application/problem+json"
    ]


def test_a_route_without_a_row_is_an_error() -> None:
    """So that nobody adds a route and leaves it undescribed."""
    with pytest.raises(KeyError):
        complete(framework(), [], SCOPES, {CHAT: ROUTES[CHAT]})


def one_route(
    found: dict[str, Any], route: Route, scopes: dict[tuple[str, str], Scope | None]
) -> dict[str, Any]:
    """The published operation of `get /one`; found: as the framework describes it."""
    document = framework() | {"paths": {"/one": {"get": {"responses": {"200": ANSWER}} | found}}}
    operation: dict[str, Any] = complete(document, [], scopes, {ONE: route})["paths"]["/one"]["get"]
    return operation


ONE = ("get", "/one")
ANSWER = {"description": "Done.", "content": {JSON: {"schema": {"type": "object"}}}}


def row(**members: Any) -> Route:
    """A row of the table that says nothing else."""
    return Route(tag="OpenAI", name="one", summary="One", **members)


@pytest.mark.parametrize(
    ("scopes", "for_operators", "expected"),
    [
        pytest.param({}, False, [], id="open-to-everybody"),
        pytest.param(
            {ONE: None}, False, [{"bearer": []}, {"apiKey": []}, {}], id="any-key-or-an-open-server"
        ),
        pytest.param(
            {ONE: Scope.CHAT}, False, [{"bearer": ["chat"]}, {"apiKey": ["chat"]}, {}], id="a-scope"
        ),
        pytest.param(
            {ONE: Scope.ADMIN},
            False,
            [{"bearer": ["admin"]}, {"apiKey": ["admin"]}],
            id="never-without-a-key",
        ),
        pytest.param({}, True, [{"bearer": ["admin"]}, {"apiKey": ["admin"]}, {}], id="its-own-look"),
    ],
)
def test_who_may_call(
    scopes: dict[tuple[str, str], Scope | None], for_operators: bool, expected: list[dict[str, Any]]
) -> None:
    assert one_route({}, row(for_operators=for_operators), scopes)["security"] == expected


def test_a_route_that_asks_for_a_key_says_what_follows_without_one() -> None:
    """And that nobody may be able to tell."""
    open_to_all = one_route({}, row(), {})["responses"]
    assert one_route({}, row(), {ONE: None})["responses"].keys() - open_to_all == {"401"}
    assert "StoreUnavailable" not in open_to_all["503"]["$ref"]
    assert "StoreUnavailable" in one_route({}, row(), {ONE: None})["responses"]["503"]["$ref"]


def test_an_answer_without_a_body_has_no_content() -> None:
    """Its status is the framework's."""
    found = one_route({"responses": {"204": {"description": "Gone."}}}, row(), {})["responses"]
    assert "200" not in found
    assert list(found["204"]) == ["description", "headers"]


def test_csv_stands_beside_json() -> None:
    """With the header that leads to the next page."""
    answer = one_route({}, row(csv={"rows": {"value": "a"}}), {})["responses"]["200"]
    assert list(answer["content"]) == [JSON, "text/csv"]
    assert "Link" in answer["headers"]


def test_a_body_may_be_left_out_where_the_row_says_so() -> None:
    body = {"requestBody": {"content": {JSON: {"schema": {}}}, "required": True}}
    assert one_route(body, row(), {})["requestBody"]["required"] is True
    assert one_route(body, row(needs_body=False), {})["requestBody"]["required"] is False


def test_a_parameter_is_a_text_that_may_be_absent() -> None:
    """The framework's `null` stands for its absence; what is known of a name is added."""
    either = {"oneOf": [{"type": "string"}, {"type": "null"}]}
    names = ("after", "limit")
    found = [{"name": name, "in": "query", "required": False, "schema": either} for name in names]
    after, limit, _ = one_route({"parameters": found}, row(), {})["parameters"]
    assert after == {"name": "after", "in": "query", "schema": {"type": "string"}}
    assert limit == {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1}}


def test_an_answer_of_a_model_tells_what_is_left() -> None:
    """In the headers of the draft, and in OpenAI's; so does the refusal."""
    found = one_route({}, row(asks_model=True), {})
    assert {"RateLimit-Policy", "RateLimit", "x-ratelimit-remaining-tokens"} <= found["responses"]["200"][
        "headers"
    ].keys()
    ((_, refusal),) = error_responses([errors.LimitExceeded], anthropic=False).values()
    assert {"Retry-After", "RateLimit", "x-ratelimit-reset-requests"} <= refusal["headers"].keys()


@pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.__name__) for kind in problems.KINDS])
def test_each_error_has_an_example_in_both_shapes(kind: type[errors.GatewayError]) -> None:
    """Rendered by the same code as the error itself, with its status."""
    name = "InternalError" if kind is errors.GatewayError else kind.__name__
    own, anthropic = error_examples()[name]["value"], error_examples()[f"Anthropic{name}"]["value"]
    status = 422 if kind is errors.ProviderRejected else problems.KINDS[kind].status
    assert own["status"] == anthropic["status"] == status
    assert own["type"] == f"urn:penstock:problem:{problems.KINDS[kind].code}"
    assert anthropic["type"] == "error"
    assert FAILURES[kind].when.endswith(".")


def test_errors_of_one_status_share_an_answer() -> None:
    """A status stands once, with an example of each error; headers too are collected."""
    found = error_responses(
        [errors.ServerDraining, errors.ProviderUnavailable, errors.MethodNotAllowed], anthropic=False
    )
    assert list(found) == ["405", "503"]
    name, response = found["503"]
    assert name == "ProviderUnavailableServerDraining"
    assert list(response["content"]["application/problem+json"]["examples"]) == [
        "ProviderUnavailable",
        "ServerDraining",
    ]
    assert list(response["headers"]) == ["X-Request-ID", "Retry-After"]
    assert list(found["405"][1]["headers"]) == ["X-Request-ID", "Allow"]


def test_what_the_provider_refused_has_the_providers_status() -> None:
    """Any 4xx may come, so the range is documented."""
    assert list(error_responses([errors.ProviderRejected], anthropic=True)) == ["4XX"]
