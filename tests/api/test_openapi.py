"""/openapi.json and /docs, as the application serves them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # ships no types
from openapi_spec_validator import OpenAPIV31SpecValidator

from service.app import create_app
from service.config import Settings
from service.config.settings import Provider
from service.docs.routes import ROUTES
from service.http.context import Message
from service.http.edge import Edge
from service.lifespan import open_services
from service.wire import sse

Json = dict[str, Any]
HIDDEN = {"/docs/{name}"}
"""A route for the page's own parts."""


@asynccontextmanager
async def started(app: Edge) -> AsyncIterator[None]:
    """The application between startup and shutdown, in a task of its own as under a server."""
    asked: asyncio.Queue[Message] = asyncio.Queue()
    told: asyncio.Queue[Message] = asyncio.Queue()
    asked.put_nowait({"type": "lifespan.startup"})
    async with asyncio.TaskGroup() as group:
        group.create_task(app({"type": "lifespan", "state": {}}, asked.get, told.put))
        assert (await told.get())["type"] == "lifespan.startup.complete"
        yield
        asked.put_nowait({"type": "lifespan.shutdown"})


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """Asks an application that has the simulated model."""
    app = create_app(Settings(providers=(Provider(name="sim", kind="sim"),)), open_services)
    async with started(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as found:
            yield found


@pytest.fixture
async def document(client: httpx.AsyncClient) -> Json:
    """The document that is served."""
    found: Json = (await client.get("/openapi.json")).json()
    return found


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Method, path and operation."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def resolve(document: Json, thing: Json) -> Json:
    """What a reference leads to."""
    while "$ref" in thing:
        found: Any = document
        for key in thing["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        thing = found
    return thing


def mistakes(document: Json, schema: Json, value: object) -> list[str]:
    """What is wrong with `value` by `schema`."""
    validator = Draft202012Validator({"components": document["components"], **schema})
    return [error.message for error in validator.iter_errors(value)]


def bodies(document: Json) -> Iterator[tuple[str, Json]]:
    """Every body that is documented, with its place."""
    for method, path, operation in operations(document):
        for kind, body in operation.get("requestBody", {}).get("content", {}).items():
            yield f"{method} {path} takes {kind}", body
        for status, response in operation["responses"].items():
            for kind, body in resolve(document, response)["content"].items():
                yield f"{method} {path} answers {status} {kind}", body


def events(text: str) -> list[bytes]:
    """The data of a stream's events, without OpenAI's end mark."""
    found = sse.Decoder(1_000_000).feed(text.encode())
    return [event.data for event in found if event.data != b"[DONE]"]


def event_schema(body: Json) -> Json:
    """What the data of a stream's events may hold, beside OpenAI's end mark."""
    event, _ = body["schema"]["anyOf"]
    data = event["properties"]["data"]
    found: Json = data.get("anyOf", [data])[-1]["contentSchema"]
    return found


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


async def test_every_post_has_examples(document: Json) -> None:
    """Of its request, and of its answer."""
    for method, path, operation in operations(document):
        if method == "post":
            (body,) = operation["requestBody"]["content"].values()
            assert body["examples"], path
            assert all(answer["examples"] for answer in operation["responses"]["200"]["content"].values()), (
                path
            )


async def test_every_error_is_a_problem_with_an_example(document: Json) -> None:
    """On every route, in the shape of its dialect."""
    for _, path, operation in operations(document):
        for status, response in operation["responses"].items():
            if status == "200":
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


async def test_every_documented_request_gets_the_documented_answer(
    client: httpx.AsyncClient, document: Json
) -> None:
    """Each example is sent; the answer's type, body and events fit what the document says."""
    for method, path, operation in operations(document):
        if method != "post":
            continue
        (request,) = operation["requestBody"]["content"].values()
        for name, example in request["examples"].items():
            body = _quick(example["value"])
            answer = await client.post(path, json=body)
            assert answer.status_code == 200, (path, name, answer.text)
            kind = answer.headers["content-type"].partition(";")[0]
            documented = operation["responses"]["200"]["content"][kind]
            if kind == "text/event-stream":
                for event in map(msgspec.json.decode, events(answer.text)):
                    assert mistakes(document, event_schema(documented), event) == [], (path, name)
            else:
                assert mistakes(document, documented["schema"], answer.json()) == [], (path, name)


def _quick(body: Json) -> Json:
    """The same without the simulated model's pauses."""
    return body | {"model": "sim"} if "model" in body else body


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        pytest.param("/v1/models", "application/json", id="the-models"),
        pytest.param("/v1/models/sim", "application/json", id="one-model"),
        pytest.param("/livez", "application/json", id="liveness"),
        pytest.param("/readyz?verbose", "application/json", id="readiness"),
        pytest.param("/healthz", "application/json", id="liveness-by-another-name"),
        pytest.param("/health", "application/json", id="health"),
        pytest.param("/metrics", "text/plain", id="counters"),
        pytest.param("/openapi.json", "application/json", id="the-document"),
        pytest.param("/docs", "text/html", id="the-page"),
    ],
)
async def test_every_get_answers_as_documented(
    client: httpx.AsyncClient, document: Json, path: str, kind: str
) -> None:
    template = path.partition("?")[0].replace("/models/sim", "/models/{model_id}")
    answer = await client.get(path)
    content = document["paths"][template]["get"]["responses"]["200"]["content"]
    documented = {name.partition(";")[0]: body for name, body in content.items()}
    assert answer.status_code == 200
    assert answer.headers["content-type"].partition(";")[0] == kind
    value = answer.json() if kind == "application/json" else answer.text
    assert mistakes(document, documented[kind]["schema"], value) == []


