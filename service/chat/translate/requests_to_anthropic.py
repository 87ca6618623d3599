"""A chat completion request as a Messages request. Pure.

What changes the answer and can't be said is refused, by the field's name; hints are left out and
listed.
"""

import msgspec

from service.chat.translate import effort, tools
from service.chat.translate.result import Members, Translated, Untranslatable, is_null, once, unknown_members
from service.chat.translate.turns_to_anthropic import conversation
from service.wire.anthropic import MessageParam, MessagesRequest, Metadata, Thinking, ToolChoice
from service.wire.openai import ChatCompletionRequest

_ENCODE = msgspec.json.Encoder().encode
_KNOWN = frozenset(field.encode_name for field in msgspec.structs.fields(ChatCompletionRequest))

HINTS = (
    "frequency_penalty",
    "logit_bias",
    "metadata",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "seed",
    "service_tier",
    "store",
    "verbosity",
)
"""Fields that steer but don't decide the answer; they are dropped and listed."""

PASSED = ("cache_control", "thinking", "top_k")
"""Fields that OpenAI doesn't know and Anthropic does: a caller who sends them means Anthropic."""

MIN_TOP_P_WHILE_THINKING = 0.95
"""Anthropic refuses less together with thinking, and any temperature but 1."""


def chat_to_messages(
    request: ChatCompletionRequest, raw: Members, *, model: str, max_output_tokens: int
) -> Translated:
    """`request` for `model`, with `max_output_tokens` where it names no maximum of its own.

    raw: the same request's top-level members. Raises Untranslatable.
    """
    _refuse(request)
    passed = {name: raw[name] for name in PASSED if name in raw and not is_null(raw[name])}
    said = conversation(request.messages)
    max_tokens = request.max_completion_tokens or request.max_tokens or max_output_tokens
    choice = tools.choice_to_anthropic(request)
    thoughts = _thinking(request, max_tokens, choice, said.turns, explicit="thinking" in passed)
    thinks = thoughts is not None and thoughts.type == "enabled"
    body = MessagesRequest(
        model=model,
        messages=said.turns,
        max_tokens=max_tokens,
        system=said.system,
        stream=request.stream,
        stop_sequences=[request.stop] if isinstance(request.stop, str) else request.stop,
        temperature=None if thinks or request.temperature is None else min(request.temperature, 1.0),
        top_p=None if thinks and _too_narrow(request.top_p) else request.top_p,
        metadata=_metadata(request),
        tools=tools.tools_to_anthropic(request.tools) if request.tools else None,
        tool_choice=choice,
        thinking=thoughts,
    )
    left_out = [*said.dropped, *_dropped(request, body), *unknown_members(raw, _KNOWN.union(PASSED))]
    return Translated(_with_passed(_ENCODE(body), passed), once(left_out))


def _refuse(request: ChatCompletionRequest) -> None:
    """Raise Untranslatable for the first field that changes the answer in a way that Anthropic has no word for."""
    response_format, modalities = request.response_format, request.modalities or ()
    # A function's answer would come as tool_calls, which a client of `functions` doesn't read.
    refused = (
        ("n", (request.n or 1) > 1, "generates one answer at a time"),
        ("logprobs", request.logprobs, "reports no log probabilities"),
        ("top_logprobs", request.top_logprobs, "reports no log probabilities"),
        (
            "response_format",
            response_format and response_format.type != "text",
            "has no other format than text",
        ),
        ("modalities", "audio" in modalities, "answers in text only"),
        ("audio", request.audio, "answers in text only"),
        ("moderation", request.moderation, "has no moderation"),
        ("web_search_options", request.web_search_options, "has no search of its own"),
        ("functions", request.functions, "knows tools only, no functions"),
        (
            "function_call",
            request.function_call not in (None, "none", "auto"),
            "knows tools only, no functions",
        ),
    )
    for param, present, reason in refused:
        if present:
            raise Untranslatable(
                param, f"This model's provider {reason}; leave out {param!r} or use another model."
            )


def _thinking(
    request: ChatCompletionRequest,
    max_tokens: int,
    choice: ToolChoice | None,
    turns: list[MessageParam],
    *,
    explicit: bool,
) -> Thinking | None:
    """What `reasoning_effort` asks for, unless Anthropic would refuse it here or the caller gave `thinking` itself."""
    if request.reasoning_effort is None or explicit:
        return None
    thoughts = effort.thinking_for(request.reasoning_effort, max_tokens)
    forced = choice is not None and choice.type in ("any", "tool")
    if thoughts is not None and thoughts.type == "enabled" and (forced or _thoughtless_loop(turns)):
        return None
    return thoughts


def _thoughtless_loop(turns: list[MessageParam]) -> bool:
    """Whether tool results are being handed in for a turn without its thinking, which Anthropic then insists on."""
    if len(turns) < 2 or isinstance(turns[-1].content, str) or isinstance(turns[-2].content, str):
        return False
    loop = turns[-1].content[0].type == "tool_result"
    return loop and turns[-2].content[0].type not in ("thinking", "redacted_thinking")


def _too_narrow(top_p: float | None) -> bool:
    return top_p is not None and top_p < MIN_TOP_P_WHILE_THINKING


def _metadata(request: ChatCompletionRequest) -> Metadata | None:
    user_id = request.user or request.safety_identifier
    return Metadata(user_id) if user_id else None


def _dropped(request: ChatCompletionRequest, body: MessagesRequest) -> list[str]:
    dropped = [name for name in HINTS if getattr(request, name) is not None]
    lost = (
        ("reasoning_effort", request.reasoning_effort is not None and body.thinking is None),
        ("temperature", request.temperature is not None and body.temperature is None),
        ("top_p", request.top_p is not None and body.top_p is None),
        ("safety_identifier", bool(request.user and request.safety_identifier)),
    )
    return dropped + [name for name, present in lost if present]


def _with_passed(body: bytes, passed: Members) -> bytes:
    """`body` with the caller's members for Anthropic at its end, as they were."""
    return body[:-1] + b"," + _ENCODE(passed)[1:] if passed else body
