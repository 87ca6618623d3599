"""From where a stream is to be read: `Last-Event-ID`, or `?after=`. Pure.

A position is the number of the first event that is wanted, so one more than that of the last one seen.
"""

from service.errors import InvalidRequest, StreamExpired

HEADER = "Last-Event-ID"
AFTER = "after"
MAX_DIGITS = 15


def wanted_position(stream_id: str, last_event_id: str | None, after: str | None) -> int:
    """What the caller asks for; 0, the start, where it says nothing. Raises InvalidRequest.

    A browser that reconnects repeats its URL and adds the header, so the header counts.
    """
    if last_event_id:
        of, dash, number = last_event_id.rpartition("-")
        if not dash or not _is_number(number):
            raise InvalidRequest(
                f"{HEADER}: an event's id as it was sent, <stream id>-<n>; this is none.", param=HEADER
            )
        if of != stream_id:
            raise InvalidRequest(f"{HEADER}: this event is one of another stream.", param=HEADER)
        return int(number) + 1
    if after is None:
        return 0
    if not _is_number(after):
        raise InvalidRequest(
            "after: the number of the last event that you have; leave it out to read from the start.",
            param=AFTER,
        )
    return int(after) + 1


def check_position(position: int, first: int, next_number: int, *, param: str = AFTER) -> None:
    """Make sure that a stream which holds the events from `first` to before `next_number` can be read from there.

    param: what the caller named it with. Raises InvalidRequest where the event before it was never sent,
    StreamExpired where events that are wanted were dropped.
    """
    if position > next_number:
        last = f"the last one is {next_number - 1}" if next_number else "there is none yet"
        raise InvalidRequest(f"The event {position - 1} was not sent yet; {last}.", param=param)
    if position < first:
        raise StreamExpired(
            f"The events before {first} were dropped (streams.max_bytes_per_stream); ask with after={first - 1}."
        )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS
