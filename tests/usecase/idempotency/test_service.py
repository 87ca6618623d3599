"""One key's requests: who makes the call, who waits, and what each of them gets."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from service.errors import IdempotencyConflict, IdempotencyMismatch, StoreUnavailable
from service.http.context import CutReason
from service.idempotency.key import body_hash_of, scope_of
from service.idempotency.record import Answer, Claim
from service.idempotency.replies import REPLAYED
from service.idempotency.service import RENEW_SECONDS, SWEEP_STEPS, IdempotencyService
from tests.fakes.idempotency import FakeSiblings, FakeStreams, MemoryIdempotencyStore
from tests.fakes.keyed import Caller, Upstream
from tests.fakes.loops import virtual_time

SCOPE = scope_of("", "", "/v1/chat/completions", "k")
MAX_BODY_BYTES = 100


class House:
    """A worker with everything around it."""

    def __init__(self, *, alone: bool = False, tag: str = "mine") -> None:
        self.store = MemoryIdempotencyStore()
        self.streams = FakeStreams()
        self.siblings = FakeSiblings(tag, alone=alone)
        self.upstream = Upstream(self.streams)
        self.service = IdempotencyService(self.store, self.siblings, self.streams, MAX_BODY_BYTES)

    def ask(self, body: bytes = b"a", key: bytes = b"k") -> Caller:
        """One more request."""
        return Caller(self.service, self.upstream, body, key)

    async def theirs(self, tag: str = "other", body: bytes = b"a") -> Claim:
        """A claim of another worker for the key that requests have here."""
        claim = Claim(SCOPE, body_hash_of(body), f"claim of {tag}")
        assert await self.store.claim(claim, tag, "") is None
        return claim


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """Closed at the end; then nobody is left who waits, and nothing that is remembered."""
    found = House()
    yield found
    if found.store.held is not None:
        found.store.held.set()
    await found.service.close()
    assert not found.service._running
    assert not found.service._writes


async def settle() -> None:
    """Let everything happen that waits for nobody."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_many_make_one_call(house: House) -> None:
    """The store sees one claim; only the first answer is no replay."""
    callers = [house.ask() for _ in range(100)]
    await settle()
    assert (len(house.upstream.calls), house.store.claims) == (1, 1)
    house.upstream.calls[0].answer()
    await settle()
    assert {(caller.status, caller.body) for caller in callers} == {(200, b"0 of a")}
    assert [REPLAYED in caller.headers for caller in callers] == [False] + [True] * 99
    ids = [dict(caller.headers)[b"x-request-id"] for caller in callers]
    assert len(set(ids)) == 100
    later = house.ask()
    await settle()
    assert (later.body, REPLAYED in later.headers) == (b"0 of a", True)


async def test_another_body_is_told_at_once(house: House) -> None:
    """It doesn't wait for the call's end; and those of the same body get their answer."""
    first, other, same = house.ask(), house.ask(b"b"), house.ask()
    await settle()
    assert isinstance(other.error, IdempotencyMismatch)
    house.upstream.calls[0].answer()
    await settle()
    assert first.body == same.body == b"0 of a"


async def test_who_comes_first_with_another_body_doesn_t_keep_the_others_from_the_kept_answer(
    house: House,
) -> None:
    await house.store.keep(await house.theirs(), "other", Answer(200, [], b"kept"))
    other, same = house.ask(b"b"), house.ask()
    await settle()
    assert isinstance(other.error, IdempotencyMismatch)
    assert same.body == b"kept"
    assert not house.upstream.calls


@pytest.mark.parametrize("status", [429, 500, 401])
async def test_who_waits_takes_over_what_failed(house: House, status: int) -> None:
    """One of them; the others wait on."""
    callers = [house.ask() for _ in range(3)]
    await settle()
    house.upstream.calls[0].answer(status)
    await settle()
    assert (callers[0].status, len(house.upstream.calls)) == (status, 2)
    house.upstream.calls[1].answer()
    await settle()
    assert [caller.body for caller in callers[1:]] == [b"1 of a"] * 2


