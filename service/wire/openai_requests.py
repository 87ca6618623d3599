"""OpenAI's requests as Structs: Chat Completions, Completions, Embeddings.

Checked are the type and numeric range of every documented field; unknown fields and unknown
strings of an enumeration pass, and a provider of the same dialect gets the caller's own bytes.
What stands at its default is left out when a request is encoded.

Source: OpenAI API reference; `reasoning_content` (DeepSeek, vLLM), `thinking_blocks` (LiteLLM),
`cache_control` and a tool result's `is_error` are the ecosystem's extensions.
"""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

JsonObject = dict[str, msgspec.Raw]
"""A JSON object whose members stay the bytes that they were."""

ModelName = Annotated[str, Meta(min_length=1, description="A configured model's name.", examples=["sim"])]
Temperature = Annotated[float, Meta(ge=0, le=2, description="Sampling temperature.", examples=[0.7])]
TopP = Annotated[float, Meta(ge=0, le=1, description="Nucleus sampling: the probability mass considered.")]
Penalty = Annotated[float, Meta(ge=-2, le=2, description="Positive values make repetition less likely.")]
Bias = Annotated[float, Meta(ge=-100, le=100)]
LogitBias = Annotated[dict[str, Bias], Meta(description="Token id to a bias from -100 to 100.")]
MaxTokens = Annotated[
    int, Meta(ge=1, description="The most tokens that the answer may have.", examples=[256])
]
Choices = Annotated[int, Meta(ge=1, le=128, description="How many answers to generate.")]
# OpenAI itself takes 4; compatible servers take more.
StopList = Annotated[list[str], Meta(max_length=16)]


