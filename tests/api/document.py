"""Ways through a published OpenAPI document."""

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # ships no types

from service.wire import sse

Json = dict[str, Any]


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
            for kind, body in resolve(document, response).get("content", {}).items():
                yield f"{method} {path} answers {status} {kind}", body


def success(operation: Json) -> tuple[str, Json]:
    """Status and answer where all is well. There is one; a stream may have nothing more to send, too."""
    found: list[tuple[str, Json]] = [
        (status, answer) for status, answer in operation["responses"].items() if status.startswith("2")
    ]
    only, *nothing = found
    assert not nothing or (len(nothing) == 1 and nothing[0][0] == "204" and "content" not in nothing[0][1])
    return only


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


def filled(path: str, key_id: str, stream_id: str) -> str:
    """The address of something that is there."""
    query = f"?key={key_id}" if path == "/admin/limits" else ""
    return (
        path.format(key_id=key_id, model_id="sim", tenant_id="acme", user_id="ada", stream_id=stream_id)
        + query
    )
