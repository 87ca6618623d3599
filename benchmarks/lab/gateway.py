"""The gateway as a subject: of which revision, under which configuration."""

import os
import sys
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import msgspec

from benchmarks.lab.machine import ROOT, revision
from benchmarks.lab.processes import StartFailed, free_port
from benchmarks.lab.subjects import Launcher, Subject, Unavailable, Variant

ANTHROPIC_MODEL = "bench-anthropic"
"""The alias behind which the mock provider speaks Anthropic's dialect."""

_ADMIN_KEY = "bench-admin-key-0123456789abcdef"
_REFUSED_CONFIGURATION = 2  # the exit status of a gateway that doesn't know a setting

_PLAIN_TOML = """\
[server]
host = "127.0.0.1"
port = {port}
workers = 1
drain_seconds = 1

[timeouts]
idle_seconds = 600

[[providers]]
name = "up"
kind = "openai"
base_url = "http://127.0.0.1:{upstream}/v1"
api_key = "bench"

[[providers]]
name = "claude"
kind = "anthropic"
base_url = "http://127.0.0.1:{upstream}"
api_key = "bench"

[[models]]
name = "bench"
targets = [{{ provider = "up", model = "mock" }}]
price = {{ input = 0.15, output = 0.60 }}

[[models]]
name = "bench-anthropic"
targets = [{{ provider = "claude", model = "mock" }}]
price = {{ input = 0.15, output = 0.60 }}
"""

# Bounds that are checked and settled at each request and never reached.
_LIMITS = """
[auth]
required = true
admin_key = "{admin_key}"

[limits.key]
requests_per_minute = 600_000_000
tokens_per_minute = 600_000_000_000
concurrent_requests = 100_000
"""
_SQLITE = '\n[store]\ndatabase = "sqlite:///guarded.db"\n'
_SQLITE_AND_REDIS = _SQLITE + 'redis = "{redis}"\n'

GUARDED = Variant("guarded", _LIMITS + _SQLITE, guarded=True)
"""A key for each caller, limits and a budget in process, the ledger in SQLite."""
GUARDED_REDIS = Variant("guarded, Redis", _LIMITS + _SQLITE_AND_REDIS, guarded=True)
"""The same with the limits in Redis."""
CACHED = Variant("cache", "\n[cache]\nenabled = true\n")
"""Equal requests are answered from the gateway's cache."""


class Gateway:
    """One revision of Penstock with one worker.

    python: an interpreter whose environment has what that revision needs. root: the directory
    that holds its `service/`. environment: further variables; a PYTHONPATH in it stands before root.
    """

    def __init__(
        self,
        name: str,
        root: Path = ROOT,
        python: str = sys.executable,
        identity: str = "",
        environment: dict[str, str] | None = None,
    ) -> None:
        self.name = name
        self._python = python
        self._identity = identity or revision()
        own = environment or {}
        path = os.pathsep.join(filter(None, (own.get("PYTHONPATH"), str(root))))
        self._environment = {**own, "PYTHONPATH": path}

    def identity(self) -> str:
        """The git revision, with a `+` where the work tree differed from it."""
        return self._identity

    def start(self, lab: Launcher, variant: Variant) -> Subject:
        """A fresh gateway, ready. Raises StartFailed; Unavailable where it refuses the variant."""
        port = free_port()
        extra = variant.toml
        if variant.needs_redis:
            extra = extra.replace("{redis}", lab.redis_url())
        extra = extra.replace("{admin_key}", _ADMIN_KEY)
        config = lab.write("penstock.toml", _PLAIN_TOML.format(port=port, upstream=lab.upstream_port) + extra)
        command = [self._python, "-m", "service", "serve", "--config", config]
        try:
            subject = lab.launch(self.name, command, port, "/readyz", self._environment)
        except StartFailed as failure:
            if variant.toml and failure.exit_status == _REFUSED_CONFIGURATION:
                refused = f"{self._identity} has no {variant.name} yet; it says: {_first_line(failure)}"
                raise Unavailable(refused) from failure
            raise
        if not variant.guarded:
            return subject
        return msgspec.structs.replace(subject, headers=f"authorization: Bearer {_make_key(port)}\r\n")


def _first_line(failure: StartFailed) -> str:
    """Its first complaint, without the path of a file that is gone by the time this is read."""
    lines = [line.strip() for line in str(failure).splitlines()[1:] if line.strip()]
    return lines[0].rpartition("penstock.toml: ")[2] if lines else "nothing"


class _Made(msgspec.Struct):
    key: str


def _make_key(port: int) -> str:
    """A key with a budget that is never used up, by the admin API. Raises StartFailed."""
    body = {"name": "bench", "tenant": "bench", "budgets": [{"usd": 1_000_000_000, "per": "total"}]}
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(
            "POST",
            "/admin/keys",
            msgspec.json.encode(body),
            {"Content-Type": "application/json", "Authorization": f"Bearer {_ADMIN_KEY}"},
        )
        response = connection.getresponse()
        answer = response.read()
    except (OSError, HTTPException) as error:
        raise StartFailed(f"no key could be made: {error}") from error
    finally:
        connection.close()
    if response.status != 201:
        raise StartFailed(f"no key could be made: {response.status} {answer[:300].decode(errors='replace')}")
    try:
        return msgspec.json.decode(answer, type=_Made).key
    except msgspec.MsgspecError as error:
        raise StartFailed(
            f"no key could be made: {error}: {answer[:300].decode(errors='replace')}"
        ) from error
