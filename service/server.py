"""The main process: one Granian server, its workers, and their orderly end.

It imports neither the web framework nor the application, which only the workers need: that is
some 40 MB less at rest.
"""

import asyncio
import errno
import fcntl
import os
import resource
import signal
import socket
import termios
import threading
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Any

import granian._signals as granian_signals
from granian._granian import WorkerSignal
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from service.config import ConfigInvalid, Settings
from service.config.changes import changes
from service.config.source import Source

MAX_CONNECTIONS = 16_384
"""Granian's backpressure counts idle keep-alive connections too, and lets excess clients hang."""

MAX_HEAD_BYTES = 128 * 1024
"""What the HTTP parser holds before it answers 431 by itself; the application stops at 32 KB."""

WORKER_SIGNALS = (signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM)
"""What a worker hears, once it serves."""

NOTED_SECONDS = 0.002

HANG_UP_SECONDS = 0.5
"""Granian closes idle connections by itself; so long after that whoever sends half a head is not waited for."""

KILL_MARGIN_SECONDS = 5
"""After the drain's own limit, for streams' farewells and the services' close."""


STDERR_LOGGING = {
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "generic",
            "stream": "ext://sys.stderr",
        },
    },
    "loggers": {"_granian": {"handlers": ["console"], "propagate": False}},
}
"""The server's own words go where the banner goes: stdout holds one JSON line per request and nothing else."""


class PortTaken(Exception):
    """Another process listens there."""


class Server(MPServer):
    """Granian, with our way to stop: tell the workers, let them go by themselves, kill who stays."""

    stopping = False
    drain_seconds = 0.0
    loader: "_Loader | None" = None
    reload_due = False
    reloading = False

    def startup(self, *args: Any, **kwargs: Any) -> None:
        """Begin to hear signals, and spawn the workers."""
        super().startup(*args, **kwargs)  # type: ignore[no-untyped-call]  # Granian has no types there
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGHUP,))

    def signal_handler_interrupt(self, *args: object, **kwargs: object) -> None:
        """SIGTERM and SIGINT. The second one ends everything at once."""
        if self.stopping:
            for worker in self.wrks:
                _signal(worker.inner.pid, signal.SIGKILL)
            os._exit(1)
        self.stopping = True
        for worker in self.wrks:
            worker.interrupt_by_parent = True
            _signal(worker.inner.pid, signal.SIGUSR1)
        threading.Thread(target=self._see_out, daemon=True).start()

    def signal_handler_reload(self, *args: object, **kwargs: object) -> None:
        """SIGHUP: each worker reads the configuration again, and so does this process for workers to come.

        Another one may come amid this: it only has it done once more, or what was read first would hold at last.
        """
        self.reload_due = True
        while self.reload_due and not self.reloading:
            self.reload_due, self.reloading = False, True
            try:
                self._read_again()
            finally:
                self.reloading = False

    def _read_again(self) -> None:
        if self.loader is None or self.stopping:
            return
        self.loader.read_again()
        for worker in self.wrks:
            _signal(worker.inner.pid, signal.SIGHUP)

    def _see_out(self) -> None:
        """Wait for the workers to end, but not for ever; Granian's own shutdown does the rest."""
        deadline_at = monotonic() + self.drain_seconds + KILL_MARGIN_SECONDS
        for worker in self.wrks:
            worker.inner.join(max(0.0, deadline_at - monotonic()))
            # Another thread of Granian's may have taken its exit status, and not noted it yet.
            while worker.inner.is_alive() and monotonic() < deadline_at:
                sleep(NOTED_SECONDS)
        self.interrupt_signal = True
        self.main_loop_interrupt.set()


def serve(settings: Settings, source: Source, *, readable_logs: bool) -> None:
    """Serve until told to stop. source: where `settings` were read, and are read again. Raises PortTaken."""
    _allow_many_files()
    server = Server(
        "service.worker",
        address=_address(settings.server.host),
        port=settings.server.port,
        interface=Interfaces.ASGI,
        workers=settings.server.workers,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        websockets=False,
        backlog=4096,
        backpressure=MAX_CONNECTIONS,
        http1_settings=HTTP1Settings(max_buffer_size=MAX_HEAD_BYTES),
        log_level=LogLevels.warning,
        log_dictconfig=STDERR_LOGGING,
        respawn_failed_workers=True,
        # Whoever is still there then had all its time before.
        workers_kill_timeout=1,
    )
    server.drain_seconds = settings.server.drain_delay_seconds + settings.server.drain_seconds
    # A single worker needs no place to write, so that a read-only file system will do.
    several = settings.server.workers > 1
    with TemporaryDirectory(prefix="penstock-metrics-") if several else nullcontext() as directory:
        metrics_directory = Path(directory) if directory else None
        server.loader = _Loader(settings, source, readable_logs, metrics_directory)
        server.serve(target_loader=server.loader, wrap_loader=False)
        # The interpreter's end gives signals back their own meaning.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def hold_back_reloads() -> None:
    """Have a SIGHUP wait until the server has begun: by itself it would end the process."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP,))


def claim_port(host: str, port: int) -> int:
    """The port to serve at: `port` itself, or for 0 one that is free, so that the banner can name it.

    Raises PortTaken where someone listens already: Granian would share the port with them.
    """
    try:
        address = _address(host)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
            probe.listen(1)
            found: int = probe.getsockname()[1]
            return found
    except OSError as error:
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"can't be had ({error.strerror})"
        raise PortTaken(f"{host}:{port} {reason}; choose another with --port or server.port") from None


def _address(host: str) -> str:
    """The IP address of `host`, which Granian wants; of several an IPv4 one. Raises OSError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    *_, address = min(found, key=lambda one: one[0] is not socket.AF_INET)
    return str(address[0])


