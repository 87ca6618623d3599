"""A real gateway for tests: `python -m service serve` in its own process, directory and port.

    with Gateway(tmp_path) as gateway:
        gateway.start(config_text, env={"UP_KEY": "sk-up"})
        httpx.get(f"{gateway.base_url}/livez")
        line = gateway.wait_line(path="/livez")

Its log goes to a file. Every wait is bounded, so a gateway that hangs fails its test.
"""

import atexit
import contextlib
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

import msgspec

from service.migrations import upgrade
from tests.e2e.raw import Cut, get
from tests.fakes.provider import FakeProvider

READY_SECONDS = 20.0
"""A start takes about one second; two busy cores may need more."""

STOP_SECONDS = 15.0

LINE_SECONDS = 5.0
"""The access log is flushed some 50 ms after a line was written."""

REPOSITORY = Path(__file__).parents[2]

NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""`verify` of httpx: all is plain HTTP here, and to load the authorities takes every new client 25 ms."""

STATE = Path(".penstock") / "penstock.db"
"""Where a gateway keeps its database unless it is told otherwise."""

T = TypeVar("T")
LogLine = dict[str, object]

_line = msgspec.json.Decoder(LogLine)


def eventually(read: Callable[[], T | None], seconds: float = LINE_SECONDS) -> T:
    """What `read` returns once it isn't None (False counts as an answer). Raises AssertionError."""
    until = time.monotonic() + seconds
    while (found := read()) is None:
        assert time.monotonic() < until, f"nothing came within {seconds} s"
        time.sleep(0.02)
    return found


def free_port() -> int:
    """A port on loopback that nobody listens on.

    Below the range from which systems draw for outgoing connections, so that none of those takes it
    before the gateway does.
    """
    for port in random.sample(range(20_000, 32_000), 100):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("a hundred ports are taken")


