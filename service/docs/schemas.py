"""The document's schemas, from the same Structs that decode requests. Pure.

The framework's own generator loses bounds inside unions, descriptions and docstrings; msgspec's
says what its decoder does. Source: OpenAPI 3.1.0, 4.8.24 (JSON Schema 2020-12).
"""

from collections.abc import Iterable
from typing import Any

import msgspec

Json = dict[str, Any]
"""A piece of the document: JSON, whose shape only the specification knows."""

PREFIX = "#/components/schemas/"

PREFIXES = {
    "anthropic": "Anthropic",
    "openai_answers": "OpenAI",
    "openai_requests": "OpenAI",
}
"""By module: the word before the name of a Struct whose name another one has too."""

BATCH_ANSWER: Json = {
    "title": "BatchAnswer",
    "description": "The answer of `/chat/batch`: an answer or a problem for each item, in the items' order.",
    "type": "object",
    "properties": {
        "items": {
            "type": "array",
            "items": {"anyOf": [{"$ref": f"{PREFIX}SimpleAnswer"}, {"$ref": f"{PREFIX}Problem"}]},
        }
    },
    "required": ["items"],
}
"""By hand: a union of two Structs without tags is nothing that msgspec can decode."""

STREAM_ERROR: Json = {
    "title": "StreamError",
    "description": "The last event of a stream that broke off.",
    "type": "object",
    "properties": {
        "type": {"type": "string", "const": "error", "description": "On `/v1/messages` only."},
        "error": {"$ref": f"{PREFIX}ErrorObject"},
        "request_id": {"type": "string"},
    },
    "required": ["error", "request_id"],
}

ANYTHING: Json = {"description": "Anything else has a problem in its place, and spoils no other item."}


def component_schemas(structs: Iterable[type[msgspec.Struct]]) -> Json:
    """The schemas of `structs` and of all that they hold, by unique names."""
    _, found = msgspec.json.schema_components(structs, ref_template=PREFIX + "{name}")
    schemas: Json = {_unique_name(name): _tidy(schema) for name, schema in found.items()}
    for name, schema in schemas.items():
        schema["title"] = name
    return dict(sorted((schemas | _by_hand(schemas)).items()))


def reference(name: str) -> Json:
    """A reference to the schema of that name."""
    return {"$ref": PREFIX + name}


def _by_hand(schemas: Json) -> Json:
    """What no Struct says, made from those that are there."""
    found: Json = {}
    if {"Problem", "ErrorObject"} <= schemas.keys():
        found["AnthropicProblem"] = _anthropic_problem(schemas["Problem"])
        found["StreamError"] = STREAM_ERROR
    if {"Problem", "SimpleAnswer"} <= schemas.keys():
        found["BatchAnswer"] = BATCH_ANSWER
    if "BatchRequest" in schemas:
        items = schemas["BatchRequest"]["properties"]["items"]
        items["items"] = {"anyOf": [reference("SimpleRequest"), ANYTHING]}
    if "CountTokensAnswer" in schemas:
        schemas["CountTokensAnswer"]["properties"]["estimated"] = {
            "description": "Here, and true, where the provider does not count tokens: the number is an estimate.",
            "type": "boolean",
        }
    return found


def _anthropic_problem(problem: Json) -> Json:
    own = {"type": "string", "const": "error", "description": "What Anthropic's SDKs tell errors by."}
    return problem | {
        "title": "AnthropicProblem",
        "description": "The body of every error answer on `/v1/messages` and below.",
        "properties": problem["properties"] | {"type": own},
    }


def _unique_name(name: str) -> str:
    """msgspec gives Structs of equal names their modules' too: `service.wire.anthropic.Usage`."""
    *modules, own = name.split(".")
    return PREFIXES[modules[-1]] + own if modules else own


def _tidy(schema: Any) -> Any:
    """With our names in references, and `null` as one more type instead of one more schema."""
    if isinstance(schema, list):
        return [_tidy(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    tidy = {key: value if key == "examples" else _tidy(value) for key, value in schema.items()}
    if "$ref" in tidy:
        return tidy | reference(_unique_name(tidy["$ref"].removeprefix(PREFIX)))
    if "default" in tidy and tidy["default"] is None:
        del tidy["default"]
    if tidy.get("format") == "decimal":
        # Exact money, which msgspec would send as text and our encoder sends as a number.
        tidy = {key: value for key, value in tidy.items() if key != "format"} | {"type": "number"}
    if isinstance(tidy.get("pattern"), str):
        tidy["pattern"] = _portable(tidy["pattern"])
    return _with_null_type(tidy)


def _portable(pattern: str) -> str:
    """A Python pattern with the anchors of JSON Schema's (ECMA-262)."""
    return pattern.replace(r"\A", "^").replace(r"\Z", "$")


def _with_null_type(schema: Json) -> Json:
    match schema.get("anyOf"):
        case [{"type": str()} as only, {"type": "null"}]:
            outer = {key: value for key, value in schema.items() if key != "anyOf"}
            merged: Json = {**only, **outer, "type": [only["type"], "null"]}
            return merged
        case _:
            return schema
