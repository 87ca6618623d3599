"""A relay between a scripted provider and a client in memory, and the events that they speak in."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from service.chat.call import CHAT, Surface
from service.providers.anthropic import AnthropicCodec
from service.providers.base import Clocks, Codec, Operation, UpstreamRequest
from service.providers.openai import OpenAICodec
from service.streams.ports import Format, Translator
from service.streams.relay import Relay
from service.streams.stream import Stream
from service.wire import sse
from tests.fakes.streams import LINGERING, stream_registry
from tests.fakes.upstream import Head, ScriptedExchange, Step
from tests.fakes.viewer import MemoryViewer

CODECS: dict[str, Codec] = {"openai": OpenAICodec(lambda: 0.0), "anthropic": AnthropicCodec(lambda: 0.0)}
REQUEST = UpstreamRequest(Operation.CHAT, b"{}")
OK = Head()
CLOCKS = Clocks(5, 30, 30, 1e9)


def chunk(text: str) -> bytes:
    """A piece of text, as OpenAI sends it."""
    return b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % text.encode()


STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}\n\n'
ERROR = b'data: {"error":{"message":"Slow down.","code":"rate_limit_exceeded"}}\n\n'

MESSAGE_START = b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant","content":[],"model":"claude","usage":{"input_tokens":3,"output_tokens":1}}}\n\n'
BLOCK = b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\nevent: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"z\xc3\xbc"}}\n\nevent: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
MESSAGE_DELTA = b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}\n\n'
MESSAGE_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


@dataclass
class Rig:
    """A relay between a scripted exchange and a client in memory."""

    relay: Relay
    exchange: ScriptedExchange
    viewer: MemoryViewer
    stream: Stream

    async def first_event(self) -> None:
        """Until the attempt counts as answered; raises what came instead."""
        await self.relay.ready

    async def watch(self) -> bytes:
        """The stream as a client sees it, from its first event to its end, without the events' ids."""
        await (await self.go_live())
        return self.viewer.received

    async def go_live(self) -> asyncio.Task[None]:
        """From its first event on; the task is done when the client has it all."""
        await self.relay.ready
        self.stream.go_live([(b"x-penstock-model", b"fast")], self.relay)
        task = asyncio.ensure_future(self.viewer.attend(self.stream))
        await asyncio.sleep(0)
        return task


def rig(
    *steps: Step,
    codec: str = "openai",
    surface: Surface = CHAT,
    pass_usage: bool = False,
    translators: Callable[[], tuple[Translator, ...]] = tuple,
    head: Head | None = OK,
) -> Rig:
    """An exchange that plays `steps` after `head`, and the relay that is its sink."""
    viewer = MemoryViewer()
    reader = CODECS[codec].reader(pass_usage=pass_usage)
    look = Format(
        translators(), surface.end_mark, lambda error: surface.error_event(error, request_id="req_1")
    )
    stream = stream_registry().make("", LINGERING, lambda: None, dialect="openai")
    relay = Relay(asyncio.get_running_loop(), stream, CODECS[codec], reader, look)
    script = steps if head is None else (head, *steps)
    relay.exchange = exchange = ScriptedExchange(script, REQUEST, relay, CLOCKS, fresh=False)
    return Rig(relay, exchange, viewer, stream)


def last_error(received: bytes) -> dict[str, object]:
    """The `error` of the stream's last event, which must be its only one."""
    *_, event = sse.Decoder().feed(received)
    assert received.count(b'"error":{') == 1
    error: dict[str, object] = msgspec.json.decode(event.data)["error"]
    return error
