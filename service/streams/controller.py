"""`/v1/streams/{id}`: reading a stream again or along, and ending it."""

from litestar import Controller, delete, get
from litestar.params import FromPath

from service.http.access import OPEN, Gatekeeper, identify, owner_of
from service.http.context import Headers
from service.http.replies import EmptyReply, GatewayReply
from service.http.request import GatewayRequest
from service.http.viewer import EVENT_STREAM_HEADERS
from service.streams import documentation as doc
from service.streams.joining import reading
from service.streams.position import AFTER, HEADER, check_position, wanted_position
from service.streams.service import Claim, StreamService
from service.streams.stream import Stream

RETRY = b"retry: 1000\n\n"
"""How many milliseconds a browser waits before it reconnects (WHATWG HTML, 9.2.6)."""


class StreamsController(Controller):
    """Streams that are running, or were lately."""

    path = "/v1/streams/{stream_id:str}"

    @get(responses=doc.READ, access=OPEN)
    async def read(self, request: GatewayRequest, stream_id: FromPath[str]) -> GatewayReply:
        """Send the events of a stream from some place on, and go on live."""
        service, context = stream_service(request), request.context
        ticket = request.query_params.get("ticket")
        claim = Claim(ticket=ticket, owner=await _owner(request, optional=ticket is not None))
        stream = await service.find(stream_id, claim)
        last_event_id = request.headers.get(HEADER)
        position = wanted_position(stream_id, last_event_id, request.query_params.get(AFTER))
        param = HEADER if last_event_id else AFTER
        check_position(position, stream.log.first, stream.log.next, param=param)
        if stream.over and position == stream.log.next:
            context.facts.outcome = "complete"
            return EmptyReply(context, _stream_id(stream))
        if context.facts.method == "HEAD":
            return EmptyReply(context, [*EVENT_STREAM_HEADERS, *stream.headers], status=200)
        return reading(context, stream, position, service.heartbeat_seconds, b"" if ticket is None else RETRY)

    @delete(status_code=204, responses=doc.CANCEL)
    async def cancel(self, request: GatewayRequest, stream_id: FromPath[str]) -> None:
        """Cancel a stream: its provider is closed, its viewers get an error event."""
        gatekeeper: Gatekeeper = request.app.state.services.gatekeeper
        await stream_service(request).cancel(stream_id, owner_of(gatekeeper, request.context.principal))


def stream_service(request: GatewayRequest) -> StreamService:
    """The use case, as `lifespan` opened it."""
    service: StreamService = request.app.state.services.streams
    return service


async def _owner(request: GatewayRequest, *, optional: bool) -> str | None:
    """Whose streams the caller may read. optional: it may show no key, for it has a ticket. Raises InvalidApiKey."""
    gatekeeper: Gatekeeper = request.app.state.services.gatekeeper
    if optional and request.context.credential is None:
        return None
    return owner_of(gatekeeper, await identify(gatekeeper, request.context))


def _stream_id(stream: Stream) -> Headers:
    return [(b"x-stream-id", stream.id.encode())]
