"""Who listens on a port: tables as the kernel writes them, and real processes."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchmarks.lab.processes import free_port
from benchmarks.peers.listeners import listening_inodes, listening_pids

_HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
_ANY, _LOOPBACK, _OTHER = "00000000", "0100007F", "0200007F"
_ANY6, _LOOPBACK6, _MAPPED = "0" * 32, f"{'0' * 24}01000000", f"{'0' * 16}FFFF0000{_LOOPBACK}"


def row(address: str, port: int, state: str = "0A") -> str:
    return (
        f"   0: {address}:{port:04X} {'0' * len(address)}:0000 {state} 00000000:00000000 00:00000000 00000000"
        "     0        0 4711 1 ffff8880 100 0 0 10 0\n"
    )


@pytest.mark.parametrize(
    ("line", "inodes"),
    [
        pytest.param(row(_LOOPBACK, 8080), {4711}, id="on-loopback"),
        pytest.param(row(_ANY, 8080), {4711}, id="on-all-addresses"),
        pytest.param(row(_ANY6, 8080), {4711}, id="on-all-addresses-of-both-families"),
        pytest.param(row(_MAPPED, 8080), {4711}, id="on-loopback-written-as-ipv6"),
        pytest.param(row(_LOOPBACK6, 8080), set(), id="on-ipv6-loopback-only-is-not-reached"),
        pytest.param(row(_OTHER, 8080), set(), id="on-another-loopback-address"),
        pytest.param(row(_LOOPBACK, 8081), set(), id="on-another-port"),
        pytest.param(row(_LOOPBACK, 8080, "01"), set(), id="a-connection-is-no-listener"),
        pytest.param("", set(), id="nobody"),
    ],
)
def test_listening_inodes(line: str, inodes: set[int]) -> None:
    assert listening_inodes(_HEAD + line, 8080) == inodes


# Listens on the port in argv[1], then, where argv[2] asks for it, forks a child that has the socket too;
# says its own id when it is ready, and ends when its input does.
_SERVER = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
if sys.argv[2] == "forking" and os.fork() == 0:
    sys.stdin.read()
    os._exit(0)
print(os.getpid(), flush=True)
sys.stdin.read()
"""


@contextmanager
def serving(port: int, manner: str) -> Iterator[int]:
    command = [sys.executable, "-c", _SERVER, str(port), manner]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        yield int(server.stdout.readline())


@pytest.mark.parametrize(
    "manner",
    [
        pytest.param("alone", id="one-process"),
        pytest.param("forking", id="of-a-master-and-its-worker-the-master"),
    ],
)
def test_the_root_of_the_listening_tree_is_found(manner: str) -> None:
    port = free_port()
    with serving(port, manner) as pid:
        assert listening_pids(port) == (pid,)


def test_nobody_listens() -> None:
    """Then nothing is known, and CPU is left out."""
    assert listening_pids(free_port()) == ()


def test_we_are_never_measured_ourselves() -> None:
    """The load generator's own tree would count as the gateway's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert listening_pids(listener.getsockname()[1]) == ()
