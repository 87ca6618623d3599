"""Who is measured: what a way through a relay is, and the direct way without one."""

from typing import Protocol

import msgspec

from benchmarks.lab.processes import Process


class Unavailable(Exception):
    """A subject or a scenario can't be measured here; the message says why and what would help."""


class Inapplicable(Unavailable):
    """A variant has no meaning for this subject, so that its absence is no news."""


class Variant(msgspec.Struct, frozen=True):
    """A configuration under which the gateway is measured.

    toml: what is added to the plain configuration. `{redis}` stands for the address of a
    Redis that the lab starts.
    guarded: callers need a key, which is made through the admin API before the load starts.
    """

    name: str
    toml: str = ""
    guarded: bool = False

    @property
    def needs_redis(self) -> bool:
        """Whether a Redis must run."""
        return "{redis}" in self.toml


PLAIN = Variant("plain")


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """One running way from the client to the mock provider.

    process: None where the process is not ours (a URL that was given, the direct way).
    pids: roots of the process trees whose CPU and memory count; empty where unknown.
    base_path: what stands before `/chat/completions`. headers: lines that each request needs
    besides the usual ones, each ended by CRLF. model: what to ask for.
    """

    name: str
    port: int
    process: Process | None = None
    pids: tuple[int, ...] = ()
    ready_seconds: float = 0.0
    base_path: str = "/v1"
    headers: str = ""
    model: str = "bench"


class Launcher(Protocol):
    """What a way needs of the lab to start its process (`lab.Lab` is one)."""

    upstream_port: int

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
        ...

    def write(self, name: str, text: str) -> str:
        """Put a configuration into the run's directory; return its path."""
        ...

    def redis_url(self) -> str:
        """The address of a Redis, started on first use. Raises Unavailable where there is none."""
        ...


class Way(Protocol):
    """Someone who can be measured: the gateway of a revision, nginx, a peer, a URL."""

    name: str

    def identity(self) -> str:
        """What exactly it is: a git revision or a version."""
        ...

    def start(self, lab: Launcher, variant: Variant) -> Subject:
        """Start a fresh one under `variant`, ready for load.

        Raises Unavailable where it knows no such variant, StartFailed where it doesn't come up.
        """
        ...
