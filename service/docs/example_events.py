"""Server-sent events for the examples of streams. Pure."""

import msgspec

from service.docs.failures import REQUEST_ID
from service.docs.schemas import Json
from service.errors import ProviderTimedOut
from service.problems import anthropic_event, openai_event
from service.wire import sse

_CUT = ProviderTimedOut("The provider sent nothing for 30 seconds.")

OPENAI_CUT = openai_event(_CUT, request_id=REQUEST_ID).decode()
"""The last event of a stream of OpenAI's dialect, or of the simple one, that broke off."""

ANTHROPIC_CUT = anthropic_event(_CUT, request_id=REQUEST_ID).decode()
"""The same in Anthropic's dialect."""


def events(*bodies: Json | str, named: bool = False) -> str:
    """The bodies as server-sent events; named: with the `event:` line of Anthropic's streams."""
    frames = [
        sse.encode(
            body.encode() if isinstance(body, str) else msgspec.json.encode(body),
            body["type"].encode() if named and isinstance(body, dict) else b"",
        )
        for body in bodies
    ]
    return b"".join(frames).decode()
