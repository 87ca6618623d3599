"""Asking the mock provider what it has seen."""

from http.client import HTTPConnection

import msgspec

from benchmarks.upstream.server import COUNTS_PATH, GO_ON_PATH, Counts


def counts(port: int) -> Counts:
    """What it has counted so far. Raises OSError where it is gone."""
    return _ask(port, COUNTS_PATH)


def go_on(port: int) -> Counts:
    """Have all its silent streams go on; what it has counted until then. Raises OSError where it is gone."""
    return _ask(port, GO_ON_PATH)


def _ask(port: int, path: str) -> Counts:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return msgspec.json.decode(connection.getresponse().read(), type=Counts)
    finally:
        connection.close()
