"""The framework's document, completed: what is added, and what it is added to."""

from typing import Any

import pytest

from service import errors, problems
from service.docs.failures import FAILURES, error_examples, error_responses
from service.docs.openapi import complete
from service.docs.routes import ROUTES
from service.wire.openai import ChatCompletion, ChatCompletionRequest, ModelCard

JSON = "application/json"
CHAT = ("post", "/v1/chat/completions")
MODEL = ("get", "/v1/models/{model_id}")


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
        complete(framework(), [], {CHAT: ROUTES[CHAT]})


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
