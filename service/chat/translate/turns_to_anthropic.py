"""A conversation in Anthropic's form: one system prompt, and turns that alternate.

OpenAI lets any role follow any other. Neighbours of one side become one turn here, and tool
results stand first in theirs, as Anthropic asks for.
"""

import msgspec
from msgspec import UNSET

from service.chat.translate import media, thinking, tools
from service.chat.translate.result import Untranslatable, quoted
from service.wire.anthropic import ContentBlock, MessageParam
from service.wire.openai import ChatMessage, ContentPart

SYSTEM_ROLES = ("system", "developer")


class Conversation(msgspec.Struct, frozen=True, gc=False):
    """system: the joined system prompt, if there is one. dropped: hints that were left out."""

    system: str | list[ContentBlock] | None
    turns: list[MessageParam]
    dropped: list[str]


def conversation(messages: list[ChatMessage]) -> Conversation:
    """Raises Untranslatable where a message, or the lack of any but system messages, can't be said."""
    system: list[ContentBlock] = []
    turns: list[tuple[str, list[ContentBlock]]] = []
    dropped: list[str] = []
    calls = _FunctionCalls()
    for position, message in enumerate(messages):
        path = f"messages[{position}]"
        role, blocks = _blocks(message, path, calls)
        dropped += _dropped(message)
        if role == "system":
            system += blocks
        elif turns and turns[-1][0] == role:
            turns[-1][1].extend(blocks)
        elif blocks:
            turns.append((role, blocks))
    if not turns:
        raise Untranslatable("messages", "This model's provider needs a user message with content; add one.")
    return Conversation(
        _plain(system) if system else None,
        [MessageParam(role, _plain(_results_first(blocks))) for role, blocks in turns],
        dropped,
    )


class _FunctionCalls:
    """Legacy calls have no ids: they get one here, and the next result of that name answers it."""

    def __init__(self) -> None:
        self._open: dict[str, str] = {}

    def begin(self, name: str, path: str) -> str:
        # Anthropic's ids are of [a-zA-Z0-9_-].
        call_id = "call_" + path.replace("[", "_").removesuffix("]")
        self._open[name] = call_id
        return call_id

    def end(self, name: str | None, path: str) -> str:
        if name not in self._open:
            raise Untranslatable(
                f"{path}.name", "No function call before this message has its name; send the call too."
            )
        return self._open.pop(name)


def _blocks(message: ChatMessage, path: str, calls: _FunctionCalls) -> tuple[str, list[ContentBlock]]:
    """The side that speaks, and what it says."""
    role = message.role
    if role in SYSTEM_ROLES:
        side, blocks = "system", _content(message, path, ("text",))
    elif role == "user":
        side, blocks = "user", _content(message, path, ("text", "image_url", "file"))
    elif role == "assistant":
        side, blocks = "assistant", _assistant(message, path, calls)
    elif role == "tool":
        side, blocks = "user", [_tool_result(message, message.tool_call_id, path)]
    elif role == "function":
        side, blocks = "user", [_tool_result(message, calls.end(message.name, path), path)]
    else:
        raise Untranslatable(
            f"{path}.role", f"This model's provider knows no role {quoted(role)}; use user or assistant."
        )
    return side, _cached(blocks, message)


def _cached(blocks: list[ContentBlock], message: ChatMessage) -> list[ContentBlock]:
    """A message's own `cache_control` marks its last block."""
    if not (blocks and message.cache_control):
        return blocks
    return [*blocks[:-1], msgspec.structs.replace(blocks[-1], cache_control=message.cache_control)]


def _assistant(message: ChatMessage, path: str, calls: _FunctionCalls) -> list[ContentBlock]:
    if message.audio is not None:
        raise Untranslatable(f"{path}.audio", "This model's provider has no audio; send the text instead.")
    blocks = thinking.to_anthropic(message.thinking_blocks)
    blocks += _content(message, path, ("text", "refusal"))
    if message.refusal:
        blocks.append(ContentBlock(type="text", text=message.refusal))
    for position, call in enumerate(message.tool_calls or ()):
        blocks.append(tools.call_to_anthropic(call, f"{path}.tool_calls[{position}]"))
    if message.function_call is not None:
        call_id = calls.begin(message.function_call.name, path)
        blocks.append(tools.tool_use(call_id, message.function_call, f"{path}.function_call"))
    return blocks


def _tool_result(message: ChatMessage, call_id: str | None, path: str) -> ContentBlock:
    if not call_id:
        raise Untranslatable(f"{path}.tool_call_id", "A tool message needs the id of its call; add it.")
    blocks = _content(message, path, ("text", "image_url"))
    return ContentBlock(
        type="tool_result",
        tool_use_id=call_id,
        content=_plain(blocks) if blocks else UNSET,
        is_error=message.is_error or UNSET,
    )


def _content(message: ChatMessage, path: str, kinds: tuple[str, ...]) -> list[ContentBlock]:
    """A message's content as blocks; parts may be of `kinds`. Anthropic refuses empty texts, so they go."""
    content = message.content
    if isinstance(content, str):
        return [ContentBlock(type="text", text=content)] if content else []
    found = (_part(part, f"{path}.content[{index}]", kinds) for index, part in enumerate(content or ()))
    return [block for block in found if block.type != "text" or block.text]


def _part(part: ContentPart, path: str, kinds: tuple[str, ...]) -> ContentBlock:
    if part.type not in kinds:
        raise Untranslatable(
            f"{path}.type", f"This model's provider takes no {quoted(part.type)} part here; leave it out."
        )
    if part.type == "image_url":
        block = media.image_block(part, path)
    elif part.type == "file":
        block = media.file_block(part, path)
    else:
        block = ContentBlock(type="text", text=part.refusal if part.type == "refusal" else part.text)
    return msgspec.structs.replace(block, cache_control=part.cache_control) if part.cache_control else block


def _results_first(blocks: list[ContentBlock]) -> list[ContentBlock]:
    return sorted(blocks, key=lambda block: block.type != "tool_result")


def _plain(blocks: list[ContentBlock]) -> str | list[ContentBlock]:
    """A single text without more to it is said as a string."""
    only = blocks[0]
    if len(blocks) == 1 and only.type == "text" and only.text and not only.cache_control:
        return only.text
    return blocks


def _dropped(message: ChatMessage) -> list[str]:
    dropped = ["messages.name"] if message.name and message.role != "function" else []
    # Text alone is no thinking block: without its signature Anthropic would refuse it.
    if message.reasoning_content and not thinking.to_anthropic(message.thinking_blocks):
        dropped.append("messages.reasoning_content")
    if isinstance(message.content, list):
        details = (part.image_url.detail for part in message.content if part.image_url)
        dropped += ["messages.content.image_url.detail" for detail in details if detail not in (None, "auto")]
    return dropped
