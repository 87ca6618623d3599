"""`POST /v1/streams`: a chat completion that a browser's `EventSource` can read."""

from collections.abc import Awaitable, Callable

import msgspec
from litestar import Controller, post
from litestar.params import JSONBody

from service.chat import call as surfaces
from service.chat.call import Call
from service.chat.controllers import chat_service, make_call
from service.documented import answer
from service.http.context import Headers, Receive, RequestContext, Scope, Send
from service.http.links import Links
from service.http.replies import JSON, GatewayReply
from service.http.request import GatewayRequest
from service.principal import Scope as Permission
from service.streams.controller import stream_service
from service.streams.stream import Stream
from service.streams.tickets import StreamTicket
from service.wire.openai import ChatCompletionRequest


class TicketController(Controller):
    """Streams for clients that can send neither a body nor a key."""

    path = "/v1/streams"

    @post(
        "/",
        status_code=201,
        responses=answer(StreamTicket, "The stream runs; its address serves an `EventSource`.", 201),
        access=Permission.CHAT,
    )
    async def create(self, request: GatewayRequest, data: JSONBody[ChatCompletionRequest]) -> GatewayReply:
        """Start a stream and hand out the address at which it can be read."""
        request.members = {**request.members, "stream": msgspec.Raw(b"true")}
        data = msgspec.structs.replace(data, stream=True)
        call = make_call(request, surfaces.CHAT, data, stream=True, route="/v1/streams")
        links: Links = request.app.state.services.links
        streams = stream_service(request)

        def describe(stream: Stream) -> StreamTicket:
            ticket, expires_at = streams.issue_ticket(stream)
            address = links.to(
                f"/v1/streams/{stream.id}?ticket={ticket}",
                scheme=request.scope["scheme"],
                peer=request.scope["client"][0] if request.scope["client"] else "",
                headers=request.scope["headers"],
            )
            return StreamTicket(id=stream.id, url=address, expires_at=expires_at)

        return TicketReply(request.context, call, chat_service(request).stream, describe)


class TicketReply(GatewayReply):
    """Answers at the stream's first event; the request's task then stays and drives it."""

    __slots__ = ("_call", "_context", "_describe", "_run")

    def __init__(
        self,
        context: RequestContext,
        call: Call,
        run: Callable[[Call, "TicketHolder"], Awaitable[None]],
        describe: Callable[[Stream], StreamTicket],
    ) -> None:
        self._context = context
        self._call = call
        self._run = run
        self._describe = describe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        await self._run(self._call, TicketHolder(self._context, self._describe))


class TicketHolder:
    """A `service.streams.stream.Audience` that gets a ticket and reads nothing."""

    begun = False
    commits_early = False

    def __init__(self, context: RequestContext, describe: Callable[[Stream], StreamTicket]) -> None:
        self._context = context
        self._describe = describe

    def begin(self, headers: Headers) -> None:
        """It waits for the first event: an error that comes before is its answer."""

    async def attend(self, stream: Stream) -> None:
        """Answer, and stay until the stream is over."""
        context, body = self._context, msgspec.json.encode(self._describe(stream))
        lines = [*JSON, (b"content-length", str(len(body)).encode()), *stream.headers]
        await context.send(context.start_message(201, lines))
        await context.send({"type": "http.response.body", "body": body, "more_body": False})
        context.answered()
        await stream.host()

    def outlives_cut(self) -> bool:
        """Before the first event there is nobody to tell."""
        return False

    def close(self) -> None:
        """Nothing is sent by itself."""
