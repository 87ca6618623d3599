"""Which processes take the connections of a loopback port, so that their CPU can be read. Linux only."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from benchmarks.lab.machine import process_tree

# Local addresses at which a connection to 127.0.0.1 arrives, as /proc/net/tcp and tcp6 write them where
# the machine is little-endian. The third is `::`, which takes IPv4 too unless told otherwise.
_LOOPBACK = "0100007F"
_ADDRESSES = (_LOOPBACK, "0" * 8, "0" * 32, f"{'0' * 16}FFFF0000{_LOOPBACK}")
_LISTEN = "0A"
# They only pass the bytes on to the real one: what they use says nothing.
_FORWARDERS = frozenset({"docker-proxy", "rootlessport", "slirp4netns", "ssh", "socat"})


def listening_inodes(table: str, port: int) -> set[int]:
    """Of /proc/net/tcp or tcp6: the sockets that listen where connections to 127.0.0.1:port arrive."""
    wanted = {f"{address}:{port:04X}" for address in _ADDRESSES}
    rows = (line.split() for line in table.splitlines()[1:])
    return {int(row[9]) for row in rows if row[1] in wanted and row[3] == _LISTEN}


def listening_pids(port: int) -> tuple[int, ...]:
    """The roots of the process trees that listen on a loopback port; empty where that can't be known.

    It can't where they belong to another user, or where a container's forwarder stands before them.
    Never a tree that we are in ourselves: a service manager holds its services' sockets too.
    """
    tables = (Path(path) for path in ("/proc/net/tcp", "/proc/net/tcp6"))
    inodes = {
        inode for table in tables if table.exists() for inode in listening_inodes(table.read_text(), port)
    }
    trees = {pid: set(process_tree(pid)) for pid in _holders(inodes)}
    trees = {pid: tree for pid, tree in trees.items() if os.getpid() not in tree}
    return tuple(
        sorted(pid for pid in trees if not any(pid in tree for other, tree in trees.items() if other != pid))
    )


def _holders(inodes: set[int]) -> Iterator[int]:
    """Processes that have one of these sockets open, as far as we may look."""
    links = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            opened = _opened(process)
            name = (process / "comm").read_text().strip()
        except OSError:
            continue  # another user's, or it ended meanwhile
        if opened & links and name not in _FORWARDERS:
            yield int(process.name)


def _opened(process: Path) -> set[str]:
    """What its descriptors lead to. Raises OSError where it is another user's, or gone."""
    opened = set()
    for descriptor in (process / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since the listing
            opened.add(str(descriptor.readlink()))
    return opened
