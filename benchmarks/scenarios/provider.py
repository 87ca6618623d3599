"""Asking the mock provider what it has seen."""

from http.client import HTTPConnection

import msgspec

from benchmarks.upstream.server import COUNTS_PATH, Counts


def counts(port: int) -> Counts:
    """What it has counted so far. Raises OSError where it is gone."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", COUNTS_PATH)
        return msgspec.json.decode(connection.getresponse().read(), type=Counts)
    finally:
        connection.close()