class Function(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A function that the model may call; `parameters` is a JSON Schema."""

    name: str
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


class CustomTool(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A tool with free-form input."""

    name: str
    description: str | None = None
    format: JsonObject | None = None


class Tool(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A tool: `type` names the member that describes it."""

    type: str
    function: Function | None = None
    custom: CustomTool | None = None
    cache_control: JsonObject | None = None


class FunctionName(msgspec.Struct, frozen=True, gc=False):
    """A function by its name."""

    name: str


class NamedToolChoice(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Forces one tool, or allows some."""

    type: str = ""
    function: FunctionName | None = None
    custom: FunctionName | None = None
    allowed_tools: JsonObject | None = None


class FunctionCall(msgspec.Struct, frozen=True, gc=False):
    """A call's name and its arguments as JSON text."""

    name: str
    arguments: str = ""


class CustomCall(msgspec.Struct, frozen=True, gc=False):
    """A custom tool's call: its input is plain text."""

    name: str
    input: str = ""


class ToolCall(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One tool call of an assistant message."""

    id: str | None = None
    type: str | None = "function"
    function: FunctionCall | UnsetType | None = UNSET
    custom: CustomCall | UnsetType | None = UNSET


class ThinkingBlock(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Anthropic's thinking on an OpenAI message: `thinking` with `signature`, or redacted `data`."""

    type: str
    index: int | UnsetType = UNSET
    thinking: str | UnsetType | None = UNSET
    signature: str | UnsetType | None = UNSET
    data: str | UnsetType | None = UNSET


class ImageUrl(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """An image by http(s) or data URL."""

    url: str
    detail: str | None = None


class InputAudio(msgspec.Struct, frozen=True, gc=False):
    """Audio as base64."""

    data: str
    format: str


class FilePart(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A file: inline as a data URL, or by the id of an upload."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class ContentPart(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One piece of a message's content; unknown types pass."""

    type: str
    text: str | None = None
    image_url: ImageUrl | None = None
    input_audio: InputAudio | None = None
    file: FilePart | None = None
    refusal: str | None = None
    cache_control: JsonObject | None = None


class AudioReference(msgspec.Struct, frozen=True, gc=False):
    """An earlier answer's audio."""

    id: str


class ChatMessage(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One message of a conversation."""

    role: str
    content: str | list[ContentPart] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    function_call: FunctionCall | None = None
    audio: AudioReference | None = None
    is_error: bool | None = None
    reasoning_content: str | None = None
    thinking_blocks: list[ThinkingBlock] | None = None
    cache_control: JsonObject | None = None


class StreamOptions(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a stream holds beside its content."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class JsonSchemaFormat(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The schema that an answer must match."""

    name: str
    description: str | None = None
    schema: JsonObject | None = None
    strict: bool | None = None


class ResponseFormat(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The form of the answer: text, json_object or json_schema."""

    type: str
    json_schema: JsonSchemaFormat | None = None


class AudioOptions(msgspec.Struct, frozen=True, gc=False):
    """How spoken answers sound."""

    format: str
    voice: str | JsonObject


class Prediction(msgspec.Struct, frozen=True, gc=False):
    """What most of the answer is expected to be."""

    type: str
    content: str | list[ContentPart]


class WebSearchOptions(msgspec.Struct, frozen=True, gc=False):
    """Options of the web search tool."""

    search_context_size: str | None = None
    user_location: JsonObject | None = None


class Moderation(msgspec.Struct, frozen=True, gc=False):
    """Moderation of input and output."""

    model: str
    policy: JsonObject | None = None


class PromptCacheOptions(msgspec.Struct, frozen=True, gc=False):
    """Options of the prompt cache."""

    mode: str | None = None
    ttl: str | None = None


Messages = Annotated[
    list[ChatMessage],
    Meta(
        min_length=1,
        description="The conversation so far.",
        examples=[[{"role": "user", "content": "Say hello."}]],
    ),
]


class ChatCompletionRequest(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The body of `POST /v1/chat/completions`."""

    model: ModelName
    messages: Messages
    audio: AudioOptions | None = None
    frequency_penalty: Penalty | None = None
    function_call: str | FunctionName | None = None
    functions: list[Function] | None = None
    logit_bias: LogitBias | None = None
    logprobs: bool | None = None
    max_completion_tokens: MaxTokens | None = None
    max_tokens: MaxTokens | None = None
    metadata: dict[str, str] | None = None
    modalities: list[str] | None = None
    moderation: Moderation | None = None
    n: Choices | None = None
    parallel_tool_calls: bool | None = None
    prediction: Prediction | None = None
    presence_penalty: Penalty | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: PromptCacheOptions | None = None
    prompt_cache_retention: str | None = None
    reasoning_effort: str | None = None
    response_format: ResponseFormat | None = None
    safety_identifier: str | None = None
    seed: int | None = None
    service_tier: str | None = None
    stop: str | StopList | None = None
    store: bool | None = None
    stream: Annotated[bool | None, Meta(description="Answer as server-sent events.")] = None
    stream_options: StreamOptions | None = None
    temperature: Temperature | None = None
    tool_choice: str | NamedToolChoice | None = None
    tools: list[Tool] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    top_p: TopP | None = None
    user: Annotated[str | None, Meta(description="A stable identifier of the end user.")] = None
    verbosity: str | None = None
    web_search_options: WebSearchOptions | None = None


class CompletionRequest(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The body of `POST /v1/completions`."""

    model: ModelName
    # null asks for a new document, as OpenAI documents it, but the field itself is required.
    prompt: Annotated[
        str | list[str | int | list[int]] | None,
        Meta(description="Text, texts, or tokens to continue.", examples=["Once upon a time"]),
    ]
    best_of: Annotated[int, Meta(ge=0, le=20)] | None = None
    echo: bool | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: LogitBias | None = None
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None
    max_tokens: Annotated[int, Meta(ge=0)] | None = None
    n: Choices | None = None
    presence_penalty: Penalty | None = None
    seed: int | None = None
    stop: str | StopList | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    suffix: str | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    user: str | None = None


class EmbeddingRequest(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The body of `POST /v1/embeddings`."""

    model: ModelName
    input: (
        Annotated[str, Meta(min_length=1, description="A text, texts, or tokens.", examples=["A text."])]
        | Annotated[list[str | int | list[int]], Meta(min_length=1, max_length=2048)]
    )
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    encoding_format: str | None = None
    user: str | None = None
