"""Python environments for subjects, each apart from ours: made from a hash-locked requirement file, kept.

A peer's dependencies never meet Penstock's, and another revision runs on what that revision locked.
Scripts in an environment hold its address, so it is built in place, and a stamp, written last, says
that it is whole.
"""

import contextlib
import fcntl
import hashlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.lab.machine import ROOT
from benchmarks.lab.subjects import Unavailable

ENVIRONMENTS = ROOT / "benchmarks" / "results" / "environments"

_STAMP = ".penstock-complete"
_INSTALL_LIMIT_SECONDS = 900
_SAID_CHARS = 2000


def find_uv() -> Path | None:
    """The uv beside this interpreter, or the one on PATH; None without, and pip does its work."""
    beside = Path(sys.executable).with_name("uv")
    on_path = shutil.which("uv")
    return beside if beside.exists() else Path(on_path) if on_path else None


def existing_environment(name: str, requirements: Path, directory: Path = ENVIRONMENTS) -> Path | None:
    """The Python of an environment that is there and whole; None where `environment` would build it."""
    return _whole(_home(name, requirements, directory))


def environment(
    name: str,
    requirements: Path,
    say: Callable[[str], None],
    directory: Path = ENVIRONMENTS,
    installer: Callable[[], Path | None] = find_uv,
) -> Path:
    """The Python of an environment that has exactly what `requirements` locks; built where it isn't there.

    Safe against another builder at the same time (the second waits for the first) and against one
    that was interrupted (its remains are built over). Run what is in it as `python -m`.
    say: told before anything that takes time. installer: finds uv; where it doesn't, venv and pip do it.
    Raises Unavailable with the end of what the installer said.
    """
    home = _home(name, requirements, directory)
    if (python := _whole(home)) is not None:
        return python
    directory.mkdir(parents=True, exist_ok=True)
    with _alone(directory / f"{home.name}.lock", lambda: say(f"waiting for another build of {name}")):
        if (python := _whole(home)) is not None:
            return python
        say(f"installing {name} into {home}")
        shutil.rmtree(home, ignore_errors=True)
        python = home / "bin" / "python"
        for command in _recipe(home, python, requirements, installer()):
            _run(command, name)
        (home / _STAMP).touch()
        return python


def remove_environments(directory: Path = ENVIRONMENTS) -> int:
    """Remove all environments; return how many there were."""
    homes = [place for place in directory.glob("*") if place.is_dir()]
    shutil.rmtree(directory, ignore_errors=True)
    return len(homes)


def _home(name: str, requirements: Path, directory: Path) -> Path:
    """Named by all that its content depends on, so that what is there under the name still fits."""
    wanted = requirements.read_bytes() + f"\n{platform.python_version()} {sys.base_prefix}".encode()
    return directory / f"{name}-{hashlib.sha256(wanted).hexdigest()[:12]}"


def _whole(home: Path) -> Path | None:
    python = home / "bin" / "python"
    # The interpreter is a link, and dead where the one it was made from has been removed.
    return python if (home / _STAMP).exists() and python.exists() else None


@contextlib.contextmanager
def _alone(lock: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold `lock`; the kernel gives it back however the holder ends."""
    with lock.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _recipe(home: Path, python: Path, requirements: Path, uv: Path | None) -> list[list[str]]:
    """Bytecode is compiled here: a subject's first start must not be slower than its second."""
    lock = str(requirements)
    if uv is None:
        # Isolated (-I): neither the current directory nor PYTHONPATH may stand before pip.
        pip = [str(python), "-I", "-m", "pip", "--disable-pip-version-check", "--quiet"]
        return [
            [sys.executable, "-I", "-m", "venv", str(home)],
            [*pip, "install", "--require-hashes", "--requirement", lock],
        ]
    sync = ["pip", "sync", "--quiet", "--compile-bytecode", "--require-hashes", "--python", str(python), lock]
    return [
        [str(uv), "venv", "--quiet", "--no-project", "--python", sys.executable, str(home)],
        [str(uv), *sync],
    ]


def _run(command: list[str], name: str) -> None:
    """One step of the installation. Raises Unavailable."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_INSTALL_LIMIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{name} could not be installed: {error}") from error
    if done.returncode != 0:
        raise Unavailable(
            f"{name} could not be installed; the installer says:\n{done.stdout[-_SAID_CHARS:].strip()}\n"
            "It needs a package index within reach, or its files in the installer's cache; then try again."
        )
