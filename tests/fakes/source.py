"""A stream's source in memory: a provider that speaks when a test says so."""

from service.errors import GatewayError
from service.problems import code_of
from service.streams.stream import Stream


class FakeSource:
    """A `service.streams.ports.Source` of `stream`.

    paused: whether it may bring nothing for now. stopped_with: why it was stopped from the stream's side.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.paused = False
        self.stopped_with: GatewayError | None = None

    def pause(self) -> None:
        """Bring no more for now."""
        self.paused = True

    def resume(self) -> None:
        """Go on."""
        self.paused = False

    def stop(self, error: GatewayError) -> None:
        """End with an error event, as a relay does."""
        assert self.stopped_with is None
        self.stopped_with = error
        self._stream.finish([error_frame(code_of(error))], error)


def frame(text: object) -> bytes:
    """One event."""
    return f"data: {text}\n\n".encode()


def error_frame(code: str) -> bytes:
    """The event of an error."""
    return f'data: {{"error":"{code}"}}\n\n'.encode()
