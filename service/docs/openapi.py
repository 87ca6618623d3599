"""From the framework's document to the one that is published. Pure.

The framework knows the routes, their parameters and their types; the tables beside this module
know the rest. Source: OpenAPI 3.1.0.
"""

from collections.abc import Iterable, Mapping

import msgspec

from service.docs.failures import (
    ANY_BODY,
    ANY_MODEL,
    ANY_ROUTE,
    error_examples,
    error_responses,
    is_anthropic,
)
from service.docs.parts import HEADERS, MODEL_HEADERS, PARAMETERS, PATH_PARAMETERS
from service.docs.routes import ROUTES, TAGS, Events, Route
from service.docs.schemas import Json, component_schemas, reference
from service.problems import Problem

DESCRIPTION = """\
One service in front of any model provider, for OpenAI's and Anthropic's SDKs.

Every answer has an `X-Request-ID`. Every error is `application/problem+json` (RFC 9457) with OpenAI's `error` in \
the same body, or Anthropic's on its routes. A model named `sim` is simulated: the same answer for the same request, \
and `sim-<tokens>-<ms>ms` streams that many tokens at that pace.
"""

EVENT_STREAM = "text/event-stream"


def complete(
    document: Json, structs: Iterable[type[msgspec.Struct]], routes: Mapping[tuple[str, str], Route] = ROUTES
) -> Json:
    """The published document. structs: those that routes take and give.

    Raises KeyError for an operation that has no row in `routes`.
    """
    held = [struct for route in routes.values() if route.events for struct in route.events.holds]
    answers: Json = {}
    paths = {
        path: {
            method: _operation(method, path, found, routes, answers) for method, found in sorted(item.items())
        }
        for path, item in _in_order(document["paths"], routes)
    }
    return {
        "openapi": "3.1.0",
        "info": document["info"]
        | {
            "summary": "An AI gateway.",
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": document["servers"],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": component_schemas([*structs, *held, Problem]),
            "responses": dict(sorted(answers.items())),
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "examples": error_examples(),
        },
    }


def _in_order(paths: Json, routes: Mapping[tuple[str, str], Route]) -> list[tuple[str, Json]]:
    """The paths as the table has them, so that readers meet the important ones first."""
    rank = {path: number for number, (_, path) in enumerate(routes)}
    return sorted(paths.items(), key=lambda item: rank.get(item[0], len(rank)))


def _operation(
    method: str, path: str, found: Json, routes: Mapping[tuple[str, str], Route], answers: Json
) -> Json:
    """One route. Adds to `answers` the errors that it shares with others."""
    route = routes[method, path]
    operation: Json = {
        "tags": [route.tag],
        "operationId": route.name,
        "summary": route.summary,
        "description": " ".join(filter(None, (found.get("description", ""), route.description))),
        "parameters": _parameters(found.get("parameters", []), route, path),
    }
    if "requestBody" in found:
        operation["requestBody"] = _request_body(found["requestBody"], route)
    responses = {"200": _success(found["responses"]["200"], route)}
    kinds = [*ANY_ROUTE, *(ANY_BODY if "requestBody" in found else ())]
    kinds += [*(ANY_MODEL if route.asks_model else ()), *route.failures]
    for status, (name, response) in error_responses(kinds, anthropic=is_anthropic(path)).items():
        answers[name] = response
        responses[status] = {"$ref": f"#/components/responses/{name}"}
    return operation | {"responses": responses}


def _parameters(found: list[Json], route: Route, path: str) -> list[Json]:
    names = [*route.parameters, "X-Request-ID"]
    if route.asks_model:
        names += [
            "traceparent",
            *(("anthropic-version", "anthropic-beta") if is_anthropic(path) else ("openai-beta",)),
        ]
    own = [one | PATH_PARAMETERS.get(one["name"], {}) for one in found]
    return [*own, *({"$ref": f"#/components/parameters/{name}"} for name in names)]


def _request_body(found: Json, route: Route) -> Json:
    content = {kind: body | {"examples": route.requests} for kind, body in found["content"].items()}
    return {"required": True, "content": content}


def _success(found: Json, route: Route) -> Json:
    names = ["X-Request-ID", *(MODEL_HEADERS if route.asks_model else ())]
    content = {kind: _answer(body, route) for kind, body in found["content"].items() if kind != EVENT_STREAM}
    if route.events:
        content[EVENT_STREAM] = _event_stream(route.events)
    return {
        "description": found["description"],
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
        "content": content,
    }


def _answer(body: Json, route: Route) -> Json:
    answer = {"schema": route.answer_schema or body["schema"]}
    return answer | ({"examples": route.answers} if route.answers else {})


def _event_stream(events: Events) -> Json:
    """Both ways to read a stream: event by event, as OpenAPI 3.2 and the tools that test it do, and as text."""
    bodies = [reference(struct.__name__) for struct in events.holds] + [reference("StreamError")]
    data: Json = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": {"anyOf": bodies},
    }
    if events.end_mark:
        data = {"anyOf": [{"type": "string", "const": events.end_mark}, data]}
    event = {
        "title": "Event",
        "type": "object",
        "properties": {"event": {"type": "string"}, "data": data},
        "required": ["data"],
    }
    text = {"title": "Text", "description": "The stream as it is sent.", "type": "string"}
    return {
        "schema": {"description": events.description, "anyOf": [event, text]},
        "examples": events.examples,
    }
