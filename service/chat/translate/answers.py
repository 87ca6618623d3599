"""Whole answers, both ways. Malformed ones raise msgspec's errors: it is the provider's fault then."""

import msgspec
from msgspec import UNSET

from service.chat.translate import stop_reasons, thinking, tools, usage
from service.wire.anthropic import ContentBlock, Message
from service.wire.openai import AssistantMessage, ChatCompletion, Choice, ToolCall

_ENCODE = msgspec.json.Encoder().encode
_MESSAGE = msgspec.json.Decoder(Message)
_COMPLETION = msgspec.json.Decoder(ChatCompletion)


def message_to_completion(body: bytes, *, created: int) -> bytes:
    """Anthropic's message as a chat completion. created: Unix time in seconds.

    Raises msgspec.DecodeError or msgspec.ValidationError.
    """
    message = _MESSAGE.decode(body)
    blocks = message.content
    texts = [block.text or "" for block in blocks if block.type == "text"]
    uses = [block for block in blocks if block.type == "tool_use"]
    said = AssistantMessage(
        content="".join(texts) if texts else None,
        refusal=(message.stop_details.explanation if message.stop_details else None) or None,
        reasoning_content=thinking.reasoning_text(blocks) or UNSET,
        thinking_blocks=thinking.to_openai(blocks) or UNSET,
        tool_calls=[tools.call_to_openai(block, number) for number, block in enumerate(uses)] or UNSET,
    )
    completion = ChatCompletion(
        id=message.id,
        created=created,
        model=message.model,
        choices=[Choice(message=said, finish_reason=stop_reasons.finish_reason(message.stop_reason))],
        usage=usage.to_openai(message.usage),
    )
    return _ENCODE(completion)


def completion_to_message(body: bytes) -> bytes:
    """A chat completion's first choice as Anthropic's message.

    Raises msgspec.DecodeError or msgspec.ValidationError, also where there is no choice, or the
    arguments of a call are no JSON object.
    """
    completion = _COMPLETION.decode(body)
    if not completion.choices:
        raise msgspec.ValidationError("The answer has no choices")
    choice = completion.choices[0]
    blocks = _blocks(choice.message, cut=choice.finish_reason == "length")
    message = Message(
        id=completion.id,
        model=completion.model,
        content=blocks,
        stop_reason=stop_reasons.stop_reason(
            choice.finish_reason,
            called_tools=any(block.type == "tool_use" for block in blocks),
            refused=bool(choice.message.refusal),
        ),
        usage=usage.to_anthropic(completion.usage),
    )
    return _ENCODE(message)


def _blocks(message: AssistantMessage, *, cut: bool) -> list[ContentBlock]:
    blocks = _thoughts(message)
    blocks += [ContentBlock(type="text", text=text) for text in (message.content, message.refusal) if text]
    calls = list(message.tool_calls or ())
    if message.function_call:
        calls.append(ToolCall(function=message.function_call))
    for number, call in enumerate(calls):
        if block := _tool_use(call, number, cut=cut):
            blocks.append(block)
    return blocks


def _thoughts(message: AssistantMessage) -> list[ContentBlock]:
    """Signed blocks as they were; else the reasoning that other providers report, without a signature."""
    if signed := thinking.to_anthropic(message.thinking_blocks or None):
        return signed
    text = message.reasoning_content or message.reasoning
    return [ContentBlock(type="thinking", thinking=text, signature="")] if text else []


def _tool_use(call: ToolCall, number: int, *, cut: bool) -> ContentBlock | None:
    """None for a call whose arguments the maximum of tokens cut off: nobody can run it."""
    if not call.function:
        raise msgspec.ValidationError("A tool call has no function")
    try:
        arguments = tools.parse_arguments(call.function.arguments)
    except msgspec.DecodeError:
        if cut:
            return None
        raise
    return ContentBlock(
        type="tool_use", id=call.id or f"call_{number}", name=call.function.name, input=arguments
    )
