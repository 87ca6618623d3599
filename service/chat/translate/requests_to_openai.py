"""A Messages request as a chat completion request. Pure.

What changes the answer and can't be said is refused, by the field's name; hints are left out and
listed.
"""

import re

import msgspec

from service.chat.translate import effort, tools
from service.chat.translate.result import (
    Members,
    Translated,
    Untranslatable,
    is_null,
    once,
    quoted,
    unknown_members,
)
from service.chat.translate.turns_to_openai import conversation, has_tool_errors, marks_cache
from service.wire.anthropic import MessagesRequest, OutputFormat
from service.wire.openai import ChatCompletionRequest, JsonSchemaFormat, ResponseFormat, StreamOptions

_ENCODE = msgspec.json.Encoder().encode
_KNOWN = frozenset(field.encode_name for field in msgspec.structs.fields(MessagesRequest))

HINTS = ("cache_control", "inference_geo", "service_tier", "top_k")
"""Fields that steer but don't decide the answer; they are dropped and listed."""

REFUSED = ("container", "mcp_servers")
"""Anthropic's own machinery, which no other provider runs."""

# OpenAI's reasoning models refuse max_tokens; many compatible servers know nothing else.
_WANTS_MAX_COMPLETION_TOKENS = re.compile(r"(?:.*/)?(?:o\d|gpt-[5-9])")


def messages_to_chat(request: MessagesRequest, raw: Members, *, model: str) -> Translated:
    """`request` for `model`; a stream asks for usage, which Anthropic's always has.

    raw: the same request's top-level members. Raises Untranslatable.
    """
    for param in REFUSED:
        if param in raw and not is_null(raw[param]):
            raise Untranslatable(param, f"This model's provider has no {param!r}; leave it out.")
    new_name = _WANTS_MAX_COMPLETION_TOKENS.match(model) is not None
    choice = request.tool_choice
    body = ChatCompletionRequest(
        model=model,
        messages=conversation(request.system, request.messages),
        max_tokens=None if new_name else request.max_tokens,
        max_completion_tokens=request.max_tokens if new_name else None,
        temperature=request.temperature,
        top_p=request.top_p,
        stop=request.stop_sequences or None,
        stream=request.stream,
        stream_options=StreamOptions(include_usage=True) if request.stream else None,
        tools=tools.tools_to_openai(request.tools) if request.tools else None,
        tool_choice=tools.choice_to_openai(choice) if choice else None,
        parallel_tool_calls=False if choice and choice.disable_parallel_tool_use else None,
        user=request.metadata.user_id if request.metadata else None,
        reasoning_effort=_reasoning_effort(request),
        response_format=_response_format(request),
    )
    return Translated(_ENCODE(body), once([*_dropped(request), *unknown_members(raw, _KNOWN.union(REFUSED))]))


def _reasoning_effort(request: MessagesRequest) -> str | None:
    """The effort as it was said, else what comes nearest to the budget."""
    if request.output_config and request.output_config.effort:
        return request.output_config.effort
    thinking = request.thinking
    if thinking is None or thinking.type != "enabled":
        return None
    return effort.effort_for(thinking.budget_tokens or effort.MIN_BUDGET_TOKENS)


def _response_format(request: MessagesRequest) -> ResponseFormat | None:
    wanted: OutputFormat | None = request.output_config.format if request.output_config else None
    if wanted is None:
        return None
    if wanted.type != "json_schema":
        raise Untranslatable(
            "output_config.format.type",
            f"This model's provider knows no {quoted(wanted.type)}; use json_schema.",
        )
    # OpenAI wants a name; Anthropic's formats have none.
    return ResponseFormat("json_schema", JsonSchemaFormat("answer", schema=wanted.schema, strict=True))


def _dropped(request: MessagesRequest) -> list[str]:
    dropped = [name for name in HINTS if getattr(request, name) is not None]
    if marks_cache(request.system, request.messages) or any(
        tool.cache_control for tool in request.tools or ()
    ):
        dropped.append("cache_control")
    if has_tool_errors(request.messages):
        dropped.append("messages.content.is_error")
    return dropped
