"""What stands around each piece of a simulated stream. Pure."""

from collections.abc import Iterable, Iterator

import msgspec

from service.wire.openai import StreamOptions, Usage

FINGERPRINT = "penstock-sim"
"""Every answer's `system_fingerprint`: nobody shall take it for a real model's."""

_ENCODE = msgspec.json.Encoder().encode


class Frame:
    """One stream's chunks. All but the pieces is encoded once: a token then costs one small encode.

    member: what a choice's pieces are called, `delta` or `text`.
    """

    def __init__(
        self, id: str, created: int, model: str, object: str, member: bytes, options: StreamOptions | None
    ) -> None:
        self._include_usage = bool(options and options.include_usage)
        self._member = member
        shared = {"id": id, "object": object, "created": created, "model": model}
        self._opening = _ENCODE(shared | {"system_fingerprint": FINGERPRINT})[:-1] + b',"choices":['
        self._closing = b'}],"usage":null}' if self._include_usage else b"}]}"

    def chunks(
        self, pieces: Iterable[tuple[int, bytes]], empty: bytes, ends: list[tuple[int, str]], usage: Usage
    ) -> Iterator[bytes]:
        """Every piece as (choice, JSON), then each choice's finish reason, then the usage if asked for."""
        heads = [self._opening + b'{"index":%d,"%b":' % (index, self._member) for index, _ in ends]
        tail = b',"logprobs":null,"finish_reason":null' + self._closing
        for index, piece in pieces:
            yield heads[index] + piece + tail
        for index, reason in ends:
            finish = b',"logprobs":null,"finish_reason":' + _ENCODE(reason)
            yield heads[index] + empty + finish + self._closing
        if self._include_usage:
            yield self._opening + b'],"usage":' + _ENCODE(usage) + b"}"
