"""Headers and parameters that many routes share. Data only."""

from service.docs.schemas import Json

HEADERS: dict[str, Json] = {
    "X-Request-ID": {
        "description": "The caller's own where it is 1 to 128 of `A-Z a-z 0-9 . _ : -`, else a new one. It is in"
        " the log, in the body of an error, and at the provider.",
        "schema": {"type": "string"},
        "example": "req_5f1c0a9be24d4f7e8a6b3c2d",
    },
    "X-Penstock-Model": {
        "description": "The name that the request was answered for.",
        "schema": {"type": "string"},
        "example": "sim",
    },
    "X-Penstock-Target": {
        "description": "`provider/model` that answered. Not where the head had to be sent before it was known.",
        "schema": {"type": "string"},
        "example": "sim/sim",
    },
    "X-Penstock-Attempts": {
        "description": "How many calls to providers were made, fallbacks included.",
        "schema": {"type": "integer", "minimum": 1},
        "example": 1,
    },
    "X-Penstock-Overhead-Ms": {
        "description": "The milliseconds that were Penstock's own, for a stream up to its first event.",
        "schema": {"type": "number", "minimum": 0},
        "example": 0.33,
    },
    "X-Penstock-Dropped": {
        "description": "Hints of the request that the provider's dialect can't express, and that were left out.",
        "schema": {"type": "string"},
        "example": "seed, logit_bias",
    },
    "X-Penstock-Upstream-Request-ID": {
        "description": "The provider's own id of the request.",
        "schema": {"type": "string"},
        "example": "req_011CSHoEeqs5C35K2UUqR7Fy",
    },
    "Retry-After": {
        "description": "Seconds after which asking again may help. Not where nobody knows.",
        "schema": {"type": "integer", "minimum": 0},
        "example": 12,
    },
    "Allow": {
        "description": "The methods that the route has.",
        "schema": {"type": "string"},
        "example": "OPTIONS, POST",
    },
}

MODEL_HEADERS = tuple(name for name in HEADERS if name.startswith("X-Penstock-"))
"""Those of answers that asked a model."""


def _passed_on(name: str) -> Json:
    description = "Goes to the provider as it is."
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


PARAMETERS: dict[str, Json] = {
    "X-Request-ID": {
        "name": "X-Request-ID",
        "in": "header",
        "description": "An id of your own for the request, 1 to 128 of `A-Z a-z 0-9 . _ : -`; another one is"
        " replaced.",
        "schema": {"type": "string"},
    },
    "traceparent": {
        "name": "traceparent",
        "in": "header",
        "description": "Joins the request to a trace (W3C Trace Context).",
        "schema": {"type": "string"},
    },
    "verbose": {
        "name": "verbose",
        "in": "query",
        "description": "Name each check. No value is needed.",
        "allowEmptyValue": True,
        "schema": {"type": "string"},
    },
    "anthropic-version": _passed_on("anthropic-version"),
    "anthropic-beta": _passed_on("anthropic-beta"),
    "openai-beta": _passed_on("openai-beta"),
}
"""For `components.parameters`."""

PATH_PARAMETERS: dict[str, Json] = {
    "model_id": {
        "description": "The model's id. It may contain slashes, written as they are or as `%2F`.",
        "schema": {"type": "string", "minLength": 1},
        "example": "sim",
    },
}
"""What the framework doesn't know of the parameters that it found in paths, by their names."""
