"""The routes of streams: reading one again, ending it, and making one for a browser."""

from service.docs import openai_examples as openai
from service.docs.parts import STREAM_ID
from service.docs.route import Events, Route
from service.docs.schemas import Json
from service.errors import InvalidRequest, ObjectNotFound, StreamExpired
from service.wire.anthropic import StreamEvent
from service.wire.openai import ChatCompletionChunk, Completion
from service.wire.simple import SimpleDone, SimpleToken

_EVENTS = Events(
    "In the format of the route that made the stream, byte for byte; each event has the `id:` that it had the first"
    " time. Comment lines (`: heartbeat`) have none. A stream that is cancelled ends with an `error` event of code"
    " `cancelled`, and then no end mark comes.",
    (ChatCompletionChunk, Completion, StreamEvent, SimpleToken, SimpleDone),
    openai.RESUMED_STREAMS,
)

_REQUESTS: Json = {
    "chat": {
        "summary": "A conversation",
        "value": {"model": "sim-40-50ms", "messages": [{"role": "user", "content": "Hello!"}]},
    }
}

_TICKETS: Json = {
    "ticket": {
        "summary": "A stream that runs",
        "value": {
            "id": STREAM_ID,
            "object": "stream",
            "url": f"http://127.0.0.1:8000/v1/streams/{STREAM_ID}"
            "?ticket=6b059f97.K8yVd2Jw3cQm0ZtXh5RgUo1nEaLbPsTf7iYqCvDx4Gk",
            "expires_at": 1795530647,
        },
    }
}

STREAM_ROUTES: dict[tuple[str, str], Route] = {
    ("post", "/v1/streams"): Route(
        tag="Streams",
        name="createStream",
        summary="Start a stream for a browser",
        description="Takes what `/v1/chat/completions` takes. The provider is asked at once, and errors that come"
        " before the first event answer this request. The first viewer has `streams.linger_seconds` + 30 s to come.",
        requests=_REQUESTS,
        answers=_TICKETS,
        asks_model=True,
        headers=("X-Stream-ID",),
        parameters=("X-Penstock-On-Disconnect",),
    ),
    ("get", "/v1/streams/{stream_id}"): Route(
        tag="Streams",
        name="readStream",
        summary="Read a stream, from any event on",
        description="For whoever has the key that made it, or a ticket.",
        events=_EVENTS,
        failures=(InvalidRequest, ObjectNotFound, StreamExpired),
        takes_ticket=True,
        parameters=("Last-Event-ID", "after"),
    ),
    ("delete", "/v1/streams/{stream_id}"): Route(
        tag="Streams",
        name="cancelStream",
        summary="Cancel a stream",
        failures=(ObjectNotFound, StreamExpired),
    ),
}
"""By method and path."""
