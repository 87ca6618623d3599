"""The way to Redis, as the rest of this room knows it."""

from typing import Protocol

LAG_SECONDS = 1.0
"""Between machines' clocks, at most."""


class LinkDown(Exception):
    """Redis didn't answer, or not in time, or not what was to be expected. Says why in a word."""


class Link(Protocol):
    """One command after the other; adapter: `service.limits.redis`."""

    async def call(self, script: str, payload: bytes) -> bytes:
        """Run the script of that name. Raises LinkDown: it may have been done, may yet be, or not."""

    def call_now(self, script: str, payload: bytes) -> bytes:
        """The same at once: holds up the loop, for some milliseconds at most. Raises LinkDown."""

    async def close(self) -> None:
        """Leave."""
