"""The plain relay as a way: what a FastAPI tutorial ends with, on uvicorn with one worker."""

from pathlib import Path

from benchmarks.lab.processes import free_port
from benchmarks.lab.subjects import PLAIN, Inapplicable, Launcher, Subject, Variant
from benchmarks.peers.locked import locked_version

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements.txt"


class FastApiRelay:
    """FastAPI and httpx. python: that of an environment made from `REQUIREMENTS`."""

    name = "fastapi"

    def __init__(self, python: Path) -> None:
        self._python = python

    def identity(self) -> str:
        """The versions that its speed depends on."""
        lock = REQUIREMENTS.read_text()
        return ", ".join(f"{name} {locked_version(lock, name)}" for name in ("fastapi", "httpx", "uvicorn"))

    def start(self, lab: Launcher, variant: Variant) -> Subject:
        """A fresh one, ready. Raises StartFailed; Inapplicable for any variant but the plain one."""
        if variant != PLAIN:
            raise Inapplicable(f"{self.name} has no {variant.name}")
        port = free_port()
        # Its access line goes to standard output, which the lab keeps in a file.
        server = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--backlog", "4096"]
        command = [str(self._python), "-I", "-m", "uvicorn", "--app-dir", str(HERE), "app:app", *server]
        upstream = {"UPSTREAM_URL": f"http://127.0.0.1:{lab.upstream_port}/v1"}
        return lab.launch(
            self.name, [*command, "--loop", "uvloop", "--http", "httptools"], port, "/livez", upstream
        )
