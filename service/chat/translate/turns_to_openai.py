"""A conversation in OpenAI's form: system messages, and a message of its own for each tool result."""

from msgspec import UNSET

from service.chat.translate import media, thinking, tools
from service.chat.translate.result import Untranslatable, quoted
from service.wire.anthropic import ContentBlock, MessageParam
from service.wire.openai import ChatMessage, ContentPart

CARRIED = {
    "user": ("text", "image", "document", "tool_result"),
    "assistant": ("text", "tool_use", "thinking", "redacted_thinking"),
    "system": ("text",),
}
"""Which blocks OpenAI has a word for, by role."""


def conversation(system: str | list[ContentBlock] | None, turns: list[MessageParam]) -> list[ChatMessage]:
    """The messages in order. Raises Untranslatable, naming the block that OpenAI has no word for."""
    messages: list[ChatMessage] = []
    if system:
        messages.append(ChatMessage("system", _texts(_checked(system, "system", "system"))))
    for position, turn in enumerate(turns):
        path = f"messages[{position}]"
        if turn.role not in CARRIED:
            raise Untranslatable(
                f"{path}.role", f"The role {quoted(turn.role)} is unknown; use user or assistant."
            )
        blocks = _checked(turn.content, turn.role, f"{path}.content")
        if turn.role == "assistant":
            messages.append(_assistant(blocks))
        elif turn.role == "user":
            messages += _user(blocks, f"{path}.content")
        else:
            messages.append(ChatMessage("system", _texts(blocks)))
    return messages


def marks_cache(system: str | list[ContentBlock] | None, turns: list[MessageParam]) -> bool:
    """Whether any block asks to be cached, which OpenAI decides by itself."""
    contents = [system, *(turn.content for turn in turns)]
    return any(block.cache_control for content in contents if isinstance(content, list) for block in content)


def has_tool_errors(turns: list[MessageParam]) -> bool:
    """Whether a tool result is marked as an error, which OpenAI leaves to its text."""
    return any(block.is_error for turn in turns if isinstance(turn.content, list) for block in turn.content)


def _checked(content: str | list[ContentBlock], role: str, path: str) -> list[ContentBlock]:
    if isinstance(content, str):
        return [ContentBlock(type="text", text=content)]
    for index, block in enumerate(content):
        if block.type not in CARRIED[role]:
            raise Untranslatable(
                f"{path}[{index}].type",
                f"This model's provider takes no {quoted(block.type)} block here; leave it out.",
            )
    return content


def _texts(blocks: list[ContentBlock]) -> str | list[ContentPart] | None:
    """One text as a string, several as parts; None for none."""
    parts = [ContentPart(type="text", text=block.text or "") for block in blocks if block.type == "text"]
    return _content(parts)


def _content(parts: list[ContentPart]) -> str | list[ContentPart] | None:
    if len(parts) == 1 and parts[0].type == "text":
        return parts[0].text
    return parts or None


def _assistant(blocks: list[ContentBlock]) -> ChatMessage:
    uses = [block for block in blocks if block.type == "tool_use"]
    return ChatMessage(
        "assistant",
        _texts(blocks),
        tool_calls=[tools.call_to_openai(block, number) for number, block in enumerate(uses)] or None,
        reasoning_content=thinking.reasoning_text(blocks) or None,
        thinking_blocks=thinking.to_openai(blocks) or None,
    )


def _user(blocks: list[ContentBlock], path: str) -> list[ChatMessage]:
    """Tool results first, each a message; then what the user says.

    OpenAI's tool messages hold text only, so pictures and papers of a result come with the user's words.
    """
    results: list[ChatMessage] = []
    parts: list[ContentPart] = []
    for index, block in enumerate(blocks):
        place = f"{path}[{index}]"
        if block.type == "tool_result":
            texts, others = _result(block, place)
            results.append(ChatMessage("tool", _content(texts) or "", tool_call_id=_call_id(block, place)))
            parts += others
        else:
            parts.append(_part(block, place))
    said = _content(parts)
    return results if said is None else [*results, ChatMessage("user", said)]


def _call_id(block: ContentBlock, path: str) -> str:
    if not block.tool_use_id:
        raise Untranslatable(f"{path}.tool_use_id", "A tool result needs the id of its tool use; add it.")
    return block.tool_use_id


def _result(block: ContentBlock, path: str) -> tuple[list[ContentPart], list[ContentPart]]:
    """A result's texts, and its other parts."""
    content = block.content
    if isinstance(content, str):
        return [ContentPart(type="text", text=content)], []
    if content is None or content is UNSET:
        return [], []
    if isinstance(content, dict):
        raise Untranslatable(f"{path}.content", "A tool result's content is a string or a list of blocks.")
    parts = [_part(inner, f"{path}.content[{index}]") for index, inner in enumerate(content)]
    return [part for part in parts if part.type == "text"], [part for part in parts if part.type != "text"]


def _part(block: ContentBlock, path: str) -> ContentPart:
    if block.type == "text":
        return ContentPart(type="text", text=block.text or "")
    if block.type == "image":
        return media.image_part(block, path)
    if block.type == "document":
        return media.document_part(block, path)
    raise Untranslatable(
        f"{path}.type", f"This model's provider takes no {quoted(block.type)} block here; leave it out."
    )
