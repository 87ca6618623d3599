"""The port through which the gateway speaks to any provider.

A provider is a `Codec` (pure: what its bytes mean) on an `Upstream` (how its bytes travel).
Answers are pushed: an upstream calls the `Sink` straight from the read that brought the bytes,
so no queue and no second task stands between two sockets.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Protocol

import msgspec

from service.pricing.arithmetic import Usage
from service.wire.sse import Event

HeaderLines = tuple[tuple[str, str], ...]

MAX_ANSWER_BYTES = 64_000_000
"""A whole answer held in memory. Ten images as base64 fit; a provider gone mad does not."""

MAX_EVENT_BYTES = 1 << 20
"""One event of a stream. The largest seen in practice are images as base64, some 100 KB."""


class Dialect(StrEnum):
    """Whose wire format: the two that the field speaks."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"

    # The enumeration's own is written in Python, and every request asks for it.
    __hash__ = str.__hash__


class Operation(Enum):
    """What is asked of a model. The value is the path below a provider's base URL."""

    CHAT = "/chat/completions"
    COMPLETIONS = "/completions"
    EMBEDDINGS = "/embeddings"
    MESSAGES = "/messages"
    COUNT_TOKENS = "/messages/count_tokens"

    __hash__ = object.__hash__


class FaultKind(StrEnum):
    """Why an attempt failed; `service.chat.attempts` says what each one leads to."""

    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed_out"
    OVERLOADED = "overloaded"
    FAILED = "failed"
    EMPTY = "empty"
    UNAUTHORIZED = "unauthorized"
    MISSING = "missing"
    REJECTED = "rejected"
    UNSPEAKABLE = "unspeakable"
    CUT = "cut"
    STALLED = "stalled"


class Fault(Exception):
    """One attempt's end without an answer.

    detail: for the operator's log; only where `kind` is REJECTED or MISSING also for the client,
    whose request it is about. status, code, type, param: the provider's own words. reason: one
    word for logs and metrics (`connect`, `first_token`, `idle`, `total`, `reset`, `http_503` …).
    """

    def __init__(
        self,
        kind: FaultKind,
        detail: str,
        *,
        reason: str,
        status: int | None = None,
        code: str | None = None,
        type: str | None = None,
        param: str | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.reason = reason
        self.status = status
        self.code = code
        self.type = type
        self.param = param
        self.retry_after_seconds = retry_after_seconds


class StaleConnection(Exception):
    """A kept-alive connection was closed before it answered anything: ask again on a new one."""


class UpstreamRequest(msgspec.Struct, frozen=True, gc=False):
    """What to send: `headers` are complete but for Host and Content-Length."""

    operation: Operation
    body: bytes
    headers: HeaderLines = ()


class Clocks(msgspec.Struct, frozen=True, gc=False):
    """How long one attempt may take. `deadline_at` is on the loop's clock, for the whole request."""

    connect_seconds: float
    first_byte_seconds: float
    idle_seconds: float
    deadline_at: float


class Sink(Protocol):
    """Where an answer goes, called from the read that brought it; exactly one of end, fail comes last."""

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """The answer's status line and headers (names in lower case) are complete."""

    def data(self, chunk: bytes) -> None:
        """Body bytes: all that one read brought, undone from chunking."""

    def end(self) -> None:
        """The body is complete by its own framing."""

    def fail(self, fault: Exception) -> None:
        """No more will come: a Fault, or StaleConnection before anything came."""


class Exchange(Protocol):
    """One request on its way: the sink's handle on where its bytes come from."""

    def started(self) -> None:
        """The answer proper began: from now on the idle clock counts, not the first-byte one."""

    def pause(self) -> None:
        """Read no more until `resume`; the idle clock stands still."""

    def resume(self) -> None:
        """Read on."""

    def finish(self) -> None:
        """The sink has all it needs; what may still come (an end mark) is nobody's."""

    def abort(self) -> None:
        """Close the connection at once: the provider shall stop working."""


class Upstream(Protocol):
    """How requests reach a provider."""

    async def open(
        self, request: UpstreamRequest, sink: Sink, clocks: Clocks, *, fresh: bool = False
    ) -> Exchange:
        """Send `request`; its answer goes to `sink`. `fresh`: not on a kept-alive connection.

        Raises Fault (unreachable, timed_out) if no connection is had.
        """


class Reader(Protocol):
    """A pure state machine over one stream's events."""

    @property
    def usage(self) -> Usage | None:
        """Tokens as far as the provider has reported them."""

    @property
    def content_events(self) -> int:
        """How many events brought a piece of the answer: text, thinking, a tool call's arguments."""

    @property
    def content_bytes(self) -> int:
        """The UTF-8 bytes of those pieces."""

    @property
    def finished(self) -> bool:
        """Whether the answer said why it ends."""

    @property
    def done(self) -> bool:
        """Whether the stream's end mark came."""

    def take(self, event: Event) -> bool:
        """Read one event; False: it is not for the client. Raises Fault for an error event."""


class AnswerFacts(msgspec.Struct, frozen=True, gc=False):
    """What metering needs of a whole answer.

    content_bytes: the UTF-8 bytes of what it says; counted only where its provider reports no output.
    """

    usage: Usage | None
    model: str | None
    content_bytes: int = 0


class Codec(Protocol):
    """What a provider's bytes mean. Pure."""

    @property
    def dialect(self) -> Dialect:
        """Whose wire format it reads and writes."""

    def credentials(self, api_key: str | None) -> HeaderLines:
        """The headers that go with each request, the key among them."""

    def pass_on(self, offered: Mapping[str, str]) -> HeaderLines:
        """Those of the caller's headers that this dialect knows, as it wants them."""

    def fault(self, status: int, headers: Mapping[str, str], body: bytes) -> Fault:
        """An answer that is no 2xx, in our terms."""

    def read_answer(self, body: bytes) -> AnswerFacts:
        """Check and meter a whole 2xx answer. Raises Fault (empty, cut)."""

    def reader(self, *, pass_usage: bool) -> Reader:
        """A reader for one stream; `pass_usage`: the client asked for the usage chunk."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One configured provider, ready to be asked. close: lets go of its connections."""

    name: str
    codec: Codec
    upstream: Upstream
    operations: frozenset[Operation]
    stream_usage: bool
    close: Callable[[], None]
