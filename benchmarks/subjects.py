"""Who is measured: the gateway, nginx as the yardstick, and the way there without either."""

import os
import shutil
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from benchmarks.machine import ROOT
from benchmarks.processes import Process, free_port, pinned

_SBIN = (Path("/usr/sbin/nginx"), Path("/usr/local/sbin/nginx"), Path("/usr/local/nginx/sbin/nginx"))
_OWN_VARIABLES = ("PENSTOCK_", "OPENAI_", "ANTHROPIC_", "OTEL_")

_GATEWAY_TOML = """\
[server]
host = "127.0.0.1"
port = {port}
workers = 1
drain_seconds = 1

[[providers]]
name = "up"
kind = "openai"
base_url = "http://127.0.0.1:{upstream}/v1"
api_key = "bench"

[[models]]
name = "bench"
targets = [{{ provider = "up", model = "mock" }}]
"""

# What a relay can't do without, and one access line per request as the gateway writes it; nothing else.
_NGINX_CONF = """\
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr warn;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
  access_log {directory}/nginx-access.log;
  client_body_temp_path {directory}/nginx-body;
  proxy_temp_path {directory}/nginx-proxy;
  fastcgi_temp_path {directory}/nginx-fastcgi;
  uwsgi_temp_path {directory}/nginx-uwsgi;
  scgi_temp_path {directory}/nginx-scgi;
  client_body_buffer_size 256k;
  keepalive_requests 1000000000;
  tcp_nodelay on;
  upstream provider {{
    server 127.0.0.1:{upstream};
    keepalive 1024;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://provider;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 600s;
    }}
  }}
}}
"""


def find_nginx() -> Path | None:
    """Find nginx on PATH or where packages put it; None if there is none (`apt install nginx-light`)."""
    on_path = shutil.which("nginx")
    places = ([Path(on_path)] if on_path else []) + [place for place in _SBIN if place.exists()]
    return places[0] if places else None


class Cores(msgspec.Struct, frozen=True):
    """Where the measured process runs, and where the mock provider and the load generator do."""

    subject: int
    load: int

    @property
    def shared(self) -> bool:
        """Both on one core: then only memory and start-up mean anything."""
        return self.subject == self.load


def choose_cores() -> Cores:
    """The first and the second core that this process may use."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(allowed[0], allowed[1 % len(allowed)])


class Subject(msgspec.Struct, frozen=True):
    """One way from the client to the mock provider. `process` is None for the direct way."""

    name: str
    port: int
    process: Process | None = None
    ready_seconds: float = 0.0


class Lab:
    """The processes of a run. A context manager: whatever was started is ended, on Ctrl-C too.

    directory: a temporary one; configurations, logs and the gateway's state go there.
    """

    def __init__(self, directory: Path, cores: Cores, nginx: Path | None) -> None:
        self.cores = cores
        self.nginx = nginx
        self._directory = directory
        self._running: list[Process] = []
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OWN_VARIABLES)}
        self._environment = kept | {"PYTHONPATH": str(ROOT)}

    def __enter__(self) -> Self:
        self._pin = pinned(self.cores.load)
        self._pin.__enter__()
        try:
            port = free_port()
            command = [sys.executable, "-m", "benchmarks.upstream", "--port", str(port)]
            self.direct = self._start("upstream", command, self.cores.load, port, None)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in reversed(self._running):
            process.stop()
        self._pin.__exit__(kind, error, trace)

    def start_gateway(self) -> Subject:
        """A fresh gateway with one worker, ready. Raises StartFailed."""
        port = free_port()
        config = self._directory / "penstock.toml"
        config.write_text(_GATEWAY_TOML.format(port=port, upstream=self.direct.port))
        script = Path(sys.executable).with_name("penstock")
        program = [str(script)] if script.exists() else [sys.executable, "-m", "service"]
        command = [*program, "serve", "--config", str(config)]
        return self._start("gateway", command, self.cores.subject, port, "/readyz")

    def start_nginx(self) -> Subject | None:
        """A fresh nginx, ready; None where there is none. Raises StartFailed."""
        if self.nginx is None:
            return None
        port = free_port()
        config = self._directory / "nginx.conf"
        config.write_text(_NGINX_CONF.format(directory=self._directory, port=port, upstream=self.direct.port))
        command = [str(self.nginx), "-p", str(self._directory), "-c", str(config)]
        return self._start("nginx", command, self.cores.subject, port, None)

    def last_words(self) -> str:
        """The ends of the logs of everything that is, or should be, running."""
        return "\n".join(f"{process.name}: {process.tail()}" for process in self._running)

    def stop(self, *subjects: Subject | None) -> None:
        """End the processes of these subjects."""
        for subject in subjects:
            if subject is not None and subject.process is not None:
                subject.process.stop()
                self._running.remove(subject.process)

    def _start(self, name: str, command: list[str], core: int, port: int, ready_path: str | None) -> Subject:
        process = Process(name, command, core, self._directory, self._environment)
        self._running.append(process)
        return Subject(name, port, process, process.wait_until(port, ready_path))
