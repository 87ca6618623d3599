"""Where it listens, and how it may be started: names as hosts, any free port, closed standard streams."""

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.e2e.gateway import NO_TLS, STOP_SECONDS, Gateway, clean_environment, eventually

CLOSING = "import os, sys; os.close(0); os.close(1); os.execv(sys.argv[1], sys.argv[1:])"
"""A supervisor that gives its child neither stdin nor stdout."""


def test_a_name_is_a_host(tmp_path: Path) -> None:
    """The server underneath knows addresses only."""
    with Gateway(tmp_path) as gateway:
        gateway.start(args=("--host", "localhost"))
        assert f"http://localhost:{gateway.port}" in gateway.stderr


def test_a_name_that_nobody_has_is_said_plainly(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "service", "serve", "--insecure-no-auth", "--host", "none.invalid"]
    found = subprocess.run(
        command, check=False, cwd=tmp_path, env=clean_environment({}), capture_output=True, timeout=30
    )
    assert found.returncode == 1
    assert found.stderr.startswith(b"penstock: none.invalid:8000 can't be had")
    assert b"Traceback" not in found.stderr


@pytest.mark.parametrize(
    "before",
    [
        pytest.param((), id="port-0-takes-a-free-one-and-names-it"),
        pytest.param((sys.executable, "-c", CLOSING), id="closed-standard-streams-are-no-obstacle"),
    ],
)
def test_it_serves_at_the_address_of_its_banner(tmp_path: Path, before: tuple[str, ...]) -> None:
    banner = tmp_path / "banner"
    with (
        banner.open("wb") as stderr,
        subprocess.Popen(
            [*before, sys.executable, "-m", "service", "serve", "--port", "0"],
            cwd=tmp_path,
            env=clean_environment({}),
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        ) as process,
    ):
        try:
            named = eventually(lambda: re.search(r"http://\S+:[1-9]\d*$", banner.read_text(), re.MULTILINE))
            assert eventually(lambda: _status(f"{named[0]}/livez")) == 200
        finally:
            process.terminate()
        assert process.wait(STOP_SECONDS) == 0


def _status(url: str) -> int | None:
    try:
        return httpx.get(url, trust_env=False, verify=NO_TLS).status_code
    except httpx.TransportError:
        return None
