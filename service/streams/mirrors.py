"""The reader's side: a stream of another worker, mirrored here for as long as somebody reads it.

A mirror is a stream like any other, whose events come from Redis; its viewers don't know. One task for
each reads when the owner says that there is more, and every other second in case that was lost.
"""

import re
from contextlib import nullcontext

import msgspec

from service.errors import InvalidApiKey
from service.siblings.bus import Bus, NobodyThere
from service.streams import handover
from service.streams.handover import Found, Kept, Verdict, Want
from service.streams.mirror import Mirror
from service.streams.ports import Absence, Headers, OnDisconnect
from service.streams.registry import StreamRegistry, gone, unknown
from service.streams.service import TAG_CHARACTERS, Claim
from service.streams.stream import Stream

ASK_SECONDS = 3.0
"""For the owner's answer."""

LINGER_SECONDS = 0.02
"""The owner decides what its viewers' leaving means; here they may change places."""

_ID = re.compile(r"[A-Za-z0-9_-]{16,128}")

_encode = msgspec.msgpack.Encoder().encode
_found = msgspec.msgpack.Decoder(Found)
_kept = msgspec.msgpack.Decoder(Kept)


class Mirrors:
    """The streams of siblings (a `service.streams.service.Elsewhere`)."""

    def __init__(self, *, bus: Bus, registry: StreamRegistry, max_bytes_per_stream: int) -> None:
        """registry: whose bound on bytes counts these, too."""
        self._bus = bus
        self._registry = registry
        self._max_bytes = max_bytes_per_stream
        self._mirrors: dict[str, Mirror] = {}
        bus.on(handover.MORE, self._on_more)

    @property
    def open(self) -> int:
        """How many streams of others are read here."""
        return len(self._mirrors)

    async def close(self) -> None:
        """Follow nothing more."""
        for mirror in tuple(self._mirrors.values()):
            await mirror.close()

    async def find(self, stream_id: str, claim: Claim) -> Stream:
        """See the port."""
        _check_id(stream_id)
        mirror = self._mirrors.get(stream_id)
        want = _encode(Want(stream_id, claim.owner, claim.ticket))
        tag = stream_id[:TAG_CHARACTERS]
        try:
            with nullcontext() if mirror is None else mirror.expected():
                answer = await self._bus.ask(tag, handover.WANT, want, within_seconds=ASK_SECONDS)
        except NobodyThere:
            return await self._find_kept(stream_id, claim)
        found = _found.decode(answer)
        _raise_for(found)
        mirror = self._mirrors.get(stream_id)
        if mirror is None:
            mirror = self._mirrors[stream_id] = self._make(stream_id, found)
        mirror.follow(found)
        await mirror.reach(found)
        return mirror.stream

    async def cancel(self, stream_id: str, owner: str) -> None:
        """See the port."""
        _check_id(stream_id)
        body = _encode(Want(stream_id, owner))
        try:
            answer = await self._bus.ask(
                stream_id[:TAG_CHARACTERS], handover.CANCEL, body, within_seconds=ASK_SECONDS
            )
        except NobodyThere:
            await self._find_kept(stream_id, Claim(owner))
        else:
            _raise_for(_found.decode(answer))

    def _make(self, stream_id: str, found: Found) -> Mirror:
        stream = self._new_stream(stream_id, found.owner, found.headers, found.dialect)
        return Mirror(stream, self._bus, self._closed)

    def _new_stream(self, stream_id: str, owner: str, headers: Headers, dialect: str) -> Stream:
        stream = Stream(
            stream_id,
            owner,
            absence=Absence(OnDisconnect.LINGER, LINGER_SECONDS, ASK_SECONDS),
            max_bytes=self._max_bytes,
            keeper=_Guest(self._registry),
            cancel_attempts=lambda: None,
            dialect=dialect,
        )
        stream.headers = list(headers)
        return stream

    def _closed(self, stream: Stream) -> None:
        mirror = self._mirrors.get(stream.id)
        if mirror is not None and mirror.stream is stream:
            del self._mirrors[stream.id]
            self._registry.forget(stream)

    async def _find_kept(self, stream_id: str, claim: Claim) -> Stream:
        data = await self._bus.get(handover.kept_place(stream_id))
        if data is None:
            raise unknown()
        kept = _kept.decode(data)
        if not handover.may_read(kept, claim.owner, claim.ticket):
            raise unknown()
        stream = self._new_stream(stream_id, kept.owner, kept.headers, kept.dialect)
        stream.log.start_at(kept.first)
        stream.end(handover.new_frames(stream_id, kept.data, kept.first) or [])
        self._registry.forget(stream)
        return stream

    async def _on_more(self, sender: str, body: bytes) -> None:
        mirror = self._mirrors.get(body.decode())
        if mirror is not None:
            mirror.wake()


def _check_id(stream_id: str) -> None:
    """What can't be one must not name a place. Raises ObjectNotFound."""
    if not _ID.fullmatch(stream_id):
        raise unknown()


def _raise_for(found: Found) -> None:
    if found.verdict is Verdict.UNKNOWN:
        raise unknown()
    if found.verdict is Verdict.GONE:
        raise gone()
    if found.verdict is Verdict.KEY:
        raise InvalidApiKey(found.detail)


class _Guest:
    """The keeper of a mirror: its bytes count with the others, but it is nobody's to find."""

    def __init__(self, registry: StreamRegistry) -> None:
        self._registry = registry

        self.memory = registry.memory

    def opened(self, stream: Stream) -> None:
        """It is found by asking its owner."""

    def make_room(self, growing: Stream) -> None:
        """It takes memory like any other."""
        self._registry.make_room(growing)

    def ended(self, stream: Stream) -> None:
        """It goes with its last viewer."""