async def test_the_call_outlives_its_client_while_others_wait(house: House) -> None:
    leader, waiting = house.ask(), house.ask()
    await settle()
    leader.leave()
    await settle()
    assert not house.upstream.calls[0].cancelled
    house.upstream.calls[0].answer()
    await settle()
    assert waiting.body == b"0 of a"
    assert (leader.sent, leader.cut) == ([], False)


async def test_the_last_to_leave_ends_the_call(house: House) -> None:
    """And the key is free again, for any body."""
    leader, waiting = house.ask(), house.ask()
    await settle()
    leader.leave()
    waiting.leave()
    await settle()
    assert house.upstream.calls[0].cancelled
    assert (leader.cut, waiting.cut) == (True, True)
    assert not house.store.rows
    again = house.ask(b"b")
    await settle()
    house.upstream.calls[1].answer()
    await settle()
    assert again.body == b"1 of b"


async def test_who_comes_after_the_client_left_keeps_the_call(house: House) -> None:
    """It counts like one that came before."""
    leader, first = house.ask(), house.ask()
    await settle()
    leader.leave()
    second = house.ask()
    await settle()
    first.leave()
    await settle()
    house.upstream.calls[0].answer()
    await settle()
    assert second.body == b"0 of a"


async def test_leaving_while_the_store_is_asked(house: House) -> None:
    """The claim may still come true; it is forgotten then, and the one that waits begins anew."""
    house.store.held = asyncio.Event()
    leader = house.ask()
    await settle()
    leader.leave()
    waiting = house.ask()
    await settle()
    assert leader.cut
    house.store.held.set()
    await settle()
    house.upstream.calls[0].answer()
    await settle()
    assert (waiting.body, len(house.upstream.calls)) == (b"0 of a", 1)


async def test_leaving_while_the_answer_is_written(house: House) -> None:
    """It was made, so it is kept."""
    leader = house.ask()
    await settle()
    house.store.held = asyncio.Event()
    house.upstream.calls[0].answer()
    await settle()
    assert not leader.sent
    leader.leave()
    await settle()
    assert leader.cut
    house.store.held.set()
    again = house.ask()
    await settle()
    assert again.body == b"0 of a"


async def test_a_shutdown_while_the_answer_is_written_can_still_be_told(house: House) -> None:
    """Nothing of it was sent: the edge says so with a 503."""
    leader = house.ask()
    await settle()
    house.store.held = asyncio.Event()
    house.upstream.calls[0].answer()
    await settle()
    leader.context.cut(CutReason.SHUTDOWN)
    await settle()
    assert (leader.cut, leader.context.head_sent) == (True, False)
    house.store.held.set()


async def test_an_answer_too_large_to_keep_is_shared_all_the_same(house: House) -> None:
    body = b"a" * MAX_BODY_BYTES
    callers = [house.ask(body) for _ in range(2)]
    await settle()
    house.upstream.calls[0].answer()
    await settle()
    assert callers[0].body == callers[1].body == b"0 of " + body
    assert not house.store.rows


async def test_without_the_store_all_who_wait_are_told(house: House) -> None:
    """503 for each of them, after one look."""
    house.store.away = True
    callers = [house.ask() for _ in range(10)]
    await settle()
    assert all(isinstance(caller.error, StoreUnavailable) for caller in callers)
    assert (house.store.claims, house.upstream.calls) == (1, [])


async def test_an_answer_goes_out_though_it_could_not_be_kept(house: House) -> None:
    """The next request finds this worker's dead claim, and makes the call anew."""
    callers = [house.ask() for _ in range(2)]
    await settle()
    house.store.away = True
    house.upstream.calls[0].answer()
    await settle()
    assert [caller.body for caller in callers] == [b"0 of a"] * 2
    house.store.away = False
    again = house.ask()
    await settle()
    house.upstream.calls[1].answer()
    await settle()
    assert again.body == b"1 of a"


