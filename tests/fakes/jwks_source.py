"""A key set's source in memory: the test says what it answers, and when."""

import asyncio

from service.keys.key_set import KeysUnavailable


class ScriptedJwksSource:
    """A `service.keys.key_set.JwksSource`.

    document: what it answers; an exception is raised. takes_seconds: how long that takes, by the
    loop's clock. fetched_at: when each fetch began.
    """

    def __init__(self, document: bytes | Exception) -> None:
        self.document = document
        self.takes_seconds = 0.0
        self.fetched_at: list[float] = []
        self.running = 0
        self.most_running = 0
        self.closed = False

    async def fetch(self) -> bytes:
        """Answer in time."""
        self.fetched_at.append(asyncio.get_running_loop().time())
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(self.takes_seconds)
        finally:
            self.running -= 1
        if isinstance(self.document, Exception):
            raise self.document
        return self.document

    async def close(self) -> None:
        """Note it."""
        self.closed = True

    def fail(self) -> None:
        """Be away from now on."""
        self.document = KeysUnavailable("away")
