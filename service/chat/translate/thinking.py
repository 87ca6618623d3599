"""Thinking blocks on an OpenAI message, both ways.

A signature makes a block worth sending back: Anthropic checks it, and refuses a block without.
"""

from collections.abc import Iterable, Sequence

from service.wire.anthropic import ContentBlock
from service.wire.openai import ThinkingBlock

KINDS = ("thinking", "redacted_thinking")


def travels(block: ContentBlock) -> bool:
    """Whether the block is one that its provider will want back as it is."""
    return block.type == "redacted_thinking" or (block.type == "thinking" and bool(block.signature))


def to_openai(blocks: Iterable[ContentBlock]) -> list[ThinkingBlock]:
    """The signed and the redacted ones of `blocks`, for `thinking_blocks`."""
    return [
        ThinkingBlock(type=block.type, thinking=block.thinking, signature=block.signature, data=block.data)
        for block in blocks
        if travels(block)
    ]


def reasoning_text(blocks: Iterable[ContentBlock]) -> str:
    """What was thought, in one text, for `reasoning_content`."""
    return "".join(block.thinking or "" for block in blocks if block.type == "thinking")


def to_anthropic(blocks: Sequence[ThinkingBlock] | None) -> list[ContentBlock]:
    """`thinking_blocks` as they were, without those that Anthropic would refuse."""
    found = (
        ContentBlock(type=block.type, thinking=block.thinking, signature=block.signature, data=block.data)
        for block in blocks or ()
        if block.type in KINDS
    )
    return [block for block in found if travels(block)]