@cache
def empty_database() -> Path:
    """A database with our tables and nothing in them: a copy spares a new gateway half a second."""
    directory = Path(tempfile.mkdtemp(prefix="penstock-empty-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    upgrade(f"sqlite:///{directory / STATE.name}")
    return directory / STATE.name


def forget(up: FakeProvider) -> None:
    """Make a provider that a gateway already knows as good as new, so that a module's tests may share both."""
    with up._changed:
        up._script.clear()
        up.requests.clear()
        up._progress.clear()


class Gateway:
    """One gateway at a time; `start` may be called again after `stop` or `kill`.

    directory: its working directory, where it keeps its state, and we its configuration and log.
    blank: it has no database yet, and makes it.
    """

    def __init__(self, directory: Path, *, blank: bool = False) -> None:
        self.directory = directory
        if not blank and not (directory / STATE).exists():
            (directory / STATE.parent).mkdir(mode=0o700, exist_ok=True)
            shutil.copy(empty_database(), directory / STATE)
        self.port = 0
        self.config_path = directory / "gateway.toml"
        self.process: subprocess.Popen[bytes] | None = None
        self._log_path = directory / "gateway.log"
        self._stderr_path = directory / "gateway.err"

    @property
    def origin(self) -> str:
        """The address without a path, as Anthropic's SDK wants it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """The same; `openai_url` is for OpenAI's SDK."""
        return self.origin

    @property
    def openai_url(self) -> str:
        """The address with `/v1`, as OpenAI's SDK wants it."""
        return f"{self.origin}/v1"

    @property
    def pid(self) -> int:
        """The main process."""
        assert self.process is not None
        return self.process.pid

    @property
    def workers(self) -> list[int]:
        """The processes that serve now."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [int(each) for each in children if _serves(Path(f"/proc/{each}"))]

    @property
    def log(self) -> str:
        """All that it wrote to stdout so far."""
        return self._log_path.read_text() if self._log_path.exists() else ""

    @property
    def stderr(self) -> str:
        """All that it wrote to stderr so far: the banner, and what went wrong."""
        return self._stderr_path.read_text() if self._stderr_path.exists() else ""

    @property
    def lines(self) -> list[LogLine]:
        """The log's complete lines, decoded. Raises msgspec.MsgspecError where one is not JSON."""
        whole, _, _ = self.log.rpartition("\n")
        return [_line.decode(line) for line in whole.splitlines()]

    def start(
        self,
        config_text: str | None = None,
        env: Mapping[str, str] | None = None,
        *,
        args: tuple[str, ...] = (),
        port: int | None = None,
    ) -> str:
        """Start with this configuration (None: without a file), wait until it is ready, return its address.

        env: added to an environment without keys, proxies or settings. args: more for `serve`.
        """
        self.spawn(config_text, env, args=args, port=port)
        eventually(self._is_ready, READY_SECONDS)
        return self.origin

    def spawn(
        self,
        config_text: str | None = None,
        env: Mapping[str, str] | None = None,
        *,
        args: tuple[str, ...] = (),
        port: int | None = None,
    ) -> None:
        """Start without waiting: for gateways that are not to become ready."""
        assert self.process is None, "it runs already"
        self.port = port or free_port()
        config: tuple[str, ...] = ()
        if config_text is not None:
            self.config_path.write_text(config_text)
            config = ("--config", str(self.config_path))
        command = [sys.executable, "-m", "service", "serve", *config, "--port", str(self.port), *args]
        with self._log_path.open("ab") as log, self._stderr_path.open("ab") as stderr:
            self.process = subprocess.Popen(
                command,
                cwd=self.directory,
                env=clean_environment(env or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=stderr,
                start_new_session=True,
            )

    def send_signal(self, number: signal.Signals) -> None:
        """To the main process alone."""
        os.kill(self.pid, number)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Its exit status, once it has ended by itself."""
        assert self.process is not None
        status = self.process.wait(seconds)
        self.process = None
        return status

    def stop(self, seconds: float = STOP_SECONDS) -> int:
        """SIGTERM, and its exit status."""
        self.send_signal(signal.SIGTERM)
        return self.wait(seconds)

    def kill(self) -> int:
        """SIGKILL to the main process alone."""
        self.send_signal(signal.SIGKILL)
        return self.wait()

    def wait_line(self, **wanted: object) -> LogLine:
        """The first log line that has all these values, e.g. `request_id="r1"`, waiting for it."""
        return self.wait_lines(1, **wanted)[0]

    def wait_lines(self, count: int, **wanted: object) -> list[LogLine]:
        """At least `count` such lines."""

        def found() -> list[LogLine] | None:
            matching = [line for line in self.lines if wanted.items() <= line.items()]
            return matching if len(matching) >= count else None

        return eventually(found)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is None:
            return
        # Its session is its own, so this takes workers along that a broken main process left behind.
        group = self.process.pid
        try:
            if self.process.poll() is None:
                self.stop()
        except subprocess.TimeoutExpired:
            pass
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
            if self.process is not None:
                self.wait()

    def _is_ready(self) -> bool | None:
        assert self.process is not None
        assert self.process.poll() is None, f"it ended at once: {self.stderr}"
        try:
            answer = get(self.origin, "/readyz")
        except (OSError, Cut):
            return None
        return True if answer.status == 200 else None


def _serves(process: Path) -> bool:
    """Whether it is a worker, and neither Python's own helper nor a dead one that nobody has taken note of."""
    command = (process / "cmdline").read_bytes()
    return bool(command) and b"resource_tracker" not in command


def provider_toml(name: str, kind: str, base_url: str = "") -> str:
    """A provider of a configuration file; its key is in the environment as the name in capitals and `_KEY`."""
    lines = [f'name = "{name}"', f'kind = "{kind}"']
    if kind != "sim":
        lines += [f'base_url = "{base_url}"', f'api_key = "env:{name.upper()}_KEY"']
    return "\n".join(["[[providers]]", *lines, ""])


def model_toml(name: str, *targets: str, **more: str) -> str:
    """An alias of a configuration file. targets: `provider/model`, or such and `=weight`; more: TOML values."""
    rows = []
    for target in targets:
        reference, _, weight = target.partition("=")
        provider, _, model = reference.partition("/")
        rows.append(f'{{ provider = "{provider}", model = "{model}", weight = {weight or 1} }}')
    lines = [f'name = "{name}"', f"targets = [{', '.join(rows)}]"]
    lines += [f"{key} = {value}" for key, value in more.items()]
    return "\n".join(["[[models]]", *lines, ""])


def clean_environment(more: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without anything that a gateway would read, and `more`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PENSTOCK_", "OPENAI_", "ANTHROPIC_", "OTEL_"))
        and not name.lower().endswith("_proxy")
    }
    # What one gateway compiled, the next hundred need not.
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**kept, "PYTHONPATH": str(REPOSITORY), **more}
