"""Requests with an `Idempotency-Key`, as the edge drives them, and the calls that they make."""

import asyncio
from functools import partial

from service.errors import GatewayError
from service.http.context import CutReason, Headers, Message, RequestContext
from service.idempotency.service import IdempotencyService
from service.telemetry.facts import Facts
from tests.fakes.idempotency import FakeStreams, Joined

JSON = (b"content-type", b"application/json")
EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")


class Call:
    """One call to a provider. Say how it ends: `answer`, or `stream` and then the stream's end."""

    def __init__(self) -> None:
        self.head: asyncio.Future[tuple[int, Headers]] = asyncio.get_running_loop().create_future()
        self.over: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.stream_id = ""
        self.cancelled = False
        self.done = False

    def answer(self, status: int = 200) -> None:
        """It is answered, whole."""
        self.head.set_result((status, [JSON]))

    def stream(self, stream_id: str = "") -> None:
        """It streams. stream_id: "" for a stream that nobody else can read."""
        self.stream_id = stream_id
        self.head.set_result((200, [EVENTS, *([(b"X-Stream-ID", stream_id.encode())] if stream_id else [])]))

    def end(self, *, failed: bool = False) -> None:
        """The stream is over."""
        self.over.set_result(failed)


class Upstream:
    """Who makes the calls. calls: all so far; running: how many are at work; most: at one time."""

    def __init__(self, streams: FakeStreams) -> None:
        self.calls: list[Call] = []
        self.running = 0
        self.most = 0
        self._streams = streams

    async def work(self, context: RequestContext, body: bytes) -> None:
        """Make a call and send its answer, which tells the call's number and the request's body."""
        call, number = Call(), len(self.calls)
        self.calls.append(call)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            status, headers = await call.head
            await context.send(context.start_message(status, headers))
            if headers[0] is EVENTS:
                await self._stream(call, context)
            else:
                answer = {"type": "http.response.body", "body": b"%d of %b" % (number, body)}
                await context.send(answer)
        except asyncio.CancelledError:
            call.cancelled = True
            raise
        finally:
            call.done = True
            self.running -= 1

    async def _stream(self, call: Call, context: RequestContext) -> None:
        failed = True
        try:
            await context.send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
            failed = await call.over
            await context.send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            if call.stream_id:
                self._streams.end(call.stream_id, failed=failed)


class Caller:
    """One request. What came of it: `status` and `body`, `joined`, `error`, or `cut`."""

    def __init__(
        self, service: IdempotencyService, upstream: Upstream, body: bytes = b"a", key: bytes = b"k"
    ) -> None:
        self._service = service
        self._upstream = upstream
        self._key = key
        self._context: RequestContext | None = None
        self.request_body = body
        self.left = False
        self.sent: list[Message] = []
        self.joined = ""
        self.error: GatewayError | None = None
        self.cut = False
        self.task = asyncio.ensure_future(self._run())

    @property
    def context(self) -> RequestContext:
        """Its own, once it began."""
        assert self._context is not None
        return self._context

    @property
    def status(self) -> int:
        """Its answer's, 0 for none."""
        return int(self.sent[0]["status"]) if self.sent else 0

    @property
    def body(self) -> bytes:
        """Its answer's."""
        return b"".join(message["body"] for message in self.sent[1:])

    @property
    def headers(self) -> Headers:
        """Its answer's."""
        found: Headers = self.sent[0]["headers"]
        return found

    def leave(self) -> None:
        """The client goes."""
        self.left = True
        if self._context is None:
            self.task.cancel()
        elif self._context.open:
            self._context.cut(CutReason.CLIENT_GONE)

    async def _send(self, message: Message) -> None:
        await asyncio.sleep(0)
        self.sent.append(message)

    async def _receive(self) -> Message:
        raise AssertionError("the body was read")

    async def _run(self) -> None:
        context = self._context = RequestContext(
            facts=Facts("req", "POST", "/v1/chat/completions", 0.0),
            receive=self._receive,
            send=self._send,
            extra_headers=[(b"x-request-id", b"%d" % id(self))],
            passed_on={},
            credential=None,
            address="",
            max_body_bytes=100,
            body_timeout_seconds=1.0,
            idempotency_key=self._key,
        )
        try:
            work = partial(self._upstream.work, context, self.request_body)
            reply = await self._service.run(context, self.request_body, work)
            if isinstance(reply, Joined):
                self.joined = reply.stream_id
            elif reply is not None:
                await reply({}, self._receive, context.send)
        except GatewayError as error:
            self.error = error
        except asyncio.CancelledError:
            if context.cut_reason is None:
                raise
            context.survive()
            self.cut = True
        finally:
            context.close()
