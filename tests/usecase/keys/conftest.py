"""A worker's keys, with time that a test moves."""

import pytest

from tests.fakes.authentication import Bench


@pytest.fixture
def bench() -> Bench:
    """One worker on a store of its own."""
    return Bench()
