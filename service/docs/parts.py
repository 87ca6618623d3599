"""Headers and parameters that many routes share. Data only."""

from service.docs.schemas import Json, reference

STREAM_ID = "q7Wc0aVn3xPeRk1TzHb8LdYp"
"""Of the stream in all examples."""


def _openai_limit(unit: str, limit: str) -> dict[str, Json]:
    """OpenAI's three headers for the tightest limit of requests or of tokens."""
    texts = {
        "limit": (f"As OpenAI has it: how many {unit} the tightest limit allows.", limit),
        "remaining": (f"How many {unit} are left of it.", limit),
        "reset": ("After which time all of it is there again: `120ms`, `1s`, `6m0s`.", "1s"),
    }
    return {
        f"x-ratelimit-{part}-{unit}": {
            "description": description,
            "schema": {"type": "string" if part == "reset" else "integer"},
            "example": example if part == "reset" else int(example),
        }
        for part, (description, example) in texts.items()
    }


HEADERS: dict[str, Json] = {
    "X-Request-ID": {
        "description": "The caller's own where it is 1 to 128 of `A-Z a-z 0-9 . _ : -`, else a new one. It is in"
        " the log, in the body of an error, and at the provider.",
        "schema": {"type": "string"},
        "example": "req_5f1c0a9be24d4f7e8a6b3c2d",
    },
    "Idempotent-Replayed": {
        "description": "`true` where the answer is that of an earlier request with the same `Idempotency-Key`.",
        "schema": {"type": "string", "const": "true"},
        "example": "true",
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
    "X-Stream-ID": {
        "description": "Of a stream: the name at which it can be read again, `GET /v1/streams/{stream_id}`. Each of its"
        " events has an id that begins with it.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{16,128}$"},
        "example": STREAM_ID,
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
    "WWW-Authenticate": {
        "description": "How to show a key (RFC 6750).",
        "schema": {"type": "string"},
        "example": "Bearer",
    },
    "RateLimit-Policy": {
        "description": "The tightest of the request's limits: its quota `q` and window `w` in seconds; money in"
        " millionths of a dollar. Not where nothing is limited (draft-ietf-httpapi-ratelimit-headers-11).",
        "schema": {"type": "string"},
        "example": '"key-requests";q=60;w=60',
    },
    "RateLimit": {
        "description": "What is left of it, `r`, and in how many seconds there is more, `t`.",
        "schema": {"type": "string"},
        "example": '"key-requests";r=59;t=1',
    },
    **_openai_limit("requests", "60"),
    **_openai_limit("tokens", "100000"),
    "Link": {
        "description": 'Of CSV, which has no place for it: the next page, as `rel="next"` (RFC 8288).',
        "schema": {"type": "string"},
        "example": '<?limit=100&after=WzE3OTUyNTE4NTEuNSwidXNlXzEiXQ>; rel="next"',
    },
}

MODEL_HEADERS = tuple(name for name in HEADERS if name.startswith("X-Penstock-"))
"""Those of answers that asked a model."""

LIMIT_HEADERS = tuple(name for name in HEADERS if name.lower().startswith(("ratelimit", "x-ratelimit")))
"""Those that say how much of the caller's limits is left."""


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
    "Idempotency-Key": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "A key of your own for the request, such as a UUID, in quotes or bare. Sent again with the same"
        " key and body it gets the same answer, and no provider is asked a second time"
        " (draft-ietf-httpapi-idempotency-key-header-07).",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
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
    "X-Penstock-On-Disconnect": {
        "name": "X-Penstock-On-Disconnect",
        "in": "header",
        "description": "What becomes of a stream when the last of its viewers leaves: `cancel` closes the provider at"
        " once, `linger` after `streams.linger_seconds`, and `finish` lets it go on to its end. Without it"
        " `streams.on_disconnect` counts. An answer that is no stream ends with its client, whatever this says.",
        "schema": {"type": "string"},
        "example": "finish",
    },
    "Last-Event-ID": {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "The id of the last event that you have: what follows it is sent. A browser sends this by itself,"
        " and it counts before `after`. Without either the stream is sent from its start.",
        "schema": {"type": "string"},
        "example": f"{STREAM_ID}-1",
    },
    "after": {
        "name": "after",
        "in": "query",
        "description": "The same as a number: that of the last event that you have.",
        "schema": {"type": "integer", "minimum": 0},
        "example": 1,
    },
    "anthropic-version": _passed_on("anthropic-version"),
    "anthropic-beta": _passed_on("anthropic-beta"),
    "openai-beta": _passed_on("openai-beta"),
}
"""For `components.parameters`."""

KNOWN_PARAMETERS: dict[str, Json] = {
    "model_id": {
        "description": "The model's id. It may contain slashes, written as they are or as `%2F`.",
        "schema": {"type": "string", "minLength": 1},
        "example": "sim",
    },
    "key_id": {
        "description": "The key's id, the part between the underscores of `psk_…_…`; no secret.",
        "schema": {"type": "string", "minLength": 1},
    },
    "tenant_id": {
        "description": "The tenant, as keys and tokens name it. It may contain slashes, as they are or as `%2F`.",
        "schema": {"type": "string", "minLength": 1},
        "example": "acme",
    },
    "user_id": {
        "description": "The user, as keys and tokens name it. It may contain slashes, as they are or as `%2F`.",
        "schema": {"type": "string", "minLength": 1},
        "example": "ada",
    },
    "stream_id": {
        "description": "The stream, as `X-Stream-ID` named it.",
        "schema": {"type": "string", "minLength": 1},
        "example": STREAM_ID,
    },
    "limit": {"schema": {"type": "integer", "minimum": 1}},
    "group_by": {"schema": {"type": "string", "enum": ["day", "model", "key"]}},
    "outcome": {"schema": reference("Outcome")},
}
"""What the framework doesn't know of the parameters that it found in paths and queries, by their names."""
