"""What the routes of streams answer, for the OpenAPI document."""

from service.documented import answer

READ = {
    **answer(
        str,
        "The events after the position, byte for byte as they were sent, then live.",
        media_type="text/event-stream",
    ),
    **answer(type(None), "The stream is over and was read to its end. An `EventSource` stops at this.", 204),
}
CANCEL = answer(type(None), "It is cancelled, or was over.", 204)
