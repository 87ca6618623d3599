"""Blocks of an Anthropic stream, one after the other, from pieces that may come mixed.

OpenAI interleaves calls by their index; Anthropic closes a block before the next begins. So one
lane is open, and lanes that begin while its call is unfinished wait with all they get. A call
counts as finished when its arguments are whole JSON, and all do at the end.
"""

from collections.abc import Hashable

import msgspec

from service.wire.anthropic import BlockDelta, ContentBlock, StreamEvent
from service.wire.sse import Event

_ENCODE = msgspec.json.Encoder().encode
_WHOLE = msgspec.json.Decoder(msgspec.Raw)

TEXT, THINKING = "text", "thinking"
"""Keys of the lanes that are no calls."""


class Lane:
    """One block to be: what opens it, and the pieces it has not sent yet."""

    __slots__ = ("_arguments", "block", "held", "key", "thoughts")

    def __init__(self, key: Hashable, block: ContentBlock) -> None:
        self.key = key
        self.block = block
        self.held: list[BlockDelta] = []
        self.thoughts: list[str] = []
        self._arguments: list[str] = []

    def keep(self, delta: BlockDelta) -> None:
        """Note what must be known later: whether a call is whole, and what a thought says."""
        if delta.partial_json:
            self._arguments.append(delta.partial_json)
        elif delta.thinking:
            self.thoughts.append(delta.thinking)

    def is_finished(self) -> bool:
        """Whether the next block may begin. Asked only while one waits."""
        if self.block.type != "tool_use":
            return True
        arguments = "".join(self._arguments)
        self._arguments = [arguments]
        # A number or a string would be whole too early; arguments are an object.
        if not arguments.rstrip().endswith("}"):
            return False
        try:
            _WHOLE.decode(arguments)
        except (msgspec.DecodeError, RecursionError):
            return False
        return True


class Lanes:
    """The open block and those that wait. Every method appends the events that it makes to `events`."""

    __slots__ = ("_index", "_open", "_waiting", "called_tools")

    def __init__(self) -> None:
        self._index = -1
        self._open: Lane | None = None
        self._waiting: list[Lane] = []
        self.called_tools = False

    @property
    def open_key(self) -> Hashable:
        """The key of the block that is open, if one is."""
        return self._open.key if self._open else None

    def thought(self) -> str:
        """What the thinking block that pieces go to has said so far."""
        lane = self._find(THINKING)
        return "".join(lane.thoughts) if lane else ""

    def has(self, key: Hashable) -> bool:
        """Whether a block of this key is open or waits."""
        return self._find(key) is not None

    def begin(self, key: Hashable, block: ContentBlock, events: list[Event]) -> None:
        """A new block, at once or when its turn comes."""
        lane = Lane(key, block)
        self.called_tools = self.called_tools or block.type == "tool_use"
        if self._waiting or not (self._open is None or self._open.is_finished()):
            self._waiting.append(lane)
        else:
            self._start(lane, events)

    def write(self, key: Hashable, delta: BlockDelta, events: list[Event]) -> None:
        """A piece for the block of `key`; pieces for one that is over are dropped."""
        lane = self._find(key)
        if lane is None:
            return
        if lane is not self._open:
            lane.held.append(delta)
            return
        self._send(lane, delta, events)
        if self._waiting:
            self.advance(events)

    def end(self, key: Hashable, events: list[Event]) -> None:
        """The block of `key` gets nothing more: the next piece of its kind begins another."""
        lane = self._find(key)
        if lane is None:
            return
        if lane is self._open:
            self._stop(events)
        else:
            lane.key = None

    def advance(self, events: list[Event], *, at_end: bool = False) -> None:
        """Send what waits, as far as it may go. at_end: no piece will come, so every call is finished."""
        while self._waiting and (at_end or self._open is None or self._open.is_finished()):
            lane = self._waiting.pop(0)
            held, lane.held = lane.held, []
            self._start(lane, events)
            for delta in held:
                self._send(lane, delta, events)
        if at_end:
            self._stop(events)

    def _find(self, key: Hashable) -> Lane | None:
        if self._open is not None and self._open.key == key:
            return self._open
        return next((lane for lane in self._waiting if lane.key == key), None)

    def _start(self, lane: Lane, events: list[Event]) -> None:
        self._stop(events)
        self._open = lane
        self._index += 1
        event = StreamEvent(type="content_block_start", index=self._index, content_block=lane.block)
        events.append(Event(_ENCODE(event), b"content_block_start"))

    def _send(self, lane: Lane, delta: BlockDelta, events: list[Event]) -> None:
        lane.keep(delta)
        event = StreamEvent(type="content_block_delta", index=self._index, delta=delta)
        events.append(Event(_ENCODE(event), b"content_block_delta"))

    def _stop(self, events: list[Event]) -> None:
        if self._open is not None:
            event = StreamEvent(type="content_block_stop", index=self._index)
            events.append(Event(_ENCODE(event), b"content_block_stop"))
            self._open = None