class _Loader:
    """What Granian has each worker call for its application; settings: those of workers that begin now."""

    def __init__(
        self, settings: Settings, source: Source, readable_logs: bool, metrics_directory: Path | None
    ) -> None:
        self._settings = settings
        self._source = source
        self._readable_logs = readable_logs
        self._metrics_directory = metrics_directory

    def read_again(self) -> None:
        """In the main process. The workers say what is wrong with it."""
        with suppress(ConfigInvalid):
            read = self._source.read(lambda store: True)
            self._settings = changes(self._settings, read).settings

    def __call__(self) -> Callable[..., Awaitable[None]]:
        """In the worker, before Granian asks for the event that ends it."""
        from service.worker import load_app

        # Once they can be heard, they come: until then a SIGHUP would change nothing but `_settings`, too late.
        signal.pthread_sigmask(signal.SIG_BLOCK, WORKER_SIGNALS)
        leaving = _Leaving(self._settings.server.port)
        granian_signals.set_loop_signals = leaving.listen
        return load_app(
            self._settings,
            self._source,
            self._readable_logs,
            self._metrics_directory,
            _stop_listening,
            leaving.leave,
            _hear_signals,
        )


class _Leaving:
    """Has Granian end a worker: drop its idle connections, close the application, leave the loop.

    Its event must be set once only. A second time blocks for good, with the loop's thread in it, and
    Granian's own handler sets it at each signal: a supervisor that signals a whole group would hang it.
    """

    def __init__(self, port: int) -> None:
        """port: where clients' connections come in."""
        self._event = WorkerSignal()
        self._left = False
        self._port = port

    def listen(self, loop: asyncio.AbstractEventLoop) -> WorkerSignal:
        """In the place of Granian's function of the same purpose."""
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.leave)
        return self._event

    def leave(self) -> None:
        """End it now; a second time does nothing."""
        if not self._left:
            self._left = True
            self._event.set()
            asyncio.get_running_loop().call_later(HANG_UP_SECONDS, _hang_up, self._port)


def _hear_signals() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, WORKER_SIGNALS)


def _stop_listening() -> None:
    """Refuse new connections in this process, and leave the others alone.

    Granian can only do both at once, and mistakes a listener that is shut down; so each listening
    socket is closed by putting another one in its place, which its owner may close in the end. That
    one listens too, where nobody calls: Granian takes any other refusal than "nobody is there" for a
    failed handshake, and where somebody just called, it asks again and again and never hears of its end.
    """
    listening = [
        descriptor for descriptor in map(_number, Path("/dev/fd").iterdir()) if _is_listening(descriptor)
    ]
    with socket.create_server(("127.0.0.1", 0), backlog=0) as nobodys:
        nobodys.setblocking(False)
        for descriptor in listening:
            os.dup2(nobodys.fileno(), descriptor, inheritable=False)


def _number(entry: Path) -> int:
    return int(entry.name)


def _is_listening(descriptor: int) -> bool:
    try:
        found = socket.socket(fileno=descriptor)
    except OSError:
        return False
    try:
        return bool(found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    finally:
        found.detach()


def _hang_up(port: int) -> None:
    """Hear nothing more from clients at `port`: one that never ends its request would hold the server's end up.

    Those that still have bytes to take are left alone: the server would drop what it has for them.
    """
    for entry in list(Path("/dev/fd").iterdir()):
        with suppress(OSError):
            found = socket.socket(fileno=int(entry.name))
            try:
                if (
                    found.family != socket.AF_UNIX
                    and found.getsockname()[1] == port
                    and not _has_unsent(found)
                ):
                    found.shutdown(socket.SHUT_RD)
            finally:
                found.detach()


def _has_unsent(connection: socket.socket) -> bool:
    return fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)) != bytes(4)


def _signal(pid: int | None, number: signal.Signals) -> None:
    try:
        if pid is not None:
            os.kill(pid, number)
    except ProcessLookupError:
        return


def _allow_many_files() -> None:
    """A connection is a file, twice per stream; the soft limit of most shells is 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
