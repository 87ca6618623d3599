"""Server-sent events for the examples of streams. Pure."""

import msgspec

from service.docs.failures import REQUEST_ID
from service.docs.parts import STREAM_ID
from service.docs.schemas import Json
from service.errors import ProviderTimedOut, StreamCancelled
from service.problems import anthropic_event, openai_event
from service.wire import sse

_CUT = ProviderTimedOut("The provider sent nothing for 30 seconds.")

OPENAI_CUT = openai_event(_CUT, request_id=REQUEST_ID).decode()
"""The last event of a stream of OpenAI's dialect, or of the simple one, that broke off."""

ANTHROPIC_CUT = anthropic_event(_CUT, request_id=REQUEST_ID).decode()
"""The same in Anthropic's dialect."""

OPENAI_CANCELLED = openai_event(StreamCancelled("The stream was cancelled."), request_id=REQUEST_ID).decode()
"""The last event of a stream that was cancelled."""


def events(*bodies: Json | str, named: bool = False, end: str = "", first: int = 0) -> str:
    """The bodies as server-sent events with their ids, the first of which has the number `first`.

    named: with the `event:` line of Anthropic's streams. end: a last event, as it is sent.
    """
    frames = [
        sse.encode(
            body.encode() if isinstance(body, str) else msgspec.json.encode(body),
            body["type"].encode() if named and isinstance(body, dict) else b"",
        )
        for body in bodies
    ]
    sent = [frame.decode() for frame in frames] + ([end] if end else [])
    return "".join(f"id: {STREAM_ID}-{number}\n{frame}" for number, frame in enumerate(sent, first))
