"""Anthropic's Messages API as Structs: requests, whole answers, and the events of a stream.

Content blocks are one lenient Struct, told apart by `type`, so that unknown kinds pass; a provider
of the same dialect gets the caller's own bytes. Source: Anthropic API reference, Messages,
version 2023-06-01.
"""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from service.wire.openai import JsonObject, ModelName

Temperature = Annotated[float, Meta(ge=0, le=1, description="Sampling temperature.", examples=[0.7])]


class Source(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Where an image or a document is: base64, url, text, content or file."""

    type: str
    media_type: str | UnsetType | None = UNSET
    data: str | UnsetType | None = UNSET
    url: str | UnsetType | None = UNSET
    file_id: str | UnsetType | None = UNSET
    content: str | list[JsonObject] | UnsetType | None = UNSET


class ContentBlock(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One block of a message, in requests and in answers; `type` says which members count."""

    type: str
    text: str | UnsetType | None = UNSET
    source: Source | str | UnsetType | None = UNSET
    id: str | UnsetType | None = UNSET
    name: str | UnsetType | None = UNSET
    input: JsonObject | UnsetType | None = UNSET
    tool_use_id: str | UnsetType | None = UNSET
    content: "str | list[ContentBlock] | JsonObject | UnsetType | None" = UNSET
    is_error: bool | UnsetType | None = UNSET
    thinking: str | UnsetType | None = UNSET
    signature: str | UnsetType | None = UNSET
    data: str | UnsetType | None = UNSET
    title: str | UnsetType | None = UNSET
    cache_control: JsonObject | UnsetType | None = UNSET


class MessageParam(msgspec.Struct, frozen=True, gc=False):
    """One turn of a conversation."""

    role: str
    content: str | list[ContentBlock]


class ToolDefinition(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A tool of the client (`input_schema` is a JSON Schema), or, by its `type`, one of Anthropic's."""

    name: str | UnsetType | None = UNSET
    type: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    input_schema: JsonObject | UnsetType | None = UNSET
    strict: bool | UnsetType | None = UNSET
    cache_control: JsonObject | UnsetType | None = UNSET


class ToolChoice(msgspec.Struct, frozen=True, gc=False):
    """auto, any, none, or the `tool` of that `name`."""

    type: str
    name: str | UnsetType | None = UNSET
    disable_parallel_tool_use: bool | UnsetType | None = UNSET


class Thinking(msgspec.Struct, frozen=True, gc=False):
    """Extended thinking: enabled (with `budget_tokens`), adaptive or disabled."""

    type: str
    budget_tokens: Annotated[int, Meta(ge=1024)] | UnsetType | None = UNSET
    display: str | UnsetType | None = UNSET


class Metadata(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """About the request: an opaque identifier of its user."""

    user_id: str | None = None


class OutputFormat(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The schema that an answer must match."""

    type: str
    schema: JsonObject | None = None


class OutputConfig(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """How much effort goes into an answer, and its form."""

    effort: str | None = None
    format: OutputFormat | None = None


Messages = Annotated[
    list[MessageParam],
    Meta(
        min_length=1,
        description="The conversation so far.",
        examples=[[{"role": "user", "content": "Say hello."}]],
    ),
]
MaxTokens = Annotated[
    int, Meta(ge=1, description="The most tokens that the answer may have.", examples=[256])
]


class MessagesRequest(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The body of `POST /v1/messages`."""

    model: ModelName
    messages: Messages
    max_tokens: MaxTokens
    cache_control: JsonObject | None = None
    container: str | JsonObject | None = None
    inference_geo: str | None = None
    metadata: Metadata | None = None
    output_config: OutputConfig | None = None
    service_tier: str | None = None
    stop_sequences: list[str] | None = None
    stream: Annotated[bool | None, Meta(description="Answer as server-sent events.")] = None
    system: str | list[ContentBlock] | None = None
    temperature: Temperature | None = None
    thinking: Thinking | None = None
    tool_choice: ToolChoice | None = None
    tools: list[ToolDefinition] | None = None
    top_k: Annotated[int, Meta(ge=0)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None


class CountTokensRequest(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The body of `POST /v1/messages/count_tokens`."""

    model: ModelName
    messages: Messages
    cache_control: JsonObject | None = None
    output_config: OutputConfig | None = None
    system: str | list[ContentBlock] | None = None
    thinking: Thinking | None = None
    tool_choice: ToolChoice | None = None
    tools: list[ToolDefinition] | None = None


class CountTokensAnswer(msgspec.Struct, frozen=True, gc=False):
    """How many input tokens a request would have."""

    input_tokens: int


class OutputTokensDetails(msgspec.Struct, frozen=True, gc=False):
    """The output's tokens by kind."""

    thinking_tokens: int | None = None


class Usage(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Tokens of one call; `input_tokens` excludes those read from or written to the cache."""

    input_tokens: int | UnsetType | None = UNSET
    cache_creation_input_tokens: int | UnsetType | None = UNSET
    cache_read_input_tokens: int | UnsetType | None = UNSET
    output_tokens: int | UnsetType | None = UNSET
    output_tokens_details: OutputTokensDetails | UnsetType | None = UNSET


class StopDetails(msgspec.Struct, frozen=True, gc=False):
    """More about a refusal."""

    type: str = "refusal"
    category: str | None = None
    explanation: str | None = None


class Message(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A whole answer, and the empty one that opens a stream."""

    id: str = ""
    type: str = "message"
    role: str = "assistant"
    model: str = ""
    content: list[ContentBlock]
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | UnsetType | None = UNSET
    usage: Usage


class BlockDelta(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What an event adds to a block (text_delta, input_json_delta, …) or to the message."""

    type: str | UnsetType = UNSET
    text: str | UnsetType | None = UNSET
    partial_json: str | UnsetType | None = UNSET
    thinking: str | UnsetType | None = UNSET
    signature: str | UnsetType | None = UNSET
    stop_reason: str | UnsetType | None = UNSET
    stop_sequence: str | UnsetType | None = UNSET
    stop_details: StopDetails | UnsetType | None = UNSET


class StreamEvent(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Any event of a stream; `type` (also the SSE event's name) says which members count."""

    type: str
    message: Message | UnsetType = UNSET
    index: int | UnsetType = UNSET
    content_block: ContentBlock | UnsetType = UNSET
    delta: BlockDelta | UnsetType = UNSET
    usage: Usage | UnsetType | None = UNSET
