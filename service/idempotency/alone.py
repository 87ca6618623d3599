"""Stand-ins for what a server doesn't have: other workers or a way to them, streams that survive."""

from collections.abc import Callable

from service.errors import ObjectNotFound
from service.http.context import RequestContext
from service.http.replies import GatewayReply


class Alone:
    """The `Siblings` of a worker without Redis: there are none, so claims of other tags are dead."""

    alone = True

    def __init__(self, tag: str) -> None:
        self.tag = tag

    async def wait_for(self, tag: str, claim_id: str) -> bool:
        """Nobody hears."""
        return False


class Unheard:
    """The `Siblings` of a worker among others that it has no way to ask: a claim of theirs holds until it expires."""

    alone = False

    def __init__(self, tag: str) -> None:
        self.tag = tag

    async def wait_for(self, tag: str, claim_id: str) -> bool:
        """Nobody hears."""
        return False


class NoStreams:
    """The `Streams` of a server whose answers have no `X-Stream-ID`: neither method is ever needed."""

    async def join(self, stream_id: str, owner: str, context: RequestContext) -> GatewayReply:
        """Raises ObjectNotFound."""
        raise ObjectNotFound("There is no such stream.")

    def on_end(self, stream_id: str, told: Callable[[bool], None]) -> None:
        """It is over already, and can't be read again."""
        told(True)
