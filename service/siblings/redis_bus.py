"""The bus over Redis: a channel for each worker, a list or a value at each place.

Importing redis-py costs 23 MB, so this module is imported only where Redis is configured.
"""

import asyncio
import itertools
import math
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import msgspec
import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError

from service.ending import end_all
from service.errors import StoreUnavailable
from service.siblings.bus import ANSWER, Handler, Letter, NobodyThere

PREFIX = "{penstock}:worker:"
"""Before a worker's tag: its channel, and the key that says that it lives."""

CONNECTIONS = 8
COMMAND_SECONDS = 1.0
BEAT = "beat"
ALIVE_SECONDS = 10
BEAT_SECONDS = 2.0

RECONNECT_SECONDS = 0.2
SILENCE_SECONDS = 1.5
"""A worker whose channel nobody hears, though its key says that it lives, has so long to come back."""

SETTLE_SECONDS = 2.0
"""So long after Redis was away, a worker that nobody hears may only not have come back yet."""

DEAF_SECONDS = 7.0
"""Who did not even hear its own signs of life for so long has a connection that is none any more."""

CHECK_SECONDS = 1.0
"""How often an asker who waits asks again, and so finds out whether the other one still lives."""

READ_COUNT = 64

_log = structlog.get_logger()
_decode = msgspec.msgpack.Decoder(Letter).decode
_encode = msgspec.msgpack.Encoder().encode


