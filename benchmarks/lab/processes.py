"""Starting, pinning, awaiting and ending the processes of a run."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path

_START_LIMIT_SECONDS = 30.0
_STOP_LIMIT_SECONDS = 5.0
_POLL_SECONDS = 0.002


class StartFailed(Exception):
    """A process ended, was not ready in time, or is gone; the message has the end of its log.

    exit_status: what it ended with; None where it hasn't.
    """

    def __init__(self, message: str, exit_status: int | None = None) -> None:
        super().__init__(message)
        self.exit_status = exit_status


def free_port() -> int:
    """A loopback port that nobody holds at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """Run on `core` alone for a while. Processes started meanwhile stay there, their threads too."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Process:
    """A process in a session of its own, on one core, its output in files of `directory`."""

    def __init__(
        self, name: str, command: list[str], core: int, directory: Path, environment: dict[str, str]
    ) -> None:
        self.name = name
        self._errors = directory / f"{name}.err"
        self._output = directory / f"{name}.out"
        self.started_at = time.monotonic()
        with pinned(core), self._errors.open("ab") as errors, self._output.open("ab") as output:
            self._popen = subprocess.Popen(
                command,
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
        self.pid = self._popen.pid

    def wait_until(self, port: int, path: str | None) -> float:
        """Seconds from the start until `GET path` is 200 (path None: until the port takes connections).

        Raises StartFailed.
        """
        while (elapsed := time.monotonic() - self.started_at) < _START_LIMIT_SECONDS:
            if _is_ready(port, path):
                return elapsed
            if self._popen.poll() is not None:
                status = self._popen.returncode
                raise StartFailed(f"{self.name} ended with {status}:\n{self.tail()}", status)
            time.sleep(_POLL_SECONDS)
        raise StartFailed(f"{self.name} was not ready in {_START_LIMIT_SECONDS:.0f} s:\n{self.tail()}")

    def stop(self) -> None:
        """Ask it to end; after 5 s end it and all that it started."""
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(_STOP_LIMIT_SECONDS)
        # What it left behind is in its session still; where nothing is, there is no such group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()

    def tail(self) -> str:
        """The end of what it has written to its error channel, or else of what it printed."""
        texts = (path.read_text(errors="replace")[-2000:] for path in (self._errors, self._output))
        return next(filter(str.strip, texts), "")


def _is_ready(port: int, path: str | None) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.connect()
        if path is None:
            return True
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
