"""From the framework's document to the one that is published. Pure.

The framework knows the routes, their parameters and their types; the tables beside this module
know the rest. Source: OpenAPI 3.1.0.
"""

from collections.abc import Iterable, Mapping

import msgspec

from service.docs.failures import (
    ANY_BODY,
    ANY_KEYED,
    ANY_MODEL,
    ANY_ROUTE,
    error_examples,
    error_responses,
    is_anthropic,
)
from service.docs.parts import HEADERS, KNOWN_PARAMETERS, LIMIT_HEADERS, MODEL_HEADERS, PARAMETERS
from service.docs.route import Events, Route
from service.docs.routes import ROUTES, TAGS
from service.docs.schemas import Json, component_schemas, reference
from service.docs.security import OPERATORS, SCHEMES, TICKET_HOLDERS, WITHOUT_KEY, Scopes, requirement
from service.errors import GatewayError
from service.problems import Problem

DESCRIPTION = """\
One service in front of any model provider, for OpenAI's and Anthropic's SDKs.

Every answer has an `X-Request-ID`. Every error is `application/problem+json` (RFC 9457) with OpenAI's `error` in \
the same body, or Anthropic's on its routes. A server that asks for keys takes them as `Authorization: Bearer psk_…` or \
as `x-api-key`. A model named `sim` is simulated: the same answer for the same request, \
and `sim-<tokens>-<ms>ms` streams that many tokens at that pace.
"""

EVENT_STREAM = "text/event-stream"
CSV = "text/csv"

EVENT_ID: Json = {
    "description": "`X-Stream-ID`, a dash, and a number that counts from 0 without gaps: for `Last-Event-ID`.",
    "type": "string",
    "pattern": "^[A-Za-z0-9_-]{16,128}-[0-9]+$",
}

CSV_TEXT: Json = {
    "description": "The same as CSV (RFC 4180, UTF-8), a line for each entry of `data` below a head.",
    "type": "string",
}

Routes = Mapping[tuple[str, str], Route]


def complete(
    document: Json, structs: Iterable[type[msgspec.Struct]], scopes: Scopes, routes: Routes = ROUTES
) -> Json:
    """The published document.

    structs: those that routes take and give. scopes: which routes ask for a key, and what it must allow.
    Raises KeyError for an operation that has no row in `routes`.
    """
    held = [struct for route in routes.values() if route.events for struct in route.events.holds]
    answers: Json = {}
    paths: Json = {}
    for method, path in _in_order(document["paths"], routes):
        found, route = document["paths"][path][method], routes[method, path]
        paths.setdefault(path, {})[method] = _operation((method, path), found, route, scopes, answers)
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
            "securitySchemes": SCHEMES,
            "responses": dict(sorted(answers.items())),
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "examples": error_examples(),
        },
    }


def _in_order(paths: Json, routes: Routes) -> list[tuple[str, str]]:
    """Methods and paths as the table has them, so that readers meet the important ones first."""
    rank = {key: number for number, key in enumerate(routes)}
    return sorted(((method, path) for path, item in paths.items() for method in item), key=rank.__getitem__)


def _operation(key: tuple[str, str], found: Json, route: Route, scopes: Scopes, answers: Json) -> Json:
    """One route; key: its method and path. Adds to `answers` the errors that it shares with others."""
    _, path = key
    operation: Json = {
        "tags": [route.tag],
        "operationId": route.name,
        "summary": route.summary,
        "description": " ".join(filter(None, (found.get("description", ""), route.description))),
        "security": _security(key, route, scopes),
        "parameters": _parameters(found.get("parameters", []), route, key),
    }
    if "requestBody" in found:
        operation["requestBody"] = _request_body(found["requestBody"], route)
    responses = {
        status: _success(status, answer, route, key)
        for status, answer in found["responses"].items()
        if status < "300"
    }
    kinds = _errors(route, key, has_body="requestBody" in found, asks_who=key in scopes or route.takes_ticket)
    for status, (name, response) in error_responses(kinds, anthropic=is_anthropic(path)).items():
        answers[name] = response
        responses[status] = {"$ref": f"#/components/responses/{name}"}
    return operation | {"responses": responses}


def _takes_key(key: tuple[str, str]) -> bool:
    """Whether `Idempotency-Key` means something at a route."""
    method, path = key
    return method == "post" and path.startswith("/v1/")


def _security(key: tuple[str, str], route: Route, scopes: Scopes) -> list[Json]:
    if route.takes_ticket:
        return TICKET_HOLDERS
    return OPERATORS if route.for_operators else requirement(key, scopes)


def _errors(route: Route, key: tuple[str, str], *, has_body: bool, asks_who: bool) -> set[type[GatewayError]]:
    """All that the route can answer with."""
    return {
        *ANY_ROUTE,
        *(WITHOUT_KEY if asks_who else ()),
        *(ANY_BODY if has_body else ()),
        *(ANY_KEYED if _takes_key(key) else ()),
        *(ANY_MODEL if route.asks_model else ()),
        *route.failures,
    }


def _parameters(found: list[Json], route: Route, key: tuple[str, str]) -> list[Json]:
    names = [*route.parameters, "X-Request-ID", *(("Idempotency-Key",) if _takes_key(key) else ())]
    if route.asks_model:
        names += [
            "traceparent",
            *(("anthropic-version", "anthropic-beta") if is_anthropic(key[1]) else ("openai-beta",)),
            *(["X-Penstock-On-Disconnect"] if route.events else []),
        ]
    own = [_parameter(one) for one in found]
    return [*own, *({"$ref": f"#/components/parameters/{name}"} for name in names)]


def _parameter(found: Json) -> Json:
    """One that the framework found, as text unless more is known; not the `null` that stands for its absence."""
    kept = {key: found[key] for key in ("name", "in", "description", "required") if found.get(key)}
    return {**kept, "schema": {"type": "string"}, **KNOWN_PARAMETERS.get(found["name"], {})}


def _request_body(found: Json, route: Route) -> Json:
    content = {kind: body | {"examples": route.requests} for kind, body in found["content"].items()}
    return {"required": route.needs_body, "content": content}


def _success(status: str, found: Json, route: Route, key: tuple[str, str]) -> Json:
    names = ["X-Request-ID", *(("Idempotent-Replayed",) if _takes_key(key) else ())]
    names += [*MODEL_HEADERS, *LIMIT_HEADERS] if route.asks_model else []
    names += ["Link"] if route.csv else []
    names += ["X-Stream-ID"] if route.events else []
    names += route.headers
    answer = {
        "description": found["description"],
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
    }
    # The framework gives an empty body a schema, that of `null`.
    content = _contents(found.get("content", {}), route) if status != "204" else {}
    return answer | ({"content": content} if content else {})


def _contents(found: Json, route: Route) -> Json:
    """By media type."""
    content = {kind: _answer(body, route) for kind, body in found.items() if kind != EVENT_STREAM}
    if route.csv:
        content[CSV] = {"schema": CSV_TEXT, "examples": route.csv}
    if route.events:
        content[EVENT_STREAM] = _event_stream(route.events)
    return content


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
        "properties": {"id": EVENT_ID, "event": {"type": "string"}, "data": data},
        "required": ["data"],
    }
    text = {"title": "Text", "description": "The stream as it is sent.", "type": "string"}
    return {
        "schema": {"description": events.description, "anyOf": [event, text]},
        "examples": events.examples,
    }
