"""OpenAI's answers as Structs: whole, in chunks, vectors and models.

They hold what translation and the OpenAPI document need. Only UNSET is left out when they are
encoded, since OpenAI sends nulls.

Source: OpenAI API reference; `reasoning_content` (DeepSeek, vLLM), `reasoning` (OpenRouter, newer
vLLM) and `thinking_blocks` (LiteLLM) are the ecosystem's extensions.
"""

import msgspec
from msgspec import UNSET, UnsetType

from service.wire.openai_requests import FunctionCall, JsonObject, ThinkingBlock, ToolCall


class PromptTokensDetails(msgspec.Struct, frozen=True, gc=False):
    """The prompt's tokens by kind."""

    cached_tokens: int | None = None
    cache_write_tokens: int | UnsetType | None = UNSET


class CompletionTokensDetails(msgspec.Struct, frozen=True, gc=False):
    """The answer's tokens by kind."""

    reasoning_tokens: int | None = None


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one call; `prompt_tokens` includes the cached ones."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_tokens_details: PromptTokensDetails | UnsetType | None = UNSET
    completion_tokens_details: CompletionTokensDetails | UnsetType | None = UNSET


class AssistantMessage(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The model's message in a whole answer."""

    role: str = "assistant"
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | UnsetType | None = UNSET
    reasoning: str | UnsetType | None = UNSET
    thinking_blocks: list[ThinkingBlock] | UnsetType | None = UNSET
    tool_calls: list[ToolCall] | UnsetType | None = UNSET
    function_call: FunctionCall | UnsetType | None = UNSET


class Choice(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One answer of a chat completion."""

    index: int = 0
    message: AssistantMessage
    logprobs: JsonObject | None = None
    finish_reason: str | None = None


class ChatCompletion(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A whole answer. created: Unix time in seconds."""

    id: str = ""
    object: str = "chat.completion"
    created: int = 0
    model: str = ""
    choices: list[Choice]
    usage: Usage | UnsetType | None = UNSET
    system_fingerprint: str | UnsetType | None = UNSET
    service_tier: str | UnsetType | None = UNSET


class FunctionDelta(msgspec.Struct, frozen=True, gc=False):
    """A piece of a call."""

    name: str | UnsetType | None = UNSET
    arguments: str | UnsetType | None = UNSET


class ToolCallDelta(msgspec.Struct, frozen=True, gc=False):
    """A piece of the call number `index`; `id` and name come with its first piece."""

    index: int = 0
    id: str | UnsetType | None = UNSET
    type: str | UnsetType | None = UNSET
    function: FunctionDelta | UnsetType | None = UNSET


class ChoiceDelta(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What one chunk adds to a message."""

    role: str | UnsetType | None = UNSET
    content: str | UnsetType | None = UNSET
    refusal: str | UnsetType | None = UNSET
    reasoning_content: str | UnsetType | None = UNSET
    reasoning: str | UnsetType | None = UNSET
    thinking_blocks: list[ThinkingBlock] | UnsetType | None = UNSET
    tool_calls: list[ToolCallDelta] | UnsetType | None = UNSET
    function_call: FunctionDelta | UnsetType | None = UNSET


class ChunkChoice(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One choice's share of a chunk."""

    index: int = 0
    delta: ChoiceDelta | None = None
    logprobs: JsonObject | UnsetType | None = UNSET
    finish_reason: str | None = None


class ChatCompletionChunk(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One event of a streamed answer; the usage chunk has no choices."""

    id: str = ""
    object: str = "chat.completion.chunk"
    created: int = 0
    model: str = ""
    choices: list[ChunkChoice] | None = None
    usage: Usage | UnsetType | None = UNSET
    system_fingerprint: str | UnsetType | None = UNSET


class CompletionChoice(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One answer of a text completion."""

    index: int = 0
    text: str
    logprobs: JsonObject | None = None
    finish_reason: str | None = None


class Completion(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A text completion, whole or one event of its stream."""

    id: str
    object: str = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage | UnsetType | None = UNSET
    system_fingerprint: str | UnsetType | None = UNSET


class Embedding(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One vector: numbers, or base64 of little-endian 32-bit floats."""

    object: str = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingUsage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one embedding call."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingResponse(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Vectors, in the order of the inputs."""

    object: str = "list"
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage


class ModelCard(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One model. created: Unix time in seconds, 0 where nobody knows."""

    id: str
    object: str = "model"
    created: int = 0
    owned_by: str


class ModelList(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The models that requests may name."""

    object: str = "list"
    data: list[ModelCard]
