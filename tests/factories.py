"""Requests of every shape that the Structs allow, made from the Structs themselves."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from polyfactory.factories.msgspec_factory import MsgspecFactory

from service.wire.anthropic import CountTokensRequest, MessagesRequest
from service.wire.openai import ChatCompletionRequest, CompletionRequest, EmbeddingRequest
from service.wire.simple import BatchRequest, SimpleRequest

T = TypeVar("T", bound=msgspec.Struct)

RAW = (b"null", b"1.5", b'"text"', b"[1,2]", b'{"a":{"b":null}}')
"""Values that a request only passes on."""


class RequestFactory(MsgspecFactory[T]):
    """Fills every field now and then, required ones always. Seed it where a failure must come again."""

    __is_base_factory__ = True
    __allow_none_optionals__ = True

    @classmethod
    def get_provider_map(cls) -> dict[Any, Callable[[], Any]]:
        """The library's, and one for raw JSON."""
        return {**super().get_provider_map(), msgspec.Raw: lambda: msgspec.Raw(cls.__random__.choice(RAW))}


class ChatCompletionFactory(RequestFactory[ChatCompletionRequest]):
    """`POST /v1/chat/completions`."""


class CompletionFactory(RequestFactory[CompletionRequest]):
    """`POST /v1/completions`."""


class EmbeddingFactory(RequestFactory[EmbeddingRequest]):
    """`POST /v1/embeddings`."""


class MessagesFactory(RequestFactory[MessagesRequest]):
    """`POST /v1/messages`."""


class CountTokensFactory(RequestFactory[CountTokensRequest]):
    """`POST /v1/messages/count_tokens`."""


class SimpleFactory(RequestFactory[SimpleRequest]):
    """`POST /chat` and `/stream`."""


class BatchFactory(RequestFactory[BatchRequest]):
    """`POST /chat/batch`."""


FACTORIES: tuple[type[RequestFactory[Any]], ...] = (
    ChatCompletionFactory,
    CompletionFactory,
    EmbeddingFactory,
    MessagesFactory,
    CountTokensFactory,
    SimpleFactory,
    BatchFactory,
)