async def test_a_running_stream_is_joined(house: House) -> None:
    """By those that waited, and those that come while it runs or later."""
    leader, waiting = house.ask(), house.ask()
    await settle()
    house.upstream.calls[0].stream("s1")
    await settle()
    later = house.ask()
    other = house.ask(b"b")
    await settle()
    assert (waiting.joined, later.joined) == ("s1", "s1")
    assert isinstance(other.error, IdempotencyMismatch)
    assert REPLAYED in later.context.extra_headers
    house.upstream.calls[0].end()
    await settle()
    assert leader.body == b"data: 1\n\n"
    after = house.ask()
    await settle()
    assert (after.joined, len(house.upstream.calls)) == ("s1", 1)


async def test_a_stream_is_joined_while_its_end_is_written(house: House) -> None:
    """The store still says that it runs, and nobody may take that for a dead worker's."""
    house.ask()
    await settle()
    house.upstream.calls[0].stream("s1")
    await settle()
    house.store.held = asyncio.Event()
    house.upstream.calls[0].end()
    await settle()
    caller = house.ask()
    await settle()
    assert (caller.joined, len(house.upstream.calls)) == ("s1", 1)
    house.store.held.set()


async def test_a_stream_that_failed_is_forgotten(house: House) -> None:
    house.ask()
    await settle()
    house.upstream.calls[0].stream("s1")
    await settle()
    house.upstream.calls[0].end(failed=True)
    await settle()
    assert not house.store.rows
    again = house.ask(b"b")
    await settle()
    house.upstream.calls[1].answer()
    await settle()
    assert again.body == b"1 of b"


async def test_a_client_that_left_before_its_stream_began_leaves_it_to_those_that_joined(
    house: House,
) -> None:
    """Its own request ends when they have joined: the stream's policy sees viewers."""
    leader, waiting = house.ask(), house.ask()
    await settle()
    leader.leave()
    await settle()
    house.upstream.calls[0].stream("s1")
    await settle()
    assert (waiting.joined, leader.cut) == ("s1", True)


async def test_a_stream_that_nobody_can_join_ends_with_its_client(house: House) -> None:
    """Those that wait for it make their own call."""
    leader, waiting = house.ask(), house.ask()
    await settle()
    leader.leave()
    await settle()
    house.upstream.calls[0].stream()
    await settle()
    assert (leader.cut, len(house.upstream.calls)) == (True, 2)
    house.upstream.calls[1].answer()
    await settle()
    assert waiting.body == b"1 of a"


async def test_another_workers_call_is_waited_for(house: House) -> None:
    """Until it says that it is over; then its answer is there."""
    claim = await house.theirs()
    over = asyncio.Event()

    async def wait_for(tag: str, claim_id: str) -> bool:
        await over.wait()
        return True

    house.siblings.wait_for = wait_for  # type: ignore[method-assign]
    callers = [house.ask() for _ in range(3)]
    await settle()
    assert house.store.claims == 2
    other = house.ask(b"b")
    await settle()
    assert isinstance(other.error, IdempotencyMismatch)
    await house.store.keep(claim, "other", Answer(200, [], b"theirs"))
    over.set()
    await settle()
    assert [caller.body for caller in callers] == [b"theirs"] * 3
    assert not house.upstream.calls


async def test_who_comes_first_with_another_body_doesn_t_keep_the_others_from_another_workers_call(
    house: House,
) -> None:
    """Those who waited for what it would find go on waiting for the call itself."""
    claim = await house.theirs()
    over = asyncio.Event()

    async def wait_for(tag: str, claim_id: str) -> bool:
        await over.wait()
        return True

    house.siblings.wait_for = wait_for  # type: ignore[method-assign]
    other, *callers = house.ask(b"b"), house.ask(), house.ask()
    await settle()
    assert isinstance(other.error, IdempotencyMismatch)
    assert not any(caller.task.done() for caller in callers)
    await house.store.keep(claim, "other", Answer(200, [], b"theirs"))
    over.set()
    await settle()
    assert [caller.body for caller in callers] == [b"theirs"] * 2
    assert not house.upstream.calls


