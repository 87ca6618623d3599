"""What a relay needs of others: translators, a viewer, a client's format. Pure."""

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

import msgspec

from service.errors import GatewayError
from service.providers.base import Reader
from service.wire import sse

Headers = list[tuple[bytes, bytes]]

Watch = Callable[[Reader], GatewayError | None]
"""Asked after every read of a stream that something bounds: why it must end now, or None."""


class OnDisconnect(StrEnum):
    """What becomes of an answer that nobody reads any more."""

    CANCEL = "cancel"
    LINGER = "linger"
    FINISH = "finish"


class Absence(msgspec.Struct, frozen=True, gc=False):
    """What a stream does without viewers.

    linger_seconds: how long it waits for one to come back. first_viewer_seconds: how long for the first
    one, where the request that made the stream is none.
    """

    policy: OnDisconnect
    linger_seconds: float
    first_viewer_seconds: float


class Translator(Protocol):
    """From one event format to another; a state machine without I/O."""

    def feed(self, event: sse.Event) -> list[sse.Event]:
        """The events that `event` makes."""

    def close(self) -> list[sse.Event]:
        """What is still owed once the answer is complete."""


class Viewer(Protocol):
    """The client's end of a stream (`service.http.viewer`)."""

    @property
    def begun(self) -> bool:
        """Whether the head was sent, so that an error can only be an event."""

    @property
    def behind(self) -> bool:
        """Whether the client takes nothing more for now."""

    def begin(self, headers: Headers) -> None:
        """Send the head with status 200, and keep the stream alive from now on."""

    def write(self, data: bytes) -> None:
        """Send events."""

    def end(self, data: bytes = b"") -> None:
        """Send the last events and close the body properly."""

    def close(self) -> None:
        """Send nothing more by itself."""

    async def flush(self) -> None:
        """Wait until the client has taken all that was written."""

    def cut(self) -> None:
        """End the request: its client is too slow."""

    def outlives_cut(self) -> bool:
        """Whether a cancelled request may still say goodbye; if so, it is cancelled no more."""

    def has_left(self) -> bool:
        """Whether a cancelled request's client is gone; if so, it is cancelled no more, and writes go nowhere."""


class Source(Protocol):
    """Where a stream's events come from."""

    def pause(self) -> None:
        """Bring no more for now; a second time does nothing."""

    def resume(self) -> None:
        """Go on; does nothing where it is at work."""

    def stop(self, error: GatewayError) -> None:
        """End the stream with an error event, and let go of the provider at once."""


class Outlet(Protocol):
    """Where a relay's events go (`service.streams.stream`)."""

    def publish(self, frames: list[bytes]) -> None:
        """Events of the client's format, one by one."""

    def finish(self, frames: list[bytes], error: GatewayError | None = None) -> None:
        """The last ones, and the error that they tell of, if they do."""


class Format(msgspec.Struct, frozen=True, gc=False):
    """How the client's stream looks: its translators in order, its end mark, its error event.

    end_mark: told whether the events sent so far hold one.
    """

    translators: tuple[Translator, ...]
    end_mark: Callable[[bool], bytes]
    error_event: Callable[[GatewayError], bytes]
