"""Anthropic's stream as OpenAI's chunks: a state machine without I/O.

Source: Anthropic, "Streaming messages"; OpenAI, the chat completion chunk object.
"""

import msgspec
from msgspec import UNSET, UnsetType

from service.chat.translate import thinking, tools, usage
from service.chat.translate.stop_reasons import finish_reason
from service.wire import anthropic
from service.wire.anthropic import BlockDelta, ContentBlock, StreamEvent
from service.wire.openai import ChatCompletionChunk, ChoiceDelta, ChunkChoice, FunctionDelta, ToolCallDelta
from service.wire.sse import Event

_ENCODE = msgspec.json.Encoder().encode
_EVENT = msgspec.json.Decoder(StreamEvent)
_NOTHING = ChoiceDelta()


class MessagesToChunks:
    """Feed Anthropic's events, get OpenAI's chunks; `[DONE]` is whoever owns the stream's to send.

    A signed thinking block goes out as `reasoning_content` while it comes, and once more, whole and
    with its signature, in `thinking_blocks` at its end.
    """

    __slots__ = (
        "_arguments",
        "_block",
        "_calls",
        "_created",
        "_id",
        "_model",
        "_no_usage",
        "_owes_usage",
        "_signature",
        "_thinking_blocks",
        "_thoughts",
        "_usage",
    )

    def __init__(self, *, created: int, include_usage: bool) -> None:
        """created: Unix time in seconds. include_usage: end with a usage chunk, all others saying null."""
        self._created = created
        self._owes_usage = include_usage
        self._no_usage: UnsetType | None = None if include_usage else UNSET
        self._id = self._model = ""
        self._usage = anthropic.Usage()
        self._block: ContentBlock | None = None
        self._calls = 0
        self._arguments = False
        self._thoughts: list[str] = []
        self._signature = ""
        self._thinking_blocks = 0

    def feed(self, event: Event) -> list[Event]:
        """The chunks that `event` makes, often one, or none.

        Raises msgspec.DecodeError or msgspec.ValidationError for what is no event of Anthropic's.
        """
        found = _EVENT.decode(event.data)
        kind = found.type
        if kind == "content_block_delta":
            return self._extend(found.delta) if found.delta else []
        if kind == "content_block_start":
            return self._begin(found.content_block) if found.content_block else []
        if kind == "content_block_stop":
            return self._end()
        if kind == "message_start":
            return self._open(found.message) if found.message else []
        if kind == "message_delta":
            return self._finish(found)
        return []

    def close(self) -> list[Event]:
        """The usage chunk, if it was asked for."""
        if not self._owes_usage:
            return []
        self._owes_usage = False
        chunk = ChatCompletionChunk(
            id=self._id,
            created=self._created,
            model=self._model,
            choices=[],
            usage=usage.to_openai(self._usage),
        )
        return [Event(_ENCODE(chunk))]

    def _open(self, message: anthropic.Message) -> list[Event]:
        self._id, self._model, self._usage = message.id, message.model, message.usage
        return self._say(ChoiceDelta(role="assistant", content=""))

    def _begin(self, block: ContentBlock) -> list[Event]:
        self._block = block
        if block.type == "text":
            return self._say(ChoiceDelta(content=block.text)) if block.text else []
        if block.type == "tool_use":
            return self._begin_call(block)
        self._thoughts = [block.thinking] if block.thinking else []
        self._signature = block.signature or ""
        return self._say(ChoiceDelta(reasoning_content=block.thinking)) if block.thinking else []

    def _begin_call(self, block: ContentBlock) -> list[Event]:
        number, self._calls = self._calls, self._calls + 1
        arguments = tools.render_arguments(block.input) if block.input else ""
        self._arguments = bool(arguments)
        function = FunctionDelta(block.name or "", arguments)
        call = ToolCallDelta(number, block.id or f"call_{number}", "function", function)
        return self._say(ChoiceDelta(tool_calls=[call]))

    def _extend(self, delta: BlockDelta) -> list[Event]:
        if delta.text:
            return self._say(ChoiceDelta(content=delta.text))
        if delta.partial_json:
            return self._argue(delta.partial_json)
        if delta.thinking:
            self._thoughts.append(delta.thinking)
            return self._say(ChoiceDelta(reasoning_content=delta.thinking))
        if delta.signature:
            self._signature += delta.signature
        return []

    def _argue(self, arguments: str) -> list[Event]:
        # Anthropic's own tools stream their input the same way, but are no calls of OpenAI's.
        if self._block is None or self._block.type != "tool_use":
            return []
        self._arguments = True
        call = ToolCallDelta(self._calls - 1, function=FunctionDelta(arguments=arguments))
        return self._say(ChoiceDelta(tool_calls=[call]))

    def _end(self) -> list[Event]:
        block, self._block = self._block, None
        if block is None:
            return []
        if block.type == "tool_use" and not self._arguments:
            call = ToolCallDelta(self._calls - 1, function=FunctionDelta(arguments="{}"))
            return self._say(ChoiceDelta(tool_calls=[call]))
        return self._say_thought(block) if block.type in thinking.KINDS else []

    def _say_thought(self, block: ContentBlock) -> list[Event]:
        if block.type == "thinking":
            text = "".join(self._thoughts)
            block = ContentBlock(type="thinking", thinking=text, signature=self._signature)
        blocks = thinking.to_openai([block])
        if not blocks:
            return []
        number, self._thinking_blocks = self._thinking_blocks, self._thinking_blocks + 1
        # The OpenAI SDK assembles lists of objects by their `index`.
        return self._say(ChoiceDelta(thinking_blocks=[msgspec.structs.replace(blocks[0], index=number)]))

    def _finish(self, event: StreamEvent) -> list[Event]:
        if event.usage:
            self._usage = usage.newer(event.usage, self._usage)
        if not (event.delta and event.delta.stop_reason):
            return []
        details = event.delta.stop_details
        refusal = details.explanation if details else None
        said = self._say(ChoiceDelta(refusal=refusal)) if refusal else []
        return said + self._say(_NOTHING, finish_reason(event.delta.stop_reason))

    def _say(self, delta: ChoiceDelta, reason: str | None = None) -> list[Event]:
        chunk = ChatCompletionChunk(
            id=self._id,
            created=self._created,
            model=self._model,
            choices=[ChunkChoice(delta=delta, finish_reason=reason)],
            usage=self._no_usage,
        )
        return [Event(_ENCODE(chunk))]
