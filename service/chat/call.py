"""One request for inference, as the use case sees it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec

from service import problems
from service.errors import GatewayError
from service.principal import Principal, Scope
from service.providers.base import Dialect, Operation
from service.streams.ports import OnDisconnect, Translator
from service.telemetry.facts import Facts
from service.wire import sse
from service.wire.anthropic import CountTokensRequest, MessagesRequest
from service.wire.openai import ChatCompletionRequest, CompletionRequest, EmbeddingRequest
from service.wire.strict import Members

Body = ChatCompletionRequest | CompletionRequest | EmbeddingRequest | MessagesRequest | CountTokensRequest


class ErrorEvent(Protocol):
    """How an error looks inside a stream."""

    def __call__(self, error: GatewayError, *, request_id: str) -> bytes:
        """The event's bytes."""


def _done(ended: bool) -> bytes:
    return sse.DONE


def _message_stop(ended: bool) -> bytes:
    return b"" if ended else sse.encode(b'{"type":"message_stop"}', b"message_stop")


@dataclass(frozen=True, slots=True)
class Surface:
    """What kind of route was called: the client's dialect, what it asks for, how its streams end.

    route: its own path. scope: what a caller needs. end_mark: what follows a complete stream's events; told whether they hold an end mark already.
    """

    dialect: Dialect
    operation: Operation
    route: str
    scope: Scope = Scope.CHAT
    end_mark: Callable[[bool], bytes] = _done
    error_event: ErrorEvent = problems.openai_event


CHAT = Surface(Dialect.OPENAI, Operation.CHAT, "/v1/chat/completions")
COMPLETIONS = Surface(Dialect.OPENAI, Operation.COMPLETIONS, "/v1/completions")
EMBEDDINGS = Surface(Dialect.OPENAI, Operation.EMBEDDINGS, "/v1/embeddings", Scope.EMBEDDINGS)
MESSAGES = Surface(
    Dialect.ANTHROPIC,
    Operation.MESSAGES,
    "/v1/messages",
    end_mark=_message_stop,
    error_event=problems.anthropic_event,
)
COUNT_TOKENS = Surface(Dialect.ANTHROPIC, Operation.COUNT_TOKENS, "/v1/messages/count_tokens")


class Call(msgspec.Struct, frozen=True, gc=False):
    """What was asked: the validated `request`, and `members`, the same as the client's own bytes.

    route: the path of the route that was called, as limits and the ledger name it. passed_on: those of
    the caller's headers that may reach a provider, names in lower case. facts: where the way of the
    request is noted. extra_headers: lines for the answer, whatever it will be. last_stage: makes the translator of a surface
    that speaks neither dialect; it is fed OpenAI's chunks, and may ask for the cost so far in USD.
    maximum: the output tokens to ask for where the caller names none and a budget needs to know.
    owner: whose the stream will be. on_disconnect: what the caller wishes for when nobody reads it; None: what is configured.
    """

    surface: Surface
    route: str
    model: str
    request: Body
    members: Members
    stream: bool
    principal: Principal
    passed_on: Mapping[str, str]
    facts: Facts
    extra_headers: list[tuple[bytes, bytes]]
    last_stage: Callable[[Callable[[], float | None]], Translator] | None = None
    maximum: int | None = None
    owner: str = ""
    on_disconnect: OnDisconnect | None = None
