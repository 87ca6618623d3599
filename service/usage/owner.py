"""A worker's own directory in the journal, and who may touch it: whoever has the lock on its `lock` file.

The kernel takes the lock from a process that dies, however it dies. The lock file's modification
time says when its worker was last alive.
"""

import fcntl
import os
import re
import secrets
from pathlib import Path

LOCK_NAME = "lock"
_OWNER = re.compile(r"[0-9]+-[0-9a-f]{12}")
_SEGMENT = re.compile(r"[0-9]{8}\.segment")


class OwnerDirectory:
    """A directory whose lock this process has."""

    def __init__(self, path: Path, lock: int) -> None:
        """lock: the open, locked lock file."""
        self.path = path
        self._lock = lock

    def segment_path(self, number: int) -> Path:
        """Where the segment of that number lies."""
        return self.path / f"{number:08}.segment"

    def segments(self) -> list[int]:
        """The numbers of those that are there, in their order."""
        return sorted(int(path.stem) for path in self.path.iterdir() if _SEGMENT.fullmatch(path.name))

    def set_aside(self, number: int) -> Path:
        """Keep a segment for a person to look at, under a name that no worker reads."""
        path = self.segment_path(number)
        return path.rename(path.with_suffix(".damaged"))

    def touch(self, now: float) -> None:
        """This worker lives. now: Unix seconds."""
        os.utime(self._lock, (now, now))

    def alive_at(self) -> float:
        """When its worker was last known to live, in Unix seconds."""
        return os.fstat(self._lock).st_mtime

    def remove(self) -> bool:
        """Delete the directory; False, and nothing deleted, where files are left in it. Release it after."""
        empty = all(path.name == LOCK_NAME for path in self.path.iterdir())
        if empty:
            (self.path / LOCK_NAME).unlink()
            self.path.rmdir()
        return empty

    def release(self) -> None:
        """Give up the lock."""
        os.close(self._lock)


def create(root: Path) -> OwnerDirectory:
    """A new directory of this process under `root`, which is made where it is missing. Raises OSError."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        path = root / f"{os.getpid()}-{secrets.token_hex(6)}"
        path.mkdir(mode=0o700)
        try:
            lock = os.open(path / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            # A sibling took it for one that a dead process left, and removed it.
            continue
        if _take(path, lock):
            return OwnerDirectory(path, lock)


def claim(path: Path) -> OwnerDirectory | None:
    """The directory of a process that is dead; None while it lives, and where it is none of ours."""
    if not _OWNER.fullmatch(path.name):
        return None
    try:
        lock = os.open(path / LOCK_NAME, os.O_RDWR)
    except OSError:
        _remove_unborn(path)
        return None
    return OwnerDirectory(path, lock) if _take(path, lock) else None


def is_owner(path: Path) -> bool:
    """Whether a worker made this directory, by its name."""
    return _OWNER.fullmatch(path.name) is not None


def _remove_unborn(path: Path) -> None:
    """A directory without a lock file: its process died over making or removing it. Only if it is empty."""
    try:
        path.rmdir()
    except OSError:
        return


def _take(path: Path, lock: int) -> bool:
    """Lock the file, and see that it is still the directory's."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if (path / LOCK_NAME).stat().st_ino == os.fstat(lock).st_ino:
            return True
    except OSError:
        pass
    os.close(lock)
    return False