async def test_another_workers_failed_call_is_taken_over(house: House) -> None:
    """Whether it has forgotten it by then or not."""
    await house.theirs()
    house.siblings.hear["other"] = lambda: True
    caller = house.ask()
    await settle()
    house.upstream.calls[0].answer()
    await settle()
    assert caller.body == b"0 of a"


async def test_a_worker_that_cannot_be_reached_is_a_conflict(house: House) -> None:
    """For all that wait here. Once its claim has expired, it is dead."""
    await house.theirs()
    callers = [house.ask() for _ in range(2)]
    await settle()
    for caller in callers:
        assert isinstance(caller.error, IdempotencyConflict)
        assert caller.error.retry_after_seconds == 1
    assert len(house.siblings.asked) == 1
    house.store.now += 31
    later = house.ask()
    await settle()
    house.upstream.calls[0].answer()
    await settle()
    assert later.body == b"0 of a"


@pytest.mark.parametrize("stream_id", [pytest.param("", id="a-call"), pytest.param("s0", id="a-stream")])
async def test_a_worker_that_is_alone_takes_over_from_its_dead_forerunner(
    house: House, stream_id: str
) -> None:
    claim = await house.theirs(body=b"b")
    await house.store.stream(claim, stream_id)
    house.siblings.alone = True
    caller = house.ask()
    await settle()
    house.upstream.calls[0].answer()
    await settle()
    assert caller.body == b"0 of a"
    assert not house.siblings.asked


async def test_another_workers_stream_is_joined(house: House) -> None:
    """While it runs, without asking anybody; the stream's own room finds it."""
    await house.store.stream(await house.theirs(), "s9")
    caller = house.ask()
    await settle()
    assert (caller.joined, house.siblings.asked) == ("s9", [])


async def test_another_workers_call_is_joined_when_it_begins_to_stream(house: House) -> None:
    """It is waited for, and its claim stays its own: the stream still runs."""
    claim = await house.theirs()
    begun = asyncio.Event()

    async def wait_for(tag: str, claim_id: str) -> bool:
        await begun.wait()
        return True

    house.siblings.wait_for = wait_for  # type: ignore[method-assign]
    callers = [house.ask() for _ in range(3)]
    await settle()
    await house.store.stream(claim, "s9")
    begun.set()
    await settle()
    assert [caller.joined for caller in callers] == ["s9"] * 3
    assert not house.upstream.calls
    assert house.store.rows[SCOPE].claim_id == claim.id


@pytest.mark.parametrize("ends", [pytest.param(False, id="runs"), pytest.param(True, id="ended-already")])
async def test_another_worker_is_told_of_a_stream_once_the_store_knows_it(house: House, ends: bool) -> None:
    house.ask()
    await settle()
    told = asyncio.ensure_future(house.service.over(house.store.rows[SCOPE].claim_id))
    await settle()
    house.store.held = asyncio.Event()
    house.upstream.calls[0].stream("s1")
    if ends:
        house.upstream.calls[0].end()
    await settle()
    assert not told.done()
    house.store.held.set()
    await told
    assert house.store.rows[SCOPE].record.stream_id == "s1"
    if not ends:
        house.upstream.calls[0].end()
        await settle()


@virtual_time
async def test_what_runs_is_renewed_and_what_has_expired_is_swept() -> None:
    """Only while it runs."""
    house = House()
    await house.service.start()
    caller = house.ask()
    await settle()
    house.store.rows[b"old"] = house.store.rows[SCOPE]
    for _ in range(SWEEP_STEPS + 2):
        await asyncio.sleep(RENEW_SECONDS)
        house.store.now += RENEW_SECONDS
        if b"old" in house.store.rows:
            house.store.rows[b"old"] = house.store.rows.pop(b"old")
    await asyncio.sleep(1)
    assert house.store.rows[SCOPE].expires_at > house.store.now
    house.upstream.calls[0].answer()
    await settle()
    assert caller.status == 200
    house.store.now += 90_000
    await asyncio.sleep(RENEW_SECONDS * SWEEP_STEPS)
    assert not house.store.rows
    await house.service.close()
