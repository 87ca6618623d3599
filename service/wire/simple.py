"""The simple surface: one message in, one answer out, for apps that want no SDK."""

from typing import Annotated

import msgspec
from msgspec import Meta


class SimpleRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `/chat` and `/stream`."""

    message: Annotated[str, Meta(min_length=1, description="What the user says.", examples=["Hello!"])]
    model: Annotated[str, Meta(min_length=1)] | None = None
    system: str | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None


class BatchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `/chat/batch`: items are checked one by one, so that one bad item spoils no other."""

    items: Annotated[list[msgspec.Raw], Meta(min_length=1, max_length=100)]


class SimpleUsage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one answer."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


class SimpleAnswer(msgspec.Struct, frozen=True):
    """The answer of `/chat`. cost_usd is null where the model has no known price."""

    id: str
    response: str
    model: str
    usage: SimpleUsage
    cost_usd: float | None
    latency_ms: int


class SimpleToken(msgspec.Struct, frozen=True, gc=False):
    """One event of `/stream`."""

    token: str


class SimpleDone(msgspec.Struct, frozen=True):
    """The last event of `/stream` before `[DONE]`."""

    id: str
    model: str
    usage: SimpleUsage
    cost_usd: float | None
    latency_ms: int
    done: bool = True
