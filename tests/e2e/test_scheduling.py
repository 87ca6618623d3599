"""Who waits for whom in a worker: Granian's threads take the core when the event loop has to wait, and no sooner.

A failure here means: Granian makes its threads at another moment; see `service.worker`.
"""

import os
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import StartGateway
from tests.e2e.gateway import Gateway, eventually

RUNTIME = "tokio-rt-worker"


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels know no such thing")
def test_the_servers_threads_never_interrupt_the_loop(start_gateway: StartGateway) -> None:
    gateway = start_gateway()
    policies = policies_of(gateway)
    assert {policies[name] for name in policies if name.startswith(RUNTIME)} == {os.SCHED_BATCH}
    # It is like any other again soon after the start.
    assert eventually(lambda: True if os.sched_getscheduler(gateway.workers[0]) == os.SCHED_OTHER else None)


def policies_of(gateway: Gateway) -> dict[str, int]:
    """By a thread's name and number, how the kernel schedules it."""
    threads = Path(f"/proc/{gateway.workers[0]}/task").iterdir()
    return {
        f"{(thread / 'comm').read_text().strip()} {thread.name}": os.sched_getscheduler(int(thread.name))
        for thread in threads
    }
