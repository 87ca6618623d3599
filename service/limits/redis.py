"""Redis or Valkey behind `service.limits.link.Link`: one connection, one script at a time, 50 ms.

redis-py makes the connections (URL, TLS, password, database) and parses answers; its client and pools are
left out, for there is one command in flight at most and nobody queues. Importing it costs 23 MB, so this
module is only imported where Redis is configured.
"""

import asyncio
import hashlib
from collections.abc import Callable
from importlib import resources
from typing import cast

import hiredis
from redis import Connection as BlockingConnection
from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.connection import parse_url as parse_blocking_url
from redis.exceptions import NoScriptError, RedisError

from service.limits.link import LinkDown

COMMAND_SECONDS = 0.05
"""For everything from a new connection to the last byte of the answer."""

BLOCKING_SECONDS = 0.02
"""For each step of a command that holds up the loop."""

GENERATION_KEY = b"{penstock}:generation"

_pack = cast(Callable[[tuple[bytes, ...]], bytes], hiredis.pack_command)


class Script:
    """Lua source and the digest that the server knows it by."""

    def __init__(self, name: str) -> None:
        files = resources.files("service.limits")
        parts = [(files / f"{part}.lua").read_text(encoding="utf-8") for part in ("prelude", name)]
        self.source = "\n".join(parts).encode()
        # The server's own naming, and no matter of security.
        self.digest = hashlib.sha1(self.source, usedforsecurity=False).hexdigest().encode()

    def command(self, payload: bytes, now: bytes, *, whole: bool) -> bytes:
        """On the wire. whole: with the source, for a server that doesn't know the digest."""
        first = (b"EVAL", self.source) if whole else (b"EVALSHA", self.digest)
        return _pack((*first, b"1", GENERATION_KEY, payload, now))


class RedisLink:
    """A `service.limits.link.Link`.

    url: `redis://`, `rediss://` or `unix://`. server_now_us: Unix microseconds for the scripts to go by,
    where a test owns the time; None: the server's own clock. Not for calls at the same time.
    """

    def __init__(
        self,
        url: str,
        *,
        command_seconds: float = COMMAND_SECONDS,
        blocking_seconds: float = BLOCKING_SECONDS,
        server_now_us: Callable[[], int] | None = None,
    ) -> None:
        self._url = url
        self._seconds = command_seconds
        self._blocking_seconds = blocking_seconds
        self._now_us = server_now_us
        self._connection: AbstractConnection | None = None
        self._blocking: BlockingConnection | None = None
        self._scripts = {name: Script(name) for name in ("hello", "exchange")}

    async def call(self, script: str, payload: bytes) -> bytes:
        """Run a script; its answer. Raises LinkDown: then nobody knows whether it was done.

        A connection that something went wrong with is dropped, also when the caller is cancelled: the
        answer that is still to come must not be read as that of the next command.
        """
        try:
            async with asyncio.timeout(self._seconds):
                return await self._run(self._scripts[script], payload)
        except TimeoutError:
            self._drop()
            raise LinkDown("timeout") from None
        except (RedisError, OSError) as error:
            self._drop()
            raise LinkDown(type(error).__name__) from error
        except BaseException:
            self._drop()
            raise

    def call_now(self, script: str, payload: bytes) -> bytes:
        """The same on a connection of its own, holding up the loop. Raises LinkDown."""
        try:
            return self._run_now(self._scripts[script], payload)
        except (RedisError, OSError) as error:
            self._drop_blocking()
            raise LinkDown(type(error).__name__) from error

    async def _run(self, script: Script, payload: bytes) -> bytes:
        if self._connection is None:
            self._connection = _connection(self._url)
            await self._connection.connect()  # type: ignore[no-untyped-call]  # redis-py's
        try:
            return await self._ask(script.command(payload, self._now(), whole=False))
        except NoScriptError:
            return await self._ask(script.command(payload, self._now(), whole=True))

    async def _ask(self, command: bytes) -> bytes:
        connection = self._connection
        assert connection is not None
        await connection.send_packed_command(command, check_health=False)
        return cast(bytes, await connection.read_response(disable_decoding=True))

    def _run_now(self, script: Script, payload: bytes) -> bytes:
        if self._blocking is None:
            self._blocking = _blocking_connection(self._url, self._blocking_seconds)
        connection = self._blocking
        for whole in (False, True):
            command = [script.command(payload, self._now(), whole=whole)]
            connection.send_packed_command(command, check_health=False)  # type: ignore[no-untyped-call]  # redis-py's
            try:
                return cast(bytes, connection.read_response(disable_decoding=True))
            except NoScriptError:
                continue
        raise LinkDown("NoScriptError")

    def _now(self) -> bytes:
        return b"0" if self._now_us is None else b"%d" % self._now_us()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # Without waiting for the other end, which may never answer.
            connection._close()  # type: ignore[no-untyped-call]  # noqa: SLF001 - disconnect() may wait

    def _drop_blocking(self) -> None:
        connection, self._blocking = self._blocking, None
        if connection is not None:
            connection.disconnect()  # type: ignore[no-untyped-call]  # redis-py's

    async def close(self) -> None:
        """Leave the server."""
        self._drop()
        self._drop_blocking()


def _connection(url: str) -> AbstractConnection:
    options = dict(parse_url(url))
    make = cast(Callable[..., AbstractConnection], options.pop("connection_class", Connection))
    # One timer around everything: redis-py's own would each add theirs.
    return make(
        **options
        | {"socket_timeout": None, "socket_connect_timeout": None, "driver_info": None, "protocol": 2}
    )


def _blocking_connection(url: str, seconds: float) -> BlockingConnection:
    options = dict(parse_blocking_url(url))  # type: ignore[no-untyped-call]  # redis-py's
    make = cast(Callable[..., BlockingConnection], options.pop("connection_class", BlockingConnection))
    times = {"socket_timeout": seconds, "socket_connect_timeout": seconds}
    return make(**options | times | {"driver_info": None, "protocol": 2})
