"""nginx as the practical limit of a relay: what the kernel's share costs, and none of the features."""

import re
import shutil
import subprocess
from pathlib import Path

from benchmarks.lab.processes import free_port
from benchmarks.lab.subjects import PLAIN, Inapplicable, Launcher, Subject, Variant

INSTALL = "`apt install nginx-light`, or your system's package, provides it; it need not run"

_SBIN = (Path("/usr/sbin/nginx"), Path("/usr/local/sbin/nginx"), Path("/usr/local/nginx/sbin/nginx"))

# What a relay can't do without, and one access line per request as the gateway writes it; nothing else.
# Paths are relative to the directory that nginx is started in (`-p`).
_NGINX_CONF = """\
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr warn;
worker_rlimit_nofile 32768;
events {{ worker_connections 16384; }}
http {{
  access_log access.log;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
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
    location = /livez {{ return 200 "ok"; }}
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
    """Find nginx on PATH or where packages put it; None if there is none."""
    on_path = shutil.which("nginx")
    return Path(on_path) if on_path else next((path for path in _SBIN if path.exists()), None)


class Nginx:
    """nginx with one worker, as a relay that buffers nothing."""

    name = "nginx"

    def __init__(self, program: Path) -> None:
        self._program = program

    def identity(self) -> str:
        """Its version."""
        told = subprocess.run([self._program, "-v"], capture_output=True, text=True, timeout=10, check=False)
        found = re.search(r"nginx/(\S+)", told.stderr + told.stdout)
        return found.group(1) if found else "unknown version"

    def start(self, lab: Launcher, variant: Variant) -> Subject:
        """A fresh nginx, ready. Raises StartFailed; Inapplicable for any variant but the plain one."""
        if variant != PLAIN:
            raise Inapplicable(f"nginx has no {variant.name}")
        port = free_port()
        config = lab.write("nginx.conf", _NGINX_CONF.format(port=port, upstream=lab.upstream_port))
        # -p: paths in the configuration are relative to the directory of its own that it is started in.
        return lab.launch("nginx", [str(self._program), "-p", "./", "-c", config], port, "/livez")
