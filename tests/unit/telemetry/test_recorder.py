"""`service.telemetry.recorder`: finished requests are handed on together, each once, none lost."""

import asyncio

from service.telemetry.facts import Facts
from service.telemetry.recorder import FLUSH_COUNT, Recorder


def facts(name: str) -> Facts:
    return Facts(name, "GET", "/livez", 0.0)


class Heard:
    """A consumer and the end of its batches."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.batches = 0
        self.batch_over = asyncio.Event()

    def consume(self, found: Facts, ended_at: float, now: float) -> None:
        """Note it."""
        self.names.append(f"{found.request_id}@{ended_at}")

    def after(self) -> None:
        """Count it."""
        self.batches += 1
        self.batch_over.set()


async def test_nothing_is_handed_on_within_the_request_and_all_of_it_a_moment_later() -> None:
    """Two requests that end together are one batch, in their order."""
    heard = Heard()
    recorder = Recorder((heard.consume,), heard.after)
    recorder.record(facts("a"), 1.0)
    recorder.record(facts("b"), 2.0)
    assert heard.names == []
    await asyncio.wait_for(heard.batch_over.wait(), 5)
    assert (heard.names, heard.batches) == (["a@1.0", "b@2.0"], 1)


async def test_a_full_batch_does_not_wait() -> None:
    """Under load the list stays short."""
    heard = Heard()
    recorder = Recorder((heard.consume,), heard.after)
    for number in range(FLUSH_COUNT):
        recorder.record(facts(str(number)), 0.0)
    assert len(heard.names) == FLUSH_COUNT


async def test_a_flush_hands_on_what_is_there_once() -> None:
    """At the end of the worker, and before a scrape, nothing may be missing or doubled."""
    heard = Heard()
    recorder = Recorder((heard.consume, heard.consume), heard.after)
    recorder.record(facts("a"), 1.0)
    recorder.flush()
    recorder.flush()
    assert heard.names == ["a@1.0", "a@1.0"]
