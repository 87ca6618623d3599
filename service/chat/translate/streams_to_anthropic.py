"""OpenAI's chunks as Anthropic's stream: a state machine without I/O.

Source: OpenAI, the chat completion chunk object; Anthropic, "Streaming messages".
"""

import msgspec
from msgspec import UnsetType

from service.chat.translate import stop_reasons, thinking, usage
from service.chat.translate.lanes import TEXT, THINKING, Lanes
from service.wire import openai
from service.wire.anthropic import BlockDelta, ContentBlock, Message, StreamEvent
from service.wire.openai import ChatCompletionChunk, ChoiceDelta, FunctionDelta, ThinkingBlock, ToolCallDelta
from service.wire.sse import Event

_ENCODE = msgspec.json.Encoder().encode
_CHUNK = msgspec.json.Decoder(ChatCompletionChunk)
_DONE = b"[DONE]"
_STOP = Event(b'{"type":"message_stop"}', b"message_stop")

_NO_TEXT = ContentBlock(type="text", text="")
_NO_THOUGHT = ContentBlock(type="thinking", thinking="", signature="")


class _Call(msgspec.Struct, frozen=True, gc=False):
    """A call in this stream, by order of appearance, and the id that it goes by."""

    number: int
    id: str


class ChunksToMessages:
    """Feed OpenAI's chunks, get Anthropic's events.

    OpenAI's usage comes after its finish_reason, so `message_delta`, which carries both, waits for
    the usage chunk or `close()`. Only the first choice is read; log probabilities have no place here.
    """

    __slots__ = (
        "_call_count",
        "_calls",
        "_finish_reason",
        "_lanes",
        "_over",
        "_refused",
        "_started",
        "_usage",
    )

    def __init__(self) -> None:
        self._lanes = Lanes()
        self._calls: dict[int, _Call] = {}
        self._call_count = 0
        self._usage: openai.Usage | UnsetType | None = None
        self._finish_reason: str | None = None
        self._refused = self._started = self._over = False

    def feed(self, event: Event) -> list[Event]:
        """The events that a chunk makes; `[DONE]` makes none.

        Raises msgspec.DecodeError or msgspec.ValidationError for what is no chunk.
        """
        if event.data == _DONE or self._over:
            return []
        chunk = _CHUNK.decode(event.data)
        events: list[Event] = []
        if chunk.usage:
            self._usage = chunk.usage
        if not chunk.choices:
            return self.close() if chunk.usage else []
        if not self._started:
            self._start(chunk, events)
        for choice in chunk.choices:
            if choice.index == 0:
                if choice.delta:
                    self._take(choice.delta, events)
                self._finish_reason = choice.finish_reason or self._finish_reason
        return events

    def close(self) -> list[Event]:
        """The end of the message, once; nothing where no finish_reason came, for an end is never invented."""
        if self._over or not self._finish_reason:
            return []
        self._over = True
        events: list[Event] = []
        self._lanes.advance(events, at_end=True)
        reason = stop_reasons.stop_reason(
            self._finish_reason, called_tools=self._lanes.called_tools, refused=self._refused
        )
        delta = BlockDelta(stop_reason=reason, stop_sequence=None)
        last = StreamEvent(type="message_delta", delta=delta, usage=usage.to_anthropic(self._usage))
        return [*events, Event(_ENCODE(last), b"message_delta"), _STOP]

    def _start(self, chunk: ChatCompletionChunk, events: list[Event]) -> None:
        self._started = True
        message = Message(id=chunk.id, model=chunk.model, content=[], usage=usage.to_anthropic(chunk.usage))
        event = StreamEvent(type="message_start", message=message)
        events.append(Event(_ENCODE(event), b"message_start"))

    def _take(self, delta: ChoiceDelta, events: list[Event]) -> None:
        reasoning = delta.reasoning_content or delta.reasoning
        if reasoning:
            self._write(THINKING, _NO_THOUGHT, BlockDelta(type="thinking_delta", thinking=reasoning), events)
        for block in delta.thinking_blocks or ():
            self._think(block, events, repeated=bool(reasoning))
        if delta.content:
            self._write(TEXT, _NO_TEXT, BlockDelta(type="text_delta", text=delta.content), events)
        if delta.refusal:
            self._refused = True
            self._write(TEXT, _NO_TEXT, BlockDelta(type="text_delta", text=delta.refusal), events)
        for call in delta.tool_calls or ():
            self._call(call, events)
        if delta.function_call:
            self._call(ToolCallDelta(0, function=delta.function_call), events)

    def _write(self, key: str, block: ContentBlock, delta: BlockDelta, events: list[Event]) -> None:
        lanes = self._lanes
        if lanes.open_key != key and not lanes.has(key):
            lanes.begin(key, block, events)
        lanes.write(key, delta, events)

    def _think(self, block: ThinkingBlock, events: list[Event], *, repeated: bool) -> None:
        """A thinking block, whole or a piece. repeated: the same chunk says its text as `reasoning_content`."""
        if block.type == "redacted_thinking":
            self._lanes.begin(None, thinking.to_anthropic([block])[0], events)
            return
        text = block.thinking or ""
        if text and not repeated and text != self._lanes.thought():
            self._write(THINKING, _NO_THOUGHT, BlockDelta(type="thinking_delta", thinking=text), events)
        if block.signature:
            signature = BlockDelta(type="signature_delta", signature=block.signature)
            self._write(THINKING, _NO_THOUGHT, signature, events)
            self._lanes.end(THINKING, events)

    def _call(self, call: ToolCallDelta, events: list[Event]) -> None:
        function = call.function or FunctionDelta()
        known = self._calls.get(call.index)
        # Some servers give every call index 0: another id together with a name is another call.
        if known is None or (call.id and function.name and call.id != known.id):
            known = self._begin_call(call, function, events)
        if function.arguments:
            delta = BlockDelta(type="input_json_delta", partial_json=function.arguments)
            self._lanes.write(known.number, delta, events)

    def _begin_call(self, call: ToolCallDelta, function: FunctionDelta, events: list[Event]) -> _Call:
        begun = _Call(self._call_count, call.id or f"call_{self._call_count}")
        self._call_count += 1
        self._calls[call.index] = begun
        block = ContentBlock(type="tool_use", id=begun.id, name=function.name or "", input={})
        self._lanes.begin(begun.number, block, events)
        return begun