class RedisBus:
    """A `service.siblings.bus.Bus`. One per worker; opened and closed inside its loop."""

    def __init__(self, url: str, tag: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._tag = tag
        self._pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=COMMAND_SECONDS,
            socket_timeout=COMMAND_SECONDS,
            socket_connect_timeout=COMMAND_SECONDS,
        )
        self._redis: Redis = Redis(connection_pool=self._pool)
        self._url = url
        self._handlers: dict[str, Handler] = {}
        self._numbers = itertools.count(1)
        self._questions: dict[int, asyncio.Future[bytes]] = {}
        self._answering: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._losses = 0
        self._settled_at = 0.0

    @property
    def tag(self) -> str:
        """This worker's."""
        return self._tag

    @property
    def losses(self) -> int:
        """See the port."""
        return self._losses

    async def start(self) -> None:
        """Listen; a Redis that is away is waited for behind the scenes."""
        self._tasks = [
            asyncio.create_task(self._keep_listening(), name="siblings' letters"),  # noqa: TID251 - close ends it
            asyncio.create_task(self._beat(), name="sign of life"),  # noqa: TID251 - close ends it
        ]

    async def close(self) -> None:
        """Hear nothing more."""
        await end_all([*self._tasks, *self._answering.values()])
        with suppress(RedisError, OSError):
            async with asyncio.timeout(COMMAND_SECONDS):
                await self._redis.delete(PREFIX + self._tag)
        await self._redis.aclose()
        await self._pool.aclose()

    def on(self, kind: str, handler: Handler) -> None:
        """See the port."""
        self._handlers[kind] = handler

    async def ask(self, tag: str, kind: str, body: bytes, *, within_seconds: float | None = None) -> bytes:
        """See the port."""
        number = next(self._numbers)
        answer: asyncio.Future[bytes] = self._loop.create_future()
        self._questions[number] = answer
        try:
            async with _limit(within_seconds):
                # Asked again and again: an answer gets lost where Redis goes away in between.
                while not answer.done():
                    await self._reach(tag, Letter(kind, self._tag, number, body))
                    await asyncio.wait((answer,), timeout=CHECK_SECONDS)
                return answer.result()
        finally:
            del self._questions[number]

    async def tell(self, tag: str, kind: str, body: bytes) -> bool:
        """See the port."""
        return await self._send(tag, Letter(kind, self._tag, 0, body))

    async def append(self, place: str, data: bytes, *, keep_seconds: float, oldest: str = "") -> str:
        """See the port."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.xadd(place, {b"d": data}, minid=oldest or None, approximate=False)
            pipe.pexpire(place, _milliseconds(keep_seconds))
            found: Any = await _done(pipe.execute())
        name: bytes = found[0]
        return name.decode()

    async def read(self, place: str, after: str) -> list[tuple[str, bytes]]:
        """See the port."""
        found: Any = await _done(self._redis.xrange(place, min=f"({after}", count=READ_COUNT))
        return [(name.decode(), fields[b"d"]) for name, fields in found]

    async def put(self, place: str, data: bytes, *, keep_seconds: float) -> None:
        """See the port."""
        await _done(self._redis.set(place, data, px=_milliseconds(keep_seconds)))

    async def get(self, place: str) -> bytes | None:
        """See the port."""
        return cast("bytes | None", await _done(self._redis.get(place)))

    async def drop(self, place: str) -> None:
        """See the port."""
        await _done(self._redis.delete(place))

    async def _reach(self, tag: str, letter: Letter) -> None:
        """Send it, or find out that nobody is there. Raises NobodyThere."""
        give_up_at = self._loop.time() + SILENCE_SECONDS
        while not await self._send(tag, letter):
            if self._loop.time() >= self._settled_at and (
                self._loop.time() >= give_up_at or not await _done(self._redis.exists(PREFIX + tag))
            ):
                raise NobodyThere(tag)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _send(self, tag: str, letter: Letter) -> bool:
        heard: Any = await _done(self._redis.publish(PREFIX + tag, _encode(letter)))
        return int(heard) > 0

    async def _beat(self) -> None:
        while True:
            with suppress(StoreUnavailable):
                await self._show_life()
                await self._send(self._tag, Letter(BEAT, self._tag, 0, b""))
            await asyncio.sleep(BEAT_SECONDS)

    async def _show_life(self) -> None:
        await _done(self._redis.set(PREFIX + self._tag, b"1", ex=ALIVE_SECONDS))

    async def _keep_listening(self) -> None:
        away = False
        while True:
            try:
                async with self._listening() as letters:
                    if away:
                        await self._come_back()
                    away = False
                    async for letter in letters:
                        self._receive(letter)
            except (RedisError, OSError, StoreUnavailable) as error:
                if not away:
                    _log.warning("siblings.away", reason=type(error).__name__)
                    # Until it is back nobody can be told from somebody who isn't back either.
                    self._settled_at = math.inf
                    self._losses += 1
                away = True
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _come_back(self) -> None:
        """Redis may have been started anew, and know nobody."""
        self._settled_at = self._loop.time() + SETTLE_SECONDS
        await self._show_life()
        _log.info("siblings.back")

    @asynccontextmanager
    async def _listening(self) -> "AsyncIterator[AsyncIterator[Letter]]":
        client = Redis.from_url(
            self._url, socket_connect_timeout=COMMAND_SECONDS, socket_timeout=COMMAND_SECONDS
        )
        pubsub = client.pubsub(ignore_subscribe_messages=True)
        try:
            await pubsub.subscribe(PREFIX + self._tag)
            yield _letters(pubsub)
        finally:
            await pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py's
            await client.aclose()

    def _receive(self, letter: Letter) -> None:
        if letter.kind == ANSWER:
            question = self._questions.get(letter.number)
            if question is not None and not question.done():
                question.set_result(letter.body)
            return
        handler, asked = (
            self._handlers.get(letter.kind),
            (letter.sender, letter.number or -next(self._numbers)),
        )
        if handler is not None and asked not in self._answering:
            task = asyncio.create_task(self._answer(handler, letter))  # noqa: TID251 - close ends it
            self._answering[asked] = task
            task.add_done_callback(lambda task: self._answering.pop(asked, None))

    async def _answer(self, handler: Handler, letter: Letter) -> None:
        try:
            body = await handler(letter.sender, letter.body)
            if letter.number and body is not None:
                await self._send(letter.sender, Letter(ANSWER, self._tag, letter.number, body))
        except StoreUnavailable:
            _log.warning("siblings.unanswered", kind=letter.kind)
        except Exception:  # noqa: BLE001 - one letter that can't be answered must not end the others
            _log.exception("siblings.failed", kind=letter.kind)


async def _letters(pubsub: Any) -> AsyncIterator[Letter]:
    """Raises TimeoutError where nothing came for so long that there must be something wrong."""
    while True:
        async with asyncio.timeout(DEAF_SECONDS):
            message = None
            while message is None:
                message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=None)
        with suppress(msgspec.MsgspecError):
            yield _decode(message["data"])


async def _done(command: Awaitable[Any]) -> Any:
    """What Redis answers, whose client says too little of its types. Raises StoreUnavailable."""
    try:
        return await command
    except (RedisError, OSError, TimeoutError) as error:
        raise _away() from error


@asynccontextmanager
async def _limit(seconds: float | None) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise _away() from None


def _away() -> StoreUnavailable:
    return StoreUnavailable(
        "Redis is away, so other workers can't be asked; ask again shortly.", retry_after_seconds=1
    )


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))