async def test_documented_headers_are_sent(client: httpx.AsyncClient, document: Json) -> None:
    """Those of an answer that asked the simulated model, which drops nothing and has no ids."""
    answer = await client.post("/chat", json={"message": "Hello!"})
    documented = document["paths"]["/chat"]["post"]["responses"]["200"]["headers"].keys()
    assert documented - {name for name in documented if name in answer.headers} == {
        "X-Penstock-Dropped",
        "X-Penstock-Upstream-Request-ID",
    }


@pytest.mark.parametrize(
    ("request_args", "status"),
    [
        pytest.param({"method": "DELETE", "url": "/chat"}, "405", id="another-method"),
        pytest.param({"method": "POST", "url": "/chat", "content": "{"}, "415", id="no-content-type"),
        pytest.param({"method": "POST", "url": "/v1/messages", "json": {}}, "400", id="an-empty-message"),
        pytest.param({"method": "GET", "url": "/v1/models/none/such"}, "404", id="no-such-model"),
        pytest.param(
            {"method": "GET", "url": "/livez", "headers": {"Host": "evil.example"}}, "403", id="rebound"
        ),
        pytest.param(
            {"method": "GET", "url": "/livez", "headers": {"X": "x" * 40_000}}, "431", id="long-headers"
        ),
    ],
)
async def test_errors_are_as_documented(
    client: httpx.AsyncClient, document: Json, request_args: dict[str, Any], status: str
) -> None:
    answer = await client.request(**request_args)
    path = "/v1/models/{model_id}" if "/models/" in request_args["url"] else request_args["url"]
    (operation,) = document["paths"][path].values()
    response = resolve(document, operation["responses"][status])
    assert str(answer.status_code) == status
    assert answer.headers["content-type"] == "application/problem+json"
    schema = response["content"]["application/problem+json"]["schema"]
    assert mistakes(document, schema, answer.json()) == []
    assert all(name in answer.headers for name in response["headers"])


async def test_the_page_may_load_from_here_only(client: httpx.AsyncClient) -> None:
    """The browser is told so, for the page and for each of its parts."""
    for path in ("/docs", "/docs/docs.js", "/docs/docs.css", "/docs/icon.svg"):
        answer = await client.get(path)
        policy = answer.headers["content-security-policy"]
        assert answer.status_code == 200
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "*" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/docs/other.js", id="an-unknown-name"),
        pytest.param("/docs/..%2fcontroller.py", id="a-way-out"),
    ],
)
async def test_no_other_file_is_served(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


async def test_a_closing_slash_leads_to_the_page(client: httpx.AsyncClient) -> None:
    """Below it the page's relative links would lead nowhere."""
    answer = await client.get("/docs/")
    assert answer.status_code == 307
    assert answer.headers["location"] == "../docs"


@pytest.mark.parametrize(
    "path",
    [pytest.param("/_", id="its-page"), pytest.param("/_/openapi.json", id="its-document")],
)
async def test_the_framework_shows_nothing_of_its_own(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


async def test_a_closing_slash_changes_nothing_about_the_methods(client: httpx.AsyncClient) -> None:
    """Which a wrong method is answered with."""
    answer = await client.get("/v1/chat/completions/")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "OPTIONS, POST"
