"""The `penstock` command as an operator meets it: check, version, banner, mistakes."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from service import __version__
from tests.e2e.gateway import Gateway, clean_environment, eventually, free_port
from tests.e2e.raw import get

GOOD = """
[[providers]]
name = "up"
kind = "openai"
base_url = "http://127.0.0.1:9/v1"
api_key = "env:UP_KEY"
[[models]]
name = "fast"
targets = [{ provider = "up", model = "gpt-x" }]
fallbacks = ["slow"]
[[models]]
name = "slow"
targets = [{ provider = "up", model = "gpt-y" }]
"""

BAD = """
[server]
port = "many"
workers = 4
colour = "blue"
[[providers]]
name = "up"
kind = "teapot"
[[models]]
name = "fast"
targets = [{ provider = "nobody", model = "x" }]
fallbacks = ["missing"]
[timeouts]
idle_seconds = -1
"""


def penstock(
    directory: Path, *args: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "service", *args],
        cwd=directory,
        env=clean_environment(env or {}),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_version(tmp_path: Path) -> None:
    """Name and number, nothing else."""
    done = penstock(tmp_path, "--version")
    assert done.returncode == 0
    assert done.stdout.strip() == f"penstock, version {__version__}"


def test_help_lists_the_commands(tmp_path: Path) -> None:
    """With one line for each."""
    done = penstock(tmp_path, "--help")
    assert done.returncode == 0
    assert re.search(r"^\s+serve\s+\S", done.stdout, re.MULTILINE)
    assert re.search(r"^\s+check\s+\S", done.stdout, re.MULTILINE)


def test_check_of_a_good_file(tmp_path: Path) -> None:
    """Routes, models with their targets and fallbacks, and whether secrets are there; never a secret."""
    (tmp_path / "penstock.toml").write_text(GOOD)
    done = penstock(tmp_path, "check", env={"UP_KEY": "sk-very-secret"})
    assert (done.returncode, done.stderr) == (0, "")
    for said in ("fast", "slow", "up/gpt-x", "up/gpt-y", "present", "/v1/chat/completions", "/v1/messages"):
        assert said in done.stdout
    assert "sk-very-secret" not in done.stdout


def test_check_reports_every_mistake_at_once(tmp_path: Path) -> None:
    """Exit status 2; each with file, key, what was found and what was expected."""
    (tmp_path / "penstock.toml").write_text(BAD)
    done = penstock(tmp_path, "check")
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    for key, found in (
        ("server.port", "many"),
        ("server.workers", "4"),
        ("server.colour", ""),
        ("providers[0].kind", "teapot"),
        ("models[0].targets", "nobody"),
        ("models[0].fallbacks", "missing"),
        ("timeouts.idle_seconds", "-1"),
    ):
        matching = [line for line in lines if line.startswith(f"penstock.toml: {key}: ")]
        assert matching, f"{key} is not reported: {done.stderr}"
        assert found in matching[0]
        assert "expected" in matching[0]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("[server\nport = 1", "penstock.toml", id="no-toml"),
        pytest.param("\udcff", "penstock.toml", id="not-utf-8"),
        pytest.param(GOOD, "UP_KEY", id="a-secret-that-is-not-there"),
        pytest.param(
            GOOD.replace("env:UP_KEY", "file:nowhere.txt"), "nowhere.txt", id="a-file-that-is-not-there"
        ),
        pytest.param(GOOD + "[cache]\nenabled = true\n", "later version", id="of-a-later-version"),
        pytest.param(GOOD + '[server]\nhost = "0.0.0.0"\n', "--insecure-no-auth", id="open-to-the-world"),
    ],
)
def test_files_that_can_not_be_used(tmp_path: Path, text: str, says: str) -> None:
    """`check` and `serve` agree, and say what to do."""
    (tmp_path / "penstock.toml").write_bytes(text.encode(errors="surrogateescape"))
    for command in ("check", "serve"):
        done = penstock(tmp_path, command)
        assert done.returncode == 2
        assert says in done.stderr
        assert "Traceback" not in done.stderr


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """Named, with exit status 2."""
    done = penstock(tmp_path, "check", "--config", "missing.toml")
    assert done.returncode == 2
    assert "missing.toml" in done.stderr
    assert "Traceback" not in done.stderr


def test_flags_beat_environment_beats_file(tmp_path: Path) -> None:
    """Seen by where it listens."""
    from_flag, from_environment, from_file = free_port(), free_port(), free_port()
    text = f'[server]\nport = {from_file}\n[[providers]]\nname = "sim"\nkind = "sim"\n'
    (tmp_path / "penstock.toml").write_text(text)
    for flag, env, port in (
        ((f"--port={from_flag}",), {"PENSTOCK_PORT": str(from_environment)}, from_flag),
        ((), {"PENSTOCK_PORT": str(from_environment)}, from_environment),
        ((), {}, from_file),
    ):
        command = [sys.executable, "-m", "service", "serve", *flag]
        with subprocess.Popen(
            command,
            cwd=tmp_path,
            env=clean_environment(env),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stderr is not None
            banner = b""
            while b"Listening" not in banner:
                line = process.stderr.readline()
                assert line, banner
                banner = line
            assert f":{port}".encode() in banner
            process.send_signal(signal.SIGTERM)
            process.wait(15)


def test_the_banner(tmp_path: Path) -> None:
    """Where it listens, what it serves, where to read on, and that anyone on this machine may ask."""
    with Gateway(tmp_path) as gateway:
        gateway.start()
        banner = gateway.stderr
        for said in (f"Penstock {__version__}", gateway.base_url, f"{gateway.base_url}/docs", "sim", "Auth"):
            assert said in banner
        assert "open" in banner.lower()
        assert "curl" in banner


def test_the_banner_warns_of_an_open_door(tmp_path: Path) -> None:
    """With --insecure-no-auth in capitals."""
    with Gateway(tmp_path) as gateway:
        gateway.start(args=("--insecure-no-auth",))
        assert "OFF" in gateway.stderr


def test_a_log_on_a_terminal_is_for_people(tmp_path: Path) -> None:
    """Readable lines, and nothing that a client chose can steer the terminal or feign a line."""
    port = free_port()
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "service", "serve", f"--port={port}"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=clean_environment({}),
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs)
    base_url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: answers(base_url), 20.0)
        get(base_url, "/nowhere/%1b%5b2J%0d%0afeigned", b"X-Request-ID: at-the-end")
        shown = read_until(ours, b"at-the-end")
    finally:
        process.terminate()
        process.wait(15)
        os.close(ours)
    (line,) = [line for line in shown.split(b"\r\n") if b"at-the-end" in line]
    assert b"404 GET /nowhere/" in line
    assert b"feigned" in line
    assert b"\x1b[2J" not in line
    assert not line.startswith(b"{")


def answers(base_url: str) -> bool | None:
    """True once it serves."""
    try:
        return get(base_url, "/readyz").status == 200 or None
    except ConnectionRefusedError:
        return None


def read_until(descriptor: int, mark: bytes) -> bytes:
    """What a terminal showed, up to `mark` and the end of its line."""
    shown = b""
    while mark not in shown or not shown.endswith(b"\n"):
        ready, _, _ = select.select([descriptor], [], [], 5.0)
        assert ready, shown
        shown += os.read(descriptor, 65536)
    return shown
