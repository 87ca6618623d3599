"""/openapi.json as the application serves it: complete, valid, and right about its own examples."""

from typing import Any

import httpx
import msgspec
from openapi_spec_validator import OpenAPIV31SpecValidator

from service.app import create_app
from service.config import Settings
from service.docs.routes import ROUTES
from service.lifespan import open_services
from tests.api.document import Json, bodies, event_schema, events, mistakes, operations, resolve, success

HIDDEN = {"/docs/{name}"}
"""A route for the page's own parts."""


async def test_it_is_valid(document: Json) -> None:
    """By the specification, OpenAPI 3.1."""
    assert document["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


async def test_it_is_sent_as_json(client: httpx.AsyncClient) -> None:
    """So that browsers and tools show it."""
    answer = await client.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"


async def test_every_route_is_in_it() -> None:
    """With all its methods, except the page's own parts."""
    edge = create_app(Settings(), open_services)
    routes: Any = edge._app
    served_here = {
        (method.lower(), route.path_format)
        for route in routes.routes
        for method in route.methods
        if method != "OPTIONS" and not route.path.startswith("/_")
    }
    assert {key for key in served_here if key[1] not in HIDDEN} == ROUTES.keys()


async def test_names_are_unique_and_titles_are_there(document: Json) -> None:
    """Each operation has a name of its own, a title and a group that is described."""
    found = [operation for _, _, operation in operations(document)]
    names = [operation["operationId"] for operation in found]
    assert len(set(names)) == len(names)
    assert all(operation["summary"] for operation in found)
    assert {tag for operation in found for tag in operation["tags"]} == {
        tag["name"] for tag in document["tags"]
    }


async def test_every_request_and_answer_has_examples(document: Json) -> None:
    """Of each body that is sent, and of what follows."""
    for _, path, operation in operations(document):
        if "requestBody" in operation:
            (body,) = operation["requestBody"]["content"].values()
            assert body["examples"], path
        status, answer = success(operation)
        assert ("content" in answer) == (status != "204")
        if path not in {"/openapi.json", "/docs"}:
            assert all(body["examples"] for body in answer.get("content", {}).values()), path


async def test_every_error_is_a_problem_with_an_example(document: Json) -> None:
    """On every route, in the shape of its dialect."""
    for _, path, operation in operations(document):
        for status, response in operation["responses"].items():
            if status.startswith("2"):
                continue
            content = resolve(document, response)["content"]
            assert list(content) == ["application/problem+json"], (path, status)
            body = content["application/problem+json"]
            own = "AnthropicProblem" if path.startswith("/v1/messages") else "Problem"
            assert body["schema"] == {"$ref": f"#/components/schemas/{own}"}
            for example in body["examples"].values():
                found = resolve(document, example)["value"]["status"]
                assert str(found) == status or (status == "4XX" and 400 <= found < 500)


async def test_every_example_fits_its_schema(document: Json) -> None:
    """Requests, answers, errors, and each event of each stream."""
    for place, body in bodies(document):
        for name, example in body.get("examples", {}).items():
            value = resolve(document, example)["value"]
            assert mistakes(document, body["schema"], value) == [], (place, name)


async def test_every_event_of_an_example_fits_its_schema(document: Json) -> None:
    """The last one of a stream that broke off is an error, and no end mark follows."""
    for place, body in bodies(document):
        if place.endswith("text/event-stream"):
            for name, example in body["examples"].items():
                found = [msgspec.json.decode(data) for data in events(example["value"])]
                for event in found:
                    assert mistakes(document, event_schema(body), event) == [], (place, name)
                assert ("error" in found[-1]) == (name == "broken")
                assert example["value"].endswith("data: [DONE]\n\n") == (
                    name != "broken" and "/messages" not in place
                )
