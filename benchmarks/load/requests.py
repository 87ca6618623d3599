"""What is sent: the same question for every subject, in the bytes that each of them needs. Pure."""

from typing import Protocol

import msgspec

from benchmarks.load.checking import Dialect
from benchmarks.upstream.script import Script, prompt

HOST = "127.0.0.1"

_SYSTEM = "You are a patient engineer. Answer briefly and in full sentences."
_PARAGRAPH = (
    "The upper pond feeds two wheels through one channel. When the miller opens the second gate, "
    "the level in the channel falls by a hand, and the first wheel slows until the pond has made "
    "up the difference. Describe what the miller should watch, in which order the gates should be "
    "moved, and why the water must never be taken from both at once in a dry summer. "
)
SMALL = _PARAGRAPH * 2
"""A prompt that makes a request of about 0.9 KB."""
LARGE = _PARAGRAPH * 280
"""A prompt of 100 KB, as of a document that was pasted in."""
_PATHS: dict[Dialect, str] = {"openai": "/chat/completions", "anthropic": "/messages"}


class Endpoint(Protocol):
    """Where a request goes, and what that place needs; `lab.subjects.Subject` is one."""

    @property
    def port(self) -> int:
        """On loopback."""
        ...

    @property
    def base_path(self) -> str:
        """What stands before `/chat/completions`."""
        ...

    @property
    def headers(self) -> str:
        """Further header lines, each ended by CRLF."""
        ...

    @property
    def model(self) -> str:
        """What to ask for, where the question names no model."""
        ...


class Ask(msgspec.Struct, frozen=True):
    """One question, whoever is asked.

    stream: the answer is to be streamed, in `script.tokens` tokens. model: None is the
    endpoint's usual one. headers: lines of this question, each ended by CRLF.
    """

    stream: bool = False
    script: Script = Script()
    dialect: Dialect = "openai"
    text: str = SMALL
    model: str | None = None
    headers: str = ""


class Request(msgspec.Struct, frozen=True):
    """One request, ready for the wire, and what must come back.

    dialect None: any body with status 200. tokens: how many a stream has; None for a whole answer.
    """

    wire: bytes
    dialect: Dialect | None = "openai"
    tokens: int | None = None


def streamed(tokens: int, interval_ms: float) -> Ask:
    """A streamed completion of `tokens`, one each `interval_ms`; 0 is as fast as the socket takes them."""
    return Ask(stream=True, script=Script(tokens=tokens, interval_ms=interval_ms))


def request(ask: Ask, endpoint: Endpoint) -> Request:
    """`ask` for `endpoint`, with the headers that an SDK sends."""
    body = msgspec.json.encode(_body(ask, ask.model or endpoint.model))
    head = (
        f"POST {endpoint.base_path}{_PATHS[ask.dialect]} HTTP/1.1\r\n"
        f"host: {HOST}:{endpoint.port}\r\ncontent-type: application/json\r\naccept: application/json\r\n"
        f"accept-encoding: identity\r\nuser-agent: penstock-bench\r\n{endpoint.headers}{ask.headers}"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return Request(head.encode() + body, ask.dialect, ask.script.tokens if ask.stream else None)


def rest(asked: Request, last_event_id: str, endpoint: Endpoint) -> Request:
    """The GET of who was cut off: what follows that event of the answer to `asked`, as an EventSource asks."""
    stream_id = last_event_id.rpartition("-")[0]
    wire = (
        f"GET {endpoint.base_path}/streams/{stream_id} HTTP/1.1\r\nhost: {HOST}:{endpoint.port}\r\n"
        f"accept: text/event-stream\r\nuser-agent: penstock-bench\r\n{endpoint.headers}"
        f"last-event-id: {last_event_id}\r\n\r\n"
    )
    return Request(wire.encode(), asked.dialect, asked.tokens)


def _body(ask: Ask, model: str) -> dict[str, object]:
    question = {"role": "user", "content": prompt(ask.script, ask.text)}
    common: dict[str, object] = {"model": model, "temperature": 0.7, "max_tokens": 256}
    if ask.stream:
        common["stream"] = True
    if ask.dialect == "anthropic":
        return {**common, "system": _SYSTEM, "messages": [question]}
    if ask.stream:
        common["stream_options"] = {"include_usage": True}
    return {**common, "messages": [{"role": "system", "content": _SYSTEM}, question]}


def get(path: str, endpoint: Endpoint) -> Request:
    """A GET whose answer only has to be 200."""
    wire = f"GET {path} HTTP/1.1\r\nhost: {HOST}:{endpoint.port}\r\n{endpoint.headers}\r\n"
    return Request(wire.encode(), None)
