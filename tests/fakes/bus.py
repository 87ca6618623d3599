"""Workers of one deployment in one process: a hub, and a bus for each of them."""

import asyncio
import itertools
from collections.abc import Callable

import msgspec

from service.errors import StoreUnavailable
from service.siblings.bus import ANSWER, Handler, Letter, NobodyThere

CHECK_SECONDS = 1.0
HEARD_SECONDS = 0.001


class _Place(msgspec.Struct):
    entries: list[tuple[int, bytes]] = []
    value: bytes | None = None
    expires_at: float = 0.0


class Hub:
    """What Redis is to the workers; the switches are the test's. Call inside the loop.

    away: it answers nobody. loses: asked of each letter, whether it gets lost though it was heard.
    slow_seconds: how long each command takes. letters: all that were sent.
    """

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.away = False
        self.loses: Callable[[Letter], bool] = lambda letter: False
        self.slow_seconds = 0.0
        self.letters: list[Letter] = []
        self._buses: dict[str, MemoryBus] = {}
        self._places: dict[str, _Place] = {}
        self._names = itertools.count(1)

    def bus(self, tag: str) -> "MemoryBus":
        """For one more worker."""
        made = self._buses[tag] = MemoryBus(self, tag)
        return made

    def die(self, tag: str) -> None:
        """That worker is gone at once, and says nothing any more."""
        self._buses.pop(tag).kill()

    def restart(self) -> None:
        """It was away, comes back, and has lost everything."""
        self.away = False
        self._places.clear()
        for bus in self._buses.values():
            bus.losses += 1

    @property
    def places(self) -> list[str]:
        """Where something is."""
        return [name for name in tuple(self._places) if self._found(name) is not None]

    async def work(self, bus: "MemoryBus") -> None:
        """As long as a command takes. Raises StoreUnavailable."""
        await asyncio.sleep(self.slow_seconds)
        if self.away or bus.dead:
            raise _away()

    def publish(self, tag: str, letter: Letter) -> bool:
        """Whether somebody hears it."""
        self.letters.append(letter)
        bus = self._buses.get(tag)
        if bus is not None and not self.loses(letter):
            self.loop.call_later(HEARD_SECONDS, bus.receive, letter)
        return bus is not None

    def append(self, place: str, data: bytes, keep_seconds: float, oldest: str) -> str:
        """See the port."""
        found = self._found(place) or _Place()
        number = next(self._names)
        kept = [entry for entry in found.entries if entry[0] >= int(oldest or 0)]
        self._places[place] = _Place([*kept, (number, data)], None, self.loop.time() + keep_seconds)
        return str(number)

    def read(self, place: str, after: str, count: int) -> list[tuple[str, bytes]]:
        """See the port."""
        found = self._found(place) or _Place()
        return [(str(number), data) for number, data in found.entries if number > int(after)][:count]

    def put(self, place: str, data: bytes, keep_seconds: float) -> None:
        """See the port."""
        self._places[place] = _Place(value=data, expires_at=self.loop.time() + keep_seconds)

    def get(self, place: str) -> bytes | None:
        """See the port."""
        found = self._found(place)
        return None if found is None else found.value

    def drop(self, place: str) -> None:
        """See the port."""
        self._places.pop(place, None)

    def leave(self, tag: str) -> None:
        """A worker hears nothing more."""
        self._buses.pop(tag, None)

    def _found(self, place: str) -> _Place | None:
        found = self._places.get(place)
        return found if found is not None and found.expires_at > self.loop.time() else None


class MemoryBus:
    """A `service.siblings.bus.Bus`."""

    def __init__(self, hub: Hub, tag: str) -> None:
        self._hub = hub
        self._handlers: dict[str, Handler] = {}
        self._numbers = itertools.count(1)
        self._questions: dict[int, asyncio.Future[bytes]] = {}
        self._answering: dict[tuple[str, int], asyncio.Task[None]] = {}
        self.tag = tag
        self.losses = 0
        self.dead = False

    def kill(self) -> None:
        """Nobody hears of it any more."""
        self.dead = True
        for task in self._answering.values():
            task.cancel()

    async def start(self) -> None:
        """It listens from the start."""

    async def close(self) -> None:
        """Hear nothing more."""
        self._hub.leave(self.tag)
        tasks = tuple(self._answering.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def on(self, kind: str, handler: Handler) -> None:
        """See the port."""
        self._handlers[kind] = handler

    async def ask(self, tag: str, kind: str, body: bytes, *, within_seconds: float | None = None) -> bytes:
        """See the port."""
        number = next(self._numbers)
        answer: asyncio.Future[bytes] = self._hub.loop.create_future()
        self._questions[number] = answer
        try:
            async with asyncio.timeout(within_seconds):
                while not answer.done():
                    if not await self._send(tag, Letter(kind, self.tag, number, body)):
                        raise NobodyThere(tag)
                    await asyncio.wait((answer,), timeout=CHECK_SECONDS)
                return answer.result()
        except TimeoutError:
            raise _away() from None
        finally:
            del self._questions[number]

    async def tell(self, tag: str, kind: str, body: bytes) -> bool:
        """See the port."""
        return await self._send(tag, Letter(kind, self.tag, 0, body))

    async def append(self, place: str, data: bytes, *, keep_seconds: float, oldest: str = "") -> str:
        """See the port."""
        await self._hub.work(self)
        return self._hub.append(place, data, keep_seconds, oldest)

    async def read(self, place: str, after: str) -> list[tuple[str, bytes]]:
        """See the port."""
        await self._hub.work(self)
        return self._hub.read(place, after, 64)

    async def put(self, place: str, data: bytes, *, keep_seconds: float) -> None:
        """See the port."""
        await self._hub.work(self)
        self._hub.put(place, data, keep_seconds)

    async def get(self, place: str) -> bytes | None:
        """See the port."""
        await self._hub.work(self)
        return self._hub.get(place)

    async def drop(self, place: str) -> None:
        """See the port."""
        await self._hub.work(self)
        self._hub.drop(place)

    def receive(self, letter: Letter) -> None:
        """From the hub."""
        if self.dead or self._hub.away:
            return
        if letter.kind == ANSWER:
            question = self._questions.get(letter.number)
            if question is not None and not question.done():
                question.set_result(letter.body)
            return
        handler = self._handlers.get(letter.kind)
        asked = (letter.sender, letter.number or -next(self._numbers))
        if handler is not None and asked not in self._answering:
            task = self._hub.loop.create_task(self._answer(handler, letter))
            self._answering[asked] = task
            task.add_done_callback(lambda _: self._answering.pop(asked, None))

    async def _answer(self, handler: Handler, letter: Letter) -> None:
        try:
            body = await handler(letter.sender, letter.body)
            if letter.number and body is not None:
                await self._send(letter.sender, Letter(ANSWER, self.tag, letter.number, body))
        except StoreUnavailable:
            return

    async def _send(self, tag: str, letter: Letter) -> bool:
        await self._hub.work(self)
        return self._hub.publish(tag, letter)


def _away() -> StoreUnavailable:
    return StoreUnavailable("Redis is away.", retry_after_seconds=1)
