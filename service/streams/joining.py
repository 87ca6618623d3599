"""Reading a stream that runs or ran already: by its id, or by repeating the request that made it."""

from collections.abc import Callable
from functools import partial

from service import problems
from service.errors import ObjectNotFound
from service.http.access import Gatekeeper, owner_of
from service.http.context import RequestContext
from service.http.replies import GatewayReply, StreamedReply
from service.http.viewer import Viewer
from service.streams.position import check_position
from service.streams.registry import StreamRegistry, gone
from service.streams.service import Claim, StreamService
from service.streams.stream import Stream
from service.telemetry.facts import Facts


class Joining:
    """Lets a repeated request join the stream of the first one (`service.idempotency.ports.Streams`)."""

    def __init__(self, streams: StreamService, registry: StreamRegistry, gatekeeper: Gatekeeper) -> None:
        self._streams = streams
        self._registry = registry
        self._gatekeeper = gatekeeper

    async def join(self, stream_id: str, owner: str, context: RequestContext) -> GatewayReply:
        """The stream from its start. Raises StreamExpired; that it was there once is known."""
        claim = Claim(owner_of(self._gatekeeper, context.principal))
        try:
            stream = await self._streams.find(stream_id, claim)
        except ObjectNotFound:
            raise gone() from None
        check_position(0, stream.log.first, stream.log.next)
        return reading(context, stream, 0, self._streams.heartbeat_seconds)

    def on_end(self, stream_id: str, told: Callable[[bool], None]) -> None:
        """Call `told` when the stream of this worker is over, with whether it broke off."""
        stream = self._registry.get(stream_id)
        if stream is None:
            told(True)
        else:
            stream.on_end(told)


def reading(
    context: RequestContext, stream: Stream, position: int, heartbeat_seconds: float, advice: bytes = b""
) -> GatewayReply:
    """The answer that sends the stream from there on. advice: sent before its events."""
    context.facts.stream = True
    return StreamedReply(context, heartbeat_seconds, partial(_serve, context.facts, stream, position, advice))


async def _serve(facts: Facts, stream: Stream, position: int, advice: bytes, viewer: Viewer) -> None:
    try:
        viewer.begin(stream.headers)
        if advice:
            viewer.write(advice)
        await stream.serve(viewer, position)
        if stream.error is not None:
            facts.problem = problems.code_of(stream.error)
    finally:
        viewer.close()
